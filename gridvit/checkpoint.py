"""The model file: one ``safetensors`` file that holds all that a forecast needs, and runs no code when loaded.

Weights, grid features and statistics are tensors; the header holds, as JSON, the format version, the network's
configuration, the grid, the variables, the time step, and how the user's file was laid out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
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
from gridvit.config import MODEL_FILE, DataConfig, ModelConfig
from gridvit.data.fields import Fields
from gridvit.data.layout import Layout
from gridvit.data.normalise import Statistics
from gridvit.data.roles import Variable, channels
from gridvit.data.times import TimeStep
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.features import TIMED
from gridvit.nn.heads import HEADS, Head, make_head
from gridvit.nn.labels import Labels
from gridvit.nn.own import Network
from gridvit.nn.step import ModelStep

FORMAT = 3
HEAD = "head."  # names of a head's tensors, beside those of the model
# Cells of a curvilinear grid: each takes up to 53 bytes of a header that safetensors ends at 100 MB.
LARGEST_MESH = 1_800_000


@dataclass(frozen=True)
class Task:
    """What a model was trained for, and so what comes out of it.

    kind:    "forecast": states that follow; "masked": nothing yet, its decoder filled masked patches; "segmentation",
             "classification" or "detection": labels, by a head.
    classes: of the labels.
    ahead:   whether labels are those a lead later.
    """

    kind: str = "forecast"
    classes: int = 0
    ahead: bool = False


@dataclass(frozen=True)
class Description:
    """What a model file says of its model beside the tensors."""

    config: ModelConfig
    grid: Grid
    variables: tuple[Variable, ...]
    channels: Channels
    step: TimeStep
    layout: Layout
    task: Task = Task()

    @classmethod
    def of(
        cls, config: ModelConfig, data: DataConfig, fields: Fields, task: Task | None = None
    ) -> Description:
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
        return cls(config, fields.grid, fields.variables, found, fields.step, fields.layout, task or Task())

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
                "task": asdict(self.task),
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
            Task(**header.get("task", {})),
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


def save(path: Path, model: ModelStep, description: Description, head: Head | None = None) -> None:
    """Write the model file, by a temporary name and a rename, so that a reader never sees half of it.

    Raises:
        InputError: the disk is full, or refuses it otherwise; what was there is as it was.
    """
    temporary = path.with_suffix(".tmp")
    beside = {} if head is None else {HEAD + name: tensor for name, tensor in head.state_dict().items()}
    # Cloned, since the format refuses weights that a network of one's own may share between layers.
    tensors = {
        name: tensor.detach().cpu().clone().contiguous()
        for name, tensor in {**model.state_dict(), **beside}.items()
    }
    try:
        save_file(tensors, temporary, metadata={"gridvit": description.to_json()})
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        wanted = "make room; the same command goes on from the checkpoints"
        raise InputError(f"a disk that takes {path}", str(error), wanted) from None


def model_file(run: Path) -> Path:
    """The model file of a run's folder, or what is itself one."""
    return run / MODEL_FILE if run.is_dir() else run


def read(path: Path) -> tuple[dict[str, Tensor], Description]:
    """The tensors of a model file by name, and its description.

    Raises:
        InputError: no such file, not a model file, or a format of another version.
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
    return tensors, Description.from_json(header, path)


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, without that beginning."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def rebuilt(
    tensors: Mapping[str, Tensor], description: Description, network: Network | None = None
) -> ModelStep:
    """The model of these tensors, those of a head left out; raises as ``load``."""
    names = tuple(variable.name for variable in description.variables)
    blank = np.ones((len(description.channels.leads), len(names)))
    # Not blank: the network knows by them what zero is, of a vector that turns round over a pole.
    mean, std, presence = (tensors[name].double().numpy() for name in ("mean", "std", "presence"))
    statistics = Statistics(names, mean.ravel(), std.ravel(), blank, presence)
    model = build(description, statistics, tensors["static"], network=network)
    try:
        model.load_state_dict({name: value for name, value in tensors.items() if not name.startswith(HEAD)})
    except RuntimeError as error:
        got = " ".join(str(error).split("\n", 1)[-1].split())
        if network is None:
            use = "train it again, or load it by the version of gridvit that wrote it"
            raise InputError("a model file whose weights are this version's", got, use) from None
        raise InputError(
            "the network that this run was made with", f"another ({got})", "give that one"
        ) from None
    return model.eval()


def load(path: Path, network: Network | None = None) -> tuple[ModelStep, Description]:
    """The model, on the CPU and in evaluation mode, and its description; ``network`` where it is not gridvit's own.

    Raises:
        InputError: no such file, not a model file, or a format of another version; a model that does not forecast; a
            network that is not the one whose weights these are.
    """
    tensors, description = read(path)
    kind = description.task.kind
    if kind != "forecast":
        use = (
            "start another run from it: training.start.run"
            if kind == "masked"
            else "load it as gridvit.Labeller"
        )
        raise InputError("a model that forecasts", f"{path}, trained for training.objective.kind {kind}", use)
    return rebuilt(tensors, description, network), description


def load_head(path: Path) -> tuple[Labels, Description]:
    """The model that labels, on the CPU and in evaluation mode, and its description.

    Raises:
        InputError: as ``load``; a model without a head.
    """
    tensors, description = read(path)
    kind = description.task.kind
    if kind not in HEADS:
        raise InputError(
            "a model that labels",
            f"{path}, trained for training.objective.kind {kind}",
            "load it as gridvit.Forecaster",
        )
    model = rebuilt(tensors, description)
    head = make_head(kind, description.task.classes, model.attending)
    head.load_state_dict(part(tensors, HEAD))
    return Labels(model, head).eval(), description
