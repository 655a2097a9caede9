"""A good first simulation of each equation: grid, step, method and random states to begin with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from gridvit.grid import Grid
from gridvit.physics.equations import equation_from
from gridvit.physics.initial import random_field
from gridvit.physics.operators import choose
from gridvit.physics.pattern import Equation
from gridvit.physics.solve import Solver

TAU = 6.283185307179586


def fields(count: int, scale: float | int, cutoff: float | int) -> Callable[[Grid, int, int], Tensor]:
    """Smooth random fields in the first variables of ``count``: the others begin at rest, at 0."""

    def start(grid: Grid, n: int, seed: int) -> Tensor:
        first = scale * random_field(grid, n, seed=seed, cutoff=cutoff)
        return torch.cat([first, first.new_zeros((n, count - 1, *grid.shape))], dim=1)

    return start


def independent(count: int, scale: float | int, cutoff: float | int) -> Callable[[Grid, int, int], Tensor]:
    """Smooth random fields in every variable."""
    return lambda grid, n, seed: scale * random_field(grid, n, seed=seed, cutoff=cutoff, variables=count)


def patches(grid: Grid, n: int, seed: int) -> Tensor:
    """u = 1 and v = 0 but in the highest parts of a random field, where u = 1/2 and v = 1/4."""
    inside = torch.sigmoid(20 * (random_field(grid, n, seed=seed, cutoff=min(grid.shape) / 12) - 1.5))
    return torch.cat([1 - inside / 2, inside / 4], dim=1)


def dams(grid: Grid, n: int, seed: int) -> Tensor:
    """Depth 1 where a random field is positive, 0.3 elsewhere, all at rest."""
    high = random_field(Grid.regular(grid.shape, grid.lengths), n, seed=seed, cutoff=2) > 0
    depth = 0.3 + 0.7 * high.double()
    return torch.cat([depth, depth.new_zeros((n, grid.ndim, *grid.shape))], dim=1)


@dataclass(frozen=True)
class Example:
    """What ``EXAMPLES`` holds for each equation; ``dt`` is the time from frame to frame.

    Args:
        shape: cells.
        lengths: of the domain.
        dt: time from one frame to the next.
        steps: frames after the first.
        start: (grid, number of states, seed) -> states (number, variable, *space), float64.
        parameters: of the equation; its own defaults where absent.
        tableau: method of the solver.
        substeps: of the method within dt.
        boundary: None for periodic axes, else the condition at the walls of all.
    """

    shape: tuple[int, ...]
    lengths: tuple[float, ...]
    dt: float
    steps: int
    start: Callable[[Grid, int, int], Tensor]
    parameters: dict[str, Any] = field(default_factory=dict)
    tableau: str = "etdrk4"
    substeps: int = 1
    boundary: str | None = None

    @property
    def grid(self) -> Grid:
        """The plane it lives on."""
        return Grid.regular(self.shape, self.lengths, periodic=self.boundary is None)

    def solver(self, equation: Equation) -> Solver:
        """The step from frame to frame."""
        walls = self.boundary or "open"
        return Solver(equation, self.grid, self.dt, self.tableau, self.substeps, boundary=walls)


EXAMPLES: dict[str, Example] = {
    "advection": Example((64, 64), (64.0, 64.0), 4.0, 32, fields(1, 1.0, 6), {"velocity": (0.25, 0.5)}),
    "diffusion": Example((64, 64), (64.0, 64.0), 2.0, 32, fields(1, 1.0, 8), {"diffusivity": 0.2}),
    "advection-diffusion": Example(
        (64, 64), (64.0, 64.0), 4.0, 32, fields(1, 1.0, 8), {"velocity": (0.25, 0.5), "diffusivity": 0.05}
    ),
    "burgers": Example((128,), (TAU,), 0.05, 40, fields(1, 1.0, 3), {"viscosity": 0.02}, "ssprk3", 5),
    "wave": Example((64, 64), (64.0, 64.0), 2.0, 32, fields(2, 1.0, 6)),
    "korteweg-de-vries": Example((256,), (2.0,), 0.02, 60, fields(1, 0.7, 1.5), substeps=20),
    "kuramoto-sivashinsky": Example((128,), (100.0,), 1.0, 150, fields(1, 0.5, 12), substeps=4),
    "allen-cahn": Example((96, 96), (96.0, 96.0), 2.0, 40, fields(1, 0.5, 12), substeps=4),
    "gray-scott": Example((96, 96), (96.0, 96.0), 50.0, 60, patches, substeps=50),
    "fitzhugh-nagumo": Example((96, 96), (96.0, 96.0), 2.0, 60, independent(2, 0.7, 4), substeps=10),
    "vorticity": Example((128, 128), (TAU, TAU), 0.1, 60, fields(1, 4.0, 8), substeps=5),
    "shallow-water": Example(
        (64, 64),
        (20.0, 20.0),
        0.5,
        60,
        fields(3, 0.1, 4),
        {"coriolis": 1.0, "viscosity": 0.02},
        substeps=5,
    ),
    "dam-break": Example((96, 96), (20.0, 20.0), 0.25, 40, dams, {}, "ssprk3", 10, "wall"),
}
"""An example for each of `EQUATIONS`."""


def example(name: str, n: int = 1, seed: int = 0) -> tuple[Solver, Float64[Tensor, "n variable *space"]]:
    """The solver of the example of a name and states for it; equal seeds give equal states.

    Raises:
        InputError: an unknown equation.
    """
    found = choose(EXAMPLES, name, "equations")
    return found.solver(equation_from(name, found.parameters)), found.start(found.grid, n, seed)
