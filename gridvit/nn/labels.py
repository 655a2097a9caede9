"""A network with a head as a function of the physical state."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.grid import Grid
from gridvit.nn.heads import Detected, Head, Headed, located
from gridvit.nn.step import ModelStep
from gridvit.rollout import Context


class Labels(nn.Module):
    """z = head(tokens of the normalised state): logits of classes, or things found, as ``gridvit.nn.heads`` says.

    Args:
        step: the model that normalises the state and whose network makes the tokens.
        head: on them.
    """

    def __init__(self, step: ModelStep, head: Head) -> None:
        super().__init__()
        self.step, self.head = step, head

    @property
    def grid(self) -> Grid:
        """Of the states."""
        return self.step.grid

    @property
    def headed(self) -> Headed:
        """The network and the head alone, of normalised inputs."""
        return Headed(self.step.attending, self.head)

    def forward(
        self, state: Float[Tensor, "batch variable *space"], context: Context | None = None
    ) -> Tensor | Detected:
        """What the head makes of physical states ``(B, variable, *space)``, variables as ``step.variables``."""
        inputs = self.step.inputs(state, context)
        return self.headed(inputs, self.step.told(inputs, context))


def label_of(
    step: ModelStep, frames: Float[Tensor, "batch frame variable *space"], ahead: bool
) -> Float[Tensor, "batch *space"]:
    """The label in windows of frames: the diagnostic variable at the time of the state, or a lead later (``ahead``)."""
    history = step.channels.history
    return frames[:, history if ahead else history - 1, len(step.channels.prognostic)]


def things(
    found: Detected, grid: Grid
) -> tuple[Float[Tensor, "batch token"], Float[Tensor, "batch token axis"]]:
    """Probability of a thing in each token, and where it would have its centre, in the units of the axes.

    ``grid`` is that of the tokens.
    """
    return torch.sigmoid(found.presence), located(found.offset, grid)
