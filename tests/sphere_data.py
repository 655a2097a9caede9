"""Fields on the sphere in closed form, and means over it."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import sph_harm_y

from gridvit.grid import Grid

DAY, OMEGA, G = 86400.0, 7.292e-5, 9.80616
A = 6371008.8
GAUSS, EQUAL = Grid.gaussian(17, 36), Grid.latlon(23, 36)


def at(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude of every cell, radians."""
    lat, lon = np.meshgrid(*(np.deg2rad(c) for c in grid.centers), indexing="ij")
    return lat, lon


def state(*fields: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(fields))[None]


def harmonic(grid: Grid, n: int, m: int) -> np.ndarray:
    """Re Y_n^m by SciPy."""
    lat, lon = at(grid)
    return sph_harm_y(n, m, np.pi / 2 - lat, lon).real


def mean(grid: Grid, field: np.ndarray) -> float:
    """Over the area, by the quadrature of the rows."""
    nodes = np.sin(np.deg2rad(grid.centers[0]))
    basis = np.polynomial.legendre.legvander(nodes, len(nodes) - 1)
    weights = np.linalg.solve(basis.T, np.eye(len(nodes))[0])
    return float(weights @ field.mean(axis=-1))
