"""What a solver can do for its cost: the same equation on fewer cells, by methods of every order, in few steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, isfinite
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from gridvit.grid import Grid
from gridvit.physics import (
    Burgers,
    Coarse,
    ForcedBurgers,
    LinearEquation,
    Semilinear,
    Solver,
    Spherical,
    largest_step,
    linear_scheme,
)
from gridvit.physics.burgers import FLUXES
from gridvit.physics.constant import SPECTRAL, Accuracy
from gridvit.rollout import Step

HALVINGS = 3
"""How often the cells of each axis are halved."""
FEWEST = 4
"""Cells that an axis keeps."""
CENTRAL = "central"
"""The flux that has an order."""
ORDERS: tuple[Accuracy, ...] = (2, 4, 6, SPECTRAL)
BOLD = 8
"""How many times longer than what is known to be stable the first steps are that are tried."""
WORTH = 0.95
"""Of the error: substeps that do not lower it so far are not doubled again."""


@dataclass(frozen=True)
class Spent:
    """Error and cost of a solver's forecasts.

    Args:
        error: by lead.
        seconds: of the processor, for one forecast.
        operations: for one forecast.
    """

    error: Float[np.ndarray, "lead"]
    seconds: float
    operations: float


@dataclass(frozen=True)
class Rung:
    """One way to solve an equation.

    Args:
        shape: cells along each axis.
        method: a tableau, or "exact" for the propagator of a linear equation.
        accuracy: of the differences.
        flux: of an equation that has several; else empty.
        by: how states come to a coarser grid, as `Coarse` says.
        substeps: within dt.
    """

    shape: tuple[int, ...]
    method: str
    accuracy: Accuracy = 2
    flux: str = ""
    by: str = "waves"
    substeps: int = 1

    @property
    def name(self) -> str:
        """For tables."""
        order = (
            ""
            if self.method == "exact"
            else f", {self.accuracy}" + (" order" if self.accuracy != SPECTRAL else "")
        )
        flux, means = (
            f", {part}" if part else "" for part in (self.flux, "means" if self.by == "means" else "")
        )
        count = f", {self.substeps} substeps" if self.substeps > 1 else ""
        return f"{' x '.join(map(str, self.shape))} cells, {self.method}{order}{flux}{means}{count}"

    def step(self, equation: Any, grid: Grid, dt: float | int, boundary: Any = "open") -> Step:
        """The step on the states' own grid.

        Raises:
            InputError: what the equation, its walls or the grid do not allow.
        """
        equation = replace(equation, flux=self.flux) if self.flux else equation
        own = thinned(grid, self.shape)
        solver = (
            linear_scheme("exact", equation, own, dt)
            if self.method == "exact"
            else Solver(equation, own, dt, self.method, self.substeps, self.accuracy, boundary)
        )
        return solver if own == grid else Coarse(solver, grid, self.by)

    def enough(self, equation: Any, grid: Grid, dt: float | int) -> int:
        """Substeps that are known to be stable."""
        if self.method == "exact":
            return 1
        limit = largest_step(self.method, equation, thinned(grid, self.shape), self.accuracy)
        return max(1, ceil(dt / limit)) if limit else 1


def thinned(grid: Grid, shape: Sequence[int]) -> Grid:
    """The same domain in other cells; the same grid where they are as many."""
    if tuple(shape) == tuple(grid.shape):
        return grid
    if grid.is_sphere:
        return Grid.gaussian(*shape)
    origin = [bounds[0] for bounds in grid.bounds]
    return Grid.regular(
        shape, grid.lengths, periodic=grid.periodic, names=grid.names, units=grid.units, origin=origin
    )


def rungs(equation: Any, grid: Grid) -> Iterator[Rung]:
    """Every way that is tried, one substep each, from coarse to fine.

    The exact propagator of linear equations; RK4 with differences of order 2, 4 and 6 and spectral ones; "etdrk4",
    whose transforms are there anyway, with the best of them; SSPRK3 where fronts are captured, by a flux or without a
    linear part, of states that come by means as well as by waves.
    """
    shapes = [tuple(max(FEWEST, n // 2**k) for n in grid.shape) for k in range(HALVINGS, -1, -1)]
    for shape in dict.fromkeys(shapes):
        whole = shape == tuple(grid.shape)
        for way in _ways(equation):
            if way.by == "waves" or not whole:
                yield replace(way, shape=shape)


def _ways(equation: Any) -> list[Rung]:
    plain = [Rung((), "rk4", order) for order in ORDERS]
    if isinstance(equation, LinearEquation):
        return [Rung((), "exact"), *plain]
    if isinstance(equation, Spherical):
        return [Rung((), "rk4"), Rung((), "ssprk3")]
    if not isinstance(equation, Semilinear):
        return [Rung((), "ssprk3", by="waves"), Rung((), "ssprk3", by="means")]
    if not isinstance(equation, Burgers | ForcedBurgers):
        return [*plain, Rung((), "etdrk4", SPECTRAL)]
    smooth = [*plain[:-1], Rung((), "etdrk4", ORDERS[-2])]
    fronts = [
        Rung((), "ssprk3", 2, flux, by) for flux, by in product(FLUXES, ("waves", "means")) if flux != CENTRAL
    ]
    return [*(replace(rung, flux=CENTRAL) for rung in smooth), *fronts]


def climbed(
    first: Rung, enough: int, measure: Callable[[Rung], Spent | None]
) -> Iterator[tuple[Rung, Spent]]:
    """A rung with as few substeps as stay finite, then twice as many while the last error falls by a twentieth.

    Args:
        first: with one substep.
        enough: substeps that are known to be stable.
        measure: what a rung costs; None where its forecasts are not finite.
    """
    count, before = max(1, enough // BOLD), float("inf")
    while count <= (enough if first.method == "exact" else 2 * enough):
        rung = replace(first, substeps=count)
        spent = measure(rung)
        if spent is not None and isfinite(spent.error[-1]):
            yield rung, spent
            if spent.error[-1] > WORTH * before:
                return
            before = float(spent.error[-1])
        count *= 2


def frontier(cost: Float[np.ndarray, "n"], error: Float[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """Those that nothing else beats: no other has at most the cost and the error, and less of one of them."""
    cheaper = (cost[None] <= cost[:, None]) & (error[None] <= error[:, None])
    less = (cost[None] < cost[:, None]) | (error[None] < error[:, None])
    return np.asarray(~(cheaper & less).any(axis=1))


def cost_table(found: Sequence[tuple[Rung, Spent]], steps: int) -> xr.Dataset:
    """``solver_error`` (solver, lead), ``solver_seconds``, ``solver_operations`` and ``solver_best_*`` (solver).

    Args:
        found: rungs and what they cost.
        steps: of the model in a forecast.
    """
    error = np.stack([spent.error for _, spent in found])
    seconds, operations = (
        np.array([getattr(s, name) for _, s in found]) for name in ("seconds", "operations")
    )
    forecast = f"one forecast of {steps} steps"
    return xr.Dataset(
        {
            "solver_error": (("solver", "lead"), error, {"long_name": ERROR, "units": "1"}),
            "solver_seconds": ("solver", seconds, {"long_name": f"processor time of {forecast}", "units": "s"}),
            "solver_operations": ("solver", operations, {"long_name": f"operations of {forecast}", "units": "1"}),
            **{
                f"solver_best_{name}": (
                    "solver",
                    frontier(cost, error[:, -1]),
                    {"long_name": f"no other solver has less error at the last lead for so few {name}"},
                )
                for name, cost in (("seconds", seconds), ("operations", operations))
            },
        },
        {"solver": ("solver", [rung.name for rung, _ in found], {"long_name": "solver"})},
    )  # fmt: skip


ERROR = "RMSE over the climate's standard deviation, over all variables"
