"""What a run is made of: frozen dataclasses, free of torch, that YAML files and the command line fill.

A field's docstring is its help text. Sizes are in cells or steps, learning rates are dimensionless; unknown keys
are refused by the parser in ``gridvit.cli``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

from gridvit.errors import InputError

Bounds = tuple[int | float | str, int | float | str]


def _require(config: Any, least: int, *names: str) -> None:
    """Refuse fields below ``least``."""
    for name in names:
        value = getattr(config, name)
        if any(v < least for v in (value if isinstance(value, tuple) else (value,))):
            kind = type(config).__name__.removesuffix("Config").lower()
            raise InputError(f"{kind}.{name} of at least {least}", str(value), "correct it")


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
        _require(self, 0, "gap")


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
        _require(self, 1, "stride", "history", "leads")
        if not self.buffer > 0:
            raise InputError("data.buffer of more than 0 GiB", str(self.buffer), "correct it")
        if self.dask not in ("", "slurm") and "://" not in self.dask:
            raise InputError('data.dask like tcp://host:8786, or "slurm"', repr(self.dask), "correct it")
        _require(self, 0, "boundary")
        if not self.leads:
            raise InputError("at least one of data.leads", "none", "leave them out for a lead of one step")


# width, depth, heads; all but the first are those of Touvron et al. (2021), arXiv:2012.12877
PRESETS = {"mini": (128, 4, 4), "tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12)}


@dataclass(frozen=True)
class ModelConfig:
    """A Vision Transformer on patch tokens whose attention is biased by physical distance.

    Args:
        kind: "vit", or "own" for a network given in Python (gridvit.train(config, model=...)) or by --network.
        patch: cells of a token along each axis; a periodic axis must be divided by it. Of an own network the shifts in
            cells that it commutes with.
        preset: width, depth and heads by a name, where they are not given (0): "mini" is 128, 4 and 4; "tiny" 192, 12
            and 3; "small" 384, 12 and 6; "base" 768, 12 and 12, the 86 million parameters of ViT-B/16.
        width: channels of a token.
        depth: transformer blocks.
        heads: attention heads; width must be divisible by it.
        mlp_ratio: hidden width of the feed-forward part over ``width``.
        bias: additive bias of the attention logits by distance. "distance": von Mises-Fisher on the sphere, a Fourier
            series along periodic axes and a Gaussian with an offset across bounded ones; "fourier" and "gaussian" are
            those alone, "gaussian" on the sphere a bump at a learned offset; "harmonics": Legendre series on the
            sphere; "linear" in the distance (ALiBi) and "radial" (a small network of it) keep a matrix of all pairs.
        spectral: take a series in place of that matrix, which needs no memory for it: Legendre polynomials up to this
            degree on the sphere, (spectral + 1)^2 - 1 dimensions of a head, or up to so many waves along the longest
            axis of a plane. How far it is from the curve is written at the start of training; 0 for the matrix.
        harmonics: harmonics of the bias along each periodic axis of a plane; the degree of "harmonics".
        position: "bounded" adds smooth features of the coordinates along the axes that are not periodic (latitude
            on the sphere); along periodic axes position enters by distance alone. "sincos" adds whole waves along those
            too, "harmonics" the spherical harmonics of degrees 1 to 6, "learned" a vector of its own for each token;
            "rope" turns queries and keys by their place, "none" leaves all to the bias.
        window: reach of attention in km or axis units; 0 for all of the grid.
        registers: learned tokens without a place, beside those of the grid.
        norm: before attention and feed-forward part ("pre"), or after their sums ("post").
        layer_scale: start of a learned gain of each branch and channel, such as 0.1; 0 for none.
        qk_norm: normalise queries and keys, which bounds the logits.
        leads: several ``data.leads`` are as many channels of one output ("channels"), or the network is told the
            logarithm of the lead and run for each ("condition"), which costs more and keeps one network for all.
        half: for training in bfloat16: numbers that a feature of the distance bias is a sum of. 2 keeps three
            dimensions of a head for each of the bias, and holds it between tokens of some 3 degrees; 3 keeps six and
            is as good as single precision. 0 keeps one; attention in bfloat16 is then wider than a head, and slower.
        checkpointing: compute each block again in the backward pass, which saves memory and costs a third of the time.
        features: further inputs made from place and time (sphere only): local solar time, day of the year,
            insolation at the top of the atmosphere (daily mean where a step is a day or longer), sine of latitude,
            and the two horizontal components of the position on the unit sphere for longitude.
        embed: patches of the fields ("linear"), or of two layers of convolutions of the fields ("conv"), which continue
            them around periodic axes, over the poles, and as they are at walls.
        decode: a linear map from each token to its cells ("linear"), or one followed by such convolutions ("conv"),
            which mix across the borders of patches and, after convolutions before, see their result too (U-shaped).
        channels: of convolutions at the cells.
        sizes: patches along each axis that a token sees, ascending: [1, 3] looks at its own and at three times three
            around it, [2] has patches that overlap by half.
        tokens: at each place one of all inputs ("place"), or one for each frame of the history or each variable seen
            ("frame", "variable"), with what is given beside; distances are then those of the places, and each head
            learns a number for each pair of frames or variables.
        levels: for high resolution, blocks within windows before and after two tokens along each axis are merged into
            one, level by level from the finest, e.g. [2]; the ``depth`` global blocks have the coarsest tokens.
            ``window`` is then that of the fine levels, by default three spacings of their tokens. Position and
            registers are those of the coarsest.
    """

    kind: Literal["vit", "own"] = "vit"
    patch: tuple[int, ...] = (4, 4)
    preset: Literal["mini", "tiny", "small", "base"] = "mini"
    width: int = 0
    depth: int = 0
    heads: int = 0
    mlp_ratio: int = 4
    bias: Literal["distance", "harmonics", "gaussian", "fourier", "linear", "radial", "none"] = "distance"
    harmonics: int = 2
    spectral: int = 0
    position: Literal["bounded", "none", "learned", "sincos", "harmonics", "rope"] = "bounded"
    features: tuple[Literal["local_time", "day_of_year", "insolation", "latitude", "longitude"], ...] = ()
    window: float | int = 0.0
    registers: int = 0
    norm: Literal["pre", "post"] = "pre"
    layer_scale: float | int = 0.0
    qk_norm: bool = False
    leads: Literal["channels", "condition"] = "channels"
    half: Literal[0, 2, 3] = 0
    checkpointing: bool = False
    embed: Literal["linear", "conv"] = "linear"
    decode: Literal["linear", "conv"] = "linear"
    channels: int = 24
    sizes: tuple[int, ...] = (1,)
    tokens: Literal["place", "frame", "variable"] = "place"
    levels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name, size in zip(("width", "depth", "heads"), PRESETS[self.preset], strict=True):
            object.__setattr__(self, name, getattr(self, name) or size)
        _require(self, 0, "window", "registers", "layer_scale", "spectral")
        _require(self, 1, "patch", "width", "depth", "heads", "mlp_ratio", "harmonics")
        _require(self, 1, "channels", "levels", "sizes")
        if not self.sizes or list(self.sizes) != sorted(set(self.sizes)):
            raise InputError("model.sizes that ascend", str(list(self.sizes)), "correct them")
        if self.tokens != "place" and (self.embed == "conv" or self.levels):
            got = "model.embed conv" if self.embed == "conv" else f"model.levels {list(self.levels)}"
            raise InputError(
                f"one embedding and one level for model.tokens {self.tokens}", got, "leave one of them out"
            )


@dataclass(frozen=True)
class TrainingConfig:
    """How the next-step update is learned.

    Args:
        epochs: passes over the training windows.
        batch_size: windows in a step of the optimiser.
        learning_rate: peak of a schedule with linear warm-up and cosine decay.
        weight_decay: decoupled decay of the weight matrices (AdamW).
        warmup_steps: steps of linear warm-up.
        clip: largest norm of the gradient.
        ema: what is left per step of older weights in the moving average that is validated and kept, such as 0.999;
            0 for the last weights themselves.
        precision: of matrix products and attention: "32", or "bf16" and "16" (mixed with 32) for devices that are
            faster so; see ``model.half``.
        shift: periodic axes along which each batch is rolled by a random number of cells.
        seed: seed of weights, data order and shifts.
        workers: processes that prepare batches; none is right for data in memory.
        accelerator: what to train on; "auto" takes a CUDA device where there is one.
    """

    epochs: int = 30
    batch_size: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 50
    clip: float = 1.0
    ema: float = 0.0
    precision: Literal["32", "bf16", "16"] = "32"
    shift: tuple[str, ...] = ()
    seed: int = 0
    workers: int = 0
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        _require(self, 1, "epochs", "batch_size")
        _require(self, 0, "learning_rate", "weight_decay", "warmup_steps", "clip", "ema", "seed", "workers")
        if self.ema >= 1:
            raise InputError("training.ema below 1", str(self.ema), "take 0.999, or 0 for no average")


@dataclass(frozen=True)
class EvaluationConfig:
    """How a trained run is scored and measured.

    Args:
        leads: steps of the scored forecasts.
        states: states at which Jacobians and attention are measured.
        energy_share: share of the data variance held by the modes that the fits use.
    """

    leads: int = 4
    states: int = 4
    energy_share: float = 0.99

    def __post_init__(self) -> None:
        _require(self, 1, "leads", "states")
        _require(self, 0, "energy_share")


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
    scheme: str = ""
    accuracy: int | str = 2
    substeps: int = 0
    latitudes: Literal["gaussian", "equal"] = "gaussian"
    boundary: tuple[str, ...] | str = "periodic"
    workers: int = 1

    def __post_init__(self) -> None:
        _require(self, 1, "shape", "steps", "samples", "workers")
        _require(self, 0, "dt", "seed", "substeps")
        if not all(0 < length < inf for length in self.lengths):
            raise InputError("simulate.lengths above 0 and finite", str(self.lengths), "correct it")
