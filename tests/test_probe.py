"""The keystone: what the probe measures is the stencil that the step was made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from gridvit.analysis.probe import patch_cells, probe
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.equations import AdvectionDiffusion, Burgers
from gridvit.physics.schemes import SCHEMES
from gridvit.physics.solve import Solver
from gridvit.rollout import Context, Persistence
from gridvit.stencil import Stencil


@dataclass(frozen=True)
class Handmade:
    """A step from a plain function, so that the probe is tested without solvers."""

    grid: Grid
    function: Callable[[Tensor], Tensor]
    variables: tuple[str, ...] = ("u",)
    dt: float = 1.0

    def __call__(self, state: Tensor, context: Context | None = None) -> Tensor:
        after = self.function(state)
        return after if context is None else after * context.time.reshape(-1, *[1] * (state.ndim - 1))


def noise(grid: Grid, batch: int = 2, variables: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(batch, variables, *grid.shape, generator=generator, dtype=torch.float64)


def gap(measured: Stencil, known: Stencil) -> float:
    """The largest difference at any state and cell."""
    return float(np.abs((measured - known).weights).max())


EQUATIONS = {
    1: AdvectionDiffusion(velocity=(-0.7,), diffusivity=0.3),
    2: AdvectionDiffusion(velocity=(0.3, -0.5), diffusivity=((0.1, 0.04), (0.04, 0.2))),
}


@pytest.mark.parametrize("shape", [(11,), (12,), (5, 7), (6, 8), (7, 6)])
@pytest.mark.parametrize("name", SCHEMES)
def test_keystone_every_linear_scheme_gives_back_its_own_stencil(name: str, shape: tuple[int, ...]) -> None:
    grid = Grid.regular(shape, [0.5 * n * (a + 1) for a, n in enumerate(shape)])
    scheme = SCHEMES[name](EQUATIONS[len(shape)], grid, 0.2)
    cells = np.stack([np.zeros(len(shape), dtype=int), np.array(shape) - 1, np.array(shape) // 3])
    measured = probe(scheme, noise(grid), cells)
    assert (measured.dims, measured.weights.shape[:2]) == (("state", "cell"), (2, 3))
    np.testing.assert_allclose(measured.spacing, [0.5, 1.0][: len(shape)])
    assert gap(measured, scheme.stencil()) < 1e-12


@pytest.mark.parametrize("shape", [(5, 7), (4, 6)])
def test_a_sum_of_rolls(shape: tuple[int, int]) -> None:
    def rolls(u: Tensor) -> Tensor:
        # torch.roll by -d brings u(x + d) to x.
        return 2 * u + 3 * torch.roll(u, (-1, 2), (2, 3)) - 5 * torch.roll(u, 1, 2)

    step = Handmade(Grid.regular(shape), rolls)
    measured = probe(step, noise(step.grid).float())
    assert measured.offsets.tolist() == [[-1, 0], [0, 0], [1, -2]]
    assert measured.weights.tolist() == [[[-5, 2, 3]]] * 2


def test_half_the_domain_is_the_negative_offset_of_an_even_axis() -> None:
    step = Handmade(Grid.regular(6), lambda u: torch.roll(u, 3, -1))
    assert probe(step, noise(step.grid)).offsets.tolist() == [[-3]]


def test_a_system_mixes_its_variables() -> None:
    turn = torch.tensor([[0.6, -0.8, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 2.0]], dtype=torch.float64)
    step = Handmade(
        Grid.regular((3, 5)),
        lambda u: torch.einsum("oi,bi...->bo...", turn, torch.roll(u, -1, 3)),
        ("u", "v", "w"),
    )
    measured = probe(step, noise(step.grid, 2, 3), patch_cells((3, 2)))
    assert measured.weights.shape == (2, 6, 3, 3, 1)
    assert measured.offsets.tolist() == [[0, 1]]
    assert np.array_equal(measured.weights[1, 5, :, :, 0], turn.numpy())


def test_more_rows_than_one_backward_holds() -> None:
    grid = Grid.regular((7, 11))
    step = Handmade(grid, lambda u: u.square() + torch.roll(u, 1, 3))
    state = noise(grid)
    measured = probe(step, state, patch_cells(grid.shape))
    assert measured.offsets.tolist() == [[0, -1], [0, 0]]
    np.testing.assert_allclose(measured.weights[..., 1], 2 * state.reshape(2, -1), rtol=1e-15)
    assert (measured.weights[..., 0] == 1).all()


@pytest.mark.parametrize("n", [5, 6])
def test_walls(n: int) -> None:
    grid = Grid.regular((n, 3), periodic=(False, True))

    def second_difference(u: Tensor) -> Tensor:
        padded = torch.cat([-u[:, :, :1], u, u[:, :, -1:]], dim=2)  # dirichlet below, open above
        return padded[:, :, :-2] - 2 * u + padded[:, :, 2:]

    measured = probe(Handmade(grid, second_difference), noise(grid), np.array([[0, 0], [2, 1], [n - 1, 2]]))
    assert measured.offsets.tolist() == [[-1, 0], [0, 0], [1, 0]]
    assert measured.weights[1].tolist() == [[0, -3, 1], [1, -2, 1], [1, -1, 0]]


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "open"])
def test_a_bounded_scheme_gives_the_rows_of_its_matrix(boundary: str) -> None:
    grid = Grid.regular((5, 4), periodic=(False, True))
    scheme = SCHEMES["beam-warming"](EQUATIONS[2], grid, 0.2, boundary=boundary)
    cells = patch_cells(grid.shape)
    measured = probe(scheme, noise(grid, 1), cells).isel(state=0)
    dense = np.zeros((grid.size, grid.size))
    for cell, weights in enumerate(measured.weights):
        target = cells[cell] + measured.offsets
        inside = (target[:, 0] >= 0) & (target[:, 0] < 5)
        assert not weights[~inside].any()
        columns = np.ravel_multi_index((target[inside, 0], target[inside, 1] % 4), grid.shape)
        dense[cell, columns] = weights[inside]
    matrix = scheme.stencil().matrix(grid, boundary).toarray()
    np.testing.assert_allclose(dense, matrix, atol=1e-14)


def jacobian(measured: Stencil, n: int) -> np.ndarray:
    """The dense matrix of a 1-D periodic stencil measured at every cell."""
    dense = np.zeros((n, n))
    for cell, weights in enumerate(measured.weights):
        dense[cell, (cell + measured.offsets[:, 0]) % n] = weights
    return dense


@pytest.mark.parametrize("n", [13, 16])
def test_burgers_engquist_osher_identities(n: int) -> None:
    """SCIENCE 19."""
    grid, dt = Grid.regular(n, 2.0), 0.03
    step = Solver(Burgers(viscosity=0.0, flux="engquist-osher"), grid, dt, tableau="euler")
    state = noise(grid, 1)
    u, ratio = state[0, 0].numpy(), dt * n / 2.0
    j = jacobian(probe(step, state, patch_cells((n,))).isel(state=0), n)
    left, right = np.roll(u, 1), np.roll(u, -1)
    # SCIENCE A9: the flow enters from the left where it is positive, from the right where it is negative.
    want = np.diag(1 - ratio * np.abs(u))
    want[np.arange(n), np.arange(n) - 1] = ratio * np.maximum(left, 0)
    want[np.arange(n), (np.arange(n) + 1) % n] = -ratio * np.minimum(right, 0)
    np.testing.assert_allclose(j, want, atol=1e-14)
    np.testing.assert_allclose(j.sum(axis=0), 1, atol=1e-14)
    # F(u) = u + dt N(u) with N of degree two, so that J u = u + 2 dt N(u) = 2 F(u) - u.
    after = step(state)[0, 0].numpy()
    np.testing.assert_allclose(j @ u, 2 * after - u, atol=1e-14)


def test_a_limiter_scheme_is_its_own_jacobian_on_the_state() -> None:
    """SCIENCE 19: F(a u) = a F(u) gives J u = F(u) by Euler, though J has other weights than the scheme."""
    n, c = 19, 0.4

    def share(u: Tensor) -> Tensor:
        """Of the left neighbour, by van Leer's limiter phi of the slopes' ratio."""
        low, high = u - u.roll(1, -1), u.roll(-1, -1) - u
        ratio = low / high
        limited = (ratio + ratio.abs()) / (1 + ratio.abs())
        return c * (1 + (1 - c) / 2 * (limited / ratio - limited.roll(1, -1)))

    def van_leer(u: Tensor) -> Tensor:
        return share(u) * u.roll(1, -1) + (1 - share(u)) * u

    grid = Grid.regular(n)
    state = 2 + noise(grid, 1)
    j = jacobian(probe(Handmade(grid, van_leer), state, patch_cells((n,))).isel(state=0), n)
    u, own = state[0, 0].numpy(), share(state)[0, 0].numpy()
    np.testing.assert_allclose(j @ u, van_leer(state)[0, 0].numpy(), atol=1e-12)
    np.testing.assert_allclose(j.sum(axis=1), 1, atol=1e-12)  # and it carries constants
    weights = np.diag(1 - own)
    weights[np.arange(n), np.arange(n) - 1] = own
    assert np.abs(j - weights).max() > 0.1


def test_burgers_takes_its_information_from_upwind() -> None:
    n = 17
    grid = Grid.regular(n)
    step = Solver(Burgers(viscosity=0.0, flux="engquist-osher"), grid, 0.1, tableau="euler")
    u = np.sin(2 * np.pi * (np.arange(n) + 0.3) / n)
    measured = probe(step, torch.tensor(u)[None, None], patch_cells((n,)))
    inner = (np.sign(u) == np.sign(np.roll(u, 1))) & (np.sign(u) == np.sign(np.roll(u, -1)))
    assert inner.sum() == n - 4
    assert measured.offsets[:, 0].tolist() == [-1, 0, 1]
    left, _, right = measured.weights[0, inner].T
    index = np.sign(u[inner]) * (left - right) / (np.abs(left) + np.abs(right))
    np.testing.assert_allclose(index, 1, atol=1e-15)


@pytest.mark.parametrize("flux", ["engquist-osher", "central"])
def test_burgers_in_two_dimensions_is_the_whole_jacobian(flux: str) -> None:
    grid = Grid.regular((3, 4))
    step = Solver(Burgers(viscosity=0.02, flux=flux), grid, 0.05, tableau="rk4")
    state = noise(grid, 1, 2)
    whole = torch.autograd.functional.jacobian(step, state)[0, :, :, :, 0].numpy()
    cells = patch_cells(grid.shape)
    measured = probe(step, state, cells).isel(state=0)
    for cell, weights in zip(cells, measured.weights, strict=True):
        for offset, block in zip(measured.offsets, np.moveaxis(weights, -1, 0), strict=True):
            y, x = (cell + offset) % grid.shape
            np.testing.assert_allclose(block, whole[:, cell[0], cell[1], :, y, x], atol=1e-14)


def test_the_context_reaches_each_state() -> None:
    grid = Grid.regular((3, 5))
    context = Context(torch.tensor([2.0, 7.0], dtype=torch.float64))
    measured = probe(Handmade(grid, lambda u: torch.roll(u, 1, 2)), noise(grid), patch_cells((3, 1)), context)
    assert measured.weights[..., 0].tolist() == [[2, 2, 2], [7, 7, 7]]


def test_rows_without_one_spacing_have_their_own() -> None:
    grid = Grid.gaussian(6, 8)
    measured = probe(Persistence(grid, 1.0, ("u",)), noise(grid), np.array([[0, 0], [3, 1]]))
    assert measured.spacing.shape == (2, 2, 2)
    assert measured.offsets.tolist() == [[0, 0]]
    latitude = grid.centers[0]
    np.testing.assert_allclose(measured.spacing[1, 1], [(latitude[4] - latitude[2]) / 2, 45])


def test_under_no_grad_it_still_differentiates() -> None:
    grid = Grid.regular(5)
    with torch.no_grad():
        assert probe(Handmade(grid, torch.sin), torch.zeros(1, 1, 5)).weights.tolist() == [[[1]]]


def test_patch_cells_from_a_corner() -> None:
    assert patch_cells((2, 1), corner=(4, 3)).tolist() == [[4, 3], [5, 3]]


def test_refusals() -> None:
    step = Handmade(Grid.regular((3, 5)), torch.detach)
    with pytest.raises(
        InputError, match=r"expected cells inside a grid of \(3, 5\), got \[\[1, 5\]\]: index from 0"
    ):
        probe(step, noise(step.grid), np.array([[1, 5]]))
    with pytest.raises(InputError, match="a step that torch can differentiate, got one without a gradient"):
        probe(step, noise(step.grid))
    with pytest.raises(InputError, match=r"expected a state \(batch, 1, 3, 5\), got shape \(2, 1, 5, 3\)"):
        probe(step, noise(step.grid).mT)
