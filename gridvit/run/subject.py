"""What every measure of a run is given: the trained step, some states of the test part, and where they come from."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor

from gridvit.analysis.looking import Areas, Blocks, attention_by_blocks
from gridvit.analysis.offsets import ByOffset
from gridvit.analysis.probe import patch_cells, probe
from gridvit.config import RunConfig
from gridvit.data.fields import Fields
from gridvit.data.loading import within
from gridvit.data.rounds import GIB
from gridvit.data.windows import partition
from gridvit.forecast import Forecaster
from gridvit.grid import Grid
from gridvit.nn.hidden import present_areas
from gridvit.nn.own import Network, Own
from gridvit.nn.step import ModelStep
from gridvit.rollout import Context
from gridvit.run.folder import RunFolder
from gridvit.run.references import UNTRAINED, energetic, first_variable, schemes
from gridvit.run.solvers import solvers
from gridvit.stencil import Stencil
from gridvit.training.snapshots import snapshots

HELD = 2**21  # weights held at once: of more, memory is taken from the system and given back for each block

LATITUDES = (-50.0, -30.0, 0.0, 30.0, 50.0)
"""At which a sphere is looked at."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained step and where it is looked at.

    Args:
        step: in float32, as it was trained.
        states: ``(B, state, *space)`` of the test part, spread evenly over samples and times.
        context: of the states.
        test: the test part.
        train: the training part, not read yet where it is streamed.
        config: of the run.
        snapshots: model files of the weights after some epochs.
    """

    step: ModelStep
    states: Tensor
    context: Context
    test: Fields
    train: Fields
    config: RunConfig
    snapshots: dict[int, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: RunFolder, data: xr.Dataset | None = None, model: Network | None = None) -> Subject:
        """A finished run, in as many states of its test part as its ``evaluation.states`` says.

        Args:
            folder: of the run.
            data: an open Dataset in the place of the file that its configuration names.
            model: the network of a run with one of one's own.
        """
        config, forecaster = folder.config, Forecaster.load(folder.path, model)
        channels = forecaster.step.channels
        fields = folder.fields(forecaster, data)
        parts = partition(config.data.split, fields, channels.history - 1 + channels.leads[-1])
        test = within(parts["test"], config.data.buffer * GIB, "analysed of the test part")
        states, context = some_states(forecaster.step, test, config.evaluation.states)
        return cls(forecaster.step, states, context, test, parts["train"], config, snapshots(folder.path))

    def at(self, states: Tensor, context: Context, step: ModelStep | None = None) -> Subject:
        """The same at other states, or of another step."""
        return replace(self, states=states, context=context, step=step or self.step)

    @property
    def grid(self) -> Grid:
        """Of the fields."""
        return self.step.grid

    @cached_property
    def double(self) -> ModelStep:
        """The step in float64, for what is differentiated."""
        return copy.deepcopy(self.step).double()

    @cached_property
    def inputs(self) -> tuple[Tensor, Tensor | None]:
        """What the network is given at the states, and told beside."""
        with torch.no_grad():
            x = self.step.inputs(self.states, self.context)
            return x, self.step.told(x, self.context)

    def block(self, states: int) -> int:
        """Queries whose weights at so many states are looked at together."""
        network = self.step.attending
        keys = network.groups * self.step.token_grid.size
        return max(1, min(256, HELD // (states * network.config.heads * keys)))

    def maps(self) -> Blocks:
        """The attention at the states, block by block; see ``ViT.attention_maps``."""
        x, told = self.inputs
        return self.step.attending.attention_maps(x, self.block(len(x)), told)

    @cached_property
    def areas(self) -> Areas:
        """Of sum one: those of the tokens (one row), or what each state has of them."""
        return present_areas(self.step.token_grid, self.step.token_share(self.states)).numpy()

    @property
    def shifts(self) -> bool:
        """Whether there is an axis along which tokens can be shifted."""
        tokens = self.step.token_grid
        return tokens.mesh is None and any(tokens.periodic)

    @cached_property
    def seen(self) -> tuple[xr.Dataset, ByOffset]:
        """What ``attention_by_blocks`` and, where there are shifts, ``attention_by_offset`` see: one pass for both."""
        tokens, registers = self.step.token_grid, self.step.attending.config.registers
        found = ByOffset(tokens, registers)
        blocks = found.through(self.maps()) if self.shifts else self.maps()
        return attention_by_blocks(blocks, tokens, self.areas, registers), found

    @cached_property
    def offsets(self) -> dict[str, Float[np.ndarray, "..."]]:
        """Attention by offset, and how much of it that is; see ``attention_by_offset``."""
        return self.seen[1].tables()

    @cached_property
    def some(self) -> Int[np.ndarray, "state"]:
        """The states at which the Jacobian is measured."""
        count = max(2, self.config.evaluation.cells // math.prod(self.step.period))
        return np.unique(
            np.linspace(0, len(self.states) - 1, min(count, len(self.states))).round().astype(int)
        )

    @cached_property
    def somewhere(self) -> tuple[Tensor, Context]:
        """These states in float64, and their context."""
        chosen = torch.from_numpy(self.some)
        return self.states[chosen].double(), self.context.take(chosen)

    @cached_property
    def rows(self) -> Stencil:
        """The response of the first variable to itself, at every cell of a patch and some states."""
        states, context = self.somewhere
        return first_variable(probe(self.double, states, patch_cells(self.step.period), context))

    @cached_property
    def references(self) -> tuple[dict[str, Stencil], list[float] | None]:
        """The schemes on a plane, averaged over states, and the Courant numbers."""
        known = solvers(self.test, self.config.data.stride, self.step.channels.pace)
        states, context = self.somewhere
        filled = torch.where(states.isnan(), means(states), states)  # a solver knows no gaps
        targets = len(self.step.channels.targets)
        found, courant = schemes(known, self.grid, filled[:, :targets], self.step.period, context)
        if not isinstance(self.step.network, Own):
            found[UNTRAINED] = Stencil.identity(self.grid.ndim, np.array(self.grid.spacing))
        return {name: each.mean("state") if each.dims else each for name, each in found.items()}, courant

    @cached_property
    def energy(self) -> Float[np.ndarray, "*space"]:
        """Of the first variable in the test part, of the waves that hold most of it."""
        values = self.test.array[:, :, 0].astype(np.float64)
        values = np.where(np.isnan(values), np.nanmean(values), values)
        return energetic(values, self.grid.ndim, self.config.evaluation.energy_share)


def means(states: Tensor) -> Tensor:
    """Each variable's mean over the cells that have values, everywhere."""
    mean = states.nanmean(dim=tuple(range(2, states.ndim)), keepdim=True)
    return mean.expand_as(states).contiguous()


