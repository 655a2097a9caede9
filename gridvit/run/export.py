"""One step of a trained model as a graph of its own, for programs that have no gridvit: ONNX, or torch.export."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from gridvit.data.loading import within
from gridvit.data.rounds import GIB
from gridvit.data.simulate_files import refuse_existing_file
from gridvit.data.windows import partition
from gridvit.errors import InputError
from gridvit.forecast import Forecaster
from gridvit.nn.features import TIMED
from gridvit.nn.own import Network
from gridvit.nn.step import ModelStep
from gridvit.rollout import Context
from gridvit.run.folder import RunFolder
from gridvit.run.subject import some_states

log = logging.getLogger("gridvit")
SUFFIXES = (".onnx", ".pt2")
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
LARGEST_ERROR = 1e-4  # of a standard deviation of each variable
Inputs = dict[str, Tensor]
Run = Callable[[Inputs], Tensor]


class Graph(nn.Module):
    """u(t + dt) of tensors alone: ``state``, and what else the step needs of ``known``, ``time`` and ``parameters``."""

    def __init__(self, step: ModelStep) -> None:
        super().__init__()
        self.step = step

    def forward(
        self,
        state: Tensor,
        known: Tensor | None = None,
        time: Tensor | None = None,
        parameters: Tensor | None = None,
    ) -> Tensor:
        """The state one step later."""
        # No time is looked at where none is an input.
        seconds = state.new_zeros(state.shape[0], dtype=torch.float64) if time is None else time
        return self.step(state, Context(seconds, known, parameters))


def export(
    run: str | os.PathLike[str],
    to: str | os.PathLike[str],
    overwrite: bool = False,
    batch: int = 0,
    data: xr.Dataset | None = None,
    model: Network | None = None,
) -> Path:
    """One step, physical state in and physical state out, as a file that is right before it is there.

    The graph takes ``state (batch, variable, *space)`` with NaN where values are missing; ``known (batch, 2, K,
    *space)`` where the model is given forcings or a boundary, at both ends of the step; ``time (batch)``, float64
    seconds since 1970, where it looks at dates; and ``parameters (batch, parameter)`` where it is told those of
    ``data.parameters``. It is compared with the model at states of the run's test part.

    Args:
        run: the run folder.
        to: an ``.onnx`` file, or a ``.pt2`` file for ``torch.export.load``.
        overwrite: replace what exists.
        batch: states at once, any number (0) or a fixed one.
        data: an open Dataset in the place of the file that the run's configuration names.
        model: the network of a run with one of one's own.

    Raises:
        InputError: another suffix, a file that exists, packages that are missing, a network that has no graph, a graph
            that differs from the model by more than 1e-4 of a standard deviation.
    """
    target = Path(to)
    refuse_target(target, overwrite, batch)
    forecaster = Forecaster.load(run, model)
    step, inputs = forecaster.step, real_inputs(RunFolder(Path(run)), forecaster, data)
    temporary = target.with_name(f".{target.name}.tmp{target.suffix}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        error = write(step, inputs, temporary, batch)
        if not error <= LARGEST_ERROR:
            raise InputError(
                f"a graph within {LARGEST_ERROR:g} standard deviations of the model",
                f"{error:.2g}",
                "export the other format" if batch else "export the other format, or with --batch 1",
            )
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    log.info("within %.2g standard deviations of the model at states of the test part", error)
    return target


def refuse_target(target: Path, overwrite: bool, batch: int) -> None:
    """Refuse before any work what could not be written."""
    if target.suffix not in SUFFIXES:
        raise InputError(f"a file ending in {' or '.join(SUFFIXES)}", str(target), "choose one of them")
    if batch < 0:
        raise InputError("--batch of at least 0", str(batch), "correct it, or leave it out for any number")
    refuse_existing_file(target, overwrite)
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if target.suffix == ".onnx" and missing:
        raise InputError(
            f"the packages {', '.join(PACKAGES)} to write .onnx",
            f"no {missing[0]}",
            "pip install 'gridvit[onnx]', or write a .pt2 file",
        )


def real_inputs(folder: RunFolder, forecaster: Forecaster, data: xr.Dataset | None) -> Inputs:
    """States of the test part by the names of the graph's inputs, with what else this step needs."""
    config, step = folder.config, forecaster.step
    channels = step.channels
    fields = folder.fields(forecaster, data)
    test = partition(config.data.split, fields, channels.history - 1 + channels.leads[-1])["test"]
    test = within(test, config.data.buffer * GIB, "read of the test part")
    state, context = some_states(step, test, max(2, config.evaluation.states))
    return named(step, state, context)


