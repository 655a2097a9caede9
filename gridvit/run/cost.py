"""What forecasts cost, and what solvers can do for as much."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int

from gridvit.analysis.cost import ERROR, Rung, Spent, climbed, cost_table, rungs
from gridvit.analysis.operations import Operations
from gridvit.analysis.skill import area_weights, square_errors
from gridvit.data.simulate_steps import repeated
from gridvit.errors import InputError
from gridvit.physics import Coarse
from gridvit.rollout import Step
from gridvit.run.cases import Cases
from gridvit.run.solvers import Solved

log = logging.getLogger("gridvit")

Forecasts = Callable[[Cases], Float[np.ndarray, "case lead variable *space"]]
"""What a model makes of cases."""


@dataclass(frozen=True)
class Cost:
    """Of one forecast to the last lead.

    Args:
        seconds: of the processor, all threads together.
        operations: of tensors (``Operations``); NaN where NumPy worked it out.
    """

    seconds: float
    operations: float


def costed(make: Forecasts, cases: Cases) -> Cost:
    """What one of these forecasts costs, made together.

    The first (of each trajectory that has numbers of its own) is made once before, so that no preparation is counted.
    """
    operations = counted(make, firsts(cases))
    return Cost(timed(make, cases)[1], operations or float("nan"))


def firsts(cases: Cases) -> Cases:
    """The first case, or that of each trajectory where these have numbers of their own."""
    own = cases.fields.parameters is not None
    return cases.take(np.unique(cases.index[:, 0], return_index=True)[1] if own else np.arange(1))


def counted(make: Forecasts, cases: Cases) -> float:
    """Operations for each of the cases."""
    with Operations() as operations:
        make(cases)
    return operations.total / len(cases.index)


def timed(make: Forecasts, cases: Cases) -> tuple[np.ndarray, float]:
    """The forecasts, and the processor's time for each of the cases."""
    start = time.process_time()
    made = make(cases)
    return made, (time.process_time() - start) / len(cases.index)


def spread_out(count: int, most: int) -> Int[np.ndarray, "some"]:
    """At most so many of a number of cases, evenly."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def scaled_error(
    errors: Float[np.ndarray, "case lead variable"], climate: Float[np.ndarray, "variable"]
) -> Float[np.ndarray, "lead"]:
    """``sqrt(mean over cases and variables of e / var)``."""
    return np.asarray(np.sqrt((errors / climate).mean(axis=(0, 2))))


def model_costs(
    costs: Mapping[str, Cost], errors: Mapping[str, Float[np.ndarray, "lead"]], steps: int
) -> xr.Dataset:
    """``seconds`` and ``operations`` (model) of one forecast, ``scaled_error`` (model, lead)."""
    seconds, operations = (
        np.array([getattr(c, name) for c in costs.values()]) for name in ("seconds", "operations")
    )
    forecast = f"one forecast of {steps} steps"
    return xr.Dataset(
        {
            "seconds": ("model", seconds, {"long_name": f"processor time of {forecast}", "units": "s"}),
            "operations": ("model", operations, {"long_name": f"operations of {forecast}", "units": "1"}),
            "scaled_error": (
                ("model", "lead"),
                np.stack(list(errors.values())),
                {"long_name": ERROR, "units": "1"},
            ),
        },
        {"model": list(errors)},
    )


def solver_costs(
    maker: Solved, cases: Cases, truth: np.ndarray, climate: Float[np.ndarray, "variable"]
) -> xr.Dataset:
    """Error and cost of the maker's equation solved by every ``Rung``, in float32 as networks are.

    Args:
        maker: what made the file.
        cases: few, since many solvers forecast them.
        truth: of these.
        climate: variance, to which errors are relative.
    """
    solvers = {sample: repeated(step) for sample, step in maker.steps.items()}
    grid, dt, one = cases.fields.grid, next(iter(maker.steps.values())).dt, firsts(cases)
    weights = area_weights(grid)

    def measure(rung: Rung) -> Spent | None:
        steps = {n: rung.step(s.equation, grid, dt, s.boundary) for n, s in solvers.items()}
        make = Solved(steps, maker.driven, np.float32)
        down = _down(next(iter(steps.values())), one)  # once, however many steps follow
        operations = down + cases.leads[-1] * (counted(make, replace(one, leads=(1,))) - down)
        made, seconds = timed(make, cases)
        if not np.isfinite(made).all():
            return None
        error = scaled_error(square_errors(made, truth, weights), climate)
        return Spent(error, seconds, operations)

    found: list[tuple[Rung, Spent]] = []
    equations = [solver.equation for solver in solvers.values()]
    for first in rungs(equations[0], grid):
        try:
            enough = max(first.enough(equation, grid, dt) for equation in equations)
            found += climbed(first, enough, measure)
        except InputError as refused:
            log.debug("no solver of %s: %s", first.name, refused)
    return cost_table(found, cases.leads[-1])


def _down(step: Step, cases: Cases) -> float:
    """Operations by which a state comes to a coarser grid."""
    if not isinstance(step, Coarse):
        return 0.0
    with Operations() as operations:
        step.down(torch.from_numpy(cases.states[:1].astype(np.float32)))
    return operations.total
