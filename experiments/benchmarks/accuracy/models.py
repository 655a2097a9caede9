"""What the accuracy benchmark compares: gridvit's network and its peers, each trained by ``gridvit.train`` alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import xarray as xr
from jaxtyping import Float
from peers import PEERS, Factory
from torch import Tensor

import gridvit as gv
from gridvit.config import DataConfig, ModelConfig, RunConfig, Split, TrainingConfig
from gridvit.nn.step import ModelStep

BATCH = 4
RATES = (2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2)
GRID_NOISE = 0.1  # in spreads of the increments, where no other is asked for


@dataclass(frozen=True)
class Entry:
    """A model of the table: a configuration of gridvit's, or a factory of a network of one's own."""

    config: ModelConfig
    factory: Factory | None = None


def gridvit_entry(ndim: int, local: int | None = None) -> Entry:
    """The default network, on patches of four, if so wished with wider convolutions of tokens."""
    return Entry(ModelConfig(patch=(4,) * ndim, local=local))


def entries(ndim: int) -> dict[str, Entry]:
    """All models by name; to add one, put its factory ``(inputs, outputs, grid) -> module`` into ``peers.PEERS``."""
    own = ModelConfig(kind="own", patch=(1,) * ndim)
    ours = {"gridvit": gridvit_entry(ndim), "gridvit-wide": gridvit_entry(ndim, local=7)}
    return {**ours, **{name: Entry(own, make) for name, make in PEERS.items()}}


@dataclass(frozen=True)
class Job:
    """One training: of a model on an equation, for so many epochs, with so much noise on what it learns from.

    ``grid_noise`` is of the shortest waves, ``noise`` white.
    """

    equation: str
    model: str
    rate: float
    epochs: int
    seed: int = 0
    share: float = 1.0
    grid_noise: float = GRID_NOISE
    noise: float = 0.0

    @property
    def name(self) -> str:
        """Of its run."""
        numbers = (self.rate, self.seed, self.share, self.grid_noise, self.noise)
        return f"{self.equation}/{'-'.join([self.model, *(f'{number:g}' for number in numbers)])}"


def fit(job: Job, ds: xr.Dataset, root: Path, device: str, batch: int) -> Path:
    """Train a model; ``ds`` holds the training trajectories, then those of validation."""
    grid = gv.Grid.from_dataset(ds)
    still = [str(name) for name in ds.data_vars if "time" not in ds[name].dims]  # a force that does not move
    train, last = int(ds.attrs["train"]), ds.sizes["sample"] - 1
    split = Split(
        "sample", (0, train), (train, last), (last, last + 1)
    )  # the test part is that of other files
    entry = entries(grid.ndim)[job.model]
    config = RunConfig(
        name=job.name,
        root=str(root),
        data=DataConfig(split=split, loading="memory", statics=tuple(still)),
        model=entry.config,
        training=TrainingConfig(
            epochs=job.epochs, batch_size=batch, learning_rate=job.rate,
            noise=job.noise, grid_noise=job.grid_noise,
            seed=job.seed, accelerator=device,
            shift=tuple(name for name, wraps in zip(grid.names, grid.periodic, strict=True) if wraps),
        ),
    )  # fmt: skip
    return gv.train(config, ds, overwrite=True, model=entry.factory)


def loaded(job: Job, root: Path, ndim: int) -> ModelStep:
    """The step of a trained model."""
    return gv.Forecaster.load(root / job.name, entries(ndim)[job.model].factory).step.eval()


def parameters(step: ModelStep) -> int:
    """Real numbers that were learned."""
    return sum(p.numel() * (2 if p.is_complex() else 1) for p in step.network.parameters())


def relative(
    found: Float[Tensor, "sample *rest"], truth: Float[Tensor, "sample *rest"]
) -> Float[Tensor, " rest"]:
    """nRMSE of (sample, time, variable, *space): |u - u'| / |u| of each variable, mean over samples and variables."""
    space = tuple(range(3, truth.ndim))
    squares = (found - truth).square().sum(space) / truth.square().sum(space)
    return squares.sqrt().mean((0, 2))


def geometric(errors: Float[Tensor, " lead"]) -> float:
    """exp of the mean logarithm; infinite where one is not finite."""
    return float(errors.double().log().mean().exp()) if errors.isfinite().all() else math.inf
