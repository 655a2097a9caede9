"""The scores of several models in the same cases, by variable and lead, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float

from gridvit.analysis.bootstrap import Bootstrap
from gridvit.analysis.skill import PERSISTENCE, relative_errors, valid_time
from gridvit.errors import InputError

SHARE = 0.5
"""Of the climate's spread, up to which an error leaves a forecast valid; sqrt(2) is that of a state drawn from it."""
AGREEMENT = 0.8
"""The anomaly correlation down to which a forecast is valid."""
CRITERIA = (f"error below {SHARE:g} of the spread", f"anomaly correlation above {AGREEMENT:g}")

DEFINITIONS = {
    "rmse": ("root mean square error", "sqrt(mean e)"),
    "ratio": ("RMSE over that of persistence", "sqrt(mean e / mean e of persistence)"),
    "nrmse": ("relative error", "mean sqrt(e / <o^2>): 1 for zero"),
    "vrmse": (
        "error over the truth's standard deviation in space",
        "mean sqrt(e / <(o - <o>)^2>): 1 for the mean",
    ),
    "acc": (
        "anomaly correlation",
        "mean <f' o'> / sqrt(<f'^2> <o'^2>), f' = f - climatology: 1 for the truth",
    ),
    "valid_time": (
        "valid prediction time",
        "mean of the last lead up to which a forecast is valid without a break",
    ),
    "valid_share": ("share still valid at the last lead", "those whose valid prediction time is cut off"),
}
"""Long name, and the definition with e = <(f - o)^2>, <.> the area mean and the mean over cases before it."""
BY_LEAD = ("lead", "variable")
Errors = Float[np.ndarray, "case lead variable"]


@dataclass(frozen=True)
class Labels:
    """What the axes of scores are called.

    Args:
        leads: lead times in ``lead_units``.
        variables: units by name, in the order of the arrays.
        lead_units: of ``leads``.
    """

    leads: Sequence[float | int] | np.ndarray
    variables: Mapping[str, str]
    lead_units: str = "h"

    @property
    def times(self) -> Float[np.ndarray, "lead"]:
        """The leads as numbers."""
        return np.asarray(self.leads, dtype=np.float64)

    @property
    def units(self) -> str:
        """Those that all variables share, or the words that say they differ."""
        units = dict.fromkeys(self.variables.values())
        return next(iter(units)) if len(units) == 1 else "units of the variable"

    def coords(self) -> dict[str, tuple]:
        """Of an xarray Dataset."""
        units = {"long_name": "units of the variable"}
        return {
            "variable": ("variable", list(self.variables), {"long_name": "variable"}),
            "variable_units": ("variable", list(self.variables.values()), units),
            "lead": ("lead", self.times, {"long_name": "lead time", "units": self.lead_units}),
        }


@dataclass(frozen=True, eq=False)
class Scales:
    """What errors are held against.

    Args:
        variance: ``<(o - <o>)^2>`` of the same cases, for VRMSE.
        climate: variance of the climate about its climatology, for the valid time.
        power: ``<o^2>`` of the same cases, for nRMSE; absent where zero means nothing (pressure).
    """

    variance: Errors
    climate: Float[np.ndarray, "variable"]
    power: Errors | None = None


def score_table(
    errors: Mapping[str, Errors],
    correlation: Mapping[str, Errors],
    scales: Scales,
    labels: Labels,
    bootstrap: Bootstrap,
) -> xr.Dataset:
    """Scores of every model by variable and lead, each with ``_low`` and ``_high``, the ends of its interval.

    See ``gridvit.analysis.skill`` for what they are.

    Args:
        errors: ``square_errors`` by the model's name, in the same cases; one of them is "persistence".
        correlation: ``anomaly_correlation`` by the same names.
        scales: of the errors.
        labels: of leads and variables.
        bootstrap: how cases are redrawn.

    Returns:
        Dataset of dims ``(model, variable, lead)``: ``rmse``, ``ratio`` to persistence, ``nrmse``, ``vrmse``, ``acc``;
        ``valid_time`` and ``valid_share`` of dims ``(model, criterion, variable)``; attribute ``cases``.
    """
    if PERSISTENCE not in errors:
        raise InputError(
            f"scores of {PERSISTENCE!r}", f"{sorted(errors)}", "score it too: ratios refer to it"
        )
    rows, reference = [], errors[PERSISTENCE]
    for name, own in errors.items():
        data = _errors(own, reference, scales, labels, bootstrap)
        data |= bootstrap.bounded("acc", BY_LEAD, _about("acc"), correlation[name])
        data |= _valid(own, correlation[name], scales.climate, labels, bootstrap)
        rows.append(xr.Dataset(data, labels.coords()))
    models = xr.DataArray(list(errors), dims="model", name="model", attrs={"long_name": "forecast"})
    table = xr.concat(rows, models, combine_attrs="override").transpose("model", ..., "variable", "lead")
    criterion = ("criterion", list(CRITERIA), {"long_name": "what is valid"})
    return table.assign_coords(criterion=criterion).assign_attrs(cases=len(reference))


def _about(name: str, units: str = "1") -> dict[str, str]:
    long_name, definition = DEFINITIONS[name]
    return {"long_name": long_name, "units": units, "definition": definition}


def _errors(
    errors: Errors, reference: Errors, scales: Scales, labels: Labels, bootstrap: Bootstrap
) -> dict[str, tuple]:
    """What is made of the square errors of one model."""
    found = bootstrap.bounded("rmse", BY_LEAD, _about("rmse", labels.units), errors, of=np.sqrt)
    found |= bootstrap.bounded("ratio", BY_LEAD, _about("ratio"), errors, reference, of=_ratio)
    for name, scale in (("nrmse", scales.power), ("vrmse", scales.variance)):
        if scale is not None:
            found |= bootstrap.bounded(name, BY_LEAD, _about(name), relative_errors(errors, scale))
    return found


def _ratio(errors: np.ndarray, reference: np.ndarray) -> np.ndarray:
    ratio = np.divide(errors, reference, out=np.full_like(errors, np.nan), where=reference > 0)
    return np.asarray(np.sqrt(ratio))


def _valid(
    errors: Errors,
    correlation: Errors,
    climate: Float[np.ndarray, "variable"],
    labels: Labels,
    bootstrap: Bootstrap,
) -> dict[str, tuple]:
    """How long the forecasts of a model are valid by each criterion, and the share that still is at the last lead."""
    good = np.stack([errors <= SHARE**2 * climate, correlation >= AGREEMENT], axis=-1)
    known = np.isfinite(errors).all(axis=1)[..., None]  # a forecast for some leads alone has no such time
    time = np.where(known, valid_time(good, labels.times), np.nan)
    held = np.where(known, good.all(axis=1), np.nan)
    dims, unit = ("variable", "criterion"), labels.lead_units
    found = bootstrap.bounded("valid_time", dims, _about("valid_time", unit), time)
    return found | bootstrap.bounded("valid_share", dims, _about("valid_share"), held)
