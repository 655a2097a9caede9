"""Forecasts from a trained model: a Dataset in, a Dataset out, in the user's own names, units and order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Shaped

from gridvit import checkpoint
from gridvit.checkpoint import Description
from gridvit.data.fields import Variable, stack
from gridvit.data.layout import Layout
from gridvit.data.normalise import refuse_new_gaps
from gridvit.data.sources import standardise
from gridvit.data.times import TimeStep, canonical, epoch_seconds
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.step import ModelStep
from gridvit.rollout import Context, Step, rollout

CHUNK = 32  # initial states forecast at once: bounds memory, not the result
MODEL_FILE = "model.safetensors"


def forecast_array(
    step: Step,
    states: Float[np.ndarray, "case variable *space"],
    seconds: Float[np.ndarray, "case"],
    steps: int,
) -> Float[np.ndarray, "case lead variable *space"]:
    """u(t + n dt), n = 1..steps, for every initial state, in its dtype."""
    chunks = []
    with torch.no_grad():
        for first in range(0, len(states), CHUNK):
            part = slice(first, first + CHUNK)
            context = Context(torch.from_numpy(seconds[part]))
            chunks.append(rollout(step, torch.from_numpy(states[part]), steps, context)[:, 1:].numpy())
    return np.concatenate(chunks)


def forecast_dataset(
    values: Float[np.ndarray, "sample init lead variable *space"],
    times: Shaped[np.ndarray, " init"],
    step: TimeStep,
    variables: Sequence[Variable],
    grid: Grid,
    layout: Layout,
    attrs: dict[str, Any],
) -> xr.Dataset:
    """u(t + n dt) from each of ``times``, n = 1, 2, ..., as a Dataset in the user's layout.

    Dimensions ``(init_time, lead)`` come before those of the file, with ``valid_time(init_time, lead)``.
    """
    leads, unit = step.leads(values.shape[2])
    valid = np.array([[step.after(time, n + 1) for n in range(len(leads))] for time in times])
    dims = ("sample", "init_time", "lead", *grid.names)
    arrays = {v.name: (dims, values[:, :, :, c], v.attrs()) for c, v in enumerate(variables)}
    coords = {
        "init_time": ("init_time", times, {"standard_name": "forecast_reference_time"}),
        "lead": ("lead", leads, {"standard_name": "forecast_period", "units": unit}),
        "valid_time": (("init_time", "lead"), valid, {"long_name": "time that the forecast is for"}),
    }
    ds = xr.Dataset(arrays, {**coords, **grid.coords()}, dict(attrs))
    return layout.restore(ds if layout.sample else ds.isel(sample=0))


def stated_periodicity(grid: Grid) -> dict[str, bool | float]:
    """Which axes of a file a model takes to be periodic, and their periods: those of its own grid."""
    axes = zip(grid.names, grid.periodic, grid.lengths, strict=True)
    return {name: wraps and length for name, wraps, length in axes}


@dataclass(frozen=True)
class Forecaster:
    """A trained model that takes and gives xarray Datasets; needs no Lightning.

    ``Forecaster.load("runs/era5")`` reads the model file of a run folder (or the file itself). Calling it forecasts
    from every time in the Dataset. ``step`` is the model as a ``Step`` on tensors.
    """

    step: ModelStep
    description: Description

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Forecaster:
        """The model of a run folder or of a ``model.safetensors`` file."""
        path = Path(path)
        return cls(*checkpoint.load(path / MODEL_FILE if path.is_dir() else path))

    @property
    def grid(self) -> Grid:
        """Grid of the fields."""
        return self.step.grid

    @property
    def token_grid(self) -> Grid:
        """Grid of the tokens, which attention lives on."""
        return self.step.token_grid

    def __call__(self, ds: xr.Dataset, steps: int) -> xr.Dataset:
        """Forecasts of ``steps`` model steps from every time in ``ds``.

        Returns:
            The model's variables on dimensions ``(init_time, lead, ...)`` followed by those of ``ds`` in its own
            order and convention, with ``valid_time(init_time, lead)``. NaN where training never had a value (land);
            other missing values are filled by the forecast. Members of an ensemble are forecast each from its own
            state.

        Raises:
            InputError: another grid than the one trained on, a variable that is missing, fewer than one step.
        """
        if steps < 1:
            raise InputError("at least one forecast step", str(steps), "give --steps a positive number")
        states, times, layout = self._read(ds)
        samples, inits = states.shape[:2]
        seconds = np.tile(epoch_seconds(times), samples)
        cases = forecast_array(self.step, states.reshape(-1, *states.shape[2:]), seconds, steps)
        values = cases.reshape(samples, inits, *cases.shape[1:])  # (S, I, L, C, *space)
        out = self.dataset(values, times, layout, ds.attrs)
        return out.assign_coords({layout.sample: ds[layout.sample]}) if layout.sample in ds.coords else out

    def attention(self, ds: xr.Dataset) -> Float[np.ndarray, "case layer head query key"]:
        """Attention weights at every state in ``ds``, sample by sample, on ``token_grid``."""
        states, times, _ = self._read(ds)
        flat = torch.from_numpy(states.reshape(-1, *states.shape[2:]))
        context = Context(torch.from_numpy(np.tile(epoch_seconds(times), len(states))))
        return self.step.attention_weights(flat, context).numpy()

    def _read(self, ds: xr.Dataset) -> tuple[np.ndarray, np.ndarray, Layout]:
        """States (S, T, C, *space), times and layout of the user's Dataset, checked against the model."""
        stated = stated_periodicity(self.grid)
        ds, grid, layout = standardise(ds, self.step.variables, stated, members=True)
        if not ds.sizes["time"]:
            raise InputError(
                f"at least one time along {layout.time!r}", "none", "select a time that the data hold"
            )
        times = canonical(ds["time"].values, layout.time)
        found = [Variable.of(ds[name]) for name in self.step.variables]
        self.description.refuse_other(grid, found, times.dtype.kind not in "fiu")
        values = stack(ds, grid)
        self.refuse_new_gaps(values)
        return values, times, layout

    def refuse_new_gaps(self, values: Float[np.ndarray, "sample time variable *space"]) -> None:
        """A variable that was complete in training must be so now; raises InputError otherwise."""
        refuse_new_gaps(values, self.step.variables, self.step.presence.double().cpu().numpy())

    def dataset(
        self,
        values: Float[np.ndarray, "sample init lead variable *space"],
        times: np.ndarray,
        layout: Layout,
        attrs: dict[str, Any],
    ) -> xr.Dataset:
        """Forecast values from ``times`` as a Dataset in the user's layout."""
        about = self.description
        return forecast_dataset(values, times, about.step, about.variables, self.grid, layout, attrs)
