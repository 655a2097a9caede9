"""Coefficients that are drawn anew for every trajectory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from gridvit.config import SimulateConfig
from gridvit.errors import InputError

KEYS = {"from", "to", "log"}


def drawn(parameters: Mapping[str, Any]) -> list[str]:
    """Names of the coefficients given as ranges, in alphabetical order."""
    return sorted(name for name, value in parameters.items() if isinstance(value, Mapping))


def parameters_of(config: SimulateConfig, sample: int) -> dict[str, Any]:
    """The coefficients of one trajectory: x = from + (to - from) r with r uniform in [0, 1), or its logarithm.

    Each trajectory has its own generator, apart from that of its initial state.

    Raises:
        InputError: a range without its ends, of falling ends, or in logarithms and not positive.
    """
    seeds = np.random.SeedSequence(config.seed, spawn_key=(sample, 1))
    generator = np.random.default_rng(seeds)
    values = {name: _draw(name, config.parameters[name], generator) for name in drawn(config.parameters)}
    return {**config.parameters, **values}


def with_own(
    attrs: Mapping[str, Any], names: Sequence[str], values: Float[np.ndarray, "number"]
) -> dict[str, Any]:
    """Attributes of a simulated file with one trajectory's coefficients in the place of the ranges of all.

    A name is repeated for each of its numbers; other numbers of the trajectory than coefficients are left alone.
    """
    given = json.loads(attrs["gridvit_parameters"])
    for name in drawn(given):
        own = [float(value) for n, value in zip(names, values, strict=True) if n == name]
        given[name] = own if isinstance(given[name]["from"], list) else own[0]
    return {**attrs, "gridvit_parameters": json.dumps(given)}


def _draw(name: str, span: Mapping[str, Any], generator: np.random.Generator) -> Any:
    if not {"from", "to"} <= set(span) <= KEYS:
        raise InputError(
            f"a range {{from: .., to: .., log: true or false}} of {name}",
            f"the keys {', '.join(map(str, span)) or 'none'}",
            "give both ends, each a number or a list of numbers",
        )
    low, high = (_numbers(name, span, end) for end in ("from", "to"))
    log = bool(span.get("log", False))
    if low.shape != high.shape or (low > high).any() or (log and (low <= 0).any()):
        raise InputError(
            f"a range of {name} whose ends ascend{' and are positive' if log else ''}",
            f"from {span['from']} to {span['to']}",
            "correct its ends",
        )
    r = generator.random(low.shape)
    value = np.exp(np.log(low) + (np.log(high) - np.log(low)) * r) if log else low + (high - low) * r
    return value.tolist()


def _numbers(name: str, span: Mapping[str, Any], end: str) -> np.ndarray:
    try:
        value = np.asarray(span[end], dtype=np.float64)
    except (TypeError, ValueError):
        value = np.array(np.nan)  # words, or rows of different lengths
    if not np.isfinite(value).all():
        raise InputError(
            f"a number or a list of numbers where the range of {name} is {end!r}",
            repr(span[end]),
            "correct it",
        )
    return value
