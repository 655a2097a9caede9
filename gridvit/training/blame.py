"""Where a loss stops being a number: the window, its time and sample, and the variable."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.data.fields import Fields
from gridvit.data.samples import Batch
from gridvit.data.stored import Stored
from gridvit.nn.step import ModelStep
from gridvit.rollout import rollout
from gridvit.training.objectives import Objective

FAR = 100.0  # standard deviations from the mean at which data are named rather than the model


@dataclass(frozen=True)
class Blame:
    """Says which window and variable of a batch drive its loss.

    objective: what is trained.
    fields:    the part that the batch is of.
    part:      its name.
    """

    objective: Objective
    fields: Fields
    part: str

    def first(self, batch: Batch) -> str:
        """How many windows have a loss that is not finite, and the first of them."""
        broken = [window for window in windows(batch) if not np.isfinite(self.loss(window))]
        if not broken:
            return "in none of its windows alone"
        return f"in {len(broken)} of its {len(batch.time)} windows, first in {self.window(broken[0])}"

    def most(self, batches: Iterable[Batch]) -> str:
        """Of all windows the first whose loss is not finite, or else the one with the largest."""
        worst, found = -1.0, None
        for window in (window for batch in batches for window in windows(batch)):
            loss = self.loss(window)
            if not loss <= worst:
                worst, found = loss, window
            if not np.isfinite(loss):
                break
        return "no window" if found is None else self.window(found)

    def loss(self, window: Batch) -> float:
        """Of one window."""
        with torch.no_grad():
            return float(self.objective.loss(window, []))

    def window(self, window: Batch) -> str:
        """Such as "the forecast of 'u' from 2001-03-01 06:00 of sample 3 of the train part"."""
        return f"{self._what(window)} from {self.place(window)}"

    def data_alone(self, batch: Batch) -> str:
        """Without running the model: the window that is farthest from the mean."""
        worst = max(windows(batch), key=lambda window: float(_farthest(self.objective.step, window).max()))
        return f"the values of {self._named(_farthest(self.objective.step, worst))} from {self.place(worst)}"

    def place(self, window: Batch) -> str:
        """Time and, where there are several and they are in memory, sample."""
        fields, now = self.fields, float(window.time[0])
        at = int(np.abs(fields.seconds - now).argmin())
        time = (
            str(fields.times[at])[:16].replace("T", " ")
            if fields.step.dates
            else f"time {fields.times[at]:.6g}"
        )
        if fields.n_samples == 1 or isinstance(fields.values, Stored):
            return time
        frame = window.frames[0, self.objective.offsets.index(0)].cpu().numpy()
        same = [np.array_equal(one, frame, equal_nan=True) for one in fields.values[:, at]]
        return f"{time} of sample {same.index(True)} of the {self.part} part" if any(same) else time

    def _what(self, window: Batch) -> str:
        if not self.objective.forecasts:
            return "the window"
        far = _farthest(self.objective.step, window)
        if not bool((far < FAR).all()):
            size = float(far.max())
            return f"the values of {self._named(far)}, {size:.3g} standard deviations from their mean,"
        return f"the forecast of {self._named(self._forecast(window))}"

    def _forecast(self, window: Batch) -> Float[Tensor, " variable"]:
        """How far each predicted variable is from its mean at the first step that is not finite, or the last."""
        step, steps = self.objective.step, len(self.objective.offsets) - self.objective.step.channels.history
        steps = steps if len(step.channels.leads) == 1 else 1
        targets, context = len(step.channels.targets), self.objective.context(window)
        with torch.no_grad():
            states = rollout(step, step.state_of(window.frames), steps, context)
        found = _far(states[0, 1:, :targets], step.mean[:targets], step.std[:targets], step.domain[:targets])
        broken = ~torch.isfinite(found).all(1)
        return found[int(broken.int().argmax()) if bool(broken.any()) else -1]

    def _named(self, far: Float[Tensor, " variable"]) -> str:
        """The variable that is farthest; of several that are not finite the first."""
        broken = ~torch.isfinite(far)
        at = int(broken.int().argmax()) if bool(broken.any()) else int(far.argmax())
        return repr(self.objective.step.channels.frame[at])


def windows(batch: Batch) -> list[Batch]:
    """One by one."""
    return [each(batch, itemgetter(slice(n, n + 1))) for n in range(len(batch.time))]


def each(batch: Batch, act: Callable[[Tensor], Tensor]) -> Batch:
    """A batch of what becomes of its tensors."""
    return Batch._make(act(part) if isinstance(part, Tensor) else part for part in batch)


def _farthest(step: ModelStep, window: Batch) -> Float[Tensor, " variable"]:
    """max over frames and cells of |u - mu| / sigma, by variable of a frame; missing values do not count."""
    frames = torch.where(window.frames[0].isnan(), step.mean, window.frames[0])
    return _far(frames, step.mean, step.std).amax(0)


def _far(
    values: Float[Tensor, "time variable *space"], mean: Tensor, std: Tensor, domain: Tensor | None = None
) -> Float[Tensor, "time variable"]:
    """max over cells of |u - mu| / sigma; outside the domain there is nothing."""
    far = ((values - mean) / std).abs()
    return (far if domain is None else torch.where(domain, far, 0.0)).flatten(2).amax(2)
