"""Convolutions before and after the tokens: symmetries, sizes, and the imprint of the patches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from curvilinear_data import regional

from gridvit import checkpoint
from gridvit.analysis.bloch import bloch
from gridvit.channels import Channels
from gridvit.checkpoint import Description
from gridvit.config import DataConfig, ModelConfig
from gridvit.data.fields import Fields, load
from gridvit.data.normalise import compute
from gridvit.grid import Grid
from gridvit.nn import ModelStep, ViT
from gridvit.nn.inputs import Inputs
from gridvit.training.schedule import decayed_groups

SMALL = ModelConfig(preset="mini", patch=(2, 2), width=32, depth=1, heads=2, channels=6)
CONVS = {
    "embed": replace(SMALL, embed="conv"),
    "decode": replace(SMALL, decode="conv"),
    "both": replace(SMALL, embed="conv", decode="conv"),
}


def network(config: ModelConfig, grid: Grid, kinds: Inputs | None = None) -> ViT:
    """Random everywhere."""
    torch.manual_seed(5)
    made = ViT(config, grid, 2, 2, kinds=kinds)
    for weight in (made.decode.weight, made.skip.weight):
        torch.nn.init.normal_(weight, std=0.1)
    return made


def fields(grid: Grid, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 2, *grid.shape, generator=torch.Generator().manual_seed(6))


@pytest.mark.parametrize("config", CONVS.values(), ids=CONVS)
def test_untrained_is_persistence(config: ModelConfig) -> None:
    grid = Grid.regular((4, 6))
    assert not ViT(config, grid, 2, 3)(fields(grid)).any()


@pytest.mark.parametrize("config", CONVS.values(), ids=CONVS)
def test_commutes_with_shifts_by_whole_patches_on_the_torus(config: ModelConfig) -> None:
    grid = Grid.regular((6, 10))
    made, x = network(replace(config, patch=(3, 2)), grid), fields(grid)
    out = made(x)
    for shift in ((3, 0), (0, 4), (3, 8)):
        moved = made(x.roll(shift, (2, 3))).roll((-shift[0], -shift[1]), (2, 3))
        torch.testing.assert_close(moved, out, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(made(x.roll(1, 3)).roll(-1, 3), out, atol=1e-3)


@pytest.mark.parametrize("config", CONVS.values(), ids=CONVS)
@pytest.mark.parametrize("columns", [12, 9], ids=["even", "odd"])
def test_commutes_with_zonal_shifts_on_the_sphere(config: ModelConfig, columns: int) -> None:
    grid = Grid.latlon(7, columns, poles=True)
    made = network(replace(config, patch=(2, 3)), grid, Inputs((1,), (0.4,)))
    x = fields(grid)
    torch.testing.assert_close(made(x.roll(3, 3)).roll(-3, 3), made(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("config", CONVS.values(), ids=CONVS)
@pytest.mark.parametrize(
    ("grid", "patch"),
    [
        (Grid.regular((3, 5)), (1, 1)),
        (Grid.regular((7, 11), periodic=False), (1, 4)),
        (Grid.regular((7, 9), periodic=(False, True)), (4, 3)),
        (Grid.latlon(7, 10), (3, 5)),
        (Grid.regular(13, periodic=False), (5,)),
        (Grid.regular((3, 4, 5), periodic=False), (2, 3, 1)),
        (Grid.from_dataset(regional(5, 7, 1)), (2, 3)),
    ],
    ids=["cells", "box", "channel", "sphere", "line", "three axes", "mesh"],
)
def test_any_patch_on_any_grid(config: ModelConfig, grid: Grid, patch: tuple[int, ...]) -> None:
    made, x = network(replace(config, patch=patch), grid), fields(grid)
    out = made(x)
    assert out.shape == x.shape
    out.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in made.parameters())
    explicit = made(x, lambda _, weights: weights)
    torch.testing.assert_close(explicit, out, atol=2e-5, rtol=1e-4)


def test_tokens_of_a_convolution_know_two_cells_beyond_their_own() -> None:
    grid = Grid.regular(20)
    made = network(replace(CONVS["embed"], patch=(4,)), grid)
    x = fields(grid, 1).requires_grad_()
    made.embed(made.patches.tokenise(made.stem(x)))[0, 0].sum().backward()
    assert np.flatnonzero(x.grad[0].abs().sum(0) > 0).tolist() == [0, 1, 2, 3, 4, 5, 18, 19]


def test_cells_of_a_patch_start_alike() -> None:
    made = network(replace(CONVS["decode"], patch=(3,)), Grid.regular(12))
    tokens = torch.randn(1, 4, 32)
    cells = made.patches.assemble(made.decode.spread(tokens), 6).unflatten(2, (4, 3))
    assert torch.equal(cells, cells[..., :1].expand_as(cells))
    assert float(cells.detach().std()) > 0.1


def test_fields_over_the_pole_reach_the_stem_with_their_sign() -> None:
    grid = Grid.latlon(5, 8)
    kinds = Inputs((1,), (0.0,))
    config = replace(CONVS["both"], patch=(1, 2))
    signed, plain = (network(config, grid, k) for k in (kinds, None))
    x = fields(grid, 1)
    difference = (signed.stem.first(x) - plain.stem.first(x)).abs().amax((0, 1, 3))
    assert (difference > 0).tolist() == [True, False, False, False, True]
    x[:, 1] = 0
    torch.testing.assert_close(signed(x), plain(x))


def heated(steps: int, **how: str) -> tuple[float, float, float]:
    """Imprint of the patches untrained and trained, and the error: u(x, t + 1) of u_t + 1.3 u_x = 0.3 u_xx, exact."""
    n, grid = 32, Grid.regular(32)
    wave = torch.arange(n // 2 + 1)
    symbol = torch.exp(-2j * torch.pi * 1.3 * wave / n - 0.3 * (2 * torch.pi * wave / n) ** 2)
    rough = torch.randn(192, 1, n, generator=torch.Generator().manual_seed(1))
    u = torch.fft.irfft(torch.fft.rfft(rough) * torch.exp(-((wave / 6.0) ** 2)), n)
    u = u / u.std()
    v = torch.fft.irfft(torch.fft.rfft(u) * symbol, n)
    unit = (v - u).std()
    torch.manual_seed(2)
    config = ModelConfig(preset="mini", patch=(4,), width=32, depth=1, heads=2, channels=12, **how)
    step = ModelStep(config, grid, Channels(("u",)), 1.0, torch.zeros(1), torch.ones(1), unit.reshape(1))
    quiet = torch.zeros(1, 1, n, dtype=torch.float64)
    ends = (step.network.decode.weight, step.network.skip.weight)
    for weight in ends:
        torch.nn.init.normal_(weight, std=0.02)
    untrained = float(bloch(step.double(), quiet, (4,)).imprint)
    step.float()
    for weight in ends:
        torch.nn.init.zeros_(weight)
    optimiser = torch.optim.AdamW(step.parameters(), 4e-3)
    for _ in range(steps):
        chosen = torch.randint(160, (16,))
        loss = ((step(u[chosen]) - v[chosen]) / unit).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        error = float(((step(u[160:]) - v[160:]) / unit).square().mean())
    return untrained, float(bloch(step.double(), quiet, (4,)).imprint), error


def test_a_convolutional_decoder_leaves_less_of_the_patches() -> None:
    linear, conv, both = (
        heated(120, **how) for how in ({}, {"decode": "conv"}, {"embed": "conv", "decode": "conv"})
    )
    assert conv[0] < 0.5 * linear[0]
    assert conv[1] < 0.7 * linear[1]
    assert both[0] < 0.02
    assert both[1] < 0.04
    assert both[2] < conv[2] < linear[2]


def test_kernels_decay_as_matrices_do() -> None:
    made = network(CONVS["both"], Grid.regular((4, 6)))
    decayed = {id(p) for p in decayed_groups(made, 0.1)[0]["params"]}
    kernels = [p for name, p in made.named_parameters() if name.endswith("conv.weight")]
    assert len(kernels) == 5
    assert decayed >= {id(p) for p in kernels}
    assert id(made.decode.last.bias) not in decayed


def winds(gaps: bool) -> Fields:
    """Eastward and northward wind on the sphere, with a hole where there are ``gaps``."""
    rng = np.random.default_rng(3)
    values = (4 + 3 * rng.standard_normal((2, 7, 6, 10)).cumsum(1)).astype("f4")
    if gaps:
        values[:, :, 2:4, 3:7] = np.nan
    coords = {
        "time": np.datetime64("2001-02-03", "ns") + np.arange(7) * np.timedelta64(6, "h"),
        "lat": ("lat", np.linspace(75, -75, 6), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(10) * 36.0, {"units": "degrees_east"}),
    }
    names = {"u": "eastward_wind", "v": "northward_wind"}
    arrays = {
        name: (("time", "lat", "lon"), field, {"units": "m s-1", "standard_name": names[name]})
        for name, field in zip(names, values, strict=True)
    }
    return load(xr.Dataset(arrays, coords))


@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "gaps"])
def test_a_model_of_winds_is_the_same_after_it_is_written(tmp_path: Path, gaps: bool) -> None:
    data = winds(gaps)
    config = replace(CONVS["both"], patch=(2, 5))
    description = Description.of(config, DataConfig(), data)
    assert description.channels.vector == ("u", "v")
    model = checkpoint.build(description, compute(data))
    torch.nn.init.normal_(model.network.decode.weight)
    checkpoint.save(tmp_path / "m.safetensors", model, description)
    again, described = checkpoint.load(tmp_path / "m.safetensors")
    assert described == description
    state = torch.tensor(data.values[:, 0])
    after = again(state)
    torch.testing.assert_close(after, model(state), equal_nan=True, rtol=0, atol=0)
    assert torch.isnan(after).any() == gaps
    zero = (-2 * model.mean / model.std).flatten()
    torch.testing.assert_close(again.network.skip.pad.twice_zero.flatten()[:2], zero)
