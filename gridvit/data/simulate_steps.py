"""The step that a simulation takes from frame to frame, built from a configuration or from a file's attributes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from math import ceil
from typing import Any

import numpy as np
from jaxtyping import Complex, Float
from torch import Tensor

from gridvit.cells import per_axis
from gridvit.config import SimulateConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import (
    EQUATIONS,
    METHODS,
    SCHEMES,
    Good,
    LinearEquation,
    LinearScheme,
    Semilinear,
    Solver,
    Spherical,
    damping_cells,
    diverges,
    equation_from,
    good_of,
    largest_step,
    linear_scheme,
)
from gridvit.physics.constant import SPECTRAL
from gridvit.physics.operators import choose
from gridvit.physics.stability import FINEST
from gridvit.rollout import Context, Step, repeat
from gridvit.stencil import Stencil, modes

BOUNDARIES = ("periodic", "dirichlet", "neumann", "wall", "open")
LIMIT = 1e-3  # how closely stable_step is known: a step at the limit needs no substeps
MOST = 10**4  # substeps that anyone would take
SLACK = 1e-6  # growth of a wave in a step that is rounding, not instability


@dataclass(frozen=True)
class Substeps:
    """F^n of a linear scheme F: the step between stored frames; dt is n times the scheme's."""

    scheme: LinearScheme
    count: int

    @property
    def grid(self) -> Grid:
        """The scheme's."""
        return self.scheme.grid

    @property
    def dt(self) -> float:
        """Time from frame to frame."""
        return float(self.scheme.dt * self.count)

    @property
    def variables(self) -> tuple[str, ...]:
        """The scheme's."""
        return self.scheme.variables

    @property
    def name(self) -> str:
        """The scheme's."""
        return self.scheme.name

    def __call__(
        self, state: Float[Tensor, "batch variable *space"], context: Context | None = None
    ) -> Float[Tensor, "batch variable *space"]:
        """u(t + n dt)."""
        return repeat(self.scheme, state, self.count, context)

    def symbol(self, theta: Float[np.ndarray, "*modes d"]) -> Complex[np.ndarray, "*modes"]:
        """G(theta)^n."""
        return self.scheme.symbol(theta) ** self.count

    def stencil(self) -> Stencil:
        """S composed n times with itself."""
        return reduce(lambda a, b: a @ b, [self.scheme.stencil()] * self.count)


def step_from(attrs: Mapping[str, Any], grid: Grid, parameters: Mapping[str, Any], stride: int = 1) -> Step:
    """A solver or a named linear scheme with its substeps, over ``stride`` frames of a file of these attributes."""
    name, equation = attrs["gridvit_scheme"], equation_from(attrs["gridvit_equation"], parameters)
    dt, substeps = float(attrs["gridvit_dt"]) * stride, int(attrs["gridvit_substeps"]) * stride
    walls = conditions(json.loads(attrs.get("gridvit_boundary", '"periodic"')), grid)
    if name in METHODS or not isinstance(equation, LinearEquation):
        given = attrs.get("gridvit_accuracy", 2)
        accuracy = given if isinstance(given, str) else int(given)  # a file's integers are NumPy's
        return Solver(equation, grid, dt, name, substeps, accuracy, walls)
    scheme = linear_scheme(name, equation, grid, dt / substeps, walls)
    return Substeps(scheme, substeps) if substeps > 1 else scheme


def grid_of(config: SimulateConfig) -> Grid:
    """The plane or the sphere of a configuration whose shape is known.

    Raises:
        InputError: an unknown boundary; lengths, walls or another number of axes on the sphere.
    """
    if not is_spherical(config):
        given = per_axis(config.boundary, len(config.shape), "boundary condition")
        for condition in given:
            if condition not in BOUNDARIES:
                raise InputError(
                    f"boundary conditions {', '.join(BOUNDARIES)}", repr(condition), "use one of them"
                )
        periodic = [condition == "periodic" for condition in given]
        return Grid.regular(config.shape, config.lengths or None, periodic=periodic)
    if config.lengths or config.boundary != "periodic" or len(config.shape) != 2:
        raise InputError(
            f"rows and columns of a sphere for {config.equation}, and neither lengths nor walls",
            f"shape {config.shape}, lengths {config.lengths}, boundary {config.boundary}",
            "give shape: [rows, columns] alone",
        )
    make = Grid.gaussian if config.latitudes == "gaussian" else Grid.latlon
    return make(*config.shape)


def conditions(boundary: Any, grid: Grid) -> tuple[str, ...]:
    """The condition of each axis as operators take it; a periodic axis needs none."""
    given = per_axis(boundary, grid.ndim, "boundary condition")
    return tuple("open" if condition == "periodic" else condition for condition in given)


def is_spherical(config: SimulateConfig) -> bool:
    """Whether the equation lives on the sphere."""
    return issubclass(_kind(config.equation), Spherical)


def good_for(config: SimulateConfig) -> Good:
    """The good values of the configured equation."""
    return good_of(_kind(config.equation))


def good_scheme(config: SimulateConfig) -> str:
    """The exact propagator of linear equations on a periodic plane, else the equation's good method."""
    periodic = set(per_axis(config.boundary, len(config.shape), "boundary condition")) == {"periodic"}
    return (
        "exact"
        if issubclass(_kind(config.equation), LinearEquation) and periodic
        else good_for(config).method
    )


