"""The error of slopes: distances of neighbours, waves whose slopes are known, gaps and walls by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.channels import Channels
from gridvit.config import ModelConfig, RunConfig, TrainingConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep
from gridvit.training.objectives import Labelled, Masked, NextStep
from gridvit.training.slopes import Slopes, neighbour_distances
from gridvit.training_config import ObjectiveConfig


def objective(grid: Grid, length: float, presence: torch.Tensor | None = None, **how: object) -> NextStep:
    numbers = torch.zeros(2), torch.ones(2), torch.ones(1, 2)
    config = ModelConfig(preset="mini", patch=(1,) * grid.ndim, width=24, depth=1, heads=2)
    step = ModelStep(config, grid, Channels(("u", "v")), 1.0, *numbers, presence)
    return NextStep(step, TrainingConfig(slopes=length, **how))


def test_distances_of_neighbours() -> None:
    centers = np.array([0.0, 1.0, 3.0]), np.arange(5) * 0.5
    plane = Grid.from_centers(centers, names=("y", "x"), units=("1", "1"), periodic=(False, True))
    np.testing.assert_allclose(neighbour_distances(plane, 0), np.repeat([[1.0], [2.0]], 5, 1))
    np.testing.assert_allclose(neighbour_distances(plane, 1), np.full((3, 5), 0.5))
    sphere = Grid.latlon(6, 8)
    np.testing.assert_allclose(neighbour_distances(sphere, 0), np.pi * sphere.radius / 6)
    latitude = np.deg2rad(np.arange(-75, 90, 30))
    chord = 2 * np.cos(latitude) * np.sin(np.pi / 8)
    expected = np.repeat(2 * sphere.radius * np.arcsin(chord / 2)[:, None], 8, 1)
    np.testing.assert_allclose(neighbour_distances(sphere, 1), expected)


def test_the_error_of_a_wave_by_hand() -> None:
    """The slopes of cos(k x) are a wave of amplitude a = 2 sin(k h / 2) / h: the error is (1 + l^2 a^2) / 2."""
    n, h, mode, length = 12, 0.25, 3, 0.7
    grid = Grid.regular((n,), (n * h,))
    wave = torch.cos(2 * torch.pi * mode * torch.arange(n) / n)
    found, target = torch.zeros(2, 1, 2, n), torch.stack([wave, wave])[None, None].expand(2, -1, -1, -1)
    k = 2 * np.pi * mode / (n * h)
    expected = (1 + (2 * length * np.sin(k * h / 2) / h) ** 2) / 2
    assert float(objective(grid, length).error(found, target)) == pytest.approx(expected, rel=1e-5)
    # only v counts, and is twice as wrong: four times the whole
    weighted = objective(grid, length, weights={"u": 0})
    doubled = torch.stack([wave, 2 * wave])[None, None].expand(2, -1, -1, -1)
    assert float(weighted.error(found, doubled)) == pytest.approx(4 * expected, rel=1e-5)
    assert float(objective(grid, 0.0).error(found, target)) == pytest.approx(0.5, rel=1e-5)


def test_walls_and_gaps_by_hand() -> None:
    """Errors 0, 1, 3, -, 2 between walls: squares 0, 1, 9, 4 and, of neighbours that are both there, 1, 4."""
    grid, presence = Grid.regular((5,), periodic=(False,)), torch.ones(2, 5)
    presence[:, 3] = 0.5
    found, target = torch.zeros(1, 1, 2, 5), torch.tensor([0.0, 1.0, 3.0, torch.nan, 2.0]).expand(1, 1, 2, 5)
    made = objective(grid, 2.0, presence)
    assert float(made.error(found, target, torch.ones(1, 1, 2, 5))) == pytest.approx(14 / 4 + 4 * 5 / 2)
    whole = torch.tensor([0.0, 1.0, 3.0, 3.0, 2.0]).expand(1, 1, 2, 5)
    assert float(objective(grid, 2.0).error(found, whole)) == pytest.approx(23 / 5 + 4 * 6 / 4)


@pytest.mark.parametrize("grid", [Grid.latlon(9, 16, poles=True), Grid.latlon(24, 48)])
def test_on_the_sphere_it_is_the_gradient(grid: Grid) -> None:
    """|grad sin(latitude)|^2 = cos^2 / R^2, whose mean is 2 / 3 / R^2; a field about another axis has the same."""
    slopes = Slopes(grid)
    means = []
    for component in (2, 0):
        u = torch.from_numpy(grid.positions[:, component].reshape(grid.shape)).float()
        means.append(sum(float((slopes(u, a).square() * slopes.weights(a)).mean()) for a in slopes.axes))
    expected = 2 / 3 / grid.radius**2
    assert means[0] == pytest.approx(expected, rel=0.05)
    assert means[1] == pytest.approx(
        expected, rel=0.15
    )  # less: near the poles distances count as a mean cell's


def test_what_has_no_use_for_it_is_refused() -> None:
    training = TrainingConfig(objective=ObjectiveConfig(kind="masked"), slopes=0.5)
    with pytest.raises(InputError) as error:
        Masked.refuse(RunConfig(training=training), Channels(("u",)), {})
    sentence = "expected no training.slopes for training.objective.kind {}, got 0.5: leave it out"
    assert str(error.value) == sentence.format("masked")
    training = TrainingConfig(objective=ObjectiveConfig(kind="segmentation", classes=2), slopes=0.5)
    with pytest.raises(InputError) as error:
        Labelled.refuse(RunConfig(training=training), Channels(("u",), ("y",)), {})
    assert str(error.value) == sentence.format("segmentation")
    with pytest.raises(InputError, match=r"^expected training.slopes of at least 0, got -1: correct it$"):
        TrainingConfig(slopes=-1)
