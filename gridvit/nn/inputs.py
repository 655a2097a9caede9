"""What a network's inputs are: which of them turn round over a pole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from gridvit.channels import Channels
from gridvit.errors import InputError


@dataclass(frozen=True)
class Inputs:
    """What the channels of a network's inputs are, where that is more than their number.

    Args:
        vectors: horizontal components, which turn round over a pole.
        zeros: for each of them the normalised value of 0.
        groups: which channels each token of a place has; () for one token of all.
    """

    vectors: tuple[int, ...] = ()
    zeros: tuple[float, ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(
        cls,
        channels: Channels,
        sources: Sequence[int | None],
        zeros: Float[Tensor, "variable"],
        groups: tuple[tuple[int, ...], ...] = (),
    ) -> Inputs:
        """Of inputs that come from the variables ``sources`` of a frame or from none; ``zeros`` are -mu / sigma."""
        found = [
            (n, v) for n, v in enumerate(sources) if v is not None and channels.frame[v] in channels.vector
        ]
        return cls(tuple(n for n, _ in found), tuple(float(zeros[v]) for _, v in found), groups)

    def zero_from(self, first: int, last: int) -> Inputs:
        """Inputs ``first <= n < last`` are differences, of which 0 is the zero."""
        zeros = (0.0 if first <= n < last else z for n, z in zip(self.vectors, self.zeros, strict=True))
        return Inputs(self.vectors, tuple(zeros), self.groups)

    def of_group(self, group: tuple[int, ...]) -> Inputs:
        """The vectors among the channels of ``group``, by their places there."""
        kept = [
            (group.index(n), zero) for n, zero in zip(self.vectors, self.zeros, strict=True) if n in group
        ]
        return Inputs(tuple(n for n, _ in kept), tuple(zero for _, zero in kept))


def grouped(
    by: str, per_frame: int, frames: int, masked: Sequence[int], total: int
) -> tuple[tuple[int, ...], ...]:
    """The inputs of each token at a place: those of a frame, or those of a variable in all frames.

    Inputs are the variables of the frames, one frame after another, masks of some of them (``masked``), and what is
    given beside, which every token has.

    Args:
        by: "frame" or "variable"; "place" for no groups.
        per_frame: variables that are seen of a frame.
        frames: of the history.
        masked: the inputs that have masks.
        total: inputs in all.

    Raises:
        InputError: a single frame, or a single variable.
    """
    if by == "place":
        return ()
    count = frames if by == "frame" else per_frame
    if count < 2:
        what, change = ("frames", "raise data.history") if by == "frame" else ("variables", "name more")
        raise InputError(
            f"two or more {what} for model.tokens {by}", str(count), f"{change}, or take model.tokens place"
        )
    shown = [*range(per_frame * frames), *masked]
    groups = [n // per_frame if by == "frame" else n % per_frame for n in shown]
    given = tuple(range(len(shown), total))
    return tuple(tuple(n for n, group in enumerate(groups) if group == g) + given for g in range(count))


def successive(places: list[int]) -> slice | list[int]:
    """Places that follow each other as a slice, which makes no copy; others as they are."""
    first = places[0]
    run = list(range(first, first + len(places)))
    return slice(first, first + len(places)) if places == run else places