def enough_substeps(config: SimulateConfig, equation: Any, grid: Grid) -> int:
    """As few as are stable, at least one.

    Where a method lets waves grow however short its step (Euler's, Heun's), enough that they hardly do.
    """
    if config.scheme not in METHODS and not (
        isinstance(equation, LinearEquation) and config.scheme in SCHEMES
    ):
        return 1  # which scheme that is, the step itself asks
    limit = largest_step(config.scheme, equation, grid, config.accuracy)
    count = max(1, ceil(config.dt / limit * (1 - LIMIT))) if limit else 1
    if config.scheme not in METHODS:
        return count
    walls = conditions(config.boundary, grid)
    step = Solver(equation, grid, config.dt, config.scheme, count, config.accuracy, walls)
    steady = _steady_count(step, config.spinup + config.steps)
    return steady if steady < MOST else count


def refuse_accuracy(config: SimulateConfig) -> None:
    """Raise InputError for an accuracy that is none, or of what has an accuracy of its own."""
    accuracy = config.accuracy
    if accuracy != SPECTRAL and (not isinstance(accuracy, int) or accuracy < 2 or accuracy % 2):
        raise InputError(
            "an accuracy of an even order or 'spectral'", repr(accuracy), "take 2, 4, 6 or 'spectral'"
        )
    if accuracy != 2 and not issubclass(_kind(config.equation), Semilinear):
        raise InputError(
            f"accuracy 2 for {config.equation}, which has its own", repr(accuracy), "leave it out"
        )
    if accuracy != 2 and config.scheme in SCHEMES:
        raise InputError(
            f"accuracy 2 for the scheme {config.scheme}, which has its own",
            repr(accuracy),
            "leave it out or choose a method, such as scheme rk4",
        )


def refuse_coarse(config: SimulateConfig, equation: Any, grid: Grid) -> None:
    """Raise InputError where the shortest wave along an axis grows, since the grid misses what damps it."""
    if not isinstance(equation, Semilinear):
        return
    for axis, cells in enumerate(damping_cells(equation, grid, config.accuracy)):
        if cells > grid.shape[axis]:
            raise InputError(
                f"cells along {grid.names[axis]} so narrow that the shortest wave of {config.equation} is damped",
                f"{grid.shape[axis]} in a length of {grid.lengths[axis]:g}",
                f"take at least {cells}" if cells < FINEST else "choose other parameters",
            )


def refuse_unstable(step: Any, frames: int) -> None:
    """Ask the waves of this grid first: the limit for all waves takes far longer, and is for the sentence."""
    if not _grows(step, frames):
        return
    name, taken, limit = _single(step)
    count = ceil(step.dt / limit) if limit else MOST
    if isinstance(step, Solver):
        steady = _steady_count(replace(step, substeps=count), frames)
        if steady > count:
            limit, count = (step.dt / steady if steady < MOST else 0.0), steady
    enough = f"take at least {count} substeps" if count < MOST else "choose another scheme"
    raise InputError(f"a step of {name} up to {limit:.4g}, where it is stable", f"{taken:g}", enough)


def _steady_count(step: Solver, frames: int) -> int:
    """The step's substeps, doubled until no wave grows or there are more than anyone would take."""
    count = step.substeps
    while count < MOST and _grows(replace(step, substeps=count), frames):
        count *= 2
    return count


def _grows(step: Any, frames: int) -> bool:
    """Whether a wave of a linear equation grows, or one of a linear part far beyond what the rest could mend."""
    if isinstance(repeated(step).equation, LinearEquation):
        return float(np.abs(step.symbol(modes(step.grid.shape))).max()) > 1 + SLACK
    return isinstance(step, Solver) and diverges(step, frames * step.substeps)


def blown_up(step: Any, frame: int) -> InputError:
    """A solution that did not stay finite, with the largest step that is known to be stable."""
    _, taken, limit = _single(step)
    return InputError(
        "a solution that stays finite",
        f"one that blew up before frame {frame}",
        f"take more substeps, or a smaller dt, to get from steps of {taken:.4g} to "
        f"{min(limit, taken / 2):.4g} or less",
    )


def _single(step: Any) -> tuple[str, float, float]:
    """Scheme and length of one substep, and the largest length that is known to be stable."""
    one = repeated(step)
    if isinstance(one, Solver):
        limit = largest_step(one.tableau, one.equation, one.grid, one.accuracy)
        return one.tableau, float(one.dt) / one.substeps, limit
    return one.name, float(one.dt), largest_step(one.name, one.equation, one.grid)


def repeated(step: Any) -> Any:
    """The solver or scheme that is repeated."""
    return step.scheme if isinstance(step, Substeps) else step


def _kind(equation: str) -> type:
    return choose(EQUATIONS, equation, "equations")


def completed(config: SimulateConfig) -> SimulateConfig:
    """Good values where none are given; still without substeps, which depend on the coefficients."""
    good = good_for(config)
    config = replace(config, shape=config.shape or good.shape, dt=config.dt or good.frame)
    lengths = config.lengths or (good.lengths if len(config.shape) == len(good.lengths) else ())
    parameters = {**good.coefficients(len(config.shape)), **config.parameters}
    config = replace(config, lengths=lengths, parameters=parameters)
    return replace(config, scheme=config.scheme or good_scheme(config))
