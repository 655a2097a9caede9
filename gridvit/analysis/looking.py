"""Where attention looks, summed over blocks of queries: no matrix of all pairs is ever held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from gridvit.analysis.attention_tables import QUANTILES, distance_tables
from gridvit.analysis.pairs import FINE, Block, Pairs
from gridvit.errors import InputError
from gridvit.grid import Grid

Blocks = Iterable[tuple[int, slice, Float[Tensor, "batch head query key"]]]
"""(layer, queries, weights), layer by layer and each from the first query on; rows sum to one."""
Areas = Float[np.ndarray, "_batch token"]
SINK = 10.0  # times what a token receives under uniform attention


@dataclass
class Sums:
    """What is summed of one layer, ``M_ij = mean over states of w_i A_ij``.

    mass, way:     (head, fine bin), sum of M and of M d over the pairs in it; the last of those beyond the bins.
    squares:       (axis, head), sum of M times the squares along each axis.
    queries:       (head, token), sum_j M_ij d_ij.
    received, far: (head, token), sum_i M_ij and sum_i M_ij d_ij.
    area, dropped: (head), the mean effective area, and attention to tokens without a place.
    """

    mass: np.ndarray
    way: np.ndarray
    squares: np.ndarray
    queries: np.ndarray
    received: np.ndarray
    far: np.ndarray
    area: np.ndarray
    dropped: np.ndarray

    @classmethod
    def zero(cls, heads: int, pairs: Pairs) -> Sums:
        """Of nothing."""
        tokens, bins = (heads, pairs.grid.size), (heads, pairs.fine + 1)
        shapes = [bins, bins, (len(pairs.axes), heads), tokens, tokens, tokens, (heads,), (heads,)]
        return cls(*(np.zeros(shape) for shape in shapes))

    def add(self, means: Float[np.ndarray, "head query key"], rows: slice, block: Block) -> None:
        """The linear statistics of some queries."""
        ways, width = means * block.distances, self.mass.shape[1]
        for head, (mean, way) in enumerate(zip(means, ways, strict=True)):
            self.mass[head] += np.bincount(block.bins.ravel(), mean.ravel(), width)
            self.way[head] += np.bincount(block.bins.ravel(), way.ravel(), width)
        self.squares += np.einsum("hqk,aqk->ah", means, block.squares, optimize=True)
        self.queries[:, rows] += ways.sum(axis=-1)
        self.received += means.sum(axis=1)
        self.far += ways.sum(axis=1)


@dataclass
class Looking:
    """Collects blocks of attention, of all layers, and makes tables of them.

    Args:
        pairs: of the tokens.
        areas: of sum one: of the tokens for all states (one row), or of what each state has of them.
        extra: leading tokens without a place.
        sink: how many times as much as under uniform attention a token receives that is called a sink.
    """

    pairs: Pairs
    areas: Areas
    extra: int = 0
    sink: float | int = SINK
    layers: dict[int, Sums] = field(default_factory=dict)
    uniform: Sums | None = None

    def add(self, layer: int, rows: slice, weights: Float[Tensor, "batch head query key"]) -> None:
        """Some queries of one layer."""
        lead = max(self.extra - rows.start, 0)
        placed = weights[:, :, lead:, self.extra :]
        inner = slice(max(rows.start - self.extra, 0), rows.stop - self.extra)
        if inner.stop <= inner.start:
            return
        if layer not in self.layers:
            self.layers[layer] = Sums.zero(weights.shape[1], self.pairs)
        sums, block = self.layers[layer], self.pairs.of(inner)
        mass = placed.sum(-1)
        if float(mass.min()) <= 0:
            raise InputError(
                "some attention to tokens with a place", "a row without any", "look at that head by itself"
            )
        here = torch.from_numpy(self.areas[:, None, inner]).to(weights.device)
        factor = (here / mass / len(weights)).to(placed.dtype)
        means = torch.einsum("bhqk,bhq->hqk", placed, factor)
        sums.add(means.double().cpu().numpy(), inner, block)
        area = torch.exp(-self._divergence(placed, mass.double()))
        sums.area += (area * here).sum(-1).mean(0).cpu().numpy()
        if self.extra:
            sums.dropped += ((weights[:, :, lead:].sum(-1) - mass) * here).sum(-1).mean(0).cpu().numpy()
        if layer == 0:
            self._add_uniform(inner, block)

    def _divergence(
        self, placed: Float[Tensor, "batch head query key"], mass: Float[Tensor, "batch head query"]
    ) -> Float[Tensor, "batch head query"]:
        """``KL(A_i || w) = sum_j A_ij log(A_ij / w_j)``; a key that gets nothing adds nothing."""
        logs = torch.from_numpy(np.log(np.where(self.areas > 0, self.areas, 1.0))).to(placed)
        # In place, and without a case for zero: twice as fast as torch.special.entr, where most of the time goes.
        own = placed.clamp(min=torch.finfo(placed.dtype).tiny).log_().mul_(placed).sum(-1).double()
        other = placed @ logs[0] if len(logs) == 1 else torch.einsum("bhqk,bk->bhq", placed, logs)
        return (own - other.double()) / mass - mass.log()

    def _add_uniform(self, rows: slice, block: Block) -> None:
        """``A_ij = w_j``."""
        if self.uniform is None:
            self.uniform = Sums.zero(1, self.pairs)
        means = np.einsum("bq,bk->qk", self.areas[:, rows], self.areas, optimize=True) / len(self.areas)
        self.uniform.add(means[None], rows, block)

    def tables(self) -> xr.Dataset:
        """What ``attention_distance`` says of all layers, and the radial profile."""
        assert self.uniform is not None
        layers = [self.layers[layer] for layer in sorted(self.layers)]
        shape = self.pairs.grid.shape
        here = self.areas.mean(axis=0)
        seen = np.where(here > 0, here, np.nan)
        maps = {name: stacked(layers, name) / seen for name in ("queries", "received")}
        found = {
            **measured(layers),
            **{f"uniform_{name}": value[0] for name, value in measured([self.uniform]).items()},
            **self._sinks(layers, maps["received"]),
            "distance_map": maps["queries"].reshape(*maps["queries"].shape[:2], *shape),
            "received_map": maps["received"].reshape(*maps["received"].shape[:2], *shape),
            "uniform_map": (self.uniform.queries[0] / seen).reshape(shape),
            "area": stacked(layers, "area"),
            "dropped": stacked(layers, "dropped"),
            "lift": self._lift(layers),
        }
        return distance_tables(found, self.pairs)

    def _lift(self, layers: list[Sums]) -> Float[np.ndarray, "layer head bin"]:
        """Attention in each bin over that of uniform attention; NaN where no pair falls."""
        assert self.uniform is not None
        mass, base = (coarse(stacked(sums, "mass")) for sums in (layers, [self.uniform]))
        return np.divide(
            mass, base, out=np.full_like(mass, np.nan), where=np.broadcast_to(base > 0, mass.shape)
        )

    def _sinks(
        self, layers: list[Sums], received: Float[np.ndarray, "layer head token"]
    ) -> dict[str, np.ndarray]:
        """How many sinks there are, what goes to them, and D over the pairs without them."""
        sinks = np.nan_to_num(received) >= self.sink
        mass, far = stacked(layers, "received"), stacked(layers, "far")
        left, way = (mass * ~sinks).sum(axis=-1), (far * ~sinks).sum(axis=-1)
        without = np.divide(way, left, out=np.full_like(way, np.nan), where=left > 1e-9)
        return {
            "sinks": sinks.sum(axis=-1),
            "sink_mass": (mass * sinks).sum(axis=-1),
            "without_sinks": without,
        }


def placed(blocks: Blocks, extra: int) -> Iterator[tuple[int, slice, Float[Tensor, "batch head query key"]]]:
    """(layer, tokens that ask, weights) among tokens with a place: rows sum to what the others leave."""
    for layer, rows, weights in blocks:
        inner = slice(max(rows.start - extra, 0), rows.stop - extra)
        if inner.stop > inner.start:
            yield layer, inner, weights[:, :, max(extra - rows.start, 0) :, extra:]


@torch.no_grad()
def attention_by_blocks(
    blocks: Blocks,
    grid: Grid,
    areas: Areas,
    extra: int = 0,
    bins: int | Float[np.ndarray, "edge"] = 20,
    sink: float | int = SINK,
) -> xr.Dataset:
    """``attention_distance`` and ``radial_lift`` of weights that come block by block, in memory linear in the tokens.

    Args:
        blocks: ``(layer, queries, weights)``, as ``ViT.attention_maps`` makes them.
        grid: of the tokens.
        areas: ``(batch or 1, token)``, of sum one: of the tokens, or of what each state has of them.
        extra: leading tokens without a place, among queries and keys.
        bins: of the radial profile.
        sink: how many times as much as under uniform attention a sink receives.
    """
    looking = Looking(Pairs(grid, bins), areas, extra, sink)
    for layer, rows, weights in blocks:
        looking.add(layer, rows, weights)
    return looking.tables()


def stacked(layers: list[Sums], name: str) -> np.ndarray:
    """One sum of all layers, ``(layer, head, ...)``."""
    return np.stack([getattr(sums, name) for sums in layers])


def measured(layers: list[Sums]) -> dict[str, np.ndarray]:
    """Mean, root mean square, the same along each axis, and quantiles of distance, ``(layer, head, ...)``."""
    mass, way = stacked(layers, "mass"), stacked(layers, "way")
    squares = np.moveaxis(stacked(layers, "squares"), 1, -1)
    return {
        "distance": way.sum(axis=-1),
        "rms": np.sqrt(squares.sum(axis=-1)),
        "along": np.sqrt(squares),
        "quantile": quantiles(mass, way),
    }


def quantiles(mass: np.ndarray, way: np.ndarray) -> Float[np.ndarray, "layer head quantile"]:
    """The mean distance in the first fine bin with which a share of the attention is reached.

    Exact where all pairs of a bin are equally far apart, else within its width.
    """
    reached = np.cumsum(mass, axis=-1) / mass.sum(axis=-1, keepdims=True)
    found = [(reached < share - 1e-9).sum(axis=-1, keepdims=True) for share in QUANTILES]
    place = np.concatenate(found, axis=-1)
    ways, masses = (np.take_along_axis(values, place, axis=-1) for values in (way, mass))
    return ways / masses


def coarse(mass: Float[np.ndarray, "layer head fine"]) -> Float[np.ndarray, "layer head bin"]:
    """Of the bins of the radial profile; what is beyond them is left out."""
    inner = mass[..., :-1]
    return inner.reshape(*inner.shape[:2], -1, FINE).sum(axis=-1)
