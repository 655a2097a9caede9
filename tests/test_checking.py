"""Signatures of gridvit are checked in these tests: arguments once, what is returned with the sizes they had."""

from __future__ import annotations

import numpy as np
import pytest
from checking import checker
from jaxtyping import Float, TypeCheckError, jaxtyped

from gridvit.moments import multi_indices


class Counting(type):
    """Of classes that count how often they are asked."""

    asked = 0

    def __instancecheck__(cls, instance: object) -> bool:
        Counting.asked += 1
        return True


class Anything(metaclass=Counting):
    """What every object is an instance of."""


@jaxtyped(typechecker=checker)
def first(
    x: Float[np.ndarray, "row column"], y: Float[np.ndarray, "row"], n: int
) -> Float[np.ndarray, "row"]:
    """Wrong for any other n than 0."""
    return x[n:, 0]


@jaxtyped(typechecker=checker)
def same(x: Anything) -> int:
    return 1


def test_arguments_and_what_is_returned_are_checked() -> None:
    x, y = np.ones((3, 5)), np.ones(3)
    assert first(x, y, 0).shape == (3,)
    for wrong in ((x, np.ones(5), 0), (x, y, 0.0), (x[0], y, 0), (x.astype(int), y, 0)):
        with pytest.raises(TypeCheckError, match="checking the parameters"):
            first(*wrong)
    with pytest.raises(TypeCheckError, match="checking the return value"):
        first(x, y, 1)


def test_an_argument_is_checked_once() -> None:
    before = Counting.asked
    same(3)
    assert Counting.asked == before + 1


def test_gridvit_is_checked() -> None:
    with pytest.raises(TypeCheckError, match="checking the parameters"):
        multi_indices("two", 2)  # type: ignore[arg-type]
