"""What a run is made of: frozen dataclasses, free of torch, that YAML files and the command line fill.

A field's docstring is its help text. Sizes are in cells or steps, learning rates are dimensionless; unknown keys
are refused by the parser in ``gridvit.cli``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from pathlib import PurePath
from typing import Any, ClassVar, Literal

from gridvit.errors import InputError
from gridvit.model_config import ModelConfig, require
from gridvit.training_config import TrainingConfig

MODEL_FILE = "model.safetensors"
"""In the folder of a run that is finished."""
REQUEUE_FILE = "requeue"
"""Empty, in that of a run that is to be started again: what starts processes does not always tell their exit status."""
Bounds = tuple[int | float | str, int | float | str]


@dataclass(frozen=True)
class Split:
    """Which part of the data trains, validates and tests.

    Whole numbers are step (or sample) indices ``[first, last)``, fractions are shares of the axis, dates such as
    "1981-01" or "2010-06-30" are the first and the last of the part, the whole of the month or day included. Whole
    numbers that cannot be steps but are years of the data are such dates too; those that can be both are refused.

    Args:
        along: split by time, by sample, or ("auto") by sample where there is more than one, else by time.
        train: first and last of the training part.
        validate: first and last of the validation part.
        test: first and last of the test part.
        gap: steps left out between parts that follow each other in time.
    """

    along: Literal["auto", "time", "sample"] = "auto"
    train: Bounds = (0.0, 0.7)
    validate: Bounds = (0.7, 0.85)
    test: Bounds = (0.85, 1.0)
    gap: int = 0

    def __post_init__(self) -> None:
        require(self, 0, "gap")


@dataclass(frozen=True)
class Index:
    """The area-weighted mean of a variable over a box, as the indices of teleconnections are.

    Args:
        variable: of the file.
        region: first and last coordinate along each axis that bounds the box, both in it; a longitude may wrap.
    """

    variable: str
    region: dict[str, tuple[float | int, float | int]]


@dataclass(frozen=True)
class DataConfig:
    """Where the fields come from.

    Args:
        path: a NetCDF, GRIB, HDF5 or MATLAB file, a Zarr store, or a pattern with * of files to join along time.
        files: further files to join to it along time.
        group: which group of the file, or which type of level of a GRIB file.
        variables: names to predict from their own past; all gridded variables that move in time where no role is given.
        predictors: names that the model sees in its history, and does not predict.
        diagnostics: names that it predicts, and does not see.
        forcings: names that are known in the future: the model sees them at both ends of a step.
        statics: names of fields that do not move, such as orography.
        static_file: where they are, if not in the file itself.
        indices: means over a region to predict, by a name of your own, e.g.
            {nino34: {variable: sst, region: {latitude: [-5, 5], longitude: [190, 240]}}}.
        vectors: pairs of components along the last and the last but one axis (eastward, northward), where the standard
            names do not say.
        history: frames that the model sees, a step of the data (``stride`` of the file) apart.
        leads: steps of the data to what is predicted; the first is the step of a forecast.
        parameters: names of numbers that each sample has of its own, such as drawn coefficients of the equation, which
            the model is told.
        boundary: cells at each bounded axis at which forecasts are given the data's own values.
        periodic: axes stated to be periodic or not, by name, where the file does not say.
        select: one entry along further dimensions, e.g. {level: 500, number: 0}.
        stack: further dimensions whose entries become channels, t_500, t_850, ...
        members: an ensemble's members are refused, or taken as samples; they share their weather, so the split is then
            along time.
        irregular: uneven times are refused, cut to the longest even stretch, counted in frames, or taken as months.
        calendar: calendar in which to read the dates of files that state different ones.
        stride: one step of the data is this many steps of the file.
        split: which part trains, validates and tests.
        loading: "memory" reads all of it first, "stream" reads it again each epoch within ``buffer``; "auto" streams
            what takes more than half of the memory that is free.
        buffer: GiB that streaming may hold at once.
        dask: where the statistics of streamed data are taken: here (empty), on a dask scheduler (tcp://...), or on
            jobs of SLURM as dask-jobqueue is configured ("slurm").
    """

    path: str = ""
    files: tuple[str, ...] = ()
    group: str = ""
    variables: tuple[str, ...] = ()
    predictors: tuple[str, ...] = ()
    diagnostics: tuple[str, ...] = ()
    forcings: tuple[str, ...] = ()
    statics: tuple[str, ...] = ()
    static_file: str = ""
    indices: dict[str, Index] = field(default_factory=dict)
    vectors: tuple[tuple[str, str], ...] = ()
    history: int = 1
    leads: tuple[int, ...] = (1,)
    parameters: tuple[str, ...] = ()
    boundary: int = 0
    periodic: dict[str, bool] = field(default_factory=dict)
    select: dict[str, int | float | str] = field(default_factory=dict)
    stack: tuple[str, ...] = ()
    members: Literal["refuse", "samples"] = "refuse"
    irregular: Literal["refuse", "longest", "frames", "months"] = "refuse"
    calendar: Literal["", "standard", "proleptic_gregorian", "noleap", "360_day", "julian"] = ""
    stride: int = 1
    split: Split = field(default_factory=Split)
    loading: Literal["auto", "memory", "stream"] = "auto"
    buffer: float | int = 1.0
    dask: str = ""

    def __post_init__(self) -> None:
        require(self, 1, "stride", "history", "leads")
        if not self.buffer > 0:
            raise InputError("data.buffer of more than 0 GiB", str(self.buffer), "correct it")
        if self.dask not in ("", "slurm") and "://" not in self.dask:
            raise InputError('data.dask like tcp://host:8786, or "slurm"', repr(self.dask), "correct it")
        require(self, 0, "boundary")
        if not self.leads:
            raise InputError("at least one of data.leads", "none", "leave them out for a lead of one step")


@dataclass(frozen=True)
class EvaluationConfig:
    """How a trained run is scored and measured.

    Args:
        leads: steps of the scored forecasts.
        states: states of the test part at which attention and errors are measured.
        cells: rows of the Jacobian that are measured: all cells of a patch at so many of the states, two at least.
        energy_share: share of the data variance held by the modes that the fits use.
        solver_cases: forecasts by which the error of solvers on fewer cells is held against their cost; 0 for none.
        regions: means over a region, written as ``data.indices`` are, towards which ``analyse`` draws maps of what
            precedes them; beside the indices that the run predicts, which have theirs at each of ``data.leads``.
        lags: steps of the model from what precedes to those regions.
    """

    leads: int = 4
    states: int = 32
    cells: int = 64
    energy_share: float = 0.99
    solver_cases: int = 8
    regions: dict[str, Index] = field(default_factory=dict)
    lags: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        require(self, 1, "leads", "states", "cells", "lags")
        require(self, 0, "energy_share", "solver_cases")


@dataclass(frozen=True)
class RunConfig:
    """A complete, replayable run.

    Args:
        name: folder of the run inside ``root``.
        root: folder of all runs.
        data: where the fields come from.
        model: the network.
        training: how it learns.
        evaluation: how it is scored and measured.
    """

    name: str = "run"
    root: str = "runs"
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        if not self.name or PurePath(self.name).is_absolute() or ".." in PurePath(self.name).parts:
            raise InputError(
                "the name of a folder within root", repr(self.name), "take another --name, or --root"
            )


@dataclass(frozen=True)
class SimulateConfig:
    """Trajectories of an equation on a plane, cells of width one unless lengths are given, or on the sphere.

    Args:
        equation: a name that ``gridvit simulate --list`` shows.
        parameters: coefficients of the equation by name, e.g. ``velocity: [1.0, 0.5]``; good ones where none are given.
            A coefficient can be drawn anew for every trajectory: ``viscosity: {from: 0.001, to: 0.01, log: true}``.
        shape: cells along each axis, on the sphere rows and columns; good ones where none are given.
        lengths: length of the domain along each axis of a plane; good ones, or the number of cells, where none are
            given.
        dt: time between stored frames, on the sphere in seconds; 0 for a good one.
        steps: frames after the initial one.
        samples: trajectories.
        cutoff: cycles per domain, on the sphere degree of the harmonics, at which the spectrum of the initial states
            falls to 1/e.
        seed: seed of the initial states and of drawn coefficients.
        spinup: frames that are left out first, until what is forced has forgotten its initial state; time counts on.
        scheme: a named scheme of linear advection-diffusion, a Runge-Kutta tableau for any equation, or "etdrk4",
            "ars222", "ars443" for one with a linear part; a good one where none is given.
        accuracy: even order of the central differences, or "spectral"; of a method (Runge-Kutta, splitting), not of a
            named scheme.
        substeps: steps of the scheme between stored frames; 0 for as few as are stable.
        latitudes: rows of the sphere: Gaussian, or in equal steps (which hold a third fewer degrees of harmonics).
        boundary: "periodic", or a condition at the walls ("dirichlet", "neumann", "wall" for flows, "open"); one for
            all axes of a plane or one for each.
        workers: processes that solve at once.
    """

    equation: str = "advection-diffusion"
    parameters: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    lengths: tuple[float, ...] = ()
    dt: float = 0.0
    steps: int = 20
    samples: int = 64
    cutoff: float = 4.0
    seed: int = 0
    spinup: int = 0
    scheme: str = ""
    accuracy: int | str = 2
    substeps: int = 0
    latitudes: Literal["gaussian", "equal"] = "gaussian"
    boundary: tuple[str, ...] | str = "periodic"
    workers: int = 1

    def __post_init__(self) -> None:
        require(self, 1, "shape", "steps", "samples", "workers")
        require(self, 0, "dt", "spinup", "seed", "substeps")
        if not all(0 < length < inf for length in self.lengths):
            raise InputError("simulate.lengths above 0 and finite", str(self.lengths), "correct it")


@dataclass(frozen=True)
class PlantedConfig:
    """A world whose teleconnections were put there: red noise on the sphere, and links between caps.

    Args:
        form: "linear", every map of which is known in closed form; or "nonlinear", with a link that acts in winter
            alone, one that only warm values feel, an annual cycle, a trend, land and a swath that nobody observes.
        strength: of the links; good ones for the form where it is 0.
        shape: rows and columns.
        steps: times in the file.
        days: of a step.
        seed: of the noise.
    """

    form: Literal["linear", "nonlinear"] = "linear"
    strength: float | int = 0.0
    shape: tuple[int, ...] = (16, 32)
    steps: int = 1000
    days: int = 5
    seed: int = 0

    PATH: ClassVar[str] = "planted"

    def __post_init__(self) -> None:
        require(self, 1, "shape", "days")
        require(self, 2, "steps")
        require(self, 0, "strength", "seed")
