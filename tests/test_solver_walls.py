"""Walls of every equation that allows them: half of a periodic domain whose other half is the mirror image."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import (
    TABLEAUX,
    Advection,
    AdvectionDiffusion,
    AllenCahn,
    Burgers,
    DamBreak,
    Diffusion,
    Equation,
    FitzHughNagumo,
    GrayScott,
    KortewegDeVries,
    KuramotoSivashinsky,
    Semilinear,
    ShallowWater,
    Solver,
    Vorticity,
    Wave,
)
from gridvit.physics.vorticity import streamfunction
from gridvit.stencil import modes

ODD, EVEN = -1, 1
# The sign of each variable's image beyond a wall along the first axis
CASES: list[tuple[Equation, str, int, tuple[int, ...]]] = [
    (Diffusion(0.3), "dirichlet", 2, (ODD,)),
    (Diffusion(0.3), "neumann", 2, (EVEN,)),
    (Wave(1.2), "dirichlet", 2, (ODD, ODD)),
    (Wave(1.2), "neumann", 1, (EVEN, EVEN)),
    (AllenCahn(0.3), "dirichlet", 2, (ODD,)),
    (AllenCahn(0.3), "neumann", 1, (EVEN,)),
    (FitzHughNagumo(0.4, 0.1, 0.3), "dirichlet", 1, (ODD, ODD)),
    (FitzHughNagumo(0.4, 0.1, 0.3, stimulus=0.2), "neumann", 2, (EVEN, EVEN)),
    (GrayScott(0.2, 0.1), "neumann", 2, (EVEN, EVEN)),
    (KuramotoSivashinsky(0.2, 0.5), "neumann", 2, (EVEN,)),
    (KuramotoSivashinsky(0.2, 0.5, "slope"), "dirichlet", 1, (ODD,)),
    (Burgers(0.2, "central"), "dirichlet", 1, (ODD,)),
    (Burgers(0.2), "wall", 2, (EVEN, ODD)),
    (Burgers(0.2, "central"), "wall", 2, (EVEN, ODD)),
    (Vorticity(0.1), "dirichlet", 2, (ODD,)),
    (ShallowWater(viscosity=0.1), "wall", 2, (EVEN, EVEN, ODD)),
    (DamBreak(), "wall", 2, (EVEN, EVEN, ODD)),
    (DamBreak(limiter="van-leer"), "wall", 1, (EVEN, ODD)),
]
METHODS = [("rk4", 2), ("rk4", 4), ("etdrk4", 2), ("etdrk4", "spectral"), ("ars443", 4)]


@pytest.mark.parametrize(("method", "accuracy"), METHODS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{type(c[0]).__name__} {c[1]} {c[2]}-D")
def test_a_wall_is_a_mirror(case: tuple, method: str, accuracy: int | str, rng: np.random.Generator) -> None:
    equation, boundary, ndim, signs = case
    if (method not in TABLEAUX and not isinstance(equation, Semilinear)) or (
        accuracy == "spectral" and isinstance(equation, Burgers)
    ):
        return
    half, whole = (5, 6)[:ndim], (10, 6)[:ndim]
    u = 0.2 * torch.from_numpy(rng.standard_normal((2, len(signs), *half)))
    if isinstance(equation, DamBreak | GrayScott):
        u[:, 0] += 1
    image = u.flip(2) * torch.tensor(signs).reshape(1, -1, *[1] * ndim)
    bounded = Grid.regular(half, half, periodic=(False, True)[:ndim])
    walls = Solver(equation, bounded, 0.3, method, 5, accuracy, boundary)(u)
    free = Solver(equation, Grid.regular(whole, whole), 0.3, method, 5, accuracy)(
        torch.cat([u, image], dim=2)
    )
    assert float((walls - u).abs().max()) > 1e-3
    torch.testing.assert_close(walls, free[:, :, :5], atol=1e-12, rtol=0)


@pytest.mark.parametrize("method", ["rk4", "etdrk4", "ars443"])
@pytest.mark.parametrize("boundary", ["dirichlet", "neumann"])
def test_sines_and_cosines_are_exact(boundary: str, method: str) -> None:
    """sin(pi n x / L) between cold walls, cos between insulated ones: rates -4 D sin^2(pi n / 2 N) / h^2 of diffusion,
    frequencies 2 c sin(pi n / 2 N) / h of waves, both on 7 cells by 6."""
    shape = Grid.regular((7, 6), (3.5, 6.0), periodic=False)
    y, x = (np.pi * (np.arange(n) + 0.5) / n for n in (7, 6))
    one = np.sin if boundary == "dirichlet" else np.cos
    mode = one(2 * y)[:, None] * one(3 * x)
    square = 4 * np.sin(np.pi * 2 / 14) ** 2 / 0.25 + 4 * np.sin(np.pi * 3 / 12) ** 2
    u, close = torch.from_numpy(mode)[None, None], 1e-5 if method == "ars443" else 2e-7
    found = Solver(Diffusion(0.1), shape, 1.0, method, 60, boundary=boundary)(u)
    torch.testing.assert_close(found, np.exp(-0.1 * square) * u, atol=close, rtol=0)
    both = Solver(Wave(0.7), shape, 1.0, method, 60, boundary=boundary)(torch.cat([u, 0 * u], dim=1))
    w = 0.7 * np.sqrt(square)
    torch.testing.assert_close(
        both, torch.cat([np.cos(w) * u, -w * np.sin(w) * u], dim=1), atol=close, rtol=0
    )


def test_flow_along_walls_of_advection_is_that_of_the_open_plane() -> None:
    """Walls beside a flow: every row is carried alike, and by its own exact factor."""
    grid = Grid.regular((5, 12), (5.0, 12.0), periodic=(False, True))
    x = 2 * np.pi * grid.centers[1] / 12
    u = torch.from_numpy(np.broadcast_to(np.sin(x), (5, 12)).copy())[None, None]
    found = Solver(AdvectionDiffusion((0.0, 0.8), 0.1), grid, 1.0, "rk4", 40, "spectral", "neumann")(u)
    k = 2 * np.pi / 12
    expected = np.broadcast_to(np.exp(-0.1 * k**2) * np.sin(x - 0.8 * k), (5, 12))
    np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=1e-8)


@pytest.mark.parametrize("accuracy", [2, 4])
def test_between_free_slip_walls_enstrophy_and_energy_are_kept(
    accuracy: int, rng: np.random.Generator
) -> None:
    grid = Grid.regular((7, 8), (5.0, 6.0), periodic=(False, True))
    w = torch.from_numpy(rng.standard_normal((2, 1, 7, 8)))
    change = Vorticity(0.0).rhs(grid, accuracy, "dirichlet")(w)
    for weight in (w, streamfunction(grid, accuracy, "dirichlet")(w)):
        assert (weight * change).sum((2, 3)).abs().max() < 1e-12
    assert change.abs().max() > 0.1


# --- limits of the step


LINEAR = [
    (Diffusion(1.0), (16,)),
    (Advection((1.0, -0.5)), (11, 12)),
    (AdvectionDiffusion((1.0, -0.5), ((0.2, 0.1), (0.1, 0.1))), (11, 12)),
    (Wave(1.3), (12, 12)),
    (KortewegDeVries(1.0), (64,)),
    (KuramotoSivashinsky(), (14, 16)),
    (ShallowWater(2.0, viscosity=0.1), (15, 16)),
    (FitzHughNagumo(0.4, 1.0), (16,)),
    (Burgers(0.7), (16,)),
]


@pytest.mark.parametrize("accuracy", [2, 4, 6, "spectral"])
@pytest.mark.parametrize(("equation", "shape"), LINEAR, ids=lambda c: type(c).__name__)
def test_the_stable_step_of_high_orders_lets_no_wave_outgrow_its_rate(
    equation: Semilinear, shape: tuple[int, ...], accuracy: int | str
) -> None:
    """|P(dt lambda)| <= max(1, |e^(dt lambda)|) for all waves; of eight times the step it is not."""
    grid = Grid.regular(shape)
    rates = np.linalg.eigvals(equation.linear(len(shape)).symbol(modes(shape), grid, accuracy))
    dt = equation.stable_step(grid, 0.0, accuracy)

    def excess(z: np.ndarray, method: str) -> float:
        return float((np.abs(TABLEAUX[method].amplification(z)) / np.exp(np.maximum(z.real, 0))).max())

    for method in ("ssprk3", "rk4"):
        assert excess(dt * rates, method) < 1 + 1e-3 * (dt * rates.real.max() > 1e-9) + 1e-12
        assert excess(8 * dt * rates, method) > 1.1


@pytest.mark.parametrize("boundary", ["wall", "neumann"])
def test_vorticity_is_refused_walls_that_its_flow_would_go_through(boundary: str) -> None:
    grid = Grid.regular((6, 7), periodic=(False, True))
    sentence = f"the boundary \"dirichlet\" for vorticity, which is free slip, got '{boundary}': choose it"
    with pytest.raises(InputError, match=f"expected {sentence}"):
        Solver(Vorticity(), grid, 0.1, boundary=boundary)(torch.zeros(1, 1, 6, 7))


BAD = {
    "burgers --parameters.viscosity fast": "expected a number for the viscosity, got 'fast': give one number",
    "burgers --parameters.viscosity [1,2]": "expected a number for the viscosity, got [1, 2]: give one number",
    "wave --parameters.speed null": "expected a number for the speed, got None: give one number",
    "advection --parameters.velocity fast": "expected a number for each coefficient, got 'fast': give one number",
    "diffusion --parameters.diffusivity [[1,2],[3]]": "expected a diffusivity of 1, 2 or, symmetric, 2 x 2 numbers, "
    "not negative, got ((1.0, 2.0), (3.0,)): correct it; the order is that of the grid's axes",
    "advection --parameters.velocity [[1,2],[3]]": "expected a finite velocity with 2 components, one for each axis of "
    "the grid, got ((1.0, 2.0), (3.0,)): give them in the order of the grid's axes",
    "burgers --parameters.flux 3": "expected one of the fluxes engquist-osher, central, got 3: use 'engquist-osher'",
    "vorticity --boundary wall": "expected the boundary \"dirichlet\" for vorticity, which is free slip, got 'wall': "
    "choose it",
}


def test_words_in_place_of_numbers_are_refused_in_a_sentence(tmp_path: Path) -> None:
    """In a process of its own, since here the types in the signatures would speak first."""
    commands = [["simulate", *words.split(), "--samples", "1", "--out", "u.nc"] for words in BAD]
    program = f"from gridvit.cli import main\nfor c in {commands}: print(main(c), flush=True)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["2"] * len(BAD)
    assert done.stderr.splitlines() == [f"gridvit: {sentence}" for sentence in BAD.values()]
    assert not list(tmp_path.iterdir())
