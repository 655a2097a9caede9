"""What gridvit sees in a file, whether it can be used and after which choice, and what a run on it would cost."""

from __future__ import annotations

import time as clock
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gridvit.channels import Channels
from gridvit.config import DataConfig, ModelConfig, RunConfig
from gridvit.data.fields import Fields, load
from gridvit.data.normalise import compute
from gridvit.data.roles import channels
from gridvit.errors import InputError
from gridvit.grid import Grid

if TYPE_CHECKING:
    from gridvit.nn import ViT

CHOICES = ("files", "group", "variables", "predictors", "diagnostics", "forcings", "statics", "static_file", "indices",
           "vectors", "parameters", "history", "leads", "boundary", "periodic", "select", "stack", "members",
           "irregular", "calendar", "stride")  # fmt: skip
OPTIONS = ("select:", "stack:", "members:", "group:", "irregular:", "calendar:", "data.variables", "path:")
ADAM = 4  # copies of the parameters: values, gradients and two moments
STEPS = 3  # timed after one that warms up
MIB = 2.0**20


def check(
    path: str,
    variables: tuple[str, ...] = (),
    periodic: dict[str, bool] | None = None,
    data: DataConfig | None = None,
    config: RunConfig | None = None,
) -> dict[str, Any]:
    """What gridvit sees in a file: grid, periodicity, times, variables; with ``config``, what an epoch costs.

    All of the fields are read into memory.

    Args:
        path: a file, a store, or a pattern of files.
        variables: which to look at; those of ``data`` where none are named.
        periodic: axes stated to be periodic or not.
        data: the choices; those of ``config`` where there is one.
        config: a run to estimate.

    Raises:
        InputError: the file cannot be used as it is; the sentence says why, and which choice would help.
    """
    options = data or (config.data if config else DataConfig())
    options = replace(
        options, path=path, variables=variables or options.variables, periodic=periodic or options.periodic
    )
    fields = load(None, options)
    wanted = channels(fields.variables, fields.statics, options)
    refuse_too_long(wanted, fields.n_times)
    if wanted.boundary:
        from gridvit.nn.position import rim

        rim(fields.grid, wanted.boundary)
    compute(fields, options.leads)
    found = {
        "path": str(path),
        "usable": True,
        "verdict": "usable after a stated choice" if _chosen(options) else "usable",
        "choices": _chosen(options),
        "grid": {
            "description": fields.grid.describe(),
            "kind": kind(fields.grid),
            "axes": [_axis(fields, axis) for axis in range(fields.grid.ndim)],
        },
        "time": {
            "steps": fields.n_times,
            "first": _shown(fields.times[0]),
            "last": _shown(fields.times[-1]),
            "step": str(fields.step),
        },
        "samples": fields.n_samples,
        "variables": [_variable(fields, c) for c in range(len(fields.variables))],
        "statics": [v.name for v in fields.statics],
    }
    return found if config is None else {**found, "estimate": estimate(replace(config, data=options), fields)}


def refuse_too_long(channels: Channels, times: int) -> None:
    """A window of history and leads must fit into the data."""
    frames = channels.offsets[-1] - channels.offsets[0] + 1
    if frames > times:
        raise InputError(
            f"at least {frames} times for data.history and data.leads", str(times), "make them shorter"
        )


def kind(grid: Grid) -> str:
    """What the axes are: "sphere" for latitude and longitude, "curvilinear", or "plane"."""
    if grid.mesh is not None:
        return "curvilinear"
    return "sphere" if grid.is_latlon else "plane"


def refused(path: str, error: InputError) -> dict[str, Any]:
    """The verdict on a file that cannot be used as it is, for JSON."""
    helps = any(option in str(error) for option in OPTIONS)
    verdict = "needs a choice" if helps else "refused"
    return {"path": str(path), "usable": False, "verdict": verdict, "reason": str(error)}


def _chosen(data: DataConfig) -> dict[str, Any]:
    """The choices that differ from none."""
    given, plain = asdict(data), asdict(DataConfig())
    return {name: given[name] for name in CHOICES if given[name] != plain[name]}


