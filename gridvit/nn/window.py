"""Which keys are within a physical distance of a query, across the date line and the poles, and none beyond."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool
from scipy.spatial import cKDTree
from torch import Tensor, nn

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.bias.base import nearest_distance

QUERIES = 64  # of a block
ROUNDING = 1e-6  # a neighbour at exactly the reach is within it


class Window(nn.Module):
    """d_ij <= reach, held as blocks of some 64 neighbouring queries with the union of their keys.

    Memory is tokens times keys of a block: linear in the tokens at a reach of so many tokens. Near a pole of a
    lat-lon grid a cap holds whole circles of latitude, so its blocks have more keys. Leading ``registers`` see
    all and are seen by all.

    Args:
        grid: of the tokens.
        reach: km on a sphere, the unit of the axes on planes.
        registers: leading tokens without a place.
        groups: tokens at each place, one after another.

    Raises:
        InputError: a reach of less than the distance of neighbouring tokens, where nothing would be seen but itself.
    """

    queries: Tensor
    keys: Tensor
    masks: Tensor
    order: Tensor

    def __init__(self, grid: Grid, reach: float | int, registers: int = 0, groups: int = 1) -> None:
        super().__init__()
        token = nearest_distance(grid)
        if reach < token * (1 - ROUNDING):
            unit = "" if grid.distance_units == "1" else f" {grid.distance_units}"
            raise InputError(
                f"model.window of at least the {token:.6g}{unit} between tokens",
                f"{reach:.6g}{unit}",
                "raise it, or lower model.patch",
            )
        self.grid, self.reach = grid, reach * (1 + ROUNDING)
        self.registers, self.groups = registers, groups
        queries, keys, masks = zip(*self._blocks(), strict=True)
        self.sizes = [mask.shape for mask in masks]
        flat = np.concatenate(queries)
        for name, value in {
            "queries": flat,
            "keys": np.concatenate(keys),
            "masks": np.concatenate([mask.ravel() for mask in masks]),
            "order": np.argsort(flat),
        }.items():
            self.register_buffer(name, torch.from_numpy(value), persistent=False)

    def _blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Numbers of queries and of keys, and the mask between them, registers first."""
        lead, total = np.arange(self.registers), self.grid.size * self.groups + self.registers
        if self.registers:
            yield lead, np.arange(total), np.ones((self.registers, total), bool)
        tree, points, radius = self._tree()
        for members in tiles(self.grid.shape):
            near = tree.query_ball_point(points[members], radius)
            keys = np.unique(np.concatenate(near)).astype(np.int64)
            mask = np.zeros((len(members), len(keys)), bool)
            for row, found in zip(mask, near, strict=True):
                row[np.searchsorted(keys, found)] = True
            mask = mask.repeat(self.groups, 0).repeat(self.groups, 1)
            mask = np.concatenate([np.ones((len(mask), self.registers), bool), mask], 1)
            yield self._tokens(members), np.concatenate([lead, self._tokens(keys)]), mask

    def _tokens(self, places: np.ndarray) -> np.ndarray:
        """Numbers of the tokens at ``places``."""
        return (places[:, None] * self.groups + np.arange(self.groups)).ravel() + self.registers

    def _tree(self) -> tuple[cKDTree, np.ndarray, float]:
        """Points, by chords through the sphere or wrapped about the periodic axes, and the radius among them."""
        grid = self.grid
        if grid.radius is not None:
            angle = min(self.reach / grid.radius, np.pi)
            return cKDTree(grid.positions), grid.positions, 2 * np.sin(angle / 2) * (1 + 1e-12)
        box = np.array([L if wraps else 0.0 for L, wraps in zip(grid.lengths, grid.periodic, strict=True)])
        low = np.array([bounds[0] for bounds in grid.bounds])
        points = grid.positions - low
        return cKDTree(points, boxsize=box), points, self.reach

    def numbers(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Which queries and which keys are those of each block; every query is in one."""
        rows, columns = zip(*self.sizes, strict=True)
        return self.queries.split(rows), self.keys.split(columns)

    def near_blocks(self) -> list[Bool[Tensor, "query key"]]:
        """Which queries of each block may see which of its keys."""
        flat = self.masks.split([rows * columns for rows, columns in self.sizes])
        return [mask.view(size) for mask, size in zip(flat, self.sizes, strict=True)]

    def gathered(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        """``(B, head, token, dim)`` in blocks, gathered at once: the gradient of one block alone is of full size."""
        rows, columns = zip(*self.sizes, strict=True)
        return (
            query.index_select(2, self.queries).split(rows, 2),
            key.index_select(2, self.keys).split(columns, 2),
            value.index_select(2, self.keys).split(columns, 2),
        )

    def near(self, rows: Tensor) -> Bool[Tensor, "query key"]:
        """Which keys the queries ``rows`` may see, from the grid's own distances: the reference."""
        tokens = rows.cpu().numpy() - self.registers
        near = np.ones((len(tokens), self.registers + self.grid.size * self.groups), bool)
        placed = tokens >= 0
        reached = self.grid.distances(tokens[placed] // self.groups) <= self.reach
        near[placed, self.registers :] = reached.repeat(self.groups, 1)
        return torch.from_numpy(near).to(rows.device)


def tiles(shape: tuple[int, ...]) -> list[np.ndarray]:
    """Flat numbers of the cells of each tile, of equal sides and about 64 cells."""
    side = round(QUERIES ** (1 / len(shape)))
    labels = [np.arange(n) // side for n in shape]
    counts = [int(label[-1]) + 1 for label in labels]
    tile = np.ravel_multi_index(np.meshgrid(*labels, indexing="ij"), counts).ravel()
    order = np.argsort(tile, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(tile[order])) + 1)
