"""Allen-Cahn, Gray-Scott, FitzHugh-Nagumo: fronts, states at rest, invariants and special cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import AllenCahn, Diffusion, FitzHughNagumo, GrayScott, Solver
from gridvit.rollout import rollout


def batch(*fields: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(fields))[None]


def invasion(x: np.ndarray, t: float, D: float, r: float) -> np.ndarray:
    """The phase 1 invades 0 at the speed 3 sqrt(r D / 2)."""
    return (1 - np.tanh((x - 3 * np.sqrt(r * D / 2) * t) * np.sqrt(r / (8 * D)))) / 2


@pytest.mark.parametrize(("accuracy", "order"), [(2, 2), (4, 4), (6, 6)])
def test_travelling_front_of_allen_cahn(accuracy, order):
    errors = []
    for n in (72, 144):
        grid = Grid.regular(n, 48.0, periodic=False, origin=-24.0)
        x = grid.centers[0]
        solver = Solver(AllenCahn(0.8, 1.1), grid, 2.0, "etdrk4", 64, accuracy, "neumann")
        after = solver(batch(invasion(x, 0, 0.8, 1.1)))[0, 0].numpy()
        errors.append(np.abs(after - invasion(x, 2.0, 0.8, 1.1)).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.4)


def test_front_at_rest():
    """tanh(x sqrt(r / (2 D)))."""
    errors = []
    for n in (80, 160):
        grid = Grid.regular(n, 20.0, periodic=False, origin=-10.0)
        front = np.tanh(grid.centers[0] * np.sqrt(1.2 / 1.0))
        change = AllenCahn(0.5, 1.2).rhs(grid, boundary="neumann")(batch(front))
        errors.append(float(change.abs().max()))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.15)


def test_allen_cahn_loses_energy_and_stays_between_the_phases(rng):
    grid, u = Grid.regular((9, 8)), torch.from_numpy(rng.uniform(-1, 1, (1, 1, 9, 8)))
    equation = AllenCahn(0.7, 1.0)
    frames = rollout(Solver(equation, grid, equation.stable_step(grid), "ssprk3"), u, 30)[0, :, 0]
    slopes = (frames.roll(-1, 1) - frames) ** 2 + (frames.roll(-1, 2) - frames) ** 2
    energy = (0.7 * slopes / 2 + (1 - frames**2) ** 2 / 4).sum((1, 2))
    assert (energy.diff() < 0).all()
    assert frames.abs().max() <= 1


def test_a_spot_shrinks_by_its_curvature():
    """The area of a disc falls at the rate 2 pi D, whatever its size, where fronts are thin."""
    grid = Grid.regular((96, 96), (48.0, 48.0))
    y, x = np.meshgrid(*(c - 24 for c in grid.centers), indexing="ij")
    disc = np.tanh((14 - np.hypot(x, y)) * np.sqrt(2.0 / 2))
    frames = rollout(Solver(AllenCahn(1.0, 2.0), grid, 10.0, "etdrk4", 100), batch(disc), 2)[0, :, 0].numpy()
    areas = ((frames + 1) / 2).sum((1, 2)) * 0.25
    assert (areas[1] - areas[2]) / 10 == pytest.approx(2 * np.pi, rel=0.03)


def test_gray_scott_without_v_is_fed_diffusion():
    """u - 1 decays as exp(-(F + D_u k^2) t)."""
    grid = Grid.regular(16, 2 * np.pi)
    x, equation = grid.centers[0], GrayScott(0.3, 0.1, 0.2, 0.05)
    after = Solver(equation, grid, 3.0, "etdrk4", accuracy="spectral")(batch(1 + np.cos(2 * x), 0 * x))[
        0
    ].numpy()
    np.testing.assert_allclose(after[0], 1 + np.exp(-3 * (0.2 + 1.2)) * np.cos(2 * x), atol=1e-12)
    assert not after[1].any()


def test_gray_scott_at_rest():
    """u v = F + k and F (1 - u) = (F + k) v: u = (1 - sqrt(1 - 4 (F + k)^2 / F)) / 2."""
    F, k = 0.04, 0.05
    u = (1 - np.sqrt(1 - 4 * (F + k) ** 2 / F)) / 2
    v = (1 - u) * F / (F + k)
    state = batch(np.full((5, 6), u), np.full((5, 6), v))
    assert GrayScott(feed=F, kill=k).rhs(Grid.regular((5, 6)))(state).abs().max() < 1e-16


def test_gray_scott_balance(rng):
    """What u loses to v, v gains: the sum of both changes by feed and kill alone."""
    state = torch.from_numpy(rng.uniform(0, 1, (2, 2, 7, 6)))
    change = GrayScott(feed=0.03, kill=0.06).rhs(Grid.regular((7, 6)))(state)
    u, v = state.sum((2, 3)).unbind(1)
    torch.testing.assert_close(change.sum((1, 2, 3)), 0.03 * (42 - u) - 0.09 * v)


def test_a_patch_divides():
    """Pearson's pattern of dividing spots: one patch becomes several."""
    grid = Grid.regular((48, 48))
    v = np.zeros((48, 48))
    v[20:28, 20:26] = 0.5
    solver = Solver(GrayScott(0.16, 0.08, 0.035, 0.065), grid, 900.0, "etdrk4", 300)
    after = rollout(solver, batch(1 - v, v / 2), 2)
    spots = [ndimage.label(frame > 0.15)[1] for frame in after[0, :, 1].numpy()]
    assert spots[0] == 1
    assert spots[1] >= 2
    assert spots[2] >= 4


