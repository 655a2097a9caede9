"""Folds in half precision: features as a sum of two numbers, and the error that is left in the logits."""

from __future__ import annotations

import torch
from torch import Tensor

from gridvit.errors import InputError
from gridvit.nn.bias.base import Bias

MOST_ERROR = 0.01  # of a logit: attention weights are then right within a per cent
QUERIES = 64
HALF = (torch.bfloat16, torch.float16)
COPIES = 3  # dimensions of a split feature


def computed_in(x: Tensor) -> torch.dtype:
    """The dtype in which ``scaled_dot_product_attention`` will take ``x``: that of autocast where it is on."""
    kind = x.device.type
    casts = torch.is_autocast_enabled(kind) and x.dtype != torch.float64
    return torch.get_autocast_dtype(kind) if casts else x.dtype


def exact(x: Tensor) -> torch.autocast:
    """No autocast on the device of ``x`` within: a bias is worked out in the precision of its parameters."""
    return torch.autocast(x.device.type, enabled=False)


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


def split(fold: tuple[Tensor, Tensor], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """q . k = q_hi . k_hi + q_lo . k_hi + q_hi . k_lo: ``COPIES`` times the dimensions.

    x_hi is x rounded to ``dtype`` and x_lo = x - x_hi. What is left out, q_lo . k_lo, is of the order of the rounding
    squared.
    """
    refuse_rounded(fold[0])
    (query, query_rest), (key, key_rest) = ((x.to(dtype), (x - x.to(dtype)).to(dtype)) for x in fold)
    return torch.cat([query, query_rest, query], -1), torch.cat([key, key, key_rest], -1)


@torch.no_grad()
def logit_error(bias: Bias, dtype: torch.dtype) -> float:
    """Largest error of a folded logit, split in ``dtype`` and summed in float32, against the logit of the same query.

    Logits are taken relative to that of the query's own place, for softmax sees differences only; at up to 64 queries
    spread over the tokens, all keys. Zero where the bias is not folded.
    """
    fold = bias.fold()
    if fold is None:
        return 0.0
    count = fold[0].shape[1]
    rows = torch.linspace(0, count - 1, min(count, QUERIES), device=fold[0].device).round().long()
    query, key = split((fold[0][:, rows], fold[1]), dtype)
    error = (query.float() @ key.float().mT).double() - bias.logits(rows).double()
    own = error[:, torch.arange(len(rows)), rows]
    return float((error - own[..., None]).abs().max())


def check_precision(biases: list[Bias], dtype: torch.dtype) -> None:
    """Refuse ``dtype`` where a folded logit would be wrong by more than 0.01.

    Raises:
        InputError: the tokens are so near each other that their features differ by less than ``dtype`` tells apart.
    """
    error = max((logit_error(bias, dtype) for bias in biases), default=0.0)
    if error > MOST_ERROR:
        raise InputError(
            f"a distance bias that {str(dtype).removeprefix('torch.')} holds within {MOST_ERROR}",
            f"an error of {error:.2g} at this token spacing",
            "train in float32, or raise model.patch",
        )
