"""What a training looks like while it runs: a validation forecast after each epoch, checked, and two figures."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import lightning as L
import numpy as np
import torch
import xarray as xr
from jaxtyping import Float

from gridvit.data.loading import in_memory
from gridvit.forecast import forecast_dataset
from gridvit.nn.step import ModelStep
from gridvit.report.figures import loss_curves, losses
from gridvit.report.forecasts import forecast_panels
from gridvit.report.page import png
from gridvit.rollout import Context, rollout
from gridvit.run.cases import Cases
from gridvit.training.metrics import read_metrics
from gridvit.training.objectives import Objective
from gridvit.training.plan import Plan
from gridvit.training.watch import BOUND, DO, Diverged

log = logging.getLogger("gridvit")
SHARE = 0.05
"""Of the time of a training that its figures may take."""
FIRST = 1.0
"""Seconds that the first figures are taken to need."""
SHORT = 5.0
"""Seconds of a training that is over before anyone looks: it is drawn by ``gridvit report`` alone."""


class Pictures(L.Callback):
    """``figures/training.png`` and ``figures/forecast.png``, renewed while a model trains and at its end.

    After each epoch one window in the middle of the validation part is forecast for ``evaluation.leads`` steps, with
    the weights that are validated. Its first variable is drawn beside the truth, and the losses, where drawing has not
    taken more than ``SHARE`` of the time so far, and after the last epoch of all but the shortest trainings. Of
    several processes all forecast, and one draws.

    Raises:
        Diverged: a forecast that is not finite, or whose variance is more than ``BOUND`` times that of the data.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.case = middle_case(plan) if plan.description.task.kind == "forecast" else None
        self.variable = drawable(plan)
        self.forecast: np.ndarray | None = None
        self.spent, self.cost = 0.0, FIRST

    def on_train_start(self, trainer: L.Trainer, module: Objective) -> None:
        """Start the clock."""
        self.started = time.monotonic()

    def on_validation_epoch_end(self, trainer: L.Trainer, module: Objective) -> None:
        """Forecast, with the weights of ``training.ema`` where there are some, which are in place now."""
        if self.case is None:
            return
        self.forecast = forecast(module.step, self.case)
        if exploded := explosion(module.step, self.forecast, self.case):
            where = f"step {trainer.global_step} (end of epoch {trainer.current_epoch + 1})"
            bound = f"a validation forecast of at most {BOUND:g} times the variance of the data"
            raise Diverged(bound, f"{exploded} at {where}", DO)

    def on_train_epoch_end(self, trainer: L.Trainer, module: Objective) -> None:
        """Draw, if it is time."""
        begun, last = time.monotonic(), trainer.current_epoch + 1 == trainer.max_epochs
        took = begun - self.started
        wanted = took > SHORT if last else self.spent + self.cost <= SHARE * took
        if trainer.is_global_zero and wanted:
            self.draw(trainer.current_epoch + 1)
            self.cost = time.monotonic() - begun
            self.spent += self.cost

    def on_exception(self, trainer: L.Trainer, module: Objective, exception: BaseException) -> None:
        """Show how it diverged."""
        if trainer.is_global_zero and isinstance(exception, Diverged):
            self.draw(trainer.current_epoch + 1)

    def draw(self, epoch: int) -> None:
        """Both figures, each by a temporary name and a rename; where they cannot be written training goes on."""
        rows = read_metrics(self.folder / "metrics.csv")
        pictures = {"training": loss_curves(rows)} if losses(rows) else {}
        if self.case is not None and self.forecast is not None and self.variable:
            found, truth = (dataset(self.plan, self.case, v) for v in (self.forecast, self.case.truth))
            figure = pictures["forecast"] = forecast_panels(found, truth, self.variable)
            figure.suptitle(f"validation after epoch {epoch}, from {shown(self.case)}", fontsize=9)
        try:
            (self.folder / "figures").mkdir(exist_ok=True)
            for name, figure in pictures.items():
                temporary = self.folder / "figures" / f"{name}.tmp"
                temporary.write_bytes(png(figure))
                os.replace(temporary, temporary.with_suffix(".png"))
        except OSError as error:
            log.warning("no figures of the training: %s", error)