def named(step: ModelStep, state: Tensor, context: Context) -> Inputs:
    """The inputs that the graph of this step has, at least two states."""
    inputs = {"state": state}
    if context.known is not None:
        inputs["known"] = context.known
    if set(step.network.config.features) & set(TIMED):
        inputs["time"] = context.time
    if context.condition is not None:
        inputs["parameters"] = context.condition
    return {name: torch.cat([value] * 2) if len(value) == 1 else value for name, value in inputs.items()}


def write(step: ModelStep, inputs: Inputs, path: Path, batch: int = 0) -> float:
    """Write the graph and read it back: its largest difference from the model in standard deviations."""
    size = batch or len(inputs["state"])
    rows = torch.arange(size) % len(inputs["state"])
    traced = {name: value[rows] for name, value in inputs.items()}
    with quiet():
        program = traced_program(Graph(step), traced, fixed=bool(batch))
        run = pt2_run(program, path) if path.suffix == ".pt2" else onnx_run(program, traced, path)
    return largest_difference(step, traced, run, fixed=bool(batch))


def traced_program(graph: Graph, inputs: Inputs, fixed: bool) -> Any:
    """The graph at any number of states, or at as many as there are."""
    free = None if fixed else {0: torch.export.Dim("batch", min=1)}
    try:
        return torch.export.export(
            graph,
            (),
            kwargs=inputs,
            dynamic_shapes=None if fixed else dict.fromkeys(inputs, free),
            strict=False,
        )
    except Exception as error:  # whatever a network of one's own does that has no graph
        reason = str(error).strip().split("\n")[0]
        do = "simplify the network" if fixed else "simplify the network, or export with --batch 1"
        raise InputError(
            "a network that torch.export can follow", f"one that it cannot ({reason})", do
        ) from error


def pt2_run(program: Any, path: Path) -> Run:
    """The file as ``torch.export.load`` reads it."""
    torch.export.save(program, path)
    loaded = torch.export.load(path).module()
    return lambda given: loaded(**given)


def onnx_run(program: Any, inputs: Inputs, path: Path) -> Run:
    """The file in ONNX Runtime, on the CPU."""
    import onnxruntime

    try:
        made = torch.onnx.export(program, (), kwargs=inputs, dynamo=True, verbose=False)
    except torch.onnx.OnnxExporterError as error:
        reason = re.sub(r"\s+", " ", str(error.__cause__ or error))
        raise InputError(
            "a network of operations that ONNX has", f"one with others ({reason})", "write a .pt2 file"
        ) from error
    assert made is not None
    made.save(path, external_data=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda given: torch.from_numpy(
        session.run(None, {name: value.numpy() for name, value in given.items()})[0]
    )


@torch.no_grad()
def largest_difference(step: ModelStep, inputs: Inputs, run: Run, fixed: bool) -> float:
    """max |graph - model| / sigma over states and cells; infinite where one has values and the other has none.

    One state is tried alone too, where the number is free.
    """
    largest = 0.0
    for count in (None,) if fixed else (None, 1):
        given = {name: value[:count] for name, value in inputs.items()}
        found, wanted = run(given), Graph(step)(**given)
        if not torch.equal(found.isnan(), wanted.isnan()):
            return float("inf")
        apart = ((found - wanted) / step.std[step.source]).nan_to_num().abs()
        largest = max(largest, float(np.max(apart.numpy())))
    return largest


@contextmanager
def quiet() -> Iterator[None]:
    """The exporters' notes on their own libraries are not about the model."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
