"""Folds in half precision: features as a sum of two numbers, and the error that is left in the logits."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from gridvit.errors import InputError
from gridvit.nn.bias.base import Bias

MOST_ERROR = 0.01  # of a logit: attention weights are then right within a per cent
QUERIES = 64
HALF = (torch.bfloat16, torch.float16)
PRODUCTS = {2: ((0, 0), (1, 0), (0, 1)), 3: ((0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (0, 2))}
"""Which parts of a query's feature meet which of a key's, by how many parts there are; the others are of the order of
the rounding to the power of that number."""
COPIES = {0: 1, **{parts: len(products) for parts, products in PRODUCTS.items()}}
"""Dimensions that a feature takes; 0 parts are single precision."""


def computed_in(x: Tensor) -> torch.dtype:
    """The dtype in which ``scaled_dot_product_attention`` will take ``x``: that of autocast where it is on."""
    kind = x.device.type
    known = torch.amp.is_autocast_available(kind)  # not on the meta device
    casts = known and torch.is_autocast_enabled(kind) and x.dtype != torch.float64
    return torch.get_autocast_dtype(kind) if casts else x.dtype


def exact(x: Tensor) -> AbstractContextManager[None]:
    """No autocast on the device of ``x`` within: a bias is worked out in the precision of its parameters."""
    kind = x.device.type
    casts = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if casts else nullcontext()  # a node of its own in a graph


def refuse_rounded(bias: Tensor) -> Tensor:
    """Refuse what was worked out in half precision: what it lost is not got back.

    Raises:
        InputError: a bias in half precision, of a model that was converted to it.
    """
    if bias.dtype in HALF and bias.shape[-1]:
        raise InputError(
            "a distance bias in float32, also where the rest is in half precision",
            f"one in {str(bias.dtype).removeprefix('torch.')}",
            "keep the model in float32 and run it under torch.autocast",
        )
    return bias


def split(fold: tuple[Tensor, Tensor], dtype: torch.dtype, parts: int = 2) -> tuple[Tensor, Tensor]:
    """q . k = q_0 . k_0 + q_1 . k_0 + q_0 . k_1 + ...: ``COPIES[parts]`` times the dimensions.

    x_0 is x rounded to ``dtype``, x_1 is x - x_0 rounded, and so on. Two parts of bfloat16 hold the bias between tokens
    of some 3 degrees, three those of single precision.
    """
    refuse_rounded(fold[0])
    query, key = (_parts(x, dtype, parts) for x in fold)
    first, second = zip(*PRODUCTS[parts], strict=True)
    return torch.cat([query[n] for n in first], -1), torch.cat([key[n] for n in second], -1)


def _parts(x: Tensor, dtype: torch.dtype, parts: int) -> list[Tensor]:
    found = []
    for _ in range(parts):
        found.append(x.to(dtype))
        x = x - found[-1]
    return found


@torch.no_grad()
def logit_error(bias: Bias, dtype: torch.dtype, parts: int = 2) -> float:
    """Largest error of a folded logit, split in ``dtype`` and summed in float32, against the logit of the same query.

    Logits are taken relative to that of the query's own place, for softmax sees differences only; at up to 64 queries
    spread over the tokens, all keys. Zero where the bias is not folded.
    """
    fold = bias.fold()
    if fold is None:
        return 0.0
    count = fold[0].shape[1]
    rows = torch.linspace(0, count - 1, min(count, QUERIES), device=fold[0].device).round().long()
    query, key = split((fold[0][:, rows], fold[1]), dtype, parts)
    error = (query.float() @ key.float().mT).double() - bias.logits(rows).double()
    own = error[:, torch.arange(len(rows)), rows]
    return float((error - own[..., None]).abs().max())


def check_precision(biases: list[Bias], dtype: torch.dtype, parts: int = 2) -> None:
    """Refuse ``dtype`` where a folded logit would be wrong by more than 0.01.

    Raises:
        InputError: the tokens are so near each other that their features differ by less than ``dtype`` tells apart.
    """
    error = max((logit_error(bias, dtype, parts) for bias in biases), default=0.0)
    if error > MOST_ERROR:
        raise InputError(
            f"a distance bias that {str(dtype).removeprefix('torch.')} holds within {MOST_ERROR}",
            f"an error of {error:.2g} at this token spacing",
            f"{'' if parts == max(PRODUCTS) else 'set model.half to 3, '}train in float32, or raise model.patch",
        )
