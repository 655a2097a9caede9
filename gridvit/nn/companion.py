"""States that hold earlier frames: what a step carries on."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.channels import Channels


def following(
    state: Float[Tensor, "batch variable *space"],
    after: Float[Tensor, "batch target *space"],
    channels: Channels,
) -> Float[Tensor, "batch variable *space"]:
    """The state after ``state`` whose u and y are ``after``.

    Predictors stay as they are, the present takes the place of the frame before it, and so on.
    """
    if len(channels.targets) == len(channels.state):
        return after
    now, per_frame = len(channels.now), len(channels.inputs)
    held = [after, state[:, len(channels.targets) : now]]
    if channels.history > 1:
        held += [state[:, channels.input_places], state[:, now : len(channels.state) - per_frame]]
    return torch.cat(held, 1)
