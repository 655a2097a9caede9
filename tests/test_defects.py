"""Defects of steps whose rules, kept and broken, are known by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_bloch import Dense, patch_periodic
from test_probe import Handmade, noise

from gridvit.analysis.bloch import bloch
from gridvit.analysis.defects import stencil_defects, step_defects
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.equations import AdvectionDiffusion, Burgers
from gridvit.physics.schemes import SCHEMES
from gridvit.physics.solve import Solver
from gridvit.stencil import Stencil


def test_a_linear_scheme_keeps_all_but_reflections() -> None:
    grid = Grid.regular((6, 10))
    step = SCHEMES["upwind"](AdvectionDiffusion(velocity=(0.0, 0.3), diffusivity=0.1), grid, 1.0)
    found = step_defects(step, noise(grid), (2, 5))
    for name in ("mass_defect", "shift_defect", "patch_shift_defect", "semilinearity_defect"):
        np.testing.assert_allclose(found[name], 0, atol=1e-14)
        assert found[name].units == "1"
    assert float(found.reflection_defect.sel(axis="y")) < 1e-14
    # u' = D u + 0.3 (u(-1) - u): reflected and back, the neighbours change places
    u = noise(grid)
    after = step(u)
    want = 0.3 * (u.roll(-1, 3) - u.roll(1, 3)).norm() / after.norm()
    assert float(found.reflection_defect.sel(axis="x")) == pytest.approx(float(want), rel=1e-12)


def test_a_step_that_knows_its_patches_shows_shifts_by_a_cell_alone(rng: np.random.Generator) -> None:
    matrix = patch_periodic(rng, (12,), (3,))
    step = Dense(Grid.regular((12,)), matrix)
    u = noise(step.grid, 1)
    found = step_defects(step, u, (3,))
    shift = np.roll(np.eye(12), 1, axis=0)
    want = np.linalg.norm((matrix @ shift - shift @ matrix) @ u[0, 0].numpy()) / np.linalg.norm(
        matrix @ u[0, 0].numpy()
    )
    assert float(found.shift_defect[0]) == pytest.approx(want, rel=1e-12)
    assert float(found.patch_shift_defect[0]) < 1e-14
    assert float(found.mass_defect) == pytest.approx(np.abs(matrix.sum(axis=0) - 1).mean(), rel=1e-12)


def test_burgers_keeps_mass_and_is_not_semilinear() -> None:
    """F(u) = u + N(u, u): what is left of F(u / 2 + b) - F(u) / 2 - b is taken by hand."""
    n, dt = 17, 0.02
    grid = Grid.regular(n, 2.0)
    step = Solver(Burgers(viscosity=0.0, flux="central"), grid, dt, tableau="euler")
    u = noise(grid, 1)
    found = step_defects(step, u, (1,))
    assert float(found.mass_defect) < 1e-14
    v = u[0, 0].numpy()

    def burgers(w: np.ndarray) -> np.ndarray:
        flux = (w**2 / 2 + np.roll(w, -1) ** 2 / 2) / 2  # between a cell and the next
        return w - dt * n / 2.0 * (flux - np.roll(flux, 1))

    level = 0.5 * v.std(ddof=1)
    left = burgers(0.5 * v + level) - 0.5 * burgers(v) - level
    want = np.linalg.norm(left) / np.linalg.norm(burgers(v))
    np.testing.assert_allclose(step(u)[0, 0], burgers(v), atol=1e-14)
    assert float(found.semilinearity_defect) == pytest.approx(want, rel=1e-10)
    assert want > 0.01


def test_a_step_with_a_limiter_is_semilinear() -> None:
    """SCIENCE 12: van Leer's scheme as a two-token softmax of the state, F(a u + b) = a F(u) + b exactly."""

    def van_leer(u: torch.Tensor, c: float = 0.4) -> torch.Tensor:
        low, high = u - u.roll(1, -1), u.roll(-1, -1) - u
        ratio = low / high
        limited = (ratio + ratio.abs()) / (1 + ratio.abs())
        share = c * (1 + (1 - c) / 2 * (limited / ratio - limited.roll(1, -1)))
        logits = torch.stack([torch.log(share / (1 - share)), torch.zeros_like(share)])
        weights = torch.softmax(logits, 0)
        return weights[0] * u.roll(1, -1) + weights[1] * u

    grid = Grid.regular(31)
    u = torch.sin(2 * torch.pi * (torch.arange(31, dtype=torch.float64) + 0.37) / 31)[None, None]
    found = step_defects(Handmade(grid, van_leer), u, (1,))
    assert float(found.semilinearity_defect) < 1e-13
    squared = step_defects(Handmade(grid, lambda u: u.square()), u, (1,))
    assert float(squared.semilinearity_defect) > 0.1


def test_rows_tell_constants_odd_parts_and_directions() -> None:
    c = 0.3
    upwind = Stencil(
        np.array([[-1], [0]]), np.array([[[c, 1 - c], [c, 0.9 - c]]]), np.ones(1), ("state", "cell")
    )
    found = stencil_defects(upwind, (11,))
    assert float(found.constants_defect) == pytest.approx(0.1)
    mean = np.array([c, 0.95 - c])
    odd = np.sqrt(2 * (c / 2) ** 2)  # c / 2 at -1 and -c / 2 at +1
    assert float(found.odd_share) == pytest.approx(odd / np.linalg.norm(mean))
    assert np.isnan(found.anisotropy)


@pytest.mark.parametrize("shape", [(11, 12), (16, 16)])
def test_a_round_symbol_is_isotropic_wherever_it_goes(shape: tuple[int, int]) -> None:
    theta = np.stack(np.meshgrid(*(2 * np.pi * np.fft.fftfreq(n) for n in shape), indexing="ij"), -1)
    size = np.linalg.norm(theta, axis=-1)
    width = 2 * np.pi / min(shape)
    rings = np.exp(-np.round(size / width) / 5)
    moved = Stencil.from_symbol(rings * np.exp(-1j * theta @ np.array([1.0, -2.0])), np.ones(2))
    assert float(stencil_defects(moved, shape).anisotropy) < 1e-12
    along = Stencil(np.array([[0, -1], [0, 0], [0, 1]]), np.array([0.25, 0.5, 0.25]), np.ones(2))
    assert float(stencil_defects(along, shape).anisotropy) > 0.1


def test_energy_of_waves_together(rng: np.random.Generator) -> None:
    """SCIENCE 6: Crank-Nicolson advection keeps the energy of every field; upwind's defect is that of |G|^2."""
    n, c = 12, 0.3
    grid, equation = Grid.regular((n,)), AdvectionDiffusion(velocity=(c,), diffusivity=0.0)
    one, two = (
        bloch(SCHEMES[name](equation, grid, 1.0), torch.zeros(1, 1, n, dtype=torch.float64), (3,))
        for name in ("crank-nicolson", "upwind")
    )
    # Of the wave of two cells advection by central differences does nothing: |G| = 1 too.
    assert float(one.energy_defect) < 1e-13
    theta = 2 * np.pi * np.arange(n) / n
    want = np.sqrt(np.mean((4 * c * (1 - c) * np.sin(theta / 2) ** 2) ** 2))
    assert float(two.energy_defect) == pytest.approx(want, rel=1e-12)


def test_walls_are_refused() -> None:
    grid = Grid.regular((5,), periodic=False)
    with pytest.raises(
        InputError, match="expected a plane that is periodic along every axis, .*: use the probe alone"
    ):
        step_defects(Handmade(grid, lambda u: u), noise(grid), (1,))
