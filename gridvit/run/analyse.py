"""Measure what a run has learned: where its heads look, and which numerical scheme its step is."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from gridvit.analysis.bloch import bloch, phase_average
from gridvit.analysis.compare import compare
from gridvit.analysis.looking import attention_by_blocks
from gridvit.analysis.probe import patch_cells, probe
from gridvit.analysis.symbol import energy_modes, mode_energy
from gridvit.analysis.zonal import sphere_rows
from gridvit.config import RunConfig
from gridvit.data.fields import Fields
from gridvit.data.loading import within
from gridvit.data.rounds import GIB
from gridvit.data.windows import partition
from gridvit.forecast import Forecaster
from gridvit.grid import Grid
from gridvit.nn.hidden import present_areas
from gridvit.nn.looking import attention_by_offset
from gridvit.nn.own import Network, Own
from gridvit.nn.step import ModelStep
from gridvit.physics import SCHEMES, LinearEquation, LinearScheme, linear_scheme, stable_step
from gridvit.rollout import Context, Step
from gridvit.run.evaluate import maker_name, solvers
from gridvit.run.folder import RunFolder
from gridvit.stencil import Stencil

log = logging.getLogger("gridvit")
LATITUDES = (-50.0, -30.0, 0.0, 30.0, 50.0)
BINS = 20  # of distance
HELD = 2**22  # weights held at once; their analysis in float64 takes some ten times as much, 0.3 GiB


def analyse(
    run: str | os.PathLike[str], data: xr.Dataset | None = None, model: Network | None = None
) -> xr.Dataset:
    """Attention, stencil, symbol and recovered coefficients of a run; also writes ``analysis.nc``.

    On a plane that is periodic along every axis the emulator's Jacobian is set beside the scheme that made the data
    (where the file says which) and the named schemes that are stable at its step; on a sphere its rows are given
    at a few latitudes. Of several variables the first is measured, in its response to itself; attribute ``variable``.
    ``model`` is the network of a run with one of one's own, whose Jacobian alone is measured.
    """
    folder = RunFolder(Path(run))
    config = folder.config
    forecaster = Forecaster.load(folder.path, model)
    channels = forecaster.step.channels
    fields = folder.fields(forecaster, data)
    test = partition(config.data.split, fields, channels.history - 1 + channels.leads[-1])["test"]
    test = within(test, config.data.buffer * GIB, "analysed of the test part")
    states, context = some_states(forecaster.step, test, config.evaluation.states)
    found = []
    if isinstance(forecaster.step.network, Own):
        log.info("left out attention: the network is one of your own")
    else:
        found.append(attention(forecaster.step, states, context))
        log.info("measured attention")
    grid, double = forecaster.grid, forecaster.step.double()
    if not channels.prognostic:
        log.info("left out the Jacobian: no variable is predicted from its own past")
    elif grid.is_latlon and grid.periodic[1]:
        found.append(sphere_rows(double, states.double(), inside(LATITUDES, grid), context=context))
        log.info("measured the Jacobian")
    elif not grid.is_sphere and all(grid.periodic):
        found += scheme(double, states.double(), context, test, config)
        log.info("measured the Jacobian")
    else:
        log.info("left out the Jacobian: %s", unmeasured(grid))
    analysis = xr.merge(found, join="exact", combine_attrs="drop_conflicts")
    analysis.attrs["variable"] = test.names[0]
    if solvers(test, config.data.stride, channels.pace):
        analysis.attrs["generating_scheme"] = maker_name(test.attrs)
    folder.write(analysis, "analysis.nc")
    return analysis


def unmeasured(grid: Grid) -> str:
    """Why a grid's Jacobian is left alone."""
    if grid.mesh is not None:
        return "on a curvilinear mesh an offset in cells has no one direction and length"
    return f"it needs a plane periodic along every axis or a whole globe, and this is {grid.describe()}"


