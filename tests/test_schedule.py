"""How the learning rate moves and where it starts from."""

from __future__ import annotations

import pytest

from gridvit.config import RunConfig, TrainingConfig
from gridvit.errors import InputError
from gridvit.parsing import parse
from gridvit.training.schedule import good_learning_rate, learning_rate_factor, schedule_of


def test_a_trapezoid() -> None:
    factors = [learning_rate_factor(n, 2, 12, "trapezoid", 0.5) for n in range(13)]
    assert factors == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0])
    line = [learning_rate_factor(n, 2, 6, "trapezoid", 1.0) for n in range(7)]
    assert line == pytest.approx([0.5, 1, 1, 3 / 4, 2 / 4, 1 / 4, 0])
    assert learning_rate_factor(5, 2, 2, "trapezoid", 0.5) == 0


def test_constant_and_the_options_of_a_config() -> None:
    assert [learning_rate_factor(n, 3, 9, "constant") for n in (0, 2, 3, 8, 9)] == pytest.approx(
        [1 / 3, 1, 1, 1, 1]
    )
    config = TrainingConfig(warmup_steps=2, schedule="trapezoid", cooldown=0.5)
    assert [schedule_of(config)(n, total=12) for n in (0, 6, 9)] == pytest.approx([0.5, 1, 0.5])
    assert [schedule_of(TrainingConfig(warmup_steps=0))(n, total=8) for n in (0, 4, 8)] == pytest.approx(
        [1, 0.5, 0]
    )


def test_wide_networks_start_lower() -> None:
    found = [good_learning_rate(width) for width in (24, 128, 384, 768, 1536)]
    assert found == pytest.approx([1e-3, 1e-3, 1e-3, 5e-4, 2.5e-4])


@pytest.mark.parametrize("options", [["cooldown=0.5"], ["schedule=trapezoid", "cooldown=0"]])
def test_a_cooldown_that_does_not_count_is_refused(options: list[str]) -> None:
    with pytest.raises(InputError) as error:
        parse(RunConfig, [f"--training.{option}" for option in options])
    got = "0.5 of cosine" if len(options) == 1 else "0.0 of trapezoid"
    assert str(error.value) == (
        f"expected training.cooldown above 0 and at most 1, of a training.schedule trapezoid, got {got}: correct it"
    )
