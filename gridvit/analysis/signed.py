"""Attention heads as cell stencils with a sign: where a head looks times what it does with what it sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from math import prod

import numpy as np
from jaxtyping import Float

from gridvit.errors import InputError
from gridvit.stencil import Stencil


def signed_stencil(
    attention: Stencil, kernels: Float[np.ndarray, "*lead out in"], patch: Sequence[int]
) -> Stencil:
    r"""``S_h(P D + q - p) = P^-d sum_{p, q} A_h(D) M_h[p, q]``, the mean over the phases ``p`` of a patch.

    ``A_h`` is the head's stencil between tokens, ``M_h = U W_O^h W_V^h E`` what it makes of the cells of a token. A
    softmax only averages; the sign and the shift within a patch come from ``M``.

    Args:
        attention: stencil between tokens, any leading axes.
        kernels: ``M[p, q]`` from cell ``q`` of a token to cell ``p`` of the token that looks, after the same axes.
        patch: ``P`` cells along each axis, row-major in ``p`` and ``q``.

    Returns:
        A stencil between cells with the same leading axes.

    Raises:
        InputError: kernels that are not of so many cells.
    """
    size = prod(patch)
    if kernels.shape != (*attention.weights.shape[:-1], size, size):
        got = f"{kernels.shape}"
        raise InputError(
            f"kernels (..., {size}, {size}) of every head", got, "give those of the same network"
        )
    place = np.array(list(product(*(range(p) for p in patch))))
    within = (place[None] - place[:, None]).reshape(-1, len(patch))
    inner, number = np.unique(within, axis=0, return_inverse=True)
    # M summed over pairs of cells that lie equally far apart.
    summed = np.zeros((*kernels.shape[:-2], len(inner)))
    np.add.at(
        np.moveaxis(summed, -1, 0),
        number.ravel(),
        np.moveaxis(kernels.reshape(*kernels.shape[:-2], -1), -1, 0),
    )
    offsets = (attention.offsets * np.asarray(patch))[:, None] + inner[None]
    weights = attention.weights[..., :, None] * summed[..., None, :] / size
    flat = weights.reshape(*weights.shape[:-2], -1)
    spacing = attention.spacing / np.asarray(patch)
    return replace(attention, offsets=offsets.reshape(-1, len(patch)), weights=flat, spacing=spacing)
