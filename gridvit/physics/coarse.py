"""A solver on fewer cells as a step of the full grid: what the same equation costs, and loses, there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, Normal, Tendency, check_space, padder
from gridvit.physics.fourier import Waves
from gridvit.physics.harmonics import Harmonics
from gridvit.physics.operators import choose
from gridvit.physics.pattern import Semilinear
from gridvit.physics.schemes import LinearScheme
from gridvit.physics.solve import Solver
from gridvit.rollout import Context

Transfers = tuple[Tendency, Tendency]
"""(..., *space) -> (..., *coarse), and back."""


@dataclass(frozen=True, eq=False)
class Coarse:
    """u(t + dt) = P S R u: R takes the state to a coarser grid, S steps there, P takes it back.

    By "waves" R keeps those that the coarser grid resolves and P is their interpolation, images at walls included; on
    the sphere they are harmonics. That is exact for smooth fields, with ripples beside fronts. By "means" R takes the
    mean of each block of cells and P lays a straight line through it whose slope makes no new extremum: what finite
    volumes hold of a front.

    R P = 1 (by waves on what is resolved), so that in a rollout nothing but S does anything after the first step.

    Args:
        solver: S, on its own grid of the same domain.
        grid: of the states, with more cells.
        by: "waves" or "means".

    Raises:
        InputError: another domain, a grid that is not finer; by waves, open walls or rows at the poles; by means, the
            sphere or a grid that the coarser one does not divide.
    """

    solver: Solver | LinearScheme
    grid: Grid
    by: str = "waves"

    def __post_init__(self) -> None:
        ours, fine = self.solver.grid, self.grid
        same = ours.ndim == fine.ndim and ours.periodic == fine.periodic and ours.is_sphere == fine.is_sphere
        if not same or not np.allclose(ours.lengths, fine.lengths, rtol=1e-6):
            raise InputError(
                f"a grid of the solver's domain ({ours.describe()})", fine.describe(), "solve on that domain"
            )
        if any(n > most for n, most in zip(ours.shape, fine.shape, strict=True)):
            raise InputError(
                f"at most {list(fine.shape)} cells of a coarse solver", str(list(ours.shape)), "take fewer"
            )
        self._transfers  # noqa: B018 (refuses what cannot be)

    @property
    def dt(self) -> float | int:
        """The solver's."""
        return self.solver.dt

    @property
    def variables(self) -> tuple[str, ...]:
        """The solver's."""
        return self.solver.variables

    def __call__(
        self, state: Float[Tensor, "batch variable *space"], context: Context | None = None
    ) -> Float[Tensor, "batch variable *space"]:
        """u(t + dt)."""
        check_space(state, self.grid)
        if isinstance(self.solver, Solver) and self.solver.forces and context and context.known is not None:
            known = self.down(context.known[:, :2].flatten(0, 1)).unflatten(0, (-1, 2))
            context = replace(context, known=known)
        return self.up(self.solver(self.down(state), context))

    def down(self, state: Float[Tensor, "batch variable *space"]) -> Float[Tensor, "batch variable *coarse"]:
        """R u."""
        return self._transfers[0](state)

    def up(self, state: Float[Tensor, "batch variable *coarse"]) -> Float[Tensor, "batch variable *space"]:
        """P u."""
        return self._transfers[1](state)

    @cached_property
    def _transfers(self) -> Transfers:
        equation, here, there = self.solver.equation, self.grid, self.solver.grid
        choose(dict.fromkeys(("waves", "means")), self.by, "ways to a coarser grid")
        normal: Normal = equation.normal(here.ndim) if isinstance(equation, Semilinear) else ()
        if self.by == "means":
            return block_transfers(here, there, self.solver.boundary, normal)
        if here.is_sphere:
            return harmonic_transfers(here, there)
        fine, coarse = (Waves(grid, self.solver.boundary, normal) for grid in (here, there))
        return lambda u: resampled(u, fine, coarse), lambda u: resampled(u, coarse, fine)


