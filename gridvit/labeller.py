"""Labels from a trained model: a Dataset in, a Dataset out, in the user's own names, units and order."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from gridvit.checkpoint import Description, load_head, model_file
from gridvit.forecast import Forecaster
from gridvit.grid import Grid
from gridvit.initial import CHUNK, Initial
from gridvit.nn.heads import Detected, placed
from gridvit.nn.labels import Labels, things

SURE = 0.5  # probability above which a thing is there


@dataclass(frozen=True)
class Labeller:
    """A trained model that labels xarray Datasets; needs no Lightning.

    ``Labeller.load("runs/clouds")`` reads the model file of a run of ``training.objective.kind`` segmentation,
    classification or detection (or the file itself). ``labels`` is the model on tensors: ``(state, context)`` to logits
    or ``Detected``; ``labels.headed`` the network with its head alone, of normalised inputs.
    """

    labels: Labels
    description: Description

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Labeller:
        """The model of a run folder or of a ``model.safetensors`` file."""
        path = Path(path)
        return cls(*load_head(model_file(path)))

    @property
    def grid(self) -> Grid:
        """Grid of the fields."""
        return self.labels.grid

    def __call__(self, ds: xr.Dataset, forcings: xr.Dataset | None = None) -> xr.Dataset:
        """The labels of every time in ``ds`` that has its history before it, NaN where training never had one.

        Args:
            ds: the states; the label need not be in it.
            forcings: the variables that the model is given; those of ``ds`` where there is none.

        Returns:
            Under the name of the label the most likely class of each cell or state, and its ``_probability``; of
            things 1 in the cells that hold a centre, the probability in the most likely cell of each token, and the
            coordinates of that centre (longitudes in [0, 360)). Times are those that the labels are for: with
            ``training.objective.ahead`` a lead after the state.

        Raises:
            InputError: as ``Forecaster``.
        """
        about, name = self.description, self.description.channels.diagnostic[0]
        initial = Forecaster(self.labels.step, about).read(ds, 1, forcings)
        parts = [self._portion(initial, first) for first in range(0, len(initial.flat), CHUNK)]
        samples = initial.states.shape[0]
        fields = {
            name + suffix: np.concatenate([part[suffix] for part in parts]).reshape(
                samples, -1, *parts[0][suffix].shape[1:]
            )
            for suffix in parts[0]
        }
        step, times = about.model_step, initial.times
        valid = np.array([step.after(time, 1) for time in times]) if about.task.ahead else times
        dims = ("sample", "time", *(self.grid.names if about.task.kind != "classification" else ()))
        space = self.grid.coords() if about.task.kind != "classification" else {}
        made = xr.Dataset(
            {n: (dims, field) for n, field in fields.items()}, {"time": ("time", valid), **space}
        )
        return initial.layout.restore(made if initial.layout.sample else made.isel(sample=0))

    @torch.no_grad()
    def _portion(self, initial: Initial, first: int) -> dict[str, Float[np.ndarray, "case *space"]]:
        """Fields by suffix of the name, of some of the states."""
        part = slice(first, first + CHUNK)
        found = self.labels(torch.from_numpy(initial.flat[part]), initial.context(part))
        if isinstance(found, Detected):
            return self._things(found)
        probability, label = torch.softmax(found, 1).max(1)
        domain = self.labels.step.domain[len(self.description.channels.prognostic)]
        if found.ndim > 2:
            label = torch.where(domain, label, torch.nan)
        return {"": label.float().numpy(), "_probability": probability.numpy()}

    def _things(self, found: Detected) -> dict[str, Float[np.ndarray, "case *space"]]:
        tokens = self.labels.step.token_grid
        probability, centres = things(found, tokens)
        cell = placed(within(centres, self.grid), self.grid)[0]
        blank = torch.full((len(cell), self.grid.size), torch.nan)
        shape = (len(cell), *self.grid.shape)
        likely = blank.scatter(1, cell, probability)
        made = {"": (likely.nan_to_num() > SURE).float(), "_probability": likely}
        for axis, name in enumerate(self.grid.names):
            made[f"_{name}"] = blank.scatter(1, cell, centres[..., axis])
        return {suffix: field.reshape(shape).numpy() for suffix, field in made.items()}


def within(centres: Float[Tensor, "*lead axis"], grid: Grid) -> Float[Tensor, "*lead axis"]:
    """Centres that rounding has put beyond a wall, at the wall; in double precision."""
    low, high = (torch.tensor([edges[end] for edges in grid.bounds], dtype=torch.float64) for end in (0, -1))
    wide = centres.double()
    bounded = ~torch.tensor(grid.periodic)
    return torch.where(bounded, wide.clamp(low, high), wide)
