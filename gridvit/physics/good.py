"""What a good simulation of an equation is made of, where nobody chooses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Good:
    """Good values of an equation, for cells of width one unless lengths are given; its class attribute ``good``.

    Args:
        frame: time between stored frames.
        largest: what the speed of random states stays below, nearly always, in the sense of ``stable_step``.
        method: of the solver.
        shape: cells along each axis; as many axes as the equation has.
        lengths: of the domain; the number of cells where none are given.
        units: of each variable, as CF writes them; none where the equation has no scale of its own.
        parameters: coefficients that have no defaults; of several numbers the first, one for each axis.
    """

    frame: float = 1.0
    largest: float = 4.0
    method: str = "ssprk3"
    shape: tuple[int, ...] = (32, 32)
    lengths: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    parameters: Mapping[str, float | tuple[float, ...]] = field(default_factory=dict)

    def coefficients(self, ndim: int) -> dict[str, Any]:
        """The parameters in ``ndim`` dimensions, as a file's attributes write them."""
        return {k: list(v[:ndim]) if isinstance(v, tuple) else v for k, v in self.parameters.items()}


def good_of(equation: Any) -> Good:
    """An equation's own good values, or the usual ones."""
    return getattr(equation, "good", Good())


def at_rest(
    noise: Float[Tensor, "n variable *space"], scale: float | int
) -> Float[Tensor, "n variable *space"]:
    """The first variable times ``scale``; all others 0."""
    first = scale * noise[:, :1]
    return torch.cat([first, torch.zeros_like(noise[:, 1:])], dim=1)
