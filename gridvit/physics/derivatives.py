"""Derivatives of fields that are formed on a padded state: differences, or exact on the grid's waves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.grid import Grid
from gridvit.physics.apply import GIVEN, Boundary, Normal, Tendency, correlation, fit, padder, reach
from gridvit.physics.constant import SPECTRAL, Accuracy, Operator, differences
from gridvit.physics.fourier import Waves, mixer
from gridvit.stencil import Stencil


@dataclass(frozen=True, eq=False)
class Derivatives:
    """d^a of products and other functions of a state, walls and seams included.

    First ``pad`` the state, then form products on it and differentiate, at most ``levels`` times in a row; then
    take what is ``inside``. Differences use up ghost cells: ``fit`` cuts a factor to the size of another. The
    spectral ones keep their size, and ``inside`` then drops the waves beyond two thirds of the shortest, onto
    which products of the others would be aliased.

    Args:
        grid: a plane of equal cells.
        orders: the multi-index of each derivative.
        accuracy: even order of the differences, or "spectral".
        boundary: condition at the walls of bounded axes.
        normal: the velocities among the variables, for slip walls.
        levels: derivatives of derivatives that are taken.

    Reference: S. A. Orszag, J. Atmos. Sci. 28 (1971) 1074, doi:10.1175/1520-0469(1971)028<1074:OTEOAI>2.0.CO;2.
    """

    grid: Grid
    orders: Sequence[tuple[int, ...]]
    accuracy: Accuracy = 2
    boundary: Boundary = "open"
    normal: Normal = ()
    levels: int = 1

    @classmethod
    def gradient(
        cls,
        grid: Grid,
        accuracy: Accuracy = 2,
        boundary: Boundary = "open",
        normal: Normal = (),
        levels: int = 1,
    ) -> Derivatives:
        """The first derivative along each axis, in the grid's order."""
        orders = [tuple(row) for row in np.eye(grid.ndim, dtype=int).tolist()]
        return cls(grid, orders, accuracy, boundary, normal, levels)

    def pad(self, u: Float[Tensor, "batch variable *space"]) -> Float[Tensor, "batch variable *padded"]:
        """The state with all ghost cells that are needed."""
        if self.accuracy == SPECTRAL:
            return self._waves.mirror(u)
        return self._padder(u)

    def __call__(
        self, which: int, field: Float[Tensor, "batch variable *padded"]
    ) -> Float[Tensor, "batch variable *smaller"]:
        """The derivative of ``orders[which]``."""
        if self.accuracy != SPECTRAL:
            return self._correlations[which](field)
        return self._waves.compose(self._symbols[which](self._waves.analyse(field)))

    def inside(
        self, field: Float[Tensor, "batch variable *smaller"]
    ) -> Float[Tensor, "batch variable *space"]:
        """What lies on the grid's cells; of a field that brought its ghost cells, all that is left."""
        if self.boundary == GIVEN:
            return field
        if self.accuracy != SPECTRAL:
            return fit(field, self.grid.shape)
        return self._waves.back(self._resolved.to(field.device) * self._waves.analyse(field))

    @cached_property
    def _operators(self) -> list[Operator]:
        return [Operator.diagonal({order: 1.0}) for order in self.orders]

    @cached_property
    def _stencils(self) -> list[Stencil]:
        return [operator.stencil(self.grid, differences(self.accuracy)) for operator in self._operators]

    @cached_property
    def _correlations(self) -> list[Tendency]:
        width = reach(*self._stencils)
        return [correlation(stencil, width) for stencil in self._stencils]

    @cached_property
    def _padder(self) -> Tendency:
        ghosts = [self.levels * cells for cells in reach(*self._stencils)]
        return padder(self.grid, ghosts, self.boundary, self.normal)

    @cached_property
    def _waves(self) -> Waves:
        return Waves(self.grid, self.boundary, self.normal)

    @cached_property
    def _symbols(self) -> list[Tendency]:
        theta = self._waves.theta
        return [mixer(operator.symbol(theta, self.grid, SPECTRAL)) for operator in self._operators]

    @cached_property
    def _resolved(self) -> Tensor:
        return torch.from_numpy((np.abs(self._waves.theta) < 2 * np.pi / 3).all(-1))
