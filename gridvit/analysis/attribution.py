"""What a step's forecast of a region hangs on: gradients, occlusion, pulses and integrated gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.rollout import Context, Step, check_state, repeat

Replace = Callable[[int, Tensor], Tensor]
"""``attention(layer, weights) -> weights``, as ``gridvit.nn.replacing`` makes them."""


@dataclass(frozen=True, eq=False)
class WithAttention:
    """``u(t + dt) = F(u(t); replace)``: a model's step with the attention of every layer replaced.

    Args:
        step: one that takes ``attention`` when it is called.
        replace: ``(layer, weights) -> weights``.
    """

    step: Any
    replace: Replace

    @property
    def grid(self) -> Grid:
        """The step's own."""
        return self.step.grid

    @property
    def dt(self) -> float:
        """The step's own."""
        return self.step.dt

    @property
    def variables(self) -> tuple[str, ...]:
        """The step's own."""
        return self.step.variables

    def __call__(self, state: Tensor, context: Context | None = None) -> Tensor:
        return self.step(state, context, attention=self.replace)


@dataclass(frozen=True, eq=False)
class Readout:
    r"""``f(u) = sum_{v,s} weights(v, s) [F^lead(u)](v, s)``: one number of the forecast after ``lead`` steps.

    Args:
        step: any ``Step`` that torch can differentiate.
        weights: of every variable and cell of the forecast, as ``region_weights`` makes them.
        lead: steps, at least one.
        context: of the states.

    Raises:
        InputError: weights that do not fit the step, or a lead below one.
    """

    step: Step
    weights: Float[Tensor, "variable *space"]
    lead: int = 1
    context: Context | None = None

    def __post_init__(self) -> None:
        want = (len(self.step.variables), *self.step.grid.shape)
        if tuple(self.weights.shape) != want or self.lead < 1:
            raise InputError(
                f"weights ({', '.join(map(str, want))}) and a lead of at least one step",
                f"{tuple(self.weights.shape)} and {self.lead}",
                "make them with region_weights",
            )

    def __call__(self, state: Float[Tensor, "batch variable *space"]) -> Float[Tensor, "batch"]:
        """``f`` of each state."""
        check_state(self.step, state)
        after, weights = repeat(self.step, state, self.lead, self.context), self.weights.to(state)
        # Land without weight is NaN, which no factor of zero takes away
        return (torch.where(weights != 0, after, 0) * weights).flatten(1).sum(1)

    def gradient(
        self, state: Float[Tensor, "batch variable *space"]
    ) -> Float[Tensor, "batch variable *space"]:
        """``df / du``. Divide by the area of a cell for a map that refining the grid leaves as it is."""
        with torch.enable_grad():
            leaf = state.detach().clone().requires_grad_()
            (found,) = torch.autograd.grad(self(leaf).sum(), leaf)
        return found

    def integrated_gradient(
        self,
        state: Float[Tensor, "batch variable *space"],
        baseline: Float[Tensor, "batch variable *space"],
        points: int = 16,
    ) -> Float[Tensor, "batch variable *space"]:
        r"""``(u - b) int_0^1 df/du (b + a (u - b)) da`` by Gauss and Legendre: exact where f is of degree 2 points.

        It adds up to ``f(u) - f(b)``: how far it does not says whether the points are enough. For a linear step it is
        gradient times difference. Reference: M. Sundararajan et al., ICML 2017, arXiv:1703.01365.
        """
        nodes, weights = np.polynomial.legendre.leggauss(points)
        path = state - baseline
        parts = (
            float(w) / 2 * self.gradient(baseline + (1 + float(a)) / 2 * path)
            for a, w in zip(nodes, weights, strict=True)
        )
        return path * sum(parts, torch.zeros_like(state))

    def occlusion(
        self,
        state: Float[Tensor, "batch variable *space"],
        baseline: Float[Tensor, "batch variable *space"],
        regions: Bool[np.ndarray, "region *space"],
    ) -> Float[Tensor, "batch region"]:
        """``f(u) - f(u with the region as in the baseline)``: what its being as it is there does."""
        masks = torch.from_numpy(regions).to(state.device)
        with torch.no_grad():
            full = self(state)
            return torch.stack([full - self(torch.where(m, baseline, state)) for m in masks], dim=1)

    def pulse(
        self,
        state: Float[Tensor, "batch variable *space"],
        patterns: Float[Tensor, "region variable *space"],
        size: float = 1.0,
    ) -> Float[Tensor, "batch region"]:
        """``[f(u + size g) - f(u)] / size``: the response to a change that one might see, no infinitesimal one."""
        with torch.no_grad():
            rest = self(state)
            return torch.stack([(self(state + size * g) - rest) / size for g in patterns.to(state)], dim=1)

    def knock_out(
        self, state: Float[Tensor, "batch variable *space"], replacements: Sequence[Replace]
    ) -> Float[Tensor, "batch replacement"]:
        """``f(u) - f(u; replaced attention)`` for each: what looking there does, if the network's layers all look so.

        With the keys of a region masked and the rest renormalised the region is not seen; its own tokens still are.
        """
        with torch.no_grad():
            full = self(state)
            blind = (replace(self, step=WithAttention(self.step, each)) for each in replacements)
            return torch.stack([full - f(state) for f in blind], dim=1)


def region_weights(
    grid: Grid, variables: tuple[str, ...], variable: str, region: Bool[np.ndarray, "*space"]
) -> Float[Tensor, "variable *space"]:
    """Area mean of one variable over a region, zero elsewhere: weights for ``Readout``, float64.

    Raises:
        InputError: a variable that is not there, or a region without a cell.
    """
    if variable not in variables or not region.any():
        got = f"{variable!r} over {int(region.sum())} cells"
        raise InputError(f"one of {', '.join(variables)} over at least one cell", got, "correct the readout")
    weights = np.zeros((len(variables), *grid.shape))
    weights[variables.index(variable)] = np.where(region, grid.areas, 0.0) / grid.areas[region].sum()
    return torch.from_numpy(weights)
