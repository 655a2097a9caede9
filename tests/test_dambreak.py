"""Dam breaks against Stoker's and Ritter's solutions, water at rest, mass, order and positivity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import DamBreak, ShallowWater, Solver
from gridvit.physics.dambreak import LIMITERS, hll
from gridvit.rollout import repeat, rollout


def batch(*fields: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(fields))[None]


def stoker(x: np.ndarray, t: float, left: float, right: float) -> np.ndarray:
    """Depth after a dam at 0 between two depths breaks (g = 1): rarefaction, middle state, bore."""
    cl = np.sqrt(left)

    def mismatch(h: float) -> float:
        return 2 * (cl - np.sqrt(h)) - (h - right) * np.sqrt((h + right) / (2 * h * right))

    h = brentq(mismatch, right, left)
    u = 2 * (cl - np.sqrt(h))
    bore = h * u / (h - right)
    fan = (2 * cl - x / t) ** 2 / 9
    pieces = [x < -cl * t, x < (u - np.sqrt(h)) * t, x < bore * t]
    return np.select(pieces, [left + 0 * x, fan, h + 0 * x], right)


def ritter(x: np.ndarray, t: float, left: float) -> np.ndarray:
    """Depth over a dry bed (g = 1)."""
    cl = np.sqrt(left)
    return np.select([x < -cl * t, x < 2 * cl * t], [left + 0 * x, (2 * cl - x / t) ** 2 / 9], 0.0)


def broken(n: int, right: float, limiter: str, name: str = "ssprk3") -> tuple[np.ndarray, np.ndarray]:
    """x and depth at t = 2 from depths 1 and ``right``."""
    grid = Grid.regular(n, 10.0, periodic=False, origin=-5.0)
    x = grid.centers[0]
    start = batch(np.where(x < 0, 1.0, right), 0 * x)
    after = Solver(DamBreak(limiter=limiter), grid, 2.0, name, n // 2, boundary="open")(start)
    return x, after[0, 0].numpy()


@pytest.mark.parametrize(("limiter", "least"), [("none", 0.65), ("minmod", 0.85), ("van-leer", 0.85)])
def test_stoker(limiter, least):
    """The mean error falls nearly as h, bore and all."""
    errors = []
    for n in (100, 200):
        x, h = broken(n, 0.2, limiter)
        errors.append(np.abs(h - stoker(x, 2.0, 1.0, 0.2)).mean())
    assert errors[1] < (0.012 if limiter == "none" else 0.003)
    assert least < np.log2(errors[0] / errors[1]) < 1.4


@pytest.mark.parametrize("limiter", LIMITERS)
def test_ritter_over_a_dry_bed(limiter):
    errors = []
    for n in (100, 200):
        x, h = broken(n, 0.0, limiter)
        assert h.min() >= 0
        errors.append(np.abs(h - ritter(x, 2.0, 1.0)).mean())
    assert errors[1] < (0.011 if limiter == "none" else 0.004)
    assert np.log2(errors[0] / errors[1]) > (0.5 if limiter == "none" else 0.6)


def test_bores_do_not_overshoot():
    """And are a few cells thick."""
    _, h = broken(160, 0.2, "minmod")
    assert h.max() <= 1 + 1e-12
    assert h.min() >= 0.2 - 1e-12
    assert 0 < ((h > 0.22) & (h < 0.45)).sum() <= 4


@pytest.mark.parametrize(("limiter", "order"), [("none", 1), ("van-leer", 2)])
def test_order_on_a_simple_wave(limiter, order):
    """u = 2 (sqrt(h) - 1): h moves at the speed 3 sqrt(h) - 2, along characteristics, until it breaks."""
    errors = []
    for n in (100, 200):
        grid = Grid.regular(n, 2 * np.pi)
        x, t = grid.centers[0], 0.5

        def depth(x0: np.ndarray) -> np.ndarray:
            return (1 + 0.1 * np.sin(x0)) ** 2

        feet = [brentq(lambda f: f + (3 * np.sqrt(depth(f)) - 2) * t - p, p - 3, p + 3) for p in x]  # noqa: B023
        h = depth(x)
        start = batch(h, h * 2 * (np.sqrt(h) - 1))
        after = Solver(DamBreak(limiter=limiter), grid, t, "ssprk3", n // 4)(start)[0, 0].numpy()
        errors.append(np.abs(after - depth(np.array(feet))).mean())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize("limiter", LIMITERS)
def test_water_at_rest_stays(limiter):
    """Between walls and over wet and dry cells of no slope."""
    grid = Grid.regular((5, 6), periodic=(False, True))
    state = torch.cat([torch.full((1, 1, 5, 6), 0.7), torch.zeros(1, 2, 5, 6)], dim=1).double()
    assert DamBreak(9.81, limiter).rhs(grid, boundary="wall")(state).abs().max() < 1e-14
    assert DamBreak(9.81, limiter).rhs(grid, boundary="wall")(0 * state).abs().max() == 0


@pytest.mark.parametrize("limiter", LIMITERS)
@pytest.mark.parametrize("name", ["euler", "heun", "ssprk3"])
def test_mass_and_positive_depth_within_the_stable_step(limiter, name, rng):
    grid = Grid.regular((8, 7), periodic=(False, True))
    h = torch.from_numpy(rng.uniform(0, 1, (2, 1, 8, 7)) * (rng.uniform(size=(2, 1, 8, 7)) > 0.4))
    state = torch.cat([h, 0.3 * h, -0.2 * h], dim=1)
    equation = DamBreak(1.0, limiter)
    frames = rollout(
        Solver(equation, grid, equation.stable_step(grid, 3.5), name, boundary="wall"), state, 30
    )
    assert frames[:, :, 0].min() >= 0
    totals = frames[:, :, 0].sum((2, 3))
    torch.testing.assert_close(totals, totals[:, :1].expand_as(totals))


def test_momentum_is_kept_on_a_periodic_plane(rng):
    grid = Grid.regular((7, 8))
    state = torch.from_numpy(rng.uniform(0.5, 1, (2, 3, 7, 8)))
    change = DamBreak().rhs(grid)(state)
    assert change.sum((2, 3)).abs().max() < 1e-13
    assert change.abs().max() > 0.05


def test_axes_are_alike(rng):
    """A dam along y breaks as one along x, with both momenta changed over."""
    state = torch.from_numpy(rng.uniform(0.2, 1, (1, 3, 6, 6)))
    turned = state[:, [0, 2, 1]].mT
    grid = Grid.regular((6, 6), periodic=False)
    one, other = (DamBreak().rhs(grid, boundary="wall")(s) for s in (state, turned))
    torch.testing.assert_close(one[:, [0, 2, 1]].mT, other)


def test_a_plane_dam_is_a_line_dam(rng):
    line, plane = Grid.regular(9, periodic=False), Grid.regular((4, 9), periodic=(True, False))
    state = torch.from_numpy(rng.uniform(0.2, 1, (2, 2, 9)))
    wide = torch.cat([state, torch.zeros(2, 1, 9)], dim=1)[:, :, None].expand(2, 3, 4, 9).contiguous()
    alone = DamBreak().rhs(line, boundary="wall")(state)
    both = DamBreak().rhs(plane, boundary="wall")(wide)
    torch.testing.assert_close(both[:, :2], alone[:, :, None].expand(2, 2, 4, 9))
    assert both[:, 2].abs().max() == 0


def test_flux_of_equal_states_is_the_flux():
    """(h u, h u^2 + g h^2 / 2, h u v)."""
    water = torch.tensor([0.8, -0.3, 0.5], dtype=torch.float64)[None, :, None]
    expected = [0.8 * -0.3, 0.8 * 0.09 + 2 * 0.64 / 2, 0.8 * -0.3 * 0.5]
    assert hll(water, water, 1, 2.0).flatten().tolist() == pytest.approx(expected)


def test_fast_flow_takes_its_flux_from_upwind():
    left, right = torch.tensor([1.0, 3.0])[None, :, None], torch.tensor([0.5, 2.5])[None, :, None]
    assert hll(left, right, 1, 1.0).flatten().tolist() == pytest.approx([3.0, 9.5])
    back = hll(right * torch.tensor([1.0, -1.0])[:, None], left * torch.tensor([1.0, -1.0])[:, None], 1, 1.0)
    assert back.flatten().tolist() == pytest.approx([-3.0, 9.5])


def test_limiters_by_hand():
    a, b = torch.tensor([1.0, 3.0, -1.0, -2.0, 0.0]), torch.tensor([2.0, 1.0, 1.0, -4.0, 1.0])
    assert LIMITERS["minmod"](a, b).tolist() == [1, 1, 0, -2, 0]
    assert LIMITERS["van-leer"](a, b).tolist() == pytest.approx([4 / 3, 1.5, 0, -8 / 3, 0])
    assert LIMITERS["none"](a, b).tolist() == [0] * 5


def test_small_waves_are_those_of_shallow_water():
    grid = Grid.regular((5, 96), (5.0, 2 * np.pi))
    x = np.broadcast_to(grid.centers[1], grid.shape)
    e = 1e-6
    broken = Solver(DamBreak(2.0, "van-leer"), grid, 1.0, "ssprk3", 60)(
        batch(1 + e * np.sin(x), 0 * x, 0 * x)
    )
    smooth = Solver(ShallowWater(2.0, 1.0), grid, 1.0, "etdrk4", 30, "spectral")(
        batch(e * np.sin(x), 0 * x, 0 * x)
    )
    torch.testing.assert_close((broken[:, 0] - 1) / e, smooth[:, 0] / e, atol=0.02, rtol=0)


def test_a_bore_returns_from_a_wall():
    grid = Grid.regular(50, 5.0, periodic=False)
    x = grid.centers[0]
    start = batch(np.where(x < 1, 1.0, 0.5), 0 * x)
    after = repeat(Solver(DamBreak(), grid, 0.05, boundary="wall"), start, 140)
    assert float(after[0, 0].sum()) == pytest.approx(float(start[0, 0].sum()))
    assert after[0, 1].min() < -0.05


def test_refusals():
    grid = Grid.regular(5, periodic=False)
    with pytest.raises(
        InputError, match="expected one of the limiters minmod, van-leer, none, got 'vanleer': use"
    ):
        DamBreak(limiter="vanleer")
    with pytest.raises(
        InputError, match='expected the boundary "wall" or "open" for water, got \'dirichlet\': choo'
    ):
        DamBreak().rhs(grid, boundary="dirichlet")
    with pytest.raises(InputError, match="expected the variables h, hu of DamBreak in 1 dimensions, got 1"):
        DamBreak().rhs(grid)(torch.zeros(1, 1, 5))
    with pytest.raises(InputError, match="expected one or two dimensions for DamBreak, got 3"):
        DamBreak().rhs(Grid.regular((3, 4, 5)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("limiter", LIMITERS)
def test_derivatives_over_a_dry_bed_are_those_of_differences(limiter, dtype):
    """Of the squares of the depth after a dam of depth a has run over 25 dry cells, with respect to a."""
    grid = Grid.regular(37, periodic=False)
    solver = Solver(DamBreak(limiter=limiter), grid, 6.0, "ssprk3", 30)

    def squares(a: torch.Tensor) -> torch.Tensor:
        depth = torch.where(torch.arange(37) < 12, a, torch.zeros(37, dtype=a.dtype))
        return (solver(torch.stack([depth, torch.zeros_like(depth)])[None])[:, 0] ** 2).sum()

    a = torch.tensor(1.0, dtype=dtype, requires_grad=True)
    squares(a).backward()
    with torch.no_grad():
        above, below = (squares(torch.tensor(1 + e, dtype=torch.float64)) for e in (1e-4, -1e-4))
    assert float(a.grad) == pytest.approx(float(above - below) / 2e-4, rel=2e-3)


def test_derivatives_in_two_dimensions_are_finite():
    state = torch.zeros(1, 3, 11, 8, dtype=torch.float64)
    state[:, 0, :4] = 1
    state.requires_grad_()
    solver = Solver(DamBreak(), Grid.regular((11, 8), periodic=(False, True)), 2.0, "ssprk3", 12)
    solver(state).square().sum().backward()
    assert torch.isfinite(state.grad).all()
    assert state.grad[:, 0, 4:].abs().max() < 100
