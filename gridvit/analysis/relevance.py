"""Which tokens a forecast at one place hangs on, all layers together: rollout, gradient relevance, the gradient itself.

A map is a row of shares, one for each token, of sum one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gridvit.analysis.attribution import Readout, WithAttention
from gridvit.analysis.looking import Areas
from gridvit.errors import InputError
from gridvit.grid import Grid

Layers = Float[Tensor, "batch layer query key"]


@torch.no_grad()
def head_means(
    blocks: Iterable[tuple[int, slice, Float[Tensor, "batch head query key"]]],
) -> Layers:
    """``mean_h A_lh`` of every layer, from blocks of queries."""
    layers: dict[int, list[Tensor]] = {}
    for layer, _, weights in blocks:
        layers.setdefault(layer, []).append(weights.mean(1))
    return torch.stack([torch.cat(layers[layer], 1) for layer in sorted(layers)], 1)


def rollout_rows(
    layers: Layers,
    residual: float | Float[Tensor, "batch layer query"] = 0.5,
    queries: Sequence[int] | None = None,
) -> Float[Tensor, "batch row key"]:
    r"""``e_q^T prod_l (r_l + (1 - r_l) A_l)``, the last layer leftmost, for some queries or all.

    Rows sum to one. Row by row from the last layer, so that a few queries take no product of matrices.

    Args:
        layers: attention averaged over heads, all tokens, those without a place first.
        residual: the share that stays at each query, ``|x| / (|x| + |what attention adds|)``, or one half.
        queries: which rows; all if absent.

    Reference: Abnar & Zuidema (2020), arXiv:2005.00928.
    """
    size = layers.shape[-1]
    chosen = torch.arange(size) if queries is None else torch.tensor(list(queries))
    rows = torch.eye(size, dtype=layers.dtype)[chosen].to(layers.device).expand(len(layers), -1, -1)
    stays = torch.as_tensor(residual, dtype=layers.dtype, device=layers.device)
    stays = stays.expand(layers.shape[:-1]) if stays.ndim == 0 else stays
    for layer in reversed(range(layers.shape[1])):
        kept = rows * stays[:, layer, None]
        rows = kept + (rows - kept) @ layers[:, layer]
    return rows


def gradient_relevance(
    readout: Readout, state: Float[Tensor, "batch variable *space"], queries: Sequence[int]
) -> Float[Tensor, "batch row key"]:
    r"""``e_q^T prod_l (1 + E_h[(dy/dA_lh * A_lh)^+])``, the last layer leftmost: attention by what it does.

    Where nothing that is attended matters it is the identity. Memory is that of the attention of all layers and
    heads three times over, for each state.

    Args:
        readout: ``y``; its step takes ``attention``.
        state: where; few, since all attention is held.
        queries: the tokens that ``y`` is read from, those without a place counted.

    Raises:
        InputError: a readout of several steps, whose layers would be those of all of them.

    Reference: Chefer, Gur & Wolf (ICCV 2021), arXiv:2103.15679, equations 5 and 6.
    """
    if readout.lead != 1:
        raise InputError("a readout of one step", f"{readout.lead}", "take lead=1")
    seen: list[Tensor] = []

    def watch(layer: int, weights: Tensor) -> Tensor:
        seen.append(weights if weights.requires_grad else weights.requires_grad_())
        return seen[-1]

    with torch.enable_grad():
        value = replace(readout, step=WithAttention(readout.step, watch))(state).sum()
        gradients = torch.autograd.grad(value, seen, allow_unused=True)
    rows = torch.eye(seen[0].shape[-1], dtype=state.dtype)[list(queries)].to(state)
    rows = rows.expand(len(state), -1, -1)
    for weights, gradient in zip(reversed(seen), reversed(gradients), strict=True):
        if gradient is not None:
            rows = rows + rows @ (gradient * weights.detach()).clamp(min=0).mean(1)
    return rows.detach()


def gradient_rows(
    readout: Readout,
    state: Float[Tensor, "batch variable *space"],
    regions: Int[np.ndarray, "*space"],
    scale: Float[Tensor, "variable"],
) -> Float[Tensor, "batch token"]:
    """``sum over the variables and cells of a token of |df/du| sigma``: what ``f`` can feel of it.

    Args:
        readout: ``f``.
        state: where; cells without a value count nothing.
        regions: the number of the token of each cell.
        scale: ``sigma``, by which variables of different units compare.
    """
    slopes = (readout.gradient(state).nan_to_num().transpose(1, -1).abs() * scale.to(state)).transpose(1, -1)
    flat = slopes.sum(1).flatten(1)
    found = flat.new_zeros(len(flat), int(regions.max()) + 1)
    return found.index_add_(1, torch.from_numpy(regions.ravel()).to(flat.device), flat)


def token_regions(grid: Grid, tokens: Grid) -> Int[np.ndarray, "*space"]:
    """The number of the token of each cell."""
    places = []
    for axis in range(grid.ndim):
        edges = tokens.bounds[axis][1:-1]
        places.append(np.searchsorted(edges, grid.centers[axis]))
    return np.asarray(np.ravel_multi_index(np.meshgrid(*places, indexing="ij"), tokens.shape))


def map_reach(
    rows: Float[np.ndarray, "row token"], queries: Sequence[int], grid: Grid, areas: Areas
) -> dict[str, Float[np.ndarray, "row"]]:
    """``sum_j m_j d_qj / sum_j m_j``, the root of the same of ``d^2``, and ``exp(-KL(m || w))``, of maps of shares.

    Args:
        rows: ``m``, no less than 0.
        queries: ``q``, the token that each is the map of.
        grid: of the tokens.
        areas: ``w``, ``(1 or row, token)``, of sum one.
    """
    shares = rows / rows.sum(axis=-1, keepdims=True)
    distances = grid.distances(rows=np.asarray(queries))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(shares > 0, np.log(shares / areas), 0.0)
    return {
        "distance": (shares * distances).sum(axis=-1),
        "rms": np.sqrt((shares * distances**2).sum(axis=-1)),
        "area": np.exp(-(shares * logs).sum(axis=-1)),
    }
