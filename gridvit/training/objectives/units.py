"""In what unit the error of each cell counts, where variables have gaps or a boundary is given."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.nn.step import ModelStep


def units(
    step: ModelStep, state: Float[Tensor, "batch variable *space"]
) -> Float[Tensor, "batch lead target *space"]:
    """1, sigma_d / sigma where u is filled in ``state``, and 0 where nothing is learned.

    Nothing is learned outside the domain of a variable and in a boundary that is given.
    """
    moving, targets = len(step.channels.prognostic), len(step.channels.targets)
    filled = step.increment_std[:, :moving] / step.std[:moving]
    unit = torch.where(step.there(state)[:, None, :moving], 1.0, filled)
    if step.given is not None:
        unit = torch.where(step.given.to(unit.device), 0.0, unit)
    alone = unit.new_ones(len(unit), len(step.channels.leads), targets - moving, *step.grid.shape)
    return torch.cat([unit, alone], 2) * step.domain[:targets]
