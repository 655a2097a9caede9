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
from gridvit.physics.apply import Normal, check_space
from gridvit.physics.fourier import Waves
from gridvit.physics.pattern import Semilinear
from gridvit.physics.solve import Solver
from gridvit.rollout import Context


@dataclass(frozen=True, eq=False)
class Coarse:
    """u(t + dt) = P S R u: R keeps the waves that a coarser grid resolves, S steps there, P is their interpolation.

    R P = 1 on resolved waves, so that in a rollout nothing but S does anything after the first step. The state is
    interpolated by its waves, images at walls included: exact for smooth fields, with ripples beside fronts.

    Args:
        solver: S, on its own grid of the same domain.
        grid: of the states, with more cells.

    Raises:
        InputError: another domain, a grid that is not finer, open walls.
    """

    solver: Solver
    grid: Grid

    def __post_init__(self) -> None:
        ours, fine = self.solver.grid, self.grid
        same = ours.ndim == fine.ndim and ours.periodic == fine.periodic
        if not same or not np.allclose(ours.lengths, fine.lengths, rtol=1e-6):
            raise InputError(
                f"a grid of the solver's domain ({ours.describe()})", fine.describe(), "solve on that domain"
            )
        if any(n > most for n, most in zip(ours.shape, fine.shape, strict=True)):
            raise InputError(
                f"at most {list(fine.shape)} cells of a coarse solver", str(list(ours.shape)), "take fewer"
            )
        self._waves  # noqa: B018 (refuses open walls)

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
        fine, coarse = self._waves
        if self.solver.forces and context is not None and context.known is not None:
            known = resampled(context.known[:, :2].flatten(0, 1), fine, coarse).unflatten(0, (-1, 2))
            context = replace(context, known=known)
        return resampled(self.solver(resampled(state, fine, coarse), context), coarse, fine)

    @cached_property
    def _waves(self) -> tuple[Waves, Waves]:
        equation, boundary = self.solver.equation, self.solver.boundary
        normal: Normal = equation.normal(self.grid.ndim) if isinstance(equation, Semilinear) else ()
        return Waves(self.grid, boundary, normal), Waves(self.solver.grid, boundary, normal)


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
