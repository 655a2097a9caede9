"""The network: patch tokens, distance-biased attention, transformer blocks, and the Step made of them."""

from gridvit.nn.step import ModelStep
from gridvit.nn.vit import ViT

__all__ = ["ModelStep", "ViT"]