def some_states(step: ModelStep, fields: Fields, count: int) -> tuple[torch.Tensor, Context]:
    """``count`` states of the model, spread evenly over samples and times of a part, and what it knows there."""
    history, pace = step.channels.history, step.channels.pace if step.channels.known_places else 0
    times = fields.n_times - (history - 1) - pace
    total = fields.n_samples * times
    chosen = np.linspace(0, total - 1, min(count, total)).round().astype(int)
    sample, time = np.divmod(chosen[:, None], times)
    frames = torch.tensor(fields.array[sample, time + np.arange(history)])
    seconds = torch.tensor(fields.seconds[time[:, 0] + history - 1])
    ends = torch.tensor(fields.array[sample, time + history - 1 + np.array([0, pace])])
    own = None if fields.parameters is None else torch.tensor(fields.parameters[sample[:, 0]])
    return step.state_of(frames), Context(seconds, step.known_of(ends), own)


def inside(latitudes: tuple[float, ...], grid: Grid) -> list[float]:
    """Those of ``latitudes`` that the grid covers; the middle one where it covers none."""
    low, high = grid.bounds[0][0], grid.bounds[0][-1]
    return [x for x in latitudes if low < x < high] or [float(grid.centers[0][grid.shape[0] // 2])]


def attention(step: ModelStep, states: torch.Tensor, context: Context) -> xr.Dataset:
    """Attention distance, radial profile, bias curves and (on a torus) attention stencils per layer and head.

    Blocks of queries are looked at one after another: no matrix of all pairs of tokens is held.
    """
    network, tokens = step.attending, step.token_grid
    with torch.no_grad():
        x = step.inputs(states, context)
        told = step.told(x, context)
    block = max(1, min(256, HELD // (len(x) * network.config.heads * tokens.size)))
    areas = present_areas(tokens, network.share(x)).numpy()
    maps = network.attention_maps(x, block, told)
    parts = [attention_by_blocks(maps, tokens, areas, network.config.registers, BINS)]
    if not tokens.is_sphere and all(tokens.periodic):
        kernel = attention_by_offset(network, x, block, told).numpy()
        parts.append(token_stencils(Stencil.from_array(kernel, tokens.spacing, ("layer", "head")), tokens))
    parts.append(bias_curves(step, parts[0]["distance"]))
    return xr.merge(parts, join="exact", combine_attrs="drop_conflicts")


def token_stencils(stencil: Stencil, tokens: Grid) -> xr.Dataset:
    """An attention stencil as a map over token offsets."""
    lines = [np.unique(stencil.offsets[:, axis]) for axis in range(tokens.ndim)]
    full = np.zeros((*stencil.weights.shape[:-1], *(len(line) for line in lines)))
    place = tuple(
        np.searchsorted(line, column) for line, column in zip(lines, stencil.offsets.T, strict=True)
    )
    full[(..., *place)] = stencil.weights
    names = [f"token_d{name}" for name in tokens.names]
    coords = {
        name: (name, line, {"long_name": f"offset along {axis}", "units": "tokens"})
        for name, line, axis in zip(names, lines, tokens.names, strict=True)
    }
    attrs = {"long_name": "mean attention by offset", "units": "1"}
    return xr.Dataset({"attention_stencil": (("layer", "head", *names), full, attrs)}, coords)


def bias_curves(step: ModelStep, distance: xr.DataArray) -> xr.Dataset:
    """The learned bias against distance, its signed length scale, and the error of a series, per layer and head."""
    points = torch.tensor(distance.values, dtype=torch.float32)
    with torch.no_grad():
        biases = step.attending.biases
        curves = torch.stack([bias.kernel(points) for bias in biases]).numpy()
        lengths = torch.stack([bias.length() for bias in biases]).numpy()
        errors = torch.stack([bias.approximation_error() for bias in biases]).numpy()
    units = distance.attrs.get("units", "1")
    series = {
        "bias_error": (
            ("layer", "head"), errors, {"long_name": "error of the series of the distance bias", "units": "1"}
        )
    }  # fmt: skip
    return xr.Dataset(
        {
            "bias_kernel": (
                ("layer", "head", "distance"), curves, {"long_name": "distance bias of the logits", "units": "1"}
            ),
            "bias_length": (
                ("layer", "head"), lengths, {"long_name": "signed length of the distance bias", "units": units}
            ),
            **(series if errors.any() else {}),
        },
        coords={"distance": distance},
    )  # fmt: skip


def scheme(
    step: ModelStep, states: torch.Tensor, context: Context, test: Fields, config: RunConfig
) -> list[xr.Dataset]:
    """The emulator's stencil and symbol beside the schemes', and the growth of its waves."""
    grid, patch = step.grid, step.period
    measured = first_variable(phase_average(probe(step, states, patch_cells(patch), context)))
    means = states.nanmean(dim=tuple(range(2, states.ndim)), keepdim=True).expand_as(states)
    filled = torch.where(states.isnan(), means, states)  # a solver knows no gaps
    known = solvers(test, config.data.stride, step.channels.pace)
    references, courant = schemes(known, grid, filled[:, : len(step.channels.targets)], patch, context)
    values = test.array[:, :, 0].astype(np.float64)
    values = np.where(np.isnan(values), np.nanmean(values), values)
    table = compare(
        measured, references, grid, step.dt,
        energy=energetic(values, grid.ndim, config.evaluation.energy_share), courant=courant, time_units=test.step.unit,
    )  # fmt: skip
    if context.known is not None or len(step.static):
        log.info("left out the growth of waves: what the model is given does not repeat with its patches")
        return [table]
    return [table, bloch(step, means[:1].contiguous(), patch, context.take(slice(1)))]


def first_variable(stencil: Stencil) -> Stencil:
    """The response of the first variable to itself."""
    return stencil.component(0, 0) if stencil.is_system else stencil


def energetic(values: np.ndarray, ndim: int, share: float) -> np.ndarray:
    """Energy at every wave of the grid, zero at those outside the ones that hold ``share`` of the variance."""
    energy = mode_energy(values, ndim)
    kept, _ = energy_modes(values, ndim, share)
    shape = energy.shape
    index = tuple(np.round(kept[:, a] * shape[a] / (2 * math.pi)).astype(int) % shape[a] for a in range(ndim))
    mask = np.zeros(shape, dtype=bool)
    mask[index] = True
    return np.where(mask, energy, 0.0)


def schemes(
    known: dict[str, Step],
    grid: Grid,
    states: torch.Tensor,
    patch: tuple[int, ...],
    context: Context | None = None,
) -> tuple[dict[str, Stencil], list[float] | None]:
    """The generating and the exact scheme, the stable named ones, and the Courant numbers.

    The first two are probed at the same states and cells as the model and told the same: the stencil of a nonlinear
    step depends on it.
    """
    cells = patch_cells(patch)
    references = {
        name: first_variable(phase_average(probe(step, states, cells, context)))
        for name, step in known.items()
    }
    exact = known.get("exact")
    if not isinstance(exact, LinearScheme):
        return references, None
    equation = exact.equation
    for name in SCHEMES:
        if name not in references and stable_step(name, equation, grid) >= exact.dt:
            references[name] = linear_scheme(name, equation, grid, exact.dt).stencil()
    return references, courant_numbers(equation, grid, exact)


def courant_numbers(equation: LinearEquation, grid: Grid, step: Step) -> list[float] | None:
    """c = a dt / h along each axis, for an equation that advects."""
    velocity = getattr(equation, "velocity", None)
    if velocity is None:
        return None
    axes = np.broadcast_to(np.asarray(velocity, dtype=float), (grid.ndim,))
    return [float(a * step.dt / h) for a, h in zip(axes, grid.spacing, strict=True)]