def middle_case(plan: Plan) -> Cases:
    """The window in the middle of the validation part, 1, 2, ... ``evaluation.leads`` steps long, in memory."""
    channels, leads = plan.description.channels, range(1, plan.config.evaluation.leads + 1)
    part, span = plan.parts["validate"], channels.history - 1 + leads[-1] * channels.pace
    sample, first = part.n_samples // 2, (part.n_times - span - 1) // 2
    window = part.select(slice(first, first + span + 1), "time").select(slice(sample, sample + 1), "sample")
    return Cases.of(in_memory(window), leads, channels)


def forecast(step: ModelStep, case: Cases) -> Float[np.ndarray, "case lead variable *space"]:
    """u(t + n dt) of a case, on the device of the model."""
    device, whole = step.mean.device, slice(None)
    frames = torch.from_numpy(case.frames(whole)).to(device)
    known = torch.from_numpy(case.known(whole)).to(device) if step.channels.known_places else None
    own = None if case.condition is None else torch.from_numpy(case.condition).to(device)
    context = Context(torch.from_numpy(case.seconds).to(device), known, own)
    with torch.no_grad():
        states = rollout(step, step.state_of(frames), case.leads[-1], context)
    return states[:, 1:, : len(step.channels.targets)].cpu().numpy()


def explosion(step: ModelStep, found: Float[np.ndarray, "case lead variable *space"], case: Cases) -> str:
    """The first lead and variable whose variance is out of bounds; empty if none is.

    The bound is ``BOUND`` times the variance of the training part, or of the truth where that has more.
    """
    mean = step.mean[: len(step.channels.targets)].cpu().numpy()
    size = variances(step, found[0])
    true = variances(step, np.where(np.isnan(case.truth[0]), mean, case.truth[0]))
    for lead, variable in np.argwhere(~(size <= BOUND * np.maximum(1, true))):
        at = f"{case.leads[lead]} steps from {shown(case)}"
        return f"{size[lead, variable]:.3g} times that of {step.channels.targets[variable]!r} after {at}"
    return ""


def variances(
    step: ModelStep, values: Float[np.ndarray, "lead variable *space"]
) -> Float[np.ndarray, "lead variable"]:
    """The area mean of ((u - mu) / sigma)^2 over the cells of each variable's domain."""
    parts = (part[: values.shape[1]].cpu().numpy() for part in (step.mean, step.std, step.domain))
    mean, std, domain = parts
    space = tuple(range(-step.grid.ndim, 0))
    with np.errstate(over="ignore", invalid="ignore"):
        square = np.where(domain, ((values - mean) / std).astype(np.float64) ** 2, 0)
    areas = domain * step.grid.areas
    return (square * areas).sum(space) / areas.sum(space)


def shown(case: Cases) -> str:
    """The initial time."""
    time = case.times[0]
    return str(time)[:16].replace("T", " ") if case.fields.step.dates else f"time {time:.6g}"


def drawable(plan: Plan) -> str:
    """The first variable that is a field of one or two dimensions; empty where there is none."""
    fields = [
        v.name for v in plan.description.variables[: len(plan.description.channels.targets)] if not v.of
    ]
    return fields[0] if fields and plan.description.grid.ndim <= 2 else ""


def dataset(plan: Plan, case: Cases, values: Float[np.ndarray, "case lead variable *space"]) -> xr.Dataset:
    """A forecast or truth of the case in the layout of the user's file."""
    about, fields = plan.description, case.fields
    targets = about.variables[: len(about.channels.targets)]
    return forecast_dataset(
        values[None], case.times, about.model_step, targets, about.grid, fields.layout, {}, case.leads
    )
