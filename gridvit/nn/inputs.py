"""What a network's inputs are: which of them turn round over a pole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from gridvit.channels import Channels


@dataclass(frozen=True)
class Inputs:
    """What the channels of a network's inputs are, where that is more than their number.

    Args:
        vectors: horizontal components, which turn round over a pole.
        zeros: for each of them the normalised value of 0.
    """

    vectors: tuple[int, ...] = ()
    zeros: tuple[float, ...] = ()

    @classmethod
    def of(
        cls, channels: Channels, sources: Sequence[int | None], zeros: Float[Tensor, "variable"]
    ) -> Inputs:
        """Of inputs that come from the variables ``sources`` of a frame or from none; ``zeros`` are -mu / sigma."""
        found = [
            (n, v) for n, v in enumerate(sources) if v is not None and channels.frame[v] in channels.vector
        ]
        return cls(tuple(n for n, _ in found), tuple(float(zeros[v]) for _, v in found))
