"""Training by Lightning: data module, objective, checkpoints, and the function that puts them together."""
