"""Fields as waves, on periodic axes and between reflecting walls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, Normal, Tendency, conditions, padder
from gridvit.stencil import modes


@dataclass(frozen=True, eq=False)
class Waves:
    """u(x) = sum_k U(k) e^{i k.x}, where a field between walls is continued by its mirror image.

    The image is the one that ``pad`` gives: odd at a "dirichlet" wall, even at a "neumann" one. So the waves are
    sines or cosines there, and a stencil that is symmetric acts on them as on a periodic field. Memory along a
    bounded axis doubles.

    Args:
        grid: a plane of equal cells.
        boundary: condition at the walls of bounded axes; "open" ones reflect nothing and are refused.
        normal: the velocities among the variables, for slip walls.

    Raises:
        InputError: an open wall.
    """

    grid: Grid
    boundary: Boundary = "open"
    normal: Normal = ()

    def __post_init__(self) -> None:
        if "open" in walls(self.boundary, self.grid):
            raise InputError(
                "periodic axes or reflecting walls for Fourier space",
                f"an open wall of {self.grid.describe()}",
                'choose the boundary "dirichlet", "neumann" or "wall", or an explicit tableau with differences',
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along each axis, mirror images included."""
        return tuple(n if wraps else 2 * n for n, wraps in self._axes)

    @property
    def _axes(self) -> list[tuple[int, bool]]:
        return list(zip(self.grid.shape, self.grid.periodic, strict=True))

    @cached_property
    def theta(self) -> Float[np.ndarray, "*modes d"]:
        """Phase from cell to cell of each wave, radians; the last axis has its n // 2 + 1 first ones."""
        return modes(self.shape)[..., : self.shape[-1] // 2 + 1, :]

    def mirror(self, u: Float[Tensor, "batch variable *space"]) -> Float[Tensor, "batch variable *image"]:
        """The field and, beyond the upper walls, its image."""
        image = self._padder(u)
        window = [slice(None) if wraps else slice(n, None) for n, wraps in self._axes]
        return image[(slice(None), slice(None), *window)]

    @cached_property
    def _padder(self) -> Tendency:
        width = [0 if wraps else n for n, wraps in self._axes]
        return padder(self.grid, width, self.boundary, self.normal)

    def inside(self, image: Float[Tensor, "batch variable *image"]) -> Float[Tensor, "batch variable *space"]:
        """The cells of the grid."""
        return image[(slice(None), slice(None), *(slice(n) for n in self.grid.shape))]

    def forward(self, u: Float[Tensor, "batch variable *space"]) -> Complex[Tensor, "batch variable *modes"]:
        """U of u on the grid."""
        return self.analyse(self.mirror(u))

    def back(self, waves: Complex[Tensor, "batch variable *modes"]) -> Float[Tensor, "batch variable *space"]:
        """u of U on the grid."""
        return self.inside(self.compose(waves))

    def analyse(
        self, image: Float[Tensor, "batch variable *image"]
    ) -> Complex[Tensor, "batch variable *modes"]:
        """U of a field with its image."""
        return torch.fft.rfftn(image, dim=tuple(range(2, image.ndim)))

    def compose(
        self, waves: Complex[Tensor, "batch variable *modes"]
    ) -> Float[Tensor, "batch variable *image"]:
        """u with its image."""
        return torch.fft.irfftn(waves, s=self.shape, dim=tuple(range(2, waves.ndim)))


def walls(boundary: Boundary, grid: Grid) -> list[str]:
    """Conditions of the bounded axes."""
    pairs = zip(conditions(boundary, grid), grid.periodic, strict=True)
    return [condition for condition, wraps in pairs if not wraps]


def mixer(matrices: Complex[np.ndarray, "*modes variable variable"]) -> Callable[[Tensor], Tensor]:
    """U -> M U at every wave; element by element where the matrices are diagonal.

    One-by-one matrices act on every variable alike.
    """
    size = matrices.shape[-1]
    factors = torch.from_numpy(np.ascontiguousarray(np.moveaxis(matrices, (-2, -1), (0, 1))))
    if not np.any(matrices * (1 - np.eye(size))):
        diagonal = torch.stack([factors[i, i] for i in range(size)])
        return lambda waves: diagonal.to(waves) * waves
    return lambda waves: torch.einsum("oi...,bi...->bo...", factors.to(waves), waves)
