"""Where attention looks: distances, spreads, stencils of weights ``A[i, j]`` (query ``i``, key ``j``).

The core is NumPy on arrays ``(..., N, N)``; the public functions take ``(layer, head, N, N)`` or
``(sample, layer, head, N, N)`` with the token grid (``grid.coarsen(patch)``) and give xarray or a
``Stencil``. Queries are averaged by cell area ``w`` everywhere, samples evenly. Attention says where
information may come from; what the model does with it is for the Jacobian (``probe``) to say.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float

from gridvit.analysis.attention_tables import table_of, zonal_table
from gridvit.analysis.looking import SINK, attention_by_blocks
from gridvit.analysis.offsets import offsets
from gridvit.analysis.relevance import rollout_rows
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.stencil import Stencil

Weights = Float[np.ndarray, "*lead query key"]
Share = Float[np.ndarray, "sample token"]

# float32 softmax rows of some thousand tokens sum to one within this.
_ROW_TOLERANCE = 1e-4


def attention_distance(
    weights: Weights, grid: Grid, extra: int = 0, share: Share | None = None, sink: float | int = SINK
) -> xr.Dataset:
    r"""``D_h = sum_i w_i sum_j A_ij d_ij / sum_i w_i``, with its spread, its baseline, its directions and its map.

    ``attention_rms`` is the root of the same mean of ``d^2``, and ``attention_rms_along`` the parts of it along each
    axis, whose squares add up to its square: on a sphere those of ``d cos a`` and ``d sin a``, ``a`` the bearing at
    which the shortest way begins. ``attention_quantile`` are the distances within which a share of the attention
    falls, right within a thousandth of the largest distance. The names with ``uniform`` are the same of ``A_ij = w_j
    / sum w``; ``attention_ratio`` is ``D / D_uniform``.
    ``effective_area_fraction`` is the mean over queries of ``exp(-KL(A_i || w))``: 1 for uniform attention,
    the area fraction of a cap attended evenly, unchanged by refining the grid. On the whole sphere
    ``D = pi R / 2`` for unweighted keys too: a missing area weight shows in the effective area, and in ``rms``.

    ``received_attention`` is ``s_j = sum_i w_i A_ij / w_j``, 1 under uniform attention and ``sink`` or more at one of
    ``sink_tokens``, to which ``sink_mass`` of the attention goes; ``attention_distance_without_sinks`` is the mean of
    ``d`` over the pairs whose key is none. ``attention_distance_map`` is ``sum_j A_ij d_ij`` at each query.

    Args:
        weights: ``(layer, head, N + extra, N + extra)``, or with a leading sample axis; rows are
            distributions.
        grid: the token grid, ``N = grid.size``.
        extra: leading tokens without a place (class or register tokens). They are left out and the rows made
            to sum to one again; ``dropped_mass`` is the mean attention that went to them.
        share: ``(sample, N)``, the part of each token's area that has values; ``w`` is that area then, of queries
            and keys, and a token without any does not enter.
        sink: how many times as much as under uniform attention a sink receives.

    Returns:
        Dataset of dims ``(layer, head)`` and further ones; distances in ``grid.distance_units``.

    Raises:
        InputError: rows that are no distributions, or another number of tokens.

    Reference: Dosovitskiy et al. (2021), arXiv:2010.11929, figure 7 (there without area weights).
    """
    whole = attention_by_blocks(_blocks(weights, grid, extra), grid, _areas(grid, share), extra, sink=sink)
    return whole.drop_dims("distance")


def radial_lift(
    weights: Weights,
    grid: Grid,
    bins: int | Float[np.ndarray, "edge"] = 20,
    share: Share | None = None,
    extra: int = 0,
) -> xr.DataArray:
    r"""``g(r) = sum_i w_i sum_{j in bin} A_ij / sum_i w_i sum_{j in bin} w_j``.

    It is 1 at every distance when attention is uniform. A von Mises-Fisher head has ``g = kappa e^{kappa
    cos(r/R)} / sinh(kappa)``.

    Args:
        weights: ``(layer, head, N, N)`` or with a leading sample axis.
        grid: the token grid.
        bins: how many equal bins up to the largest distance, or their edges in ``grid.distance_units``.
        share: as for ``attention_distance``.
        extra: as for ``attention_distance``.

    Returns:
        ``attention_radial(layer, head, distance)`` at bin centres; NaN where no pair of tokens falls in a
        bin.
    """
    blocks = _blocks(weights, grid, extra)
    return attention_by_blocks(blocks, grid, _areas(grid, share), extra, bins)["attention_radial"]


def attention_stencil(weights: Weights, grid: Grid) -> Stencil:
    r"""``s_h(D) = mean_i A_h[i, i + D]`` over queries and samples: the shift-invariant part of attention.

    A probability stencil: weights ``>= 0`` that sum to one, so minus its mean is a Courant number in tokens
    and its variance is diffusion. A head *is* this stencil only where ``attention_split`` gives ``static``
    near one.

    Args:
        weights: ``(layer, head, N, N)`` or with a leading sample axis.
        grid: the token grid, a plane that is periodic along every axis.

    Returns:
        Stencil of dims ``("layer", "head")``, offsets in tokens (minimal image).
    """
    _periodic_plane(grid)
    kept = _placed(weights, grid)
    kernel = _aligned(kept, grid).mean(axis=(0, -2))
    return Stencil.from_array(
        kernel.reshape(*kernel.shape[:-1], *grid.shape), grid.spacing, ("layer", "head")
    )


def zonal_stencil(weights: Weights, grid: Grid) -> xr.DataArray:
    r"""``s_h(phi_i, phi_j, dlon) = mean over lon of A_h[(phi_i, lon), (phi_j, lon + dlon)]``.

    On the sphere a latitude-longitude grid has zonal shifts as its only symmetries, so this is what a
    stencil is there.

    Returns:
        ``(layer, head, latitude, key_latitude, dlon)``; each query latitude sums to one; ``dlon`` in degrees.
    """
    if not grid.is_latlon or not grid.periodic[1]:
        got = grid.describe()
        raise InputError("latitudes and longitudes that close", got, "use radial_lift, which needs no axes")
    kept = _placed(weights, grid)
    aligned = _aligned(kept.mean(axis=0), grid)
    rows = aligned.reshape(*aligned.shape[:-2], *grid.shape, *grid.shape)
    return zonal_table(rows.mean(axis=-3), grid)


def attention_split(weights: Float[np.ndarray, "sample layer head query key"], grid: Grid) -> xr.Dataset:
    r"""``A - 1/N = (s - 1/N) + (b - s) + (A - b)`` with ``b = mean over samples``, ``s`` its stencil.

    The three parts are orthogonal, so their mean squares add up exactly; given as shares of the total:
    ``static`` (the same for every query and sample), ``position`` (depends on where the query is),
    ``content`` (on what is there). All zero for uniform attention.

    Args:
        weights: with at least two samples, else ``content`` cannot be seen.
        grid: the token grid, periodic plane.
    """
    if weights.ndim != 5 or len(weights) < 2:
        raise InputError(
            "weights (sample, layer, head, N, N) of two samples", f"{weights.shape}", "give more samples"
        )
    _periodic_plane(grid)
    kept = _placed(weights, grid)
    aligned = _aligned(kept, grid)
    average = aligned.mean(axis=0)
    static = average.mean(axis=-2, keepdims=True)
    parts = {
        "static": ((static - 1.0 / grid.size) ** 2).mean(axis=(-2, -1)),
        "position": ((average - static) ** 2).mean(axis=(-2, -1)),
        "content": ((aligned - average) ** 2).mean(axis=(0, -2, -1)),
    }
    total = np.sum(list(parts.values()), axis=0)
    shares = {k: np.divide(v, total, out=np.zeros_like(v), where=total > 0) for k, v in parts.items()}
    return xr.Dataset(
        {k: table_of(v, f"{k} share of the attention variance", "1") for k, v in shares.items()}
    )


def attention_rollout(
    weights: Weights, residual: float | Float[np.ndarray, "sample layer query"] = 0.5
) -> np.ndarray:
    r"""``R = prod_l (r_l + (1 - r_l) mean_h A_lh)``, the last layer leftmost; rows sum to one.

    Ignores values, signs and the MLP, and drifts to rank one with depth: descriptive only.

    Args:
        weights: ``(layer, head, N, N)`` or with a leading sample axis; the result keeps that axis.
        residual: the share ``r`` of the skip connection in every layer, or as it was measured of each state, layer
            and query (``gridvit.nn.looking.residual_shares``).

    Reference: Abnar & Zuidema (2020), arXiv:2005.00928.
    """
    layers = torch.tensor(weights.reshape(-1, *weights.shape[-4:]).mean(axis=-3), dtype=torch.float64)
    stays = residual if isinstance(residual, float) else torch.tensor(residual, dtype=torch.float64)
    found = rollout_rows(layers, stays).numpy()
    return found if weights.ndim == 5 else found[0]


def _placed(weights: np.ndarray, grid: Grid) -> np.ndarray:
    """``(sample, layer, head, N, N)`` in float64, rows summing to one."""
    given = _checked(weights, grid, 0).astype(np.float64)
    return given / given.sum(axis=-1, keepdims=True)


def _blocks(weights: np.ndarray, grid: Grid, extra: int) -> Iterator[tuple[int, slice, torch.Tensor]]:
    """One block of all queries for each layer."""
    given = _checked(weights, grid, extra)
    for layer in range(given.shape[1]):
        yield layer, slice(0, given.shape[-1]), torch.tensor(given[:, layer], dtype=torch.float64)


def _checked(weights: np.ndarray, grid: Grid, extra: int) -> np.ndarray:
    """``(sample, layer, head, N + extra, N + extra)``, of which each row is a distribution."""
    size = grid.size + extra
    if weights.ndim not in (4, 5) or weights.shape[-2:] != (size, size):
        expected = f"attention weights ([sample,] layer, head, {size}, {size}) on {grid.describe()}"
        raise InputError(
            expected, f"{weights.shape}", "give the grid of the tokens, and extra for tokens without a place"
        )
    sums = weights.sum(axis=-1, dtype=np.float64)
    if not (weights.min() >= 0 and abs(sums - 1.0).max() <= _ROW_TOLERANCE):
        got = f"a smallest weight of {weights.min():.3g} and row sums of {sums.min():.6g} to {sums.max():.6g}"
        raise InputError("attention rows that are distributions", got, "give whole rows, after the softmax")
    return weights.reshape(-1, *weights.shape[-4:])


def _areas(grid: Grid, share: np.ndarray | None) -> Float[np.ndarray, "sample token"]:
    """Areas that sum to one: of the tokens for all samples (one row), or of what each sample has of them."""
    areas = grid.areas.ravel() * (np.ones((1, grid.size)) if share is None else share.astype(np.float64))
    return areas / areas.sum(axis=-1, keepdims=True)


def _aligned(weights: np.ndarray, grid: Grid) -> np.ndarray:
    """``A[i, i + D]`` for every flat query ``i`` and flat ``D``, along axes with walls the key's own place."""
    keys, _ = offsets(grid, slice(0, grid.size))
    return np.take_along_axis(weights, keys.numpy().reshape(*[1] * (weights.ndim - 2), *keys.shape), axis=-1)


def _periodic_plane(grid: Grid) -> None:
    if grid.is_sphere or not all(grid.periodic):
        got = grid.describe()
        raise InputError("a plane that is periodic along every axis", got, "use zonal_stencil or radial_lift")
