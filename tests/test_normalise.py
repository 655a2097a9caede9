"""Statistics against area-weighted values worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from gridvit.config import Split
from gridvit.data.fields import Fields, Variable
from gridvit.data.layout import Layout
from gridvit.data.normalise import Statistics, compute
from gridvit.data.times import TimeStep
from gridvit.data.windows import partition
from gridvit.errors import InputError
from gridvit.grid import Grid

STEP = TimeStep(1.0, unit="1", dates=False)
RNG = np.random.default_rng(7)


def make(values: np.ndarray, grid: Grid) -> Fields:
    names = tuple(Variable(f"v{c}") for c in range(values.shape[2]))
    layout = Layout((), "time", "time", "sample", {})
    return Fields(values.astype(np.float32), np.arange(float(values.shape[1])), STEP, grid, names, layout, {})


def test_rows_on_a_sphere_with_poles_by_hand() -> None:
    """Centres -90, 0, 90 have bounds -90, -45, 45, 90: shares (1 - s) / 2, s, (1 - s) / 2 with s = sin 45."""
    grid = Grid.latlon(3, 5, poles=True)
    equator = np.sqrt(0.5)
    row = np.array([0.0, 1.0, 0.0])  # mean s, mean square s
    u = np.stack([row, row, -row])[None, :, None, :, None] * np.ones(5)
    found = compute(make(u, grid))
    mean = equator / 3  # (s + s - s) / 3
    assert found.mean == pytest.approx([mean], rel=1e-12)
    assert found.std == pytest.approx([np.sqrt(equator - mean**2)], rel=1e-12)
    step = -equator  # increments 0 and -2 on the equator: mean -s, mean square 2 s
    assert found.increment_std == pytest.approx(np.sqrt([[2 * equator - step**2]]), rel=1e-12)


def test_a_linear_trend_by_hand() -> None:
    """u = 3 t on T = 4 steps: mean 4.5, variance 9 (T^2 - 1) / 12; two signs in space give increments +-3."""
    sign = np.array([1.0, -1.0])
    u = (3 * np.arange(4.0))[None, :, None, None] * sign
    found = compute(make(u, Grid.regular((2,))))
    assert found.mean == pytest.approx([0.0], abs=1e-12)
    assert found.std == pytest.approx([np.sqrt(np.mean([0, 9, 36, 81]))], rel=1e-12)
    assert found.increment_std == pytest.approx(np.array([[3.0]]), rel=1e-12)


def test_variables_and_samples_against_a_direct_sum() -> None:
    grid = Grid.latlon(5, 7)
    u = RNG.normal(size=(3, 11, 2, 5, 7)) * [[[1.0]], [[50.0]]] + [[[0.0]], [[1e5]]]
    fields = make(u, grid)
    found = compute(fields)
    weights = np.cos(
        np.deg2rad(np.linspace(-72, 72, 5))
    )  # cells of 36 degrees: sin b2 - sin b1 ~ cos of the middle
    for c in range(2):
        wide = fields.values[:, :, c].astype(np.float64).mean(axis=-1)
        mean = np.average(wide.mean(axis=(0, 1)), weights=weights)
        square = np.square(fields.values[:, :, c].astype(np.float64) - mean).mean(axis=(0, 1, 3))
        assert found.mean[c] == pytest.approx(mean, rel=1e-9, abs=1e-9)
        assert found.std[c] == pytest.approx(np.sqrt(np.average(square, weights=weights)), rel=1e-9)


def test_increments_do_not_cross_samples() -> None:
    u = RNG.normal(size=(1, 9, 1, 4)) + np.zeros((2, 1, 1, 1))
    far = u + np.array([0.0, 1e3])[:, None, None, None]
    grid = Grid.regular((4,))
    assert compute(make(far, grid)).increment_std == pytest.approx(
        compute(make(u, grid)).increment_std, rel=1e-4
    )


@pytest.mark.parametrize(("along", "samples"), [("time", 1), ("sample", 11)])
def test_only_the_training_part_enters(along: str, samples: int) -> None:
    fields = make(RNG.normal(size=(samples, 20, 1, 6)), Grid.regular((6,)))
    changed = fields.values.copy()
    if along == "time":
        changed[:, 14:] += 100
    else:
        changed[8:] += 100
    split = Split(along=along)
    before, after = (
        compute(partition(split, replace(fields, values=v))["train"]) for v in (fields.values, changed)
    )
    assert before.to_dict() == after.to_dict()
    assert before.mean != pytest.approx(compute(replace(fields, values=changed)).mean, abs=1.0)


def test_statistics_survive_json_exactly() -> None:
    found = compute(make(RNG.normal(size=(1, 5, 2, 3)), Grid.regular((3,))))
    again = Statistics.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.variables == ("v0", "v1")
    for name in ("mean", "std", "increment_std"):
        assert getattr(again, name).tolist() == getattr(found, name).tolist()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda u: np.full_like(u, 273.15),
            "that vary over the training part, got 'v1', which is constant: leave it out",
        ),
        (
            lambda u: u[:, :1] + 0 * u,
            "got 'v1', which does not change in time: leave it out of data.variables",
        ),
    ],
)
def test_still_variables_are_refused_by_name(change, sentence: str) -> None:  # type: ignore[no-untyped-def]
    u = RNG.normal(size=(1, 6, 2, 5))
    u[:, :, 1] = change(u[:, :, 1])
    with pytest.raises(InputError, match=sentence):
        compute(make(u, Grid.regular((5,))))