def estimate(config: RunConfig, fields: Fields) -> dict[str, Any]:
    """Tokens, parameters, memory and seconds an epoch, the last timed on this machine.

    Memory is the fields, four copies of the parameters (values, gradients, two moments of Adam), and the
    activations as the sizes of the network give them: an estimate to a factor of two.
    """
    import torch

    from gridvit.data.samples import Windows
    from gridvit.run.teacher import teacher_of
    from gridvit.training.plan import plan

    state = torch.get_rng_state()
    planned = plan(config, fields, teacher=teacher_of(config, fields))
    objective = planned.objective()
    windows = Windows(planned.parts["train"], objective.offsets)
    size = min(config.training.batch_size, len(windows))
    batch = windows.__getitems__(range(size))
    seconds = _timed(lambda: objective.loss(batch, []).backward())
    torch.set_rng_state(state)
    tokens, model = planned.model.token_grid.size, config.model
    passed = blocks_passed(planned.model.attending)
    parameters = sum(p.numel() for p in planned.model.parameters())
    in_tokens = passed * model.width * (12 + 2 * model.mlp_ratio)
    in_cells = planned.model.attending.grid.size * kept_by_cells(config.model, fields.grid.ndim)
    activations = objective.passes * size * (in_tokens + in_cells)
    held = {
        "fields": fields.values.nbytes,
        "parameters": 4 * ADAM * parameters,
        "activations": 4 * activations,
    }
    batches = -(-len(windows) // config.training.batch_size)
    return {
        "tokens": tokens,
        "parameters": parameters,
        "training_windows": len(windows),
        "batches_an_epoch": batches,
        "memory_mib": {name: round(count / MIB, 1) for name, count in held.items()},
        "seconds_a_batch": seconds,
        "seconds_an_epoch": batches * seconds,
    }


def blocks_passed(network: ViT) -> int:
    """sum over all blocks, those of the levels too, of the tokens that pass through: groups and registers counted."""
    tokens = network.patches.tokens.size * network.groups + network.config.registers
    fine = sum(level.grid.size * len(level.biases) for level in network.levels)
    return fine + tokens * len(network.blocks)


def kept_by_cells(model: ModelConfig, ndim: int) -> float:
    """Numbers that the convolutions at each cell, and at merged ones, keep for the way back."""
    ends = (model.embed == "conv") + (model.decode == "conv")
    return 4 * ends * model.channels + 11 * (model.between or 0) / 2**ndim


def _timed(work: Any) -> float:
    """Seconds of one call: the median of three, after one that warms up."""
    took = []
    for _ in range(STEPS + 1):
        start = clock.perf_counter()
        work()
        took.append(clock.perf_counter() - start)
    return float(np.median(took[1:]))


def _shown(time: Any) -> str:
    """A date without what lies below its seconds."""
    return str(np.datetime_as_string(time, "s")) if isinstance(time, np.datetime64) else str(time)


def _axis(fields: Fields, axis: int) -> dict[str, Any]:
    grid = fields.grid
    n = grid.shape[axis]
    return {
        "name": grid.names[axis],
        "in_file": fields.layout.axes[axis].name,
        "cells": n,
        "from": float(grid.centers[axis][0]),
        "to": float(grid.centers[axis][-1]),
        "units": "cells" if grid.mesh is not None else grid.units[axis],
        "periodic": grid.periodic[axis],
        "patches": [p for p in range(1, min(n, 16) + 1) if not grid.periodic[axis] or n % p == 0],
    }


def _variable(fields: Fields, channel: int) -> dict[str, Any]:
    values = fields.array[:, :, channel]
    areas, there = np.broadcast_to(fields.grid.areas, values.shape), ~np.isnan(values)
    mean = np.average(values[there].astype(np.float64), weights=areas[there])
    variable = fields.variables[channel]
    return {
        "name": variable.name,
        "units": variable.units,
        "long_name": variable.long_name,
        "role": "index" if variable.of else variable.role,
        "component": variable.component,
        "missing": float(1 - there.mean()),
        "min": float(np.nanmin(values)),
        "area_mean": float(mean),
        "max": float(np.nanmax(values)),
    }