def some_states(step: ModelStep, fields: Fields, count: int) -> tuple[Tensor, Context]:
    """``count`` states of the model, spread evenly over samples and times of a part, and what it knows there."""
    history, pace = step.channels.history, step.channels.pace if step.channels.known_places else 0
    sample, time = places(step, fields, count)
    frames = torch.tensor(fields.array[sample, time + np.arange(history)])
    seconds = torch.tensor(fields.seconds[time[:, 0] + history - 1])
    ends = torch.tensor(fields.array[sample, time + history - 1 + np.array([0, pace])])
    own = None if fields.parameters is None else torch.tensor(fields.parameters[sample[:, 0]])
    return step.state_of(frames), Context(seconds, step.known_of(ends), own)


def places(
    step: ModelStep, fields: Fields, count: int
) -> tuple[Int[np.ndarray, "state 1"], Int[np.ndarray, "state 1"]]:
    """Sample and first frame of ``count`` states, spread evenly."""
    pace = step.channels.pace if step.channels.known_places else 0
    times = fields.n_times - (step.channels.history - 1) - pace
    total = fields.n_samples * times
    chosen = np.linspace(0, total - 1, min(count, total)).round().astype(int)
    sample, time = np.divmod(chosen[:, None], times)
    return sample, time


def inside(latitudes: tuple[float, ...], grid: Grid) -> list[float]:
    """Those of ``latitudes`` that the grid covers; the middle one where it covers none."""
    low, high = grid.bounds[0][0], grid.bounds[0][-1]
    return [x for x in latitudes if low < x < high] or [float(grid.centers[0][grid.shape[0] // 2])]
