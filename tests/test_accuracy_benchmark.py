"""The accuracy benchmark at toy size: its peers are what they are said to be, and so are its data."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

import gridvit
from gridvit.config import DataConfig, ModelConfig, RunConfig, Split, TrainingConfig
from gridvit.grid import Grid

FOLDER = Path(__file__).parents[1] / "experiments/benchmarks/accuracy"
OPERATORS = ("fno", "tfno", "local_no")
OWN = ("unet", "dilated_resnet", "convnet", "vit")
TORUS, LINE = Grid.regular((12, 20)), Grid.regular((28,))
CHANNEL = Grid.regular((12, 20), periodic=(False, True))
# Cells by which a peer may be shifted: the U-Net and the ViT merge four along each axis.
SHIFTS = {name: 4 if name == "unet" else 1 for name in (*OPERATORS, *OWN) if name != "vit"}


def modules(*names: str) -> list[ModuleType]:
    """Of the benchmark's folder, which is no package: nobody else finds them by these names."""
    sys.path.insert(0, str(FOLDER))
    found = [import_module(name) for name in names]
    sys.path.remove(str(FOLDER))
    for name in names:
        del sys.modules[name]
    return found


peers, _, equations = modules("peers", "sources", "equations")


def network(name: str, grid: Grid, inputs: int = 2, outputs: int = 3, awake: bool = True) -> nn.Module:
    """A peer of random weights, those that start at zero too if it is to be awake."""
    if name in OPERATORS:
        pytest.importorskip("neuralop", reason="needs the extra benchmarks (neuraloperator)")
    torch.manual_seed(0)
    made = peers.PEERS[name](inputs, outputs, grid)
    for weight in made.parameters():
        if awake and not weight.any():
            nn.init.normal_(weight, std=0.1)
    return made.eval()


def test_every_peer_is_tested() -> None:
    assert set(peers.PEERS) == {*OPERATORS, *OWN}


@pytest.mark.parametrize("grid", [TORUS, CHANNEL, LINE], ids=["torus", "channel", "line"])
@pytest.mark.parametrize("name", [*OPERATORS, *OWN])
def test_untrained_it_is_persistence_and_trained_it_is_not(name: str, grid: Grid) -> None:
    fields = torch.randn(2, 2, *grid.shape)
    with torch.no_grad():
        assert torch.equal(network(name, grid, awake=False)(fields), torch.zeros(2, 3, *grid.shape))
        assert network(name, grid)(fields).abs().amin() > 0


@pytest.mark.parametrize("grid", [TORUS, LINE], ids=["torus", "line"])
@pytest.mark.parametrize("name", SHIFTS)
def test_it_commutes_with_shifts(name: str, grid: Grid) -> None:
    made, fields = network(name, grid), torch.randn(1, 2, *grid.shape)
    axes = tuple(range(2, fields.ndim))
    by = [SHIFTS[name] * cells for cells in (1, 2)[: grid.ndim]]
    with torch.no_grad():
        torch.testing.assert_close(
            made(fields.roll(by, axes)), made(fields).roll(by, axes), atol=2e-5, rtol=2e-5
        )


@pytest.mark.parametrize("name", [name for name in SHIFTS if name in OWN])
def test_along_a_channel_it_knows_no_seam_but_its_walls(name: str) -> None:
    """Operators are told where they are between walls."""
    made, fields = network(name, CHANNEL), torch.randn(1, 2, *CHANNEL.shape)
    with torch.no_grad():
        here, along, across = (made(fields.roll(by, (2, 3))) for by in ((0, 0), (0, 4), (4, 0)))
    torch.testing.assert_close(along, here.roll(4, 3), atol=2e-5, rtol=2e-5)
    assert (across - here.roll(4, 2)).abs().max() > 1e-3 * here.abs().max()


@pytest.mark.parametrize("name", [*OPERATORS, *OWN])
def test_every_weight_learns(name: str) -> None:
    made, fields = network(name, TORUS), torch.randn(2, 2, *TORUS.shape)
    made(fields).square().sum().backward()
    assert [key for key, weight in made.named_parameters() if weight.grad is None] == []


def test_a_peer_is_trained_by_gridvit(tmp_path: Path) -> None:
    """And told the force that stays, which nothing else would place on a torus."""
    source = equations.EQUATIONS["forced-vorticity"].source
    ds = source.frames(replace(source.config, shape=(13, 12), cutoff=2.0, samples=3, steps=4, spinup=0))
    split = Split(along="sample", train=(0, 1), validate=(1, 2), test=(2, 3))
    training = TrainingConfig(epochs=1, batch_size=4, warmup_steps=1)
    model = ModelConfig(kind="own", patch=(1, 1))
    data = DataConfig(split=split, statics=("force",))
    config = RunConfig("run", str(tmp_path), data=data, model=model, training=training)
    run = gridvit.train(config, ds, model=peers.PEERS["convnet"])
    forecast = gridvit.Forecaster.load(run, model=peers.PEERS["convnet"])
    assert forecast.step.grid.periodic == (True, True)
    assert forecast.step.network.network[0].weight.shape[1] == 2  # vorticity and force


