"""How many additions and multiplications tensors go through, the same on every machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import log2, prod
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

Counter = Callable[[Any, dict[str, Any], Any], float]
"""(arguments, keywords, result) -> operations."""
COPIES = ("clone", "copy", "copy_", "fill", "fill_", "zero", "zero_", "_to_copy")
ROW = 5
"""Operations for each number of a softmax or a layer norm: exponential or square, sums, quotient."""


class Operations(TorchDispatchMode):
    """Counts while it is entered: ``with Operations() as counted: step(state)``; ``counted.total``.

    A product of matrices (m, k) and (k, n) is 2 m k n, attention is its two products and a softmax, a Fourier transform
    of N real numbers over n cells 5/2 N log2 n and of complex ones twice that, and everything else one for each number
    of the result (of a complex product 6, of a sum of a field one for each number that goes in). Copies and
    shifts are free, and so is what NumPy does: this is work, not time.

    Reference: S. G. Johnson and M. Frigo, IEEE Trans. Signal Process. 55 (2007) 111-119, doi:10.1109/TSP.2006.882087,
    for the count of the transform.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do what is asked, and count it."""
        made = func(*args, **(kwargs or {}))
        if count := _counter(func):
            self.total += count(args, kwargs or {}, made)
        return made


@cache
def _counter(func: Any) -> Counter | None:
    """How an operator counts; None of what is free."""
    name = func.overloadpacket.__name__
    for known, count in COUNTS.items():
        if name.startswith(known):
            return count
    if formula := flop_registry.get(func.overloadpacket):
        return lambda args, kwargs, made: float(formula(*args, **kwargs, out_val=made))
    if torch.Tag.reduction in func.tags:
        return lambda args, kwargs, made: float(args[0].numel())
    counts = torch.Tag.pointwise in func.tags and name not in COPIES
    return _pointwise(6 if name in ("mul", "div") else 2) if counts else None


def _pointwise(complex_cost: int) -> Counter:
    """One for each number of the result, so many for each complex one, and twice that where it is scaled by alpha."""

    def count(args: Any, kwargs: dict[str, Any], made: Any) -> float:
        scaled = 2 if kwargs.get("alpha", 1) != 1 else 1
        return float(scaled * (complex_cost if made.is_complex() else 1) * made.numel())

    return count


def _attention(args: Any, kwargs: dict[str, Any], made: Any) -> float:
    """Of queries (..., L, d), keys (..., S, d) and values (..., S, e)."""
    q, k, v = args[:3]
    pairs = prod(q.shape[:-1]) * k.shape[-2]
    return float(pairs * (2 * q.shape[-1] + 2 * v.shape[-1] + ROW))


def _transform(real: int) -> Counter:
    """Of a Fourier transform whose real side is that of the argument (0), the result (1), or neither (2)."""

    def count(args: Any, kwargs: dict[str, Any], made: Any) -> float:
        whole = made if real == 1 else args[0]
        return (5.0 if real == 2 else 2.5) * whole.numel() * log2(prod(whole.shape[d] for d in args[1]))

    return count


def _each(args: Any, kwargs: dict[str, Any], made: Any) -> float:
    return float(ROW * args[0].numel())


COUNTS: dict[str, Counter] = {
    "_scaled_dot_product": _attention,
    "_fft_r2c": _transform(0),
    "_fft_c2r": _transform(1),
    "_fft_c2c": _transform(2),
    "_softmax": _each,
    "native_layer_norm": _each,
}
