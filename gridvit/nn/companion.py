"""States that hold earlier frames: what a step carries on."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.channels import Channels


def carried(
    state: Float[Tensor, "batch variable *space"], channels: Channels
) -> Float[Tensor, "batch carried *space"]:
    """Predictors as they are, the present in the place of the frame before it, and so on."""
    now, per_frame = len(channels.now), len(channels.inputs)
    held = [state[:, len(channels.targets) : now]]
    if channels.history > 1:
        held += [state[:, channels.input_places], state[:, now : len(channels.state) - per_frame]]
    return torch.cat(held, 1)
