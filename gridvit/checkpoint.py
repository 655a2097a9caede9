"""The model file: one ``safetensors`` file that holds all that a forecast needs, and runs no code when loaded.

Weights, grid features and statistics are tensors; the header holds, as JSON, the format version, the network's
configuration, the grid, the variables, the time step, and how the user's file was laid out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gridvit.channels import Channels
from gridvit.config import DataConfig, ModelConfig
from gridvit.data.fields import Fields
from gridvit.data.layout import Layout
from gridvit.data.normalise import Statistics
from gridvit.data.roles import Variable, channels
from gridvit.data.times import TimeStep
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.features import TIMED
from gridvit.nn.own import Network
from gridvit.nn.step import ModelStep

FORMAT = 3
# Cells of a curvilinear grid: each takes up to 53 bytes of a header that safetensors ends at 100 MB.
LARGEST_MESH = 1_800_000


@dataclass(frozen=True)
class Description:
    """What a model file says of its model beside the tensors."""

    config: ModelConfig
    grid: Grid
    variables: tuple[Variable, ...]
    channels: Channels
    step: TimeStep
    layout: Layout

    @classmethod
    def of(cls, config: ModelConfig, data: DataConfig, fields: Fields) -> Description:
        """The description of a model of ``fields`` with the history, leads and boundary of ``data``.

        Raises:
            InputError: a curvilinear mesh too large for the header of a model file.
        """
        if fields.grid.mesh is not None and fields.grid.size > LARGEST_MESH:
            raise InputError(
                f"a curvilinear grid of at most {LARGEST_MESH} cells",
                str(fields.grid.size),
                "take a region of it",
            )
        found = replace(channels(fields.variables, fields.statics, data), parameters=fields.parameter_names)
        return cls(config, fields.grid, fields.variables, found, fields.step, fields.layout)

    @property
    def model_step(self) -> TimeStep:
        """The step of a forecast; ``step`` is that of the data."""
        return self.step.strided(self.channels.pace)

    def refuse_other(self, grid: Grid, variables: Sequence[Variable], times: np.ndarray) -> None:
        """A model serves the grid, the units, the kind of time and, where it looks at dates, the calendar of training.

        Raises:
            InputError: data that differ in one of these.
        """
        if grid != self.grid:
            raise InputError(
                f"data on the grid of the model ({self.grid.describe()})",
                grid.describe(),
                "interpolate the data to that grid, or train on this one",
            )
        known = {variable.name: variable for variable in self.variables}
        for other in variables:
            mine = known[other.name]
            if mine.units != other.units:
                raise InputError(
                    f"{mine.name!r} in {mine.units!r}, as the model was trained",
                    repr(other.units),
                    "convert the data",
                )
        dates = times.dtype.kind not in "fiu"
        if dates != self.step.dates:
            kinds = {True: "dates", False: "plain numbers"}
            raise InputError(
                f"{kinds[self.step.dates]} on the time axis", kinds[dates], "decode or convert the times"
            )
        if self.channels.known_places or set(self.config.features) & set(TIMED):
            self.step.refuse_other_calendar(times)

    def to_json(self) -> str:
        """Every field as plain JSON, exact."""
        return json.dumps(
            {
                "format": FORMAT,
                "config": asdict(self.config),
                "grid": self.grid.to_dict(),
                "variables": [variable.to_dict() for variable in self.variables],
                "channels": asdict(self.channels),
                "step": self.step.to_dict(),
                "layout": self.layout.to_dict(),
            }
        )

    @classmethod
    def from_json(cls, text: str, path: Path) -> Description:
        """The inverse of ``to_json``; refuses other formats."""
        header: dict[str, Any] = json.loads(text)
        if header.get("format") != FORMAT:
            raise InputError(
                f"a model file of format {FORMAT}",
                f"format {header.get('format')} in {path}",
                "load it with the gridvit version that wrote it",
            )
        return cls(
            ModelConfig(**_tuples(header["config"])),
            Grid.from_dict(header["grid"]),
            tuple(Variable.from_dict(variable) for variable in header["variables"]),
            Channels(**_tuples(header["channels"])),
            TimeStep.from_dict(header["step"]),
            Layout.from_dict(header["layout"]),
        )


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass whose lists were tuples before JSON."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


def build(
    description: Description,
    statistics: Statistics,
    static: Tensor | None = None,
    parameters: Float[Tensor, "2 parameter"] | None = None,
    network: Network | None = None,
) -> ModelStep:
    """An untrained model: persistence, since the decoder starts at zero; or that of one's own ``network``.

    ``parameters`` are the mean and the standard deviation of what it is told of each trajectory.
    """
    presence = None if statistics.presence is None else torch.from_numpy(statistics.presence).float()
    mean, std, increment = map(torch.from_numpy, (statistics.mean, statistics.std, statistics.increment_std))
    model = ModelStep(
        description.config, description.grid, description.channels, description.model_step.seconds, mean, std,
        increment,
        presence=presence, static=static, calendar=description.step.calendar, network=network,
    )  # fmt: skip
    if parameters is not None:
        model.parameter_statistics.copy_(parameters)
    return model


def save(path: Path, model: ModelStep, description: Description) -> None:
    """Write the model file, by a temporary name and a rename, so that a reader never sees half of it."""
    temporary = path.with_suffix(".tmp")
    # Cloned, since the format refuses weights that a network of one's own may share between layers.
    tensors = {
        name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()
    }
    save_file(tensors, temporary, metadata={"gridvit": description.to_json()})
    os.replace(temporary, path)


def load(path: Path, network: Network | None = None) -> tuple[ModelStep, Description]:
    """The model, on the CPU and in evaluation mode, and its description; ``network`` where it is not gridvit's own.

    Raises:
        InputError: no such file, not a model file, or a format of another version; a network that is not the one whose
            weights these are.
    """
    if not path.is_file():
        raise InputError("a trained model", f"no file {path}", "train the run first: gridvit train CONFIG")
    try:
        with safe_open(path, "pt") as file:
            header = (file.metadata() or {}).get("gridvit")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise InputError(
            "a gridvit model file", f"{path}, which is damaged ({error})", "train the run again"
        ) from None
    if header is None:
        raise InputError(
            "a gridvit model file", f"{path}, which has no gridvit header", "give a run's folder"
        ) from None
    description = Description.from_json(header, path)
    names = tuple(variable.name for variable in description.variables)
    blank = np.ones((len(description.channels.leads), len(names)))
    # Not blank: the network knows by them what zero is, of a vector that turns round over a pole.
    mean, std, presence = (tensors[name].double().numpy() for name in ("mean", "std", "presence"))
    statistics = Statistics(names, mean.ravel(), std.ravel(), blank, presence)
    model = build(description, statistics, tensors["static"], network=network)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        if network is None:
            raise
        got = " ".join(str(error).split("\n", 1)[-1].split())
        raise InputError(
            "the network that this run was made with", f"another ({got})", "give that one"
        ) from None
    return model.eval(), description
