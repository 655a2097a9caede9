"""Forecasts from a trained model: a Dataset in, a Dataset out, in the user's own names, units and order."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Shaped

from gridvit import __version__, checkpoint
from gridvit.checkpoint import Description, model_file
from gridvit.data.fields import stack
from gridvit.data.layout import Layout
from gridvit.data.matching import ends_among, same_samples
from gridvit.data.normalise import refuse_new_gaps
from gridvit.data.parameters import sample_parameters
from gridvit.data.roles import Variable
from gridvit.data.standard import standardise, stated_periodicity
from gridvit.data.times import TimeStep, canonical
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.initial import CHUNK, Initial, Known, Read, forecast_array
from gridvit.nn.own import Network
from gridvit.nn.step import ModelStep


def forecast_dataset(
    values: Float[np.ndarray, "sample init lead variable *space"],
    times: Shaped[np.ndarray, " init"],
    step: TimeStep,
    variables: Sequence[Variable],
    grid: Grid,
    layout: Layout,
    attrs: dict[str, Any],
    ahead: Sequence[int] = (),
) -> xr.Dataset:
    """u(t + n dt) from each of ``times``, n = 1, 2, ... or those of ``ahead``, as a Dataset in the user's layout.

    Dimensions ``(init_time, lead)`` come before those of the file, with ``valid_time(init_time, lead)``; an index has
    no others. ``values`` may have further channels behind those of ``variables``.
    """
    ahead = ahead or range(1, values.shape[2] + 1)
    leads, unit = step.leads(ahead)
    valid = np.array([[step.after(time, n) for n in ahead] for time in times])
    leading = ("sample", "init_time", "lead")
    arrays = {}
    for c, v in enumerate(variables):
        field = values[:, :, :, c]
        number = field.reshape(*field.shape[:3], -1)[..., 0]
        dims, kept = (leading, number) if v.of else ((*leading, *grid.names), field)
        arrays[v.name] = (dims, kept, v.attrs())
    coords = {
        "init_time": ("init_time", times, {"standard_name": "forecast_reference_time"}),
        "lead": ("lead", leads, {"standard_name": "forecast_period", "units": unit}),
        "valid_time": (("init_time", "lead"), valid, {"long_name": "time that the forecast is for"}),
    }
    space = {} if all(v.of for v in variables) else grid.coords()
    ds = xr.Dataset(arrays, {**coords, **space}, dict(attrs))
    return layout.restore(ds if layout.sample else ds.isel(sample=0))


@dataclass(frozen=True)
class Forecaster:
    """A trained model that takes and gives xarray Datasets; needs no Lightning.

    ``Forecaster.load("runs/era5")`` reads the model file of a run folder (or the file itself). Calling it forecasts
    from every time in the Dataset that has its history before it. ``step`` is the model as a ``Step`` on tensors.
    """

    step: ModelStep
    description: Description

    @classmethod
    def load(cls, path: str | os.PathLike[str], model: Network | None = None) -> Forecaster:
        """The model of a run folder or of a ``model.safetensors`` file; ``model`` is the network of one's own in it."""
        path = Path(path)
        return cls(*checkpoint.load(model_file(path), model))

    def on(self, grid: Grid | xr.Dataset) -> Forecaster:
        """The same model on another grid, or on that of a Dataset; see ``ViT.on`` for what it keeps, and refuses."""
        if isinstance(grid, xr.Dataset):
            grid = standardise(grid, self.step.channels.inputs, stated_periodicity(self.grid), members=True)[
                1
            ]
        return Forecaster(self.step.on(grid), replace(self.description, grid=grid))

    @property
    def grid(self) -> Grid:
        """Grid of the fields."""
        return self.step.grid

    @property
    def token_grid(self) -> Grid:
        """Grid of the tokens, which attention lives on."""
        return self.step.token_grid

    def __call__(self, ds: xr.Dataset, steps: int, forcings: xr.Dataset | None = None) -> xr.Dataset:
        """Forecasts of ``steps`` model steps from every time in ``ds`` that has its history before it.

        Args:
            ds: the initial states; diagnostic variables need not be in it.
            steps: of the model.
            forcings: the variables that the model is given, at the initial times and at the end of each step; those
                of ``ds`` where there is none.

        Returns:
            The predicted variables on dimensions ``(init_time, lead, ...)`` followed by those of ``ds`` in its own
            order and convention, with ``valid_time(init_time, lead)``. NaN where training never had a value (land);
            other missing values are filled by the forecast. An index has no space dimensions. Members of an ensemble
            are forecast each from its own state.

        Raises:
            InputError: another grid than the one trained on, a variable or a time that is missing, fewer than one
                step, or more than one of a model with predictors.
        """
        if steps < 1:
            raise InputError("at least one forecast step", str(steps), "give --steps a positive number")
        if steps > 1 and self.step.channels.predictor:
            names = ", ".join(self.step.channels.predictor)
            raise InputError(
                f"one step, as {names} is not known beyond the present", str(steps), "give --steps 1"
            )
        initial = self.read(ds, steps, forcings)
        given = initial.known, initial.condition
        cases = forecast_array(self.step, initial.flat, initial.seconds, steps, *given)
        return self._out(cases, initial, ds, f"forecast of {steps} steps")

    def direct(self, ds: xr.Dataset, forcings: xr.Dataset | None = None) -> xr.Dataset:
        """As calling it, but at every lead that the model was trained for (``data.leads``), each in one step."""
        initial = self.read(ds, 1, forcings)
        chunks = []
        for first in range(0, len(initial.flat), CHUNK):
            part = slice(first, first + CHUNK)
            state = torch.from_numpy(initial.flat[part])
            with torch.no_grad():
                chunks.append(self.step.predict(state, initial.context(part)).numpy())
        ahead = [lead // self.step.channels.pace for lead in self.step.channels.leads]
        return self._out(np.concatenate(chunks), initial, ds, "direct forecast", ahead)

    def _out(
        self,
        cases: Float[np.ndarray, "case lead channel *space"],
        initial: Initial,
        ds: xr.Dataset,
        what: str,
        ahead: Sequence[int] = (),
    ) -> xr.Dataset:
        values = cases.reshape(*initial.states.shape[:2], *cases.shape[1:])  # (S, I, L, channel, *space)
        attrs = {**ds.attrs, **self._stated(what, str(ds.attrs.get("history", "")))}
        out, sample = self.dataset(values, initial.times, initial.layout, attrs, ahead), initial.layout.sample
        return out.assign_coords({sample: ds[sample]}) if sample in ds.coords else out

    @staticmethod
    def _stated(what: str, history: str) -> dict[str, str]:
        """The CF conventions followed, and the file's history with this forecast as its newest line."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        line = f"{now} gridvit {__version__}: {what}"
        return {"Conventions": "CF-1.11", "history": f"{line}\n{history}".rstrip()}

    def attention(
        self, ds: xr.Dataset, forcings: xr.Dataset | None = None
    ) -> Float[np.ndarray, "case layer head query key"]:
        """Attention weights at every state in ``ds``, sample by sample, on ``token_grid``."""
        initial = self.read(ds, 1, forcings)
        return self.step.attention_weights(torch.from_numpy(initial.flat), initial.context()).numpy()

    def read(self, ds: xr.Dataset, steps: int, forcings: xr.Dataset | None) -> Initial:
        """States, times, layout and known fields of the user's Dataset, checked against the model.

        Args:
            ds: the states, as for calling it.
            steps: of the model, at whose ends ``forcings`` are known.
            forcings: what the model is given; in ``ds`` where there is none.
        """
        channels = self.step.channels
        seen = [v for v in self.description.variables if v.name in channels.inputs]
        read = self._values(ds, seen)
        times, history, layout = read.times, channels.history, read.layout
        if len(times) < history:
            raise InputError(
                f"at least {history} times along {layout.time!r}, the model's history",
                str(len(times)) if len(times) else "none",
                "select times that the data hold",
            )
        if history > 1:
            self.description.step.refuse_other(times, layout.time)
        now = np.full((*read.values.shape[:2], len(channels.now), *self.grid.shape), np.nan, np.float32)
        now[:, :, channels.input_places] = read.values
        frames = np.stack([now[:, k : len(times) - history + 1 + k] for k in range(history)], 2)
        flat = torch.from_numpy(frames.reshape(-1, *frames.shape[2:]))
        states = self.step.state_of(flat).numpy().reshape(*frames.shape[:2], -1, *self.grid.shape)
        known = self._known(ds if forcings is None else forcings, read, times[history - 1 :], steps)
        return Initial(
            states, times[history - 1 :], layout, known, self._condition(ds, layout, states.shape[:2])
        )

    def _condition(
        self, ds: xr.Dataset, layout: Layout, shape: tuple[int, ...]
    ) -> Float[np.ndarray, "case parameter"] | None:
        """The parameters of each state's sample, as many numbers as in training."""
        names = self.step.channels.parameters
        if not names:
            return None
        found, own = sample_parameters(ds, names, layout, shape[0])
        if found != names:
            raise InputError(f"{', '.join(names)} for each sample", ", ".join(found), "correct the data")
        return np.repeat(own, shape[1], axis=0)

    def _values(self, ds: xr.Dataset, variables: Sequence[Variable]) -> Read:
        """The variables of a Dataset in the layout of the model, checked against it."""
        names, stated = [v.name for v in variables], stated_periodicity(self.grid)
        standard, grid, layout = standardise(ds, names, stated, members=True)
        if not standard.sizes["time"]:
            raise InputError(
                f"at least one time along {layout.time!r}", "none", "select a time that the data hold"
            )
        times = canonical(standard["time"].values, layout.time)
        self.description.refuse_other(grid, [v.described(standard[v.name]) for v in variables], times)
        values = stack(standard, grid)
        self.refuse_new_gaps(values, names)
        labels = standard["sample"].values if "sample" in standard.coords else np.arange(len(values))
        return Read(values, times, layout, labels)

    def _known(self, ds: xr.Dataset, states: Read, times: np.ndarray, steps: int) -> Known | None:
        """The known fields of each state at its initial time and at the end of each step from it."""
        places, step = self.step.channels.known_places, self.description.model_step
        if not places:
            return None
        wanted = [self.description.variables[n] for n in places]
        names = ", ".join(v.name for v in wanted)
        read = self._values(ds, wanted)
        ends = ends_among(read.times, times, step, steps)
        if (ends < 0).any():
            case, end = np.argwhere(ends < 0)[0]
            raise InputError(
                f"{names} at the start and the end of each step",
                f"none at {step.after(times[case], int(end))}",
                "give --forcings FILE that covers the forecast, or take fewer steps",
            )
        same = same_samples(read.labels, states.labels)
        if (same < 0).any():
            raise InputError(
                f"{names} for each sample of the states, or once for all",
                f"none for {states.labels[same < 0][0]}",
                "give forcings with the samples of the states",
            )
        sample, init = np.divmod(np.arange(len(same) * len(times)), len(times))
        return lambda part: read.values[same[sample[part, None]], ends[init[part]]]

    def refuse_new_gaps(
        self, values: Float[np.ndarray, "sample time variable *space"], names: Sequence[str]
    ) -> None:
        """What the model sees of a variable without gaps in training has none now; raises InputError otherwise."""
        frame = list(self.step.channels.frame)
        seen = [n for n, name in enumerate(names) if name not in self.step.channels.diagnostic]
        presence = self.step.presence.double().cpu().numpy()[[frame.index(names[n]) for n in seen]]
        refuse_new_gaps(values[:, :, seen], [names[n] for n in seen], presence)

    def dataset(
        self,
        values: Float[np.ndarray, "sample init lead channel *space"],
        times: np.ndarray,
        layout: Layout,
        attrs: dict[str, Any],
        ahead: Sequence[int] = (),
    ) -> xr.Dataset:
        """Forecast values from ``times``, targets first, as a Dataset in the user's layout."""
        about = self.description
        targets = about.variables[: len(about.channels.targets)]
        return forecast_dataset(values, times, about.model_step, targets, self.grid, layout, attrs, ahead)
