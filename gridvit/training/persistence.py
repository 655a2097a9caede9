"""What persistence scores in a training's own loss: the mark that validation is read against."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from gridvit.nn.step import ModelStep


@contextmanager
def still(step: ModelStep) -> Iterator[None]:
    """The step with f = 0 for as long as this lasts: persistence. The network is not run."""
    network, channels = step.network, step.channels
    leads = 1 if network.config.leads == "condition" else len(channels.leads)

    def nothing(x: Tensor, *_: Any, **__: Any) -> Tensor:
        return x.new_zeros(len(x), leads * len(channels.targets), *x.shape[2:])

    network.forward = nothing  # type: ignore[method-assign]
    try:
        yield
    finally:
        del network.forward


def skill(loss: float, persistence: float) -> float:
    """1 - loss / persistence: 1 is perfect, 0 knows no more than the present state; NaN without a persistence."""
    return 1 - loss / persistence if persistence > 0 else torch.nan
