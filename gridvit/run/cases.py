"""The windows of the test part that a run is scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from gridvit.channels import Channels
from gridvit.data.fields import Fields
from gridvit.data.windows import windows


def scored_leads(leads: int, channels: Channels) -> tuple[int, ...]:
    """1, ..., ``leads`` steps of the model, and those that it was trained to reach in one."""
    return tuple(sorted({*range(1, leads + 1), *(lead // channels.pace for lead in channels.leads)}))


@dataclass(frozen=True, eq=False)
class Cases:
    """Windows of the test part: initial states and what followed them.

    fields: the test part.
    index:  (sample, first frame) of each window.
    leads:  steps of the model to what is scored, ascending.
    channels: of the model.
    """

    fields: Fields
    index: Int[np.ndarray, "case 2"]
    leads: tuple[int, ...]
    channels: Channels

    @classmethod
    def of(cls, fields: Fields, leads: Sequence[int], channels: Channels) -> Cases:
        """Every window up to the last lead with the history before it."""
        span = channels.history - 1 + leads[-1] * channels.pace
        return cls(fields, windows(fields, span), tuple(leads), channels)

    def take(self, rows: slice | Int[np.ndarray, "some"]) -> Cases:
        """Some of them."""
        return replace(self, index=self.index[rows])

    @property
    def start(self) -> Int[np.ndarray, "case"]:
        """Index of the initial time."""
        return self.index[:, 1] + self.channels.history - 1

    @cached_property
    def states(self) -> Float[np.ndarray, "case variable *space"]:
        """The model's variables at t, without earlier frames: what baselines start from."""
        return self.fields.targets.array[self.index[:, 0], self.start]

    def frames(self, part: slice) -> Float[np.ndarray, "case frame variable *space"]:
        """The frames up to t, whole."""
        sample, first = self.index[part].T[:, :, None]
        return self.fields.array[sample, first + np.arange(self.channels.history)]

    def known(self, part: slice) -> Float[np.ndarray, "case end known *space"]:
        """What the model is given at t + n dt, n = 0, 1, ... to the last lead."""
        ends = self.start[part, None] + self.channels.pace * np.arange(self.leads[-1] + 1)
        return self.fields.array[self.index[part, :1], ends][:, :, self.channels.known_places]

    @property
    def condition(self) -> Float[np.ndarray, "case parameter"] | None:
        """The parameters of each case's sample; None where the data have none."""
        own = self.fields.parameters
        return None if own is None else own[self.index[:, 0]]

    @cached_property
    def truth(self) -> Float[np.ndarray, "case lead variable *space"]:
        """What is predicted, at t + n dt, n in leads."""
        return self.fields.targets.array[self.index[:, :1], self._ends]

    @property
    def _ends(self) -> Int[np.ndarray, "case lead"]:
        return self.start[:, None] + self.channels.pace * np.array(self.leads)

    @property
    def seconds(self) -> Float[np.ndarray, "case"]:
        """t, as ``Fields.seconds``."""
        return self.fields.seconds[self.start]

    @property
    def times(self) -> np.ndarray:
        """t ``(case,)``, as the file's own dates or numbers."""
        return self.fields.times[self.start]

    @property
    def valid_times(self) -> np.ndarray:
        """t + n dt ``(case, lead)``, as the file's own dates or numbers."""
        return self.fields.times[self._ends]
