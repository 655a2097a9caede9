"""Where attention looks: distances, spreads, stencils of weights ``A[i, j]`` (query ``i``, key ``j``).

The core is NumPy on arrays ``(..., N, N)``; the public functions take ``(layer, head, N, N)`` or
``(sample, layer, head, N, N)`` with the token grid (``grid.coarsen(patch)``) and give xarray or a
``Stencil``. Queries are averaged by cell area ``w`` everywhere, samples evenly. Attention says where
information may come from; what the model does with it is for the Jacobian (``probe``) to say.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.special import xlogy

from gridvit.analysis.attention_tables import distance_tables, lift_table, table_of, zonal_table
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.stencil import Stencil

Weights = Float[np.ndarray, "*lead query key"]
Share = Float[np.ndarray, "sample token"]

# float32 softmax rows of some thousand tokens sum to one within this.
_ROW_TOLERANCE = 1e-4


def attention_distance(
    weights: Weights, grid: Grid, extra: int = 0, share: Share | None = None
) -> xr.Dataset:
    r"""``D_h = sum_i w_i sum_j A_ij d_ij / sum_i w_i``, with its root mean square, baseline and spread.

    ``attention_uniform`` is ``D`` of ``A_ij = w_j / sum w``; ``attention_ratio`` is ``D / D_uniform``.
    ``effective_area_fraction`` is the mean over queries of ``exp(-KL(A_i || w))``: 1 for uniform attention,
    the area fraction of a cap attended evenly, unchanged by refining the grid. On the whole sphere
    ``D = pi R / 2`` for unweighted keys too: a missing area weight shows in the effective area alone.

    Args:
        weights: ``(layer, head, N + extra, N + extra)``, or with a leading sample axis; rows are
            distributions.
        grid: the token grid, ``N = grid.size``.
        extra: leading tokens without a place (class or register tokens). They are left out and the rows made
            to sum to one again; ``dropped_mass`` is the mean attention that went to them.
        share: ``(sample, N)``, the part of each token's area that has values; ``w`` is that area then, of queries
            and keys, and a token without any does not enter.

    Returns:
        Dataset of dims ``(layer, head)``; distances in ``grid.distance_units``.

    Raises:
        InputError: rows that are no distributions, or another number of tokens.

    Reference: Dosovitskiy et al. (2021), arXiv:2010.11929, figure 7 (there without area weights).
    """
    kept, dropped = _placed(weights, grid, extra)
    distances, areas = grid.distances(), _areas(grid, share)
    mean, square = (_mean_power(kept, areas, distances, power) for power in (1, 2))
    uniform, uniform_square = (
        np.full_like(mean, ((areas @ distances**power) * areas).sum(axis=-1).mean()) for power in (1, 2)
    )
    found = {
        "distance": mean,
        "rms": np.sqrt(square),
        "uniform": uniform,
        "uniform_rms": np.sqrt(uniform_square),
        "area": _over_queries(np.exp(-_divergence(kept, areas)), areas),
        "dropped": _over_queries(dropped, areas),
    }
    return distance_tables(found, grid)


def radial_lift(
    weights: Weights, grid: Grid, bins: int | np.ndarray = 20, share: Share | None = None
) -> xr.DataArray:
    r"""``g(r) = sum_i w_i sum_{j in bin} A_ij / sum_i w_i sum_{j in bin} w_j``.

    It is 1 at every distance when attention is uniform. A von Mises-Fisher head has ``g = kappa e^{kappa
    cos(r/R)} / sinh(kappa)``.

    Args:
        weights: ``(layer, head, N, N)`` or with a leading sample axis.
        grid: the token grid.
        bins: how many equal bins up to the largest distance, or their edges in ``grid.distance_units``.
        share: as for ``attention_distance``.

    Returns:
        ``attention_radial(layer, head, distance)`` at bin centres; NaN where no pair of tokens falls in a
        bin.
    """
    kept, _ = _placed(weights, grid, 0)
    distances, areas = grid.distances().ravel(), _areas(grid, share)
    edges = (
        np.linspace(0.0, distances.max(), bins + 1)
        if isinstance(bins, int)
        else np.asarray(bins, dtype=float)
    )
    pairs = (areas[:, :, None] * areas[:, None, :]).mean(axis=0)
    base = np.histogram(distances, edges, weights=pairs.ravel())[0]
    rows = (kept * areas[:, None, None, :, None]).mean(axis=0).reshape(-1, distances.size)
    mass = np.stack([np.histogram(distances, edges, weights=row)[0] for row in rows])
    lift = np.divide(mass, base, out=np.full_like(mass, np.nan), where=base > 0)
    return lift_table(lift.reshape(*weights.shape[-4:-2], -1), edges, grid)


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
    kept, _ = _placed(weights, grid, 0)
    kernel = _aligned(kept, grid.shape).mean(axis=(0, -2))
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
    kept, _ = _placed(weights, grid, 0)
    n_lat, n_lon = grid.shape
    box = kept.mean(axis=0).reshape(*weights.shape[-4:-2], n_lat, n_lon, n_lat, n_lon)
    turn = (np.arange(n_lon)[:, None] + np.arange(n_lon)) % n_lon
    aligned = np.take_along_axis(np.moveaxis(box, -3, -2), turn.reshape(1, 1, 1, 1, n_lon, n_lon), axis=-1)
    return zonal_table(aligned.mean(axis=-2), grid)


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
    kept, _ = _placed(weights, grid, 0)
    aligned = _aligned(kept, grid.shape)
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


def received_attention(weights: Weights, grid: Grid) -> xr.DataArray:
    r"""``s_j = sum_i w_i A_ij / w_j``: 1 under uniform attention, far above 1 at a sink.

    Returns:
        ``(layer, head, *grid.names)``.
    """
    kept, _ = _placed(weights, grid, 0)
    areas = _areas(grid, None)[0]
    received = areas @ kept.mean(axis=0) / areas
    table = table_of(
        received.reshape(*received.shape[:-1], *grid.shape), "attention received", "1", grid.names
    )
    coords = {name: c for name, c in grid.coords().items() if {*c[0]} <= {*grid.names}}
    return table.assign_coords(coords).rename("received_attention")


def attention_rollout(weights: Weights, residual: float = 0.5) -> np.ndarray:
    r"""``R = prod_l (residual I + (1 - residual) mean_h A_lh)``, the last layer leftmost; rows sum to one.

    Ignores values, signs and the MLP, and drifts to rank one with depth: descriptive only.

    Args:
        weights: ``(layer, head, N, N)`` or with a leading sample axis; the result keeps that axis.
        residual: the share of the skip connection in every layer.

    Reference: Abnar & Zuidema (2020), arXiv:2005.00928.
    """
    layers = np.moveaxis(weights.astype(np.float64).mean(axis=-3), -3, 0)
    rollout = np.broadcast_to(np.eye(weights.shape[-1]), layers.shape[1:])
    for layer in layers:
        rollout = residual * rollout + (1.0 - residual) * layer @ rollout
    return rollout


def _placed(weights: np.ndarray, grid: Grid, extra: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens with a place, ``(sample, layer, head, N, N)``, rows summing to one; the mass each row lost."""
    size = grid.size + extra
    if weights.ndim not in (4, 5) or weights.shape[-2:] != (size, size):
        expected = f"attention weights ([sample,] layer, head, {size}, {size}) on {grid.describe()}"
        raise InputError(
            expected, f"{weights.shape}", "give the grid of the tokens, and extra for tokens without a place"
        )
    given = weights.astype(np.float64).reshape(-1, *weights.shape[-4:])
    sums = given.sum(axis=-1)
    if not (given.min() >= 0 and abs(sums - 1.0).max() <= _ROW_TOLERANCE):
        got = f"a smallest weight of {given.min():.3g} and row sums of {sums.min():.6g} to {sums.max():.6g}"
        raise InputError("attention rows that are distributions", got, "give whole rows, after the softmax")
    kept = given[..., extra:, extra:]
    mass = kept.sum(axis=-1)
    if mass.min() <= 0:
        raise InputError(
            "some attention to tokens with a place", "a row without any", "look at that head by itself"
        )
    return kept / mass[..., None], sums[..., extra:] - mass