def test_a_field_is_carried_by_whole_cells() -> None:
    case = equations.EQUATIONS["advection-4"]
    ds = case.source.frames(replace(case.source.config, samples=2, steps=7))
    u = ds["u"].values
    assert u.shape == (2, 8, 160)
    for step in range(8):
        np.testing.assert_allclose(u[:, step], np.roll(u[:, 0], 4 * step, axis=-1), atol=2e-7)
    np.testing.assert_allclose(np.abs(u[:, 0]).max(-1), 1)
    waves = np.abs(np.fft.rfft(u[:, 0]))
    assert (waves[:, 1:6] > 1e-3).all()
    assert waves[:, [0, *range(6, 81)]].max() < 1e-4


def test_a_field_is_carried_between_cells_by_its_waves() -> None:
    case = equations.EQUATIONS["advection-4.37"]
    u = case.source.frames(replace(case.source.config, samples=1, steps=3))["u"].values[0].astype(float)
    turned = np.fft.rfft(u[0]) * np.exp(-2j * np.pi * np.arange(81) * 3 * 4.37 / 160)
    np.testing.assert_allclose(u[3], np.fft.irfft(turned), atol=1e-6)


def test_persistence_by_hand() -> None:
    """u = 3, 4, 6 everywhere: |3 - 4| / 4 and |4 - 6| / 6 on average, and the root of 1/4 times 1/2."""
    ds = equations.EQUATIONS["advection-4"].source.frames(
        replace(equations.EQUATIONS["advection-4"].source.config, samples=1, steps=2)
    )
    ds["u"][:] = np.array([3, 4, 6])[None, :, None]
    once, along = equations.persistence(ds)
    assert once == pytest.approx((1 / 4 + 1 / 3) / 2)
    assert along == pytest.approx((1 / 4 * 1 / 2) ** 0.5)


def test_persistence_is_bad_enough() -> None:
    case = equations.EQUATIONS["advection-diffusion"]
    ds = case.source.frames(replace(case.source.config, samples=3, steps=20))
    once, along = equations.persistence(ds)
    assert 0.4 < once < 0.6
    assert along > 1


def test_what_is_solved_on_more_cells_is_the_same_field_on_fewer() -> None:
    """Both states resolve all waves there are: at the first frame, sampled at the coarser cells' own centres."""
    burgers = equations.BURGERS
    config = replace(burgers, shape=(18, 14), cutoff=1.0, samples=1, steps=1, substeps=1, dt=0.01)
    fine = equations.Solved(config).frames(replace(config, shape=(54, 42)))
    found = equations.Solved(config, (54, 42)).frames(config)
    assert Grid.from_dataset(found) == Grid.regular((18, 14), burgers.lengths)
    for name in ("u", "v"):  # every third cell of a third has the coarse centre
        np.testing.assert_allclose(found[name].values[0], fine[name].values[0, :, 1::3, 1::3], atol=1e-5)
    assert '"shape": [54, 42]' in found.attrs["gridvit_simulation"]  # where it was solved


def test_narrower_cells_take_shorter_steps() -> None:
    config = replace(equations.CHANNEL, shape=(12, 20), cutoff=2.0, samples=1, steps=1, spinup=0)
    source = equations.Solved(config)
    assert source.frames(config).attrs["gridvit_substeps"] == 3
    assert source.frames(replace(config, shape=(18, 30))).attrs["gridvit_substeps"] == 5


def test_splits_differ_and_a_seed_repeats_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small = {name: equations.Split(2, 3, split.other) for name, split in equations.SPLITS.items()}
    whole = equations.EQUATIONS["advection-diffusion"]
    config = replace(whole.source.config, shape=(7, 11), cutoff=2.0)
    case = replace(whole, source=equations.Solved(config), fine=(14, 22), splits=small)
    monkeypatch.setitem(equations.EQUATIONS, "small", case)
    found = {split: equations.load("small", split, tmp_path) for split in small}
    assert found["test"].identical(equations.load("small", "test", tmp_path))  # from its file
    assert found["test"]["u"].identical(case.make("test")["u"])
    starts = [found[split]["u"].values[:, 0].ravel()[:50] for split in small]
    assert len({start.tobytes() for start in starts}) == len(small)
    assert found["fine"]["u"].shape == (2, 4, 14, 22)
    assert "0.36" in found["unseen"].attrs["gridvit_parameters"]
    assert not np.array_equal(case.make("test", 1)["u"], found["test"]["u"])


def test_a_coarse_solver_is_of_second_order() -> None:
    case = equations.EQUATIONS["advection-4"]
    ds = case.source.frames(replace(case.source.config, samples=2, steps=1))
    before, after = torch.from_numpy(ds["u"].values).double().unbind(1)
    errors = [(case.coarse((cells,))(before[:, None]) - after[:, None]).norm() for cells in (80, 160)]
    assert float(errors[0] / errors[1]) == pytest.approx(4, rel=0.05)
