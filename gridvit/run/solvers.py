"""The solvers that made a simulated file, as forecasts of its cases."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from gridvit.data.fields import Fields
from gridvit.data.simulate import driving, exact_step, generating_step
from gridvit.data.simulate_drawn import drawn, with_own
from gridvit.initial import Known, forecast_array
from gridvit.physics import Coarse
from gridvit.rollout import Step
from gridvit.run.cases import Cases

log = logging.getLogger("gridvit")

ALL = -1
"""In the place of a sample: they all have the same coefficients."""


@dataclass(frozen=True, eq=False)
class Solved:
    """Forecasts of cases by a solver, each trajectory's by the one with its own coefficients.

    Args:
        steps: by sample, or one for `ALL`.
        driven: whether a force of the data drives them, which they are told.
        dtype: in which they are stepped.
    """

    steps: Mapping[int, Step]
    driven: bool = False
    dtype: type = np.float64

    def __call__(self, cases: Cases) -> Float[np.ndarray, "case lead variable *space"]:
        """All their leads."""
        found = np.empty((len(cases.index), len(cases.leads), *cases.states.shape[1:]), self.dtype)
        for sample, step in self.steps.items():
            rows = np.flatnonzero((sample == ALL) | (cases.index[:, 0] == sample))
            if len(rows):
                part = cases.take(rows)
                known = part.known if self.driven else None
                found[rows] = stepped(step, part.states.astype(self.dtype), part, known)
        return found


def solved(cases: Cases, stride: int) -> dict[str, Solved]:
    """The solvers by name, the scheme that made the file first; none, and why, where they cannot forecast it."""
    attrs, names, told = cases.fields.attrs, cases.fields.parameter_names, cases.fields.parameters
    if why := untold(cases.fields, stride * cases.channels.pace):
        log.info("left out the solver: %s", why)
        return {}
    wanted = drawn(json.loads(attrs.get("gridvit_parameters", "{}")))
    if missing := [name for name in wanted if name not in names]:
        log.info("left out the solver: each trajectory has its own %s, not in data.parameters", missing[0])
        return {}
    found: dict[str, dict[int, Step]] = {}
    samples = enumerate(told) if wanted and told is not None else [(ALL, None)]
    for sample, values in samples:
        own = attrs if values is None else with_own(attrs, names, values)
        fields = replace(cases.fields, attrs=own)
        for name, solver in solvers(fields, stride, cases.channels.pace).items():
            found.setdefault(name, {})[sample] = solver
    return {name: Solved(steps, bool(driving(attrs))) for name, steps in found.items()}


def stepped(
    step: Step, states: np.ndarray, cases: Cases, known: Known | None = None
) -> Float[np.ndarray, "case lead variable *space"]:
    """The leads of forecasts that go on step after step; a coarse solver stays on its own grid until they are there."""
    places = np.array(cases.leads) - 1
    if not isinstance(step, Coarse):
        return forecast_array(step, states, cases.seconds, cases.leads[-1], known, cases.condition)[:, places]

    def down(fields: np.ndarray) -> np.ndarray:
        flat = torch.from_numpy(fields.reshape(-1, *fields.shape[-1 - step.grid.ndim :]))
        found = step.down(flat).numpy()
        return found.reshape(*fields.shape[: -step.grid.ndim], *found.shape[2:])

    told = None if known is None else lambda part: down(known(part))
    whole = forecast_array(step.solver, down(states), cases.seconds, cases.leads[-1], told, cases.condition)[
        :, places
    ]
    found = step.up(torch.from_numpy(whole.reshape(-1, *whole.shape[2:]))).numpy()
    return found.reshape(*whole.shape[:3], *found.shape[2:])


def solvers(fields: Fields, stride: int, pace: int = 1) -> dict[str, Step]:
    """The scheme that made a simulated file, under its own name first, and the exact propagator; else nothing.

    A file can say how it was made and yet be another problem by now: walls stated where the plane was periodic,
    variables chosen or reordered, times thinned. Those steps do not solve it, so nothing is given then.
    """
    attrs, grid = fields.attrs, fields.grid
    maker = generating_step(attrs, grid, stride * pace)
    if (
        maker is None
        or maker.variables != fields.targets.names
        or untold(fields, stride * pace)
        or not math.isclose(maker.dt, fields.step.seconds * pace, rel_tol=1e-6)
    ):
        return {}
    exact = exact_step(attrs, grid, stride * pace)
    return {maker_name(attrs): maker} | ({} if exact is None else {"exact": exact})


def untold(fields: Fields, frames: int) -> str:
    """Why a solver over so many frames of the file is not told what drove them; nothing where it is, or nothing did."""
    forces, forcing = driving(fields.attrs), tuple(v.name for v in fields.variables if v.role == "forcing")
    if not forces or (forces == forcing and frames == 1):
        return ""
    if forces == forcing:
        return f"{', '.join(forces)} between the ends of a step of {frames} frames is not known"
    return f"data.forcings are not {', '.join(forces)} alone, which drove the data"


def maker_name(attrs: Mapping[str, Any]) -> str:
    """The scheme's name, with its substeps where there are several."""
    substeps = int(attrs["gridvit_substeps"])
    return str(attrs["gridvit_scheme"]) + (f", {substeps} substeps" if substeps > 1 else "")