def _areas(grid: Grid, share: np.ndarray | None) -> Float[np.ndarray, "sample token"]:
    """Areas that sum to one: of the tokens for all samples (one row), or of what each sample has of them."""
    areas = grid.areas.ravel() * (np.ones((1, grid.size)) if share is None else share.astype(np.float64))
    return areas / areas.sum(axis=-1, keepdims=True)


def _over_queries(
    values: Float[np.ndarray, "sample layer head query"], areas: Float[np.ndarray, "_sample query"]
) -> Float[np.ndarray, "layer head"]:
    """``sum_i w_i v_i`` averaged over samples."""
    return np.asarray((values * areas[:, None, None]).sum(axis=-1).mean(axis=0))


def _mean_power(weights: np.ndarray, areas: np.ndarray, distances: np.ndarray, power: int) -> np.ndarray:
    """``sum_i w_i sum_j A_ij d_ij^power`` averaged over samples: ``(layer, head)``."""
    return _over_queries(np.einsum("slhij,ij->slhi", weights, distances**power), areas)


def _divergence(weights: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """``KL(A_i || w) = sum_j A_ij log(A_ij / w_j)`` of each query; a key that gets nothing adds nothing."""
    logs = np.log(np.where(areas > 0, areas, 1.0))[:, None, None, None]
    return (xlogy(weights, weights) - weights * logs).sum(axis=-1)


def _aligned(weights: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """``A[i, i + D]`` for every flat query ``i`` and flat offset ``D mod n``, on a periodic grid."""
    cells = np.stack(np.unravel_index(np.arange(weights.shape[-1]), shape))
    keys = (cells[:, :, None] + cells[:, None, :]) % np.reshape(shape, (-1, 1, 1))
    flat = np.ravel_multi_index(tuple(keys), shape)
    return np.take_along_axis(weights, flat.reshape(1, 1, 1, *flat.shape), axis=-1)


def _periodic_plane(grid: Grid) -> None:
    if grid.is_sphere or not all(grid.periodic):
        got = grid.describe()
        raise InputError("a plane that is periodic along every axis", got, "use zonal_stencil or radial_lift")
