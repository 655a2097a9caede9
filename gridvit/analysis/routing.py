"""Jacobians with frozen attention: what a step does through values, and what by looking elsewhere."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from gridvit.analysis.attribution import WithAttention
from gridvit.analysis.probe import probe
from gridvit.rollout import Context, Step
from gridvit.stencil import Stencil


def held(layer: int, weights: Tensor) -> Tensor:
    """The same attention, taken as given: nothing of the Jacobian goes through it."""
    return weights.detach()


def frozen_probe(
    step: Step,
    state: Float[Tensor, "batch variable *space"],
    at: Int[np.ndarray, "cell ndim"] | None = None,
    context: Context | None = None,
) -> Stencil:
    r"""``J_fr``, the Jacobian rows of ``probe`` with the attention of every layer held at what it is.

    Of a layer that only attends it is ``1 + sum_h A_h x W_O^h W_V^h``. The rest, ``J - J_fr``, is routing: what changes
    because queries and keys do. It is 0 where they do not look at the content.

    Args:
        step: one that takes ``attention`` when it is called.
        state: as for ``probe``; float64, the weights of all pairs of tokens are held.
        at: as for ``probe``.
        context: as for ``probe``.
    """
    return probe(WithAttention(step, held), state, at, context)


def routing_share(whole: Stencil, frozen: Stencil) -> float:
    """``|J - J_fr|_F / |J|_F`` over all rows, of stencils measured at the same states and cells."""
    return float(np.linalg.norm((whole - frozen).weights) / np.linalg.norm(whole.weights))
