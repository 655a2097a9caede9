"""Moments and cumulants of a signed measure on the lattice, and the Taylor conditions they must meet.

Plain NumPy: ``gridvit.stencil`` gives these names and units.
A multi-index ``n = (n_1, .., n_d)`` has order ``|n| = sum n_i``, and ``x^n`` means ``prod x_i^n_i``.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from math import comb, factorial, inf, prod

import numpy as np
from jaxtyping import Complex, Float, Int

from gridvit.errors import InputError

MultiIndex = tuple[int, ...]


def multi_indices(ndim: int, max_order: int) -> list[MultiIndex]:
    """All ``n`` with ``|n| <= max_order`` in ``ndim`` dimensions, by order and then lexicographically."""
    every = itertools.product(range(max_order + 1), repeat=ndim)
    return sorted((n for n in every if sum(n) <= max_order), key=lambda n: (sum(n), n))


def monomial(points: Float[np.ndarray, "*lead ndim"], n: MultiIndex) -> Float[np.ndarray, "*lead"]:
    """``x^n`` at each point."""
    return np.asarray(np.prod(points ** np.asarray(n), axis=-1))


@lru_cache(maxsize=256)
def taylor_weights(points: tuple[int, ...], order: int) -> tuple[Fraction, ...]:
    r"""The weights with ``sum_j w_j x_j^n = order! [n = order]`` for ``n = 0 .. len(points) - 1``, exactly.

    They are the derivative at 0 of the interpolating polynomial, ``w_j = order! [x^order] L_j(x)`` with
    Lagrange's ``L_j``; rational arithmetic keeps high orders free of rounding.
    Reference: Fornberg (1988), Math. Comp. 51, 699-706, doi:10.1090/S0025-5718-1988-0935077-0.
    """
    return tuple(factorial(order) * _lagrange(points, j)[order] for j in range(len(points)))


def _lagrange(points: tuple[int, ...], j: int) -> list[Fraction]:
    """Coefficients of ``L_j(x) = prod_{i != j} (x - x_i) / (x_j - x_i)``, ascending powers."""
    coefficients = [Fraction(1)]
    for x in points[:j] + points[j + 1 :]:
        times_x = [Fraction(0), *coefficients]
        times_minus = [-x * c for c in coefficients] + [Fraction(0)]
        coefficients = [(a + b) / (points[j] - x) for a, b in zip(times_x, times_minus, strict=True)]
    return coefficients


def derivative_line(order: int, accuracy: int, side: int) -> tuple[MultiIndex, tuple[float, ...]]:
    """Offsets and weights (unit spacing) of the shortest 1-D stencil for a derivative."""
    if order < 0 or accuracy < 1 or side not in (-1, 0, 1):
        got = f"order {order}, accuracy {accuracy}, side {side}"
        raise InputError("order >= 0, accuracy >= 1 and side -1, 0 or 1", got, "correct the one outside")
    if side == 0 and accuracy % 2:
        raise InputError(
            "an even accuracy for a central stencil", f"{accuracy}", f"use {accuracy + 1} or a side"
        )
    if order == 0:
        return (0,), (1.0,)
    half = (order + 1) // 2 + accuracy // 2 - 1
    points = tuple(range(-half, half + 1)) if side == 0 else tuple(side * j for j in range(order + accuracy))
    return points, tuple(float(w) for w in taylor_weights(points, order))


def cumulants(
    offsets: Int[np.ndarray, "cells ndim"], weights: Float[np.ndarray, "*lead cells"], max_order: int
) -> dict[MultiIndex, Float[np.ndarray, "*lead"]]:
    r"""``log sum_d S(d) e^{i theta.d} = sum_n kappa_n (i theta)^n / n!``, up to ``|n| = max_order``.

    A measure whose sum is not positive has no real logarithm: NaN. Moments are taken about the mean, where
    they lose no digits to a large drift; the mean itself is the first cumulants.
    Reference: Warming & Hyett (1974), J. Comput. Phys. 14, 159-179 (the modified equation).
    """
    total = weights.sum(-1)
    mass = np.where(total > 0, total, np.nan)
    share = weights / mass[..., None]
    mean = share @ offsets.astype(float)
    centred = offsets - mean[..., None, :]
    orders = multi_indices(offsets.shape[1], max_order)
    found = logarithm_of_series({n: np.asarray((share * monomial(centred, n)).sum(-1)) for n in orders})
    for axis, unit in enumerate(np.eye(offsets.shape[1], dtype=int)):
        if max_order:
            found[tuple(map(int, unit))] = np.asarray(mean[..., axis])
    return {**found, orders[0]: np.asarray(np.log(mass))}


def logarithm_of_series(
    moments: Mapping[MultiIndex, Float[np.ndarray, "*lead"]],
) -> dict[MultiIndex, Float[np.ndarray, "*lead"]]:
    """``K = log M`` for exponential series ``M = sum_n mu_n z^n / n!`` with ``mu_0 = 1``, term by term.

    From ``dM/dz_j = M dK/dz_j``: ``mu_n = sum_{k <= n - e_j} C(n - e_j, k) kappa_{k + e_j} mu_{n - e_j - k}``
    for any axis ``j`` with ``n_j > 0``. ``moments`` holds every ``n`` up to some order, lower orders first.
    """
    kappa: dict[MultiIndex, np.ndarray] = {}
    for n, mu in moments.items():
        if not any(n):
            kappa[n] = np.zeros_like(mu)
            continue
        axis = next(j for j, power in enumerate(n) if power)
        below = _step_down(n, axis)
        known = np.zeros_like(mu)
        for k in itertools.product(*(range(m + 1) for m in below)):
            if k != below:
                rest = tuple(m - p for m, p in zip(below, k, strict=True))
                ways = prod(comb(m, p) for m, p in zip(below, k, strict=True))
                known = known + ways * kappa[_step_up(k, axis)] * moments[rest]
        kappa[n] = np.asarray(mu - known)
    return kappa


def _step_down(n: MultiIndex, axis: int) -> MultiIndex:
    return (*n[:axis], n[axis] - 1, *n[axis + 1 :])


def _step_up(n: MultiIndex, axis: int) -> MultiIndex:
    return (*n[:axis], n[axis] + 1, *n[axis + 1 :])


def fit_cumulants(
    theta: Float[np.ndarray, "modes ndim"],
    symbol: Complex[np.ndarray, "*lead modes"],
    max_order: int,
    *,
    energy: Float[np.ndarray, "modes"] | None = None,
    drift: Float[np.ndarray, "ndim"] | None = None,
    growth: float | int | None = None,
) -> dict[MultiIndex, Float[np.ndarray, "*lead"]]:
    r"""Real ``kappa_n`` that minimise ``sum_k e_k |log G(theta_k) - sum_n kappa_n (i theta_k)^n / n!|^2``.

    Even orders answer to ``log |G|``, odd ones to ``arg G``. Where raw moments are spoilt by a far floor (a
    uniform floor ``eps`` on ``N`` cells adds about ``eps N^2 / 12`` to the variance but only scales ``G`` at
    ``k != 0``), this is the estimate to trust.

    Args:
        theta: wave numbers in radians per cell, small ones (``|theta| < 1``), one of each pair ``+-theta``.
        max_order: the highest ``|n|``; at least as many modes as orders of one parity.
        symbol: ``G`` there.
        energy: weight ``e_k >= 0`` of each mode, for instance the data's variance in it; all one if absent.
        drift: a guess of ``kappa_1`` in cells, taken out of the phase before the logarithm, so that
            ``|arg G - drift.theta|`` stays under pi. Without one, a shift of more than ``pi / |theta|`` cells
            is read modulo ``2 pi / |theta|``.
        growth: ``kappa_0`` where it is known, 0 for a step that conserves the sum; fitted if absent.
    """
    orders = multi_indices(theta.shape[1], max_order)
    guess = np.zeros(theta.shape[1]) if drift is None else drift
    log_symbol = np.log(symbol * np.exp(-1j * theta @ guess)) - (growth or 0.0)
    root = np.sqrt(np.ones(len(theta)) if energy is None else energy)
    fitted: dict[MultiIndex, np.ndarray] = {orders[0]: np.full(symbol.shape[:-1], growth or 0.0)}
    for parity, values in ((0, log_symbol.real), (1, log_symbol.imag)):
        chosen = [n for n in orders if sum(n) % 2 == parity and (any(n) or growth is None)]
        if chosen:
            fitted |= _least_squares(theta, values, chosen, root)
    for axis, unit in enumerate(np.eye(theta.shape[1], dtype=int)):
        key = tuple(map(int, unit))
        if key in fitted:
            fitted[key] = np.asarray(fitted[key] + guess[axis])
    return {n: fitted[n] for n in orders}


def _least_squares(
    theta: Float[np.ndarray, "modes ndim"],
    values: Float[np.ndarray, "*lead modes"],
    orders: list[MultiIndex],
    root: Float[np.ndarray, "modes"],
) -> dict[MultiIndex, Float[np.ndarray, "*lead"]]:
    # i^|n| is real for even orders and i times real for odd ones; (-1)^(|n| // 2) is that real number.
    columns = [(-1) ** (sum(n) // 2) * monomial(theta, n) / prod(factorial(m) for m in n) for n in orders]
    design = root[:, None] * np.stack(columns, axis=-1)
    targets = (root * values).reshape(-1, len(theta)).T
    solution = np.linalg.lstsq(design, targets, rcond=None)[0]
    return {n: row.reshape(values.shape[:-1]) for n, row in zip(orders, solution, strict=True)}


def formal_accuracy(
    offsets: Int[np.ndarray, "cells ndim"], weights: Float[np.ndarray, "*lead cells"], order: MultiIndex
) -> int | float:
    r"""The largest ``p`` with ``sum_d w(d) d^n = order! [n = order]`` for all ``|n| < |order| + p``.

    Taylor's theorem then gives ``sum_d w(d) u(x + d h) = h^order d^order u + O(h^(|order| + p))``. Rounding
    up to ``1e-9`` of the absolute moment counts as zero. ``K`` offsets cannot meet more than ``K`` conditions
    along an axis unless they meet all, which only the identity does: ``inf``.
    """
    used = np.abs(weights).reshape(-1, len(offsets)).max(axis=0) > 0
    points, weights = offsets[used].astype(float), weights[..., used]
    for total in range(sum(order) + len(points) + 1):
        for n in multi_indices(len(order), total):
            if sum(n) == total:
                powers = monomial(points, n)
                want = prod(factorial(m) for m in n) if n == order else 0
                error = np.abs(weights @ powers - want)
                if (error > 1e-9 * (np.abs(weights) @ np.abs(powers))).any():
                    return max(total - sum(order), 0)
    return inf