def block_transfers(fine: Grid, coarse: Grid, boundary: Boundary = "open", normal: Normal = ()) -> Transfers:
    """Means of blocks of cells, and back by lines of the slope sign(a) min(2 |a|, 2 |b|, |a + b| / 2) or 0.

    a and b are the differences to both neighbours, of one sign; else the slope is 0 (monotonised central, van Leer).

    Raises:
        InputError: a sphere, or numbers of cells that do not divide.

    Reference: B. van Leer, J. Comput. Phys. 23 (1977) 276-299, doi:10.1016/0021-9991(77)90095-X.
    """
    if fine.is_sphere or any(n % m for n, m in zip(fine.shape, coarse.shape, strict=True)):
        raise InputError(
            f"a plane grid that {list(coarse.shape)} cells divide", fine.describe(), "transfer by waves"
        )
    sizes = [n // m for n, m in zip(fine.shape, coarse.shape, strict=True)]
    pad = padder(coarse, (1,) * coarse.ndim, boundary, normal)
    places = [_places_in_blocks(fine, axis, size) for axis, size in enumerate(sizes)]

    def down(u: Tensor) -> Tensor:
        for axis, (m, size) in enumerate(zip(coarse.shape, sizes, strict=True)):
            u = u.unflatten(axis + 2, (m, size)).mean(axis + 3)
        return u

    def spread(u: Tensor) -> Tensor:
        for axis, size in enumerate(sizes):
            u = u.repeat_interleave(size, axis + 2)
        return u

    def up(u: Tensor) -> Tensor:
        padded, found = pad(u), spread(u)
        for axis, place in enumerate(places):
            found = found + spread(_limited_slope(padded, axis)) * place.to(u)
        return found

    return down, up


def _places_in_blocks(fine: Grid, axis: int, size: int) -> Tensor:
    """Of each cell along an axis, from its block's middle, in blocks."""
    within = (torch.arange(fine.shape[axis], dtype=torch.float64) % size + 0.5) / size - 0.5
    return within.reshape(-1, *(1,) * (fine.ndim - axis - 1))


def _limited_slope(padded: Tensor, axis: int) -> Tensor:
    """From block to block along an axis, of a field with one ghost cell on every side."""
    inner = [slice(None), slice(None), *(slice(1, -1),) * (padded.ndim - 2)]

    def moved(first: int, last: int | None) -> Tensor:
        window = list(inner)
        window[axis + 2] = slice(first, last)
        return padded[tuple(window)]

    before, after = moved(1, -1) - moved(0, -2), moved(2, None) - moved(1, -1)
    steepest = torch.minimum(2 * before.abs(), 2 * after.abs())
    size = torch.minimum(steepest, (before + after).abs() / 2)
    return torch.where(before * after > 0, before.sign() * size, torch.zeros_like(size))


def harmonic_transfers(fine: Grid, coarse: Grid) -> Transfers:
    """The harmonics that both grids hold, from one sphere to another and back.

    Raises:
        InputError: see ``Harmonics``.
    """
    here, there = Harmonics(fine), Harmonics(coarse)

    def moved(source: Harmonics, target: Harmonics) -> Tendency:
        kept = min(source.truncation, target.truncation) + 1
        beyond = target.truncation + 1 - kept

        def transfer(u: Tensor) -> Tensor:
            held = source.analyse(u)[..., :kept, :kept]
            return target.synthesise(torch.nn.functional.pad(held, (0, beyond, 0, beyond)))

        return transfer

    return moved(here, there), moved(there, here)


def resampled(
    u: Float[Tensor, "batch variable *space"], here: Waves, there: Waves
) -> Float[Tensor, "batch variable *other"]:
    """u at the cells of another grid of the same domain, by the waves that both resolve.

    The shortest wave of an even number of cells, which is known at its crests alone, is left out.
    """
    counts = [(min(pair) - 1) // 2 for pair in zip(here.shape, there.shape, strict=True)]
    kept = [np.arange(-k, k + 1) for k in counts[:-1]] + [np.arange(counts[-1] + 1)]
    source, target = (_places(kept, waves.shape) for waves in (here, there))
    # Cells begin at the same wall, so that centres are apart by half the difference of their widths.
    shift = [np.pi * k * (1 / m - 1 / n) for k, n, m in zip(kept, here.shape, there.shape, strict=True)]
    angle = sum(np.ix_(*shift), np.zeros(1))
    factor = torch.from_numpy(np.exp(1j * angle) * np.prod(there.shape) / np.prod(here.shape))
    waves = here.forward(u)
    found = waves.new_zeros((*u.shape[:2], *there.shape[:-1], there.shape[-1] // 2 + 1))
    found[target] = waves[source] * factor.to(waves)
    return there.back(found)


def _places(kept: list[np.ndarray], shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Where the waves ``kept`` along each axis are among all of them, in every state and variable."""
    along = np.ix_(*(k % n for k, n in zip(kept, shape, strict=True)))
    return (slice(None), slice(None), *map(torch.from_numpy, along))