def test_fitzhugh_nagumo_without_recovery_is_allen_cahn(rng):
    grid, u = Grid.regular((7, 6)), torch.from_numpy(rng.standard_normal((1, 1, 7, 6)))
    both = torch.cat([u, torch.zeros_like(u)], dim=1)
    ours = Solver(FitzHughNagumo(0.4, 0.0, recovery=0.0), grid, 0.5, substeps=5)(both)
    torch.testing.assert_close(ours[:, :1], Solver(AllenCahn(0.4, 1.0), grid, 0.5, substeps=5)(u))
    assert not ours[:, 1:].any()


def test_fitzhugh_nagumo_small_waves():
    """Around 0 a wave follows exp(t [[1 - D_u k^2, -1], [e, -D_v k^2 - e g]])."""
    grid = Grid.regular(16, 2 * np.pi)
    x, t = grid.centers[0], 1.5
    matrix = np.array([[1 - 0.2 * 4, -1], [0.3, -0.1 * 4 - 0.3 * 0.5]])
    rates, vectors = np.linalg.eig(matrix)
    grown = (vectors @ np.diag(np.exp(t * rates)) @ np.linalg.inv(vectors)).real @ [1.0, 0.5]
    solver = Solver(FitzHughNagumo(0.2, 0.1, 0.3, 0.5), grid, t, "etdrk4", 40, "spectral")
    after = solver(1e-6 * batch(np.cos(2 * x), 0.5 * np.cos(2 * x)))[0].numpy() / 1e-6
    np.testing.assert_allclose(after, grown[:, None] * np.cos(2 * x), atol=1e-6)


def test_fitzhugh_nagumo_at_rest():
    """u = g v and u - u^3 - v + k = 0."""
    u, g = 0.6, 2.0
    k = u**3 - u + u / g
    state = batch(np.full(6, u), np.full(6, u / g))
    assert FitzHughNagumo(decay=g, stimulus=k).rhs(Grid.regular(6))(state).abs().max() < 1e-15


def test_without_reaction_it_is_diffusion(rng):
    grid, u = Grid.regular((5, 8)), torch.from_numpy(rng.standard_normal((2, 1, 5, 8)))
    torch.testing.assert_close(AllenCahn(0.3, 0.0).rhs(grid)(u), Diffusion(0.3).rhs(grid)(u))
    both = torch.cat([0 * u, u], dim=1)
    torch.testing.assert_close(GrayScott(0.1, 0.3, 0, 0).rhs(grid)(both)[:, 1:], Diffusion(0.3).rhs(grid)(u))


def test_refusals():
    with pytest.raises(
        InputError, match=r"expected a rate of zero or more, got -1\.0: correct its sign or size"
    ):
        AllenCahn(1.0, -1.0)
    with pytest.raises(InputError, match=r"expected a kill of zero or more, got -0\.1"):
        GrayScott(kill=-0.1)
    with pytest.raises(InputError, match="expected a recovery of zero or more, got inf"):
        FitzHughNagumo(recovery=float("inf"))
    with pytest.raises(InputError, match="expected the variables u, v of GrayScott in 2 dimensions, got 1"):
        GrayScott().rhs(Grid.regular((5, 7)))(torch.zeros(1, 1, 5, 7))
