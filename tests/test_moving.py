"""A network on another grid: the same bias at the same distance, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from gridvit import checkpoint
from gridvit.channels import Channels
from gridvit.checkpoint import Description
from gridvit.config import DataConfig, ModelConfig, SimulateConfig, TrainingConfig
from gridvit.data.fields import load
from gridvit.data.normalise import compute
from gridvit.data.samples import Batch
from gridvit.data.simulate import simulate
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep, ViT
from gridvit.nn.moving import interpolated
from gridvit.training.objectives import NextStep

SMALL = ModelConfig(preset="mini", patch=(1, 1), width=96, depth=2, heads=4)
TORUS, FINER = Grid.regular((6, 10), (3.0, 5.0)), Grid.regular((12, 20), (3.0, 5.0))
BOX = Grid.regular((5, 7), (2.5, 3.5), periodic=False)
SPHERE, TURNED = Grid.latlon(7, 12, poles=True), Grid.gaussian(10, 21)


def network(grid: Grid, **how: object) -> ViT:
    """Weights random everywhere, those of the biases too."""
    torch.manual_seed(5)
    made = ViT(replace(SMALL, **how), grid, 2, 2)
    for weight in (made.decode.weight, made.skip.weight, *made.blocks.parameters()):
        with torch.no_grad():
            weight.add_(0.1 * torch.randn(weight.shape))
    return made


@pytest.mark.parametrize("bias", ["distance", "linear", "radial", "fourier", "none"])
@pytest.mark.parametrize("how", [{}, {"position": "none"}, {"window": 1.0}])
def test_the_bias_at_a_distance_stays(bias: str, how: dict[str, object]) -> None:
    made = network(TORUS, bias=bias, **how)
    moved = made.on(FINER)
    points = torch.linspace(0.0, 1.4, 11)
    for ours, theirs in zip(made.biases, moved.biases, strict=True):
        assert torch.equal(ours.kernel(points), theirs.kernel(points))
        assert torch.equal(ours.length(), theirs.length())
        # cells (i, j) and (i', j') of the coarse torus are as far apart as (2 i, 2 j) and (2 i', 2 j') of the fine
        cells = torch.arange(240).reshape(12, 20)[::2, ::2].flatten()
        torch.testing.assert_close(
            theirs.logits()[:, cells][:, :, cells], ours.logits(), atol=2e-5, rtol=1e-5
        )


@pytest.mark.parametrize("bias", ["distance", "gaussian", "harmonics", "linear"])
@pytest.mark.parametrize("grid", [TURNED, Grid.latlon(13, 24, poles=True)])
def test_the_bias_at_a_distance_stays_on_the_sphere(bias: str, grid: Grid) -> None:
    made = network(SPHERE, bias=bias, position="harmonics")
    moved = made.on(grid)
    km = torch.linspace(0.0, 20000.0, 11)
    for ours, theirs in zip(made.biases, moved.biases, strict=True):
        assert torch.equal(ours.kernel(km), theirs.kernel(km))
    assert moved(torch.randn(1, 2, *grid.shape)).shape == (1, 2, *grid.shape)


def test_on_its_own_grid_nothing_changes() -> None:
    for grid, position in ((TORUS, "rope"), (SPHERE, "learned"), (BOX, "bounded"), (BOX, "sincos")):
        made = network(grid, position=position)
        before = torch.random.get_rng_state()
        moved = made.on(grid)
        assert torch.equal(torch.random.get_rng_state(), before)
        x = torch.randn(2, 2, *grid.shape)
        assert torch.equal(moved(x), made(x))


@pytest.mark.parametrize("position", ["none", "rope"])
def test_finer_grids_converge_to_one_answer(position: str) -> None:
    made = network(Grid.regular(20, 24.0), patch=(1,), width=48, position=position)
    answers = []
    for cells in (20, 60, 180):  # each cell in three, whose middle one has the same centre
        grid = Grid.regular(cells, 24.0)
        s = torch.tensor(grid.centers[0] / 24.0).float()
        x = torch.stack([torch.cos(2 * torch.pi * s), torch.sin(4 * torch.pi * s)])[None]
        thirds = cells // 20
        answers.append(made.on(grid)(x)[0, :, thirds // 2 :: thirds])
    assert answers[0].std() > 0.2
    torch.testing.assert_close(answers[1], answers[2], atol=1e-4, rtol=0.0)
    torch.testing.assert_close(answers[0], answers[2], atol=0.05, rtol=0.0)


def field(grid: Grid) -> torch.Tensor:
    """exp(y) cos(2 pi (x - 0.1)) in relative coordinates, periodic along x."""
    y, x = ((c - b[0]) / (b[-1] - b[0]) for c, b in zip(grid.centers, grid.bounds, strict=True))
    return torch.from_numpy((np.exp(y)[:, None] * np.cos(2 * np.pi * (x - 0.1))).reshape(-1, 1))


def channel(*shape: int) -> Grid:
    return Grid.regular(shape, (2.0, 5.0), periodic=(False, True))


@pytest.mark.parametrize("made", [channel, Grid.latlon])
def test_tables_are_interpolated_to_second_order(made: Callable[..., Grid]) -> None:
    fine = made(23, 31)
    errors = []
    for shape in ((5, 10), (15, 30)):
        coarse = made(*shape)
        assert torch.equal(interpolated(field(coarse), coarse, coarse), field(coarse))
        errors.append((interpolated(field(coarse), coarse, fine) - field(fine)).abs().max())
    assert errors[0] / errors[1] > 6  # 9 at order two, 3 at order one
    assert errors[1] < 0.03


def test_what_cannot_be_moved_is_refused() -> None:
    train = "train on that grid"
    half = Grid.regular((6, 10), (3.0, 2.5))
    cases = [
        (network(TORUS), SPHERE, "a grid of the metric and the periods of the model's ({})", train),
        (network(TORUS), half, "a grid of the metric and the periods of the model's ({})", train),
        (
            network(BOX), Grid.regular((5, 8), (2.5, 4.0), periodic=False),
            "a grid within the model's ({}), beyond which model.position bounded knows no place",
            "train on that grid, or with model.position none",
        ),
    ]  # fmt: skip
    for made, grid, expected, advice in cases:
        with pytest.raises(InputError) as error:
            made.on(grid)
        expected = expected.format(made.grid.describe())
        assert str(error.value) == f"expected {expected}, got {grid.describe()}: {advice}"
    with pytest.raises(InputError) as error:
        network(TORUS, registers=2).on(FINER)
    assert str(error.value) == (
        "expected a model without registers on another grid, got 2, which weigh against the number of tokens: "
        "train on that grid"
    )
    with pytest.raises(InputError, match="expected tokens all of one area on both grids, or on neither"):
        network(BOX, patch=(5, 7), bias="none").on(Grid.regular((6, 8), (2.5, 3.5), periodic=False))
    with pytest.raises(InputError, match="expected the patch|divide|patch"):
        network(TORUS, patch=(2, 2)).on(Grid.regular((7, 10), (3.0, 5.0)))
    assert network(BOX, position="none").on(Grid.regular((5, 8), (2.5, 4.0), periodic=False)) is not None


def test_cells_of_the_models_own_are_refused() -> None:
    numbers = torch.zeros(1), torch.ones(1), torch.ones(1)
    presence = torch.ones(1, 6, 10)
    presence[0, 2, 3] = 0.5
    step = ModelStep(SMALL, TORUS, Channels(("u",)), 1.0, *numbers, presence=presence)
    with pytest.raises(InputError) as error:
        step.on(FINER)
    assert str(error.value) == (
        "expected a model without gaps, static fields and given boundary on another grid, "
        "got one with gaps of its own cells: train on that grid"
    )


def test_a_trained_model_steps_a_finer_grid() -> None:
    how = SimulateConfig(
        equation="advection-diffusion", parameters={"velocity": [0.1], "diffusivity": 0.002}, lengths=(1.0,), dt=0.5,
        scheme="exact", samples=12, steps=4, cutoff=2.0,
    )  # fmt: skip
    coarse, fine = (load(simulate(replace(how, shape=(n,)))) for n in (20, 40))
    frames = torch.from_numpy(coarse.array)
    moves = (frames[:, 1:] - frames[:, :-1]).std()
    torch.manual_seed(0)
    config = ModelConfig(preset="mini", patch=(1,), width=48, depth=1, heads=2, harmonics=4)
    step = ModelStep(
        config, coarse.grid, Channels(("u",)), 0.5, torch.zeros(1), frames.std()[None], moves[None]
    )
    objective = NextStep(step, TrainingConfig())
    optimiser = torch.optim.AdamW(step.parameters(), 3e-3)
    pairs = torch.stack([frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1)], 1)
    for n in range(200):
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * (1 - n / 200)
        optimiser.zero_grad()
        objective.loss(Batch(pairs, torch.zeros(len(pairs)).double()), []).backward()
        optimiser.step()
    errors = []
    for fields in (coarse, fine):
        u = torch.from_numpy(fields.array)
        with torch.no_grad():
            after = step.on(fields.grid)(u[:, :-1].flatten(0, 1))
        truth = u[:, 1:].flatten(0, 1)
        errors.append(float((after - truth).square().mean() / (u[:, 1:] - u[:, :-1]).square().mean()))
    assert errors[0] < 0.02  # of persistence
    assert errors[1] < 0.03


def test_a_model_from_a_file_moves_as_the_one_that_was_saved(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    axes = {"lat": np.linspace(-75, 75, 6), "lon": np.arange(0, 360, 30.0)}
    wind = xr.DataArray(3 + 2 * rng.standard_normal((7, 6, 12)), {"time": np.arange(7), **axes})
    fields = load(xr.Dataset({"u": wind, "v": -2 * wind}), DataConfig(vectors=(("u", "v"),)))
    config = replace(SMALL, patch=(1, 2), depth=1, embed="conv", decode="conv", channels=4)
    description = Description.of(config, DataConfig(vectors=(("u", "v"),)), fields)
    torch.manual_seed(5)
    ours = checkpoint.build(description, compute(fields)).eval()
    for weight in ours.network.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    checkpoint.save(tmp_path / "model.safetensors", ours, description)
    other = checkpoint.load(tmp_path / "model.safetensors")[0]
    state, grid = torch.randn(2, 2, 8, 16), Grid.latlon(8, 16)
    assert torch.equal(other.on(grid)(state), ours.on(grid)(state))
    own = torch.randn(2, 2, 6, 12)
    torch.testing.assert_close(other.on(fields.grid)(own), ours(own))
