"""Patterns that vary together: empirical orthogonal functions, maximum covariance and canonical correlation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gridvit.errors import InputError


@dataclass(frozen=True, eq=False)
class Modes:
    r"""``x'(t, s) = sum_k pc_k(t) pattern_k(s)``, ``pc`` of unit variance, patterns orthogonal under the areas.

    Args:
        patterns: in the field's unit, per standard deviation of their ``pc``.
        series: ``pc``.
        variances: ``lambda_k = sum_s w pattern_k^2``; all of them add up to the area mean of the variance.
    """

    patterns: Float[np.ndarray, "mode cell"]
    series: Float[np.ndarray, "time mode"]
    variances: Float[np.ndarray, "mode"]


def eof(
    field: Float[np.ndarray, "time cell"], areas: Float[np.ndarray, " cell"], count: int | None = None
) -> Modes:
    r"""``X' sqrt(w) = U S V^T`` by SVD, ``w`` areas that sum to one: ``pc = sqrt(n) U``, ``lambda = S^2 / n``.

    Weighted so, splitting a cell in two of the same values changes no variance and no series. Patterns are orthogonal
    because they must be, not because nature's are: read single ones with care.

    Args:
        field: without missing values; the mean of each cell is taken off.
        areas: of the cells, in any unit.
        count: of modes to keep; all ``min(time, cell)`` if absent.

    Raises:
        InputError: missing values.

    Reference: E. N. Lorenz, MIT Sci. Rep. 1 (1956); G. R. North et al., Mon. Wea. Rev. 110 (1982) 699-706 on how well
    neighbours are told apart.
    """
    if np.isnan(field).any():
        raise InputError("a field without missing values", "some", "leave those cells out or fill them")
    root = np.sqrt(areas / areas.sum())
    n = len(field)
    u, s, v = np.linalg.svd((field - field.mean(axis=0)) * root, full_matrices=False)
    u, s, v = u[:, :count], s[:count], v[:count]
    return Modes(s[:, None] * v / np.sqrt(n) / root, np.sqrt(n) * u, s**2 / n)


@dataclass(frozen=True, eq=False)
class CoupledModes:
    """Pairs of patterns of two fields and their series.

    Args:
        left: ``sum_s w pattern^2 = 1`` for maximum covariance.
        right: of the other field.
        left_series: of each time.
        right_series: likewise.
        strength: covariance or correlation of each pair of series, descending.
    """

    left: Float[np.ndarray, "mode cell"]
    right: Float[np.ndarray, "mode other"]
    left_series: Float[np.ndarray, "time mode"]
    right_series: Float[np.ndarray, "time mode"]
    strength: Float[np.ndarray, "mode"]


def mca(
    x: Float[np.ndarray, "time cell"],
    y: Float[np.ndarray, "time other"],
    areas: tuple[Float[np.ndarray, " cell"], Float[np.ndarray, " other"]],
    count: int | None = None,
) -> CoupledModes:
    r"""``(X' sqrt(w_x))^T (Y' sqrt(w_y)) / n = L S R^T``: pairs of unit patterns of greatest covariance ``S``.

    Of a field with itself: its EOFs and their variances. For a lag give ``x`` and ``y`` shifted.

    Reference: C. S. Bretherton, C. Smith and J. M. Wallace, J. Climate 5 (1992) 541-560.
    """
    one, two = eof(x, areas[0]), eof(y, areas[1])
    scale = np.sqrt(one.variances), np.sqrt(two.variances)
    u, s, v = np.linalg.svd(scale[0][:, None] * (one.series.T @ two.series / len(x)) * scale[1])
    k = min(len(s), count or len(s))
    left, right = u[:, :k].T, v[:k]
    unit = (_unit(m) for m in (one, two))
    return CoupledModes(
        left @ next(unit),
        right @ next(unit),
        one.series * scale[0] @ left.T,
        two.series * scale[1] @ right.T,
        s[:k],
    )


def cca(
    x: Float[np.ndarray, "time cell"],
    y: Float[np.ndarray, "time other"],
    areas: tuple[Float[np.ndarray, " cell"], Float[np.ndarray, " other"]],
    keep: tuple[int, int],
) -> CoupledModes:
    r"""``Pc_x^T Pc_y / n = L S R^T`` of the leading whitened series: pairs of greatest correlation ``S``.

    With all of them kept the correlations are the same after any invertible map of either field; with more series
    than a few tenths of the (effective) number of times they are all near one by chance. Patterns are the fields'
    covariance with the series of their side.

    Args:
        x: one field.
        y: the other.
        areas: of both.
        keep: how many series of each.

    Reference: H. Hotelling, Biometrika 28 (1936) 321-377; T. P. Barnett and R. Preisendorfer, Mon. Wea. Rev. 115
    (1987) 1825-1850 for the truncation.
    """
    one, two = (eof(f, a, k) for f, a, k in zip((x, y), areas, keep, strict=True))
    u, s, v = np.linalg.svd(one.series.T @ two.series / len(x), full_matrices=False)
    return CoupledModes(u.T @ one.patterns, v @ two.patterns, one.series @ u, two.series @ v.T, s)


def eof_regression(
    field: Float[np.ndarray, "time cell"],
    target: Float[np.ndarray, "time"],
    areas: Float[np.ndarray, " cell"],
    count: int,
) -> Float[np.ndarray, " cell"]:
    r"""``b(s) = sum_k cov(y, pc_k) pattern_k(s) / lambda_k``: ``y = sum_s w b x'`` by least squares in ``count`` EOFs.

    The gradient of a linear forecast, per area: ``w b`` is what a change in one cell does to ``y``. Few modes miss
    small regions, many fit noise.

    Args:
        field: ``x`` at the times of the predictor.
        target: ``y`` at those of the predictand.
        areas: ``w``.
        count: of modes, well below the effective number of times.
    """
    modes = eof(field, areas, count)
    slope = modes.series.T @ (target - target.mean()) / len(target)
    return (slope / modes.variances) @ modes.patterns


def _unit(modes: Modes) -> np.ndarray:
    """Patterns of unit area-mean square; zero for a mode without variance."""
    size = np.sqrt(modes.variances)[:, None]
    return np.divide(modes.patterns, size, out=np.zeros_like(modes.patterns), where=size > 0)
