"""What correlations of slow series and paired differences are worth: p-values, and the share of false finds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.special import stdtr
from scipy.stats import rankdata

from gridvit.analysis.bootstrap import block_counts
from gridvit.analysis.skill import mean_present
from gridvit.errors import InputError


def autocorrelation(series: Float[np.ndarray, "time *cell"], lags: int) -> Float[np.ndarray, "lag *cell"]:
    r"""``rho(k) = sum_{t} x'_t x'_{t+k} / sum_t x'_t^2``, ``k = 1 .. lags``, about the mean of the series.

    Where values are missing (NaN), the means of the products that are there stand for the rest. NaN for a series that
    is constant or never there.
    """
    n = len(series)
    if not 1 <= lags < n:
        raise InputError(f"1 to {n - 1} lags", f"{lags}", "give a longer series or fewer lags")
    x = series - mean_present(series, (0,))
    power = mean_present(x**2, (0,))
    found = np.stack([(1 - k / n) * mean_present(x[k:] * x[: n - k], (0,)) for k in range(1, lags + 1)])
    return np.divide(found, power, out=np.full_like(found, np.nan), where=power > 0)


def memory(series: Float[np.ndarray, "time *cell"]) -> Float[np.ndarray, "*cell"]:
    """``rho(1)``, what ``effective_size_ar1`` asks for."""
    return np.asarray(autocorrelation(series, 1)[0])


def effective_size(
    rho_x: Float[np.ndarray, "lag *cell"], rho_y: Float[np.ndarray, "lag *cell"], n: int
) -> Float[np.ndarray, "*cell"]:
    r"""``1 / n* = 1 / n + (2 / n) sum_{k=1}^{K} (1 - k / n) rho_x(k) rho_y(k)``, in (0, n].

    As many independent pairs give a correlation of the variance that ``n`` pairs of two uncorrelated series with
    these autocorrelations give. Measured autocorrelations need a short ``K`` (good: where both have fallen to
    0.1), for the errors of many add up; known ones take all ``n - 1``.

    Args:
        rho_x: ``rho_x(k)``, ``k = 1 .. K``.
        rho_y: the same of the other series.
        n: length of the series.

    Reference: C. S. Bretherton et al., J. Climate 12 (1999) 1990-2009, equation 31; exact for the covariance of
    Gaussian series (M. S. Bartlett 1935).
    """
    k = np.arange(1, len(rho_x) + 1).reshape(-1, *(1,) * (rho_x.ndim - 1))
    inverse = 1 + 2 * ((1 - k / n) * rho_x * rho_y).sum(axis=0)
    return np.asarray(n / np.maximum(inverse, 1.0))


def effective_size_ar1(
    r_x: Float[np.ndarray, "*cell"], r_y: Float[np.ndarray, "*_cell"], n: int | np.ndarray
) -> Float[np.ndarray, "*cell"]:
    r"""``n* = n (1 - r_x r_y) / (1 + r_x r_y)``, at most ``n``: two AR(1) series with these autocorrelations at lag 1.

    ``effective_size`` with ``rho(k) = r^k`` for endless series. Reference: Bretherton et al. 1999, equation 31.
    """
    return np.asarray(n * np.minimum((1 - r_x * r_y) / (1 + r_x * r_y), 1.0))


def correlation_p(
    r: Float[np.ndarray, "*cell"], size: Float[np.ndarray, "*_cell"], given: int = 0
) -> Float[np.ndarray, "*cell"]:
    r"""Two-sided p of ``t = r sqrt(nu / (1 - r^2))``, Student with ``nu = n* - 2 - given`` degrees of freedom.

    Args:
        r: a correlation, or a partial one.
        size: ``n*``.
        given: number of series that were regressed out.

    Returns:
        p; one where no degree of freedom is left; NaN where ``r`` is.
    """
    freedom = np.broadcast_to(size - 2 - given, r.shape)
    with np.errstate(divide="ignore"):
        t = np.abs(r) * np.sqrt(np.maximum(freedom, 0) / np.maximum(1 - r**2, 0))
    p = 2 * stdtr(np.where(freedom > 0, freedom, 1.0), -t)
    return np.where(np.isnan(r), np.nan, np.where(freedom > 0, p, 1.0))


def false_discovery(
    p: Float[np.ndarray, "*cell"], alpha: float = 0.05, weights: Float[np.ndarray, "*cell"] | None = None
) -> Bool[np.ndarray, "*cell"]:
    r"""Reject where ``p <= p_FDR = max{p_(i) : p_(i) <= alpha sum_{j <= i} w_(j) / sum w}``, Benjamini and Hochberg.

    Of what is rejected at most the share ``alpha`` is false on average, for independent or positively dependent
    tests. Where all nulls hold and are independent, something is rejected with probability exactly ``alpha`` (equal
    weights; Simes 1986). For fields correlated in space Wilks advises an ``alpha`` of twice the global level. The
    threshold depends on the domain: fix it before looking.

    Args:
        p: NaN (land) enters no count.
        alpha: see above.
        weights: areas, so that narrow polar cells do not set the threshold; equal if absent.

    Reference: Y. Benjamini and Y. Hochberg, J. R. Stat. Soc. B 57 (1995) 289-300, and Scand. J. Stat. 24 (1997)
    407-418 for weights; D. S. Wilks, Bull. Amer. Meteor. Soc. 97 (2016) 2263-2273, doi:10.1175/BAMS-D-15-00267.1.
    """
    there = ~np.isnan(p)
    w = np.ones(p.shape)[there] if weights is None else weights[there]
    order = np.argsort(p[there])
    ranked = p[there][order]
    passed = ranked <= alpha * np.cumsum(w[order]) / w.sum() * (1 + 1e-12)  # rounding of equal fractions
    threshold = ranked[passed].max(initial=-1.0)
    return there & (np.where(there, p, np.inf) <= threshold)


def phase_surrogates(
    field: Float[np.ndarray, "time *cell"], draws: int, seed: int = 0
) -> Iterator[Float[np.ndarray, "time *cell"]]:
    r"""``x_s = irfft(|X_k| e^{i (arg X_k + theta_k)})``: other series of the same spectra.

    One phase vector ``theta`` for all cells, so that every circular covariance between two cells at any lag stays.
    The mean and, of an even length, the Nyquist wave are real and kept: with a random phase its amplitude would
    shrink. Stationary data only: remove the annual cycle and the trend first. A wave that the record does not hold
    whole leaks; taper or cut to match ends where that matters.

    Args:
        field: one series or many, without missing values.
        draws: number of surrogates.
        seed: another one for the driver than for the target, or both turn alike.

    Reference: J. Theiler et al., Physica D 58 (1992) 77-94; D. Prichard and J. Theiler, Phys. Rev. Lett. 73 (1994)
    951-954 for the shared phases.
    """
    n, rng = len(field), np.random.default_rng(seed)
    spectrum = np.fft.rfft(field, axis=0)
    turning = slice(1, (n + 1) // 2)
    for _ in range(draws):
        turn = np.ones(len(spectrum), dtype=complex)
        turn[turning] = np.exp(2j * np.pi * rng.random((n + 1) // 2 - 1))
        yield np.fft.irfft(spectrum * turn.reshape(-1, *(1,) * (field.ndim - 1)), n=n, axis=0)


def surrogate_p(
    driver: Float[np.ndarray, "time"],
    field: Float[np.ndarray, "_time *cell"],
    lag: int,
    draws: int = 199,
    seed: int = 0,
) -> Float[np.ndarray, "*cell"]:
    r"""``p = (1 + #{|r_s| >= |r|}) / (draws + 1)`` of ``r = corr(driver_{t+lag}, field_t)`` against no coupling.

    The driver gets phases of its own, the field one vector for all its cells: each keeps what it is, and only what
    ties the two is lost.
    """
    found = abs(correlate(driver, field, lag))
    pairs = zip(
        phase_surrogates(driver, draws, 2 * seed), phase_surrogates(field, draws, 2 * seed + 1), strict=True
    )
    beyond = sum((abs(correlate(one, other, lag)) >= found).astype(float) for one, other in pairs)
    return np.where(np.isnan(found), np.nan, (1 + beyond) / (draws + 1))


def correlate(
    driver: Float[np.ndarray, "time"], field: Float[np.ndarray, "_time *cell"], lag: int
) -> Float[np.ndarray, "*cell"]:
    """``corr(driver_{t+lag}, field_t)`` over the times that both have; a negative lag lets the driver lead."""
    covariance, early, late = moments(*paired(driver, field, lag))
    spread = np.sqrt(early * late)
    return np.divide(covariance, spread, out=np.full_like(spread, np.nan), where=spread > 0)


def paired(
    driver: Float[np.ndarray, "time"], field: Float[np.ndarray, "_time *cell"], lag: int
) -> tuple[Float[np.ndarray, "pair *cell"], Float[np.ndarray, "pair"]]:
    """``field_t`` and ``driver_{t+lag}``."""
    n = len(driver)
    if len(field) != n or abs(lag) > n - 3:
        raise InputError(
            "two series of one length and a lag that leaves 3 pairs",
            f"lengths {n} and {len(field)} and lag {lag}",
            "align them or shorten the lag",
        )
    return field[max(0, -lag) : n - max(0, lag)], driver[max(0, lag) : n - max(0, -lag)]


def moments(
    field: Float[np.ndarray, "pair *cell"], series: Float[np.ndarray, "pair"]
) -> tuple[Float[np.ndarray, "*cell"], Float[np.ndarray, "*cell"], Float[np.ndarray, "*cell"]]:
    """Covariance with a series, variance, and the variance of the series over the pairs that each cell has."""
    there, n = ~np.isnan(field), len(series)
    if there.all():
        x, y = field - field.mean(axis=0), series - series.mean()
        variance = (x**2).mean(axis=0)
        return np.tensordot(y, x, axes=(0, 0)) / n, variance, np.full_like(variance, (y**2).mean())
    count = np.maximum(there.sum(axis=0), 1)
    y = np.where(there, series.reshape(-1, *(1,) * (field.ndim - 1)), 0.0)
    x = np.where(there, field - mean_present(field, (0,)), 0.0)
    y = np.where(there, y - y.sum(axis=0) / count, 0.0)
    return (x * y).sum(axis=0) / count, (x**2).sum(axis=0) / count, (y**2).sum(axis=0) / count


def bootstrap_correlation(
    driver: Float[np.ndarray, "time"],
    field: Float[np.ndarray, "_time *cell"],
    lag: int,
    *,
    block: int | None = None,
    draws: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[Float[np.ndarray, "*cell"], Float[np.ndarray, "*cell"]]:
    r"""Percentile interval of ``corr(driver_{t+lag}, field_t)`` over redrawn runs of successive pairs.

    Args:
        driver: the series.
        field: the other series.
        lag: see ``correlate``.
        block: pairs in a run, ``ceil(n^(1/3))`` if absent; good: several times the memory of the slower series.
        draws: number of redrawn samples.
        level: share of the draws inside.
        seed: same seed, same interval.

    Reference: Künsch (1989), Ann. Statist. 17, 1217-1241; D. S. Wilks, J. Climate 10 (1997) 65-82 for fields.
    """
    x, y = paired(driver, field, lag)
    x, y = x - x.mean(axis=0), y - y.mean()
    counts = block_counts(len(y), block or int(np.ceil(len(y) ** (1 / 3))), draws, seed)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.tensordot(counts, values, axes=1)

    deep = (slice(None), *(None,) * (x.ndim - 1))
    mx, my = mean(x), mean(y)[deep]
    var_x, var_y = mean(x**2) - mx**2, mean(y**2)[deep] - my**2
    r = (mean(x * y[deep]) - mx * my) / np.sqrt(var_x * var_y)
    low, high = np.quantile(r, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def leave_years_out(
    years: Shaped[np.ndarray, "time"], folds: int, gap: int = 0
) -> Iterator[tuple[Bool[np.ndarray, "time"], Bool[np.ndarray, "time"]]]:
    """(train, test) for each of ``folds`` runs of whole years; ``gap`` times on either side of the test are in neither.

    Weather remembers: with a gap of the longest lag and memory no test time is known from a neighbour.

    Raises:
        InputError: fewer years than folds, or a gap that leaves nothing to train on.
    """
    seen = np.unique(years)
    if not 2 <= folds <= len(seen):
        raise InputError(
            f"2 to {len(seen)} folds of whole years", f"{folds}", "give more years or fewer folds"
        )
    for part in np.array_split(seen, folds):
        test = np.isin(years, part)
        near = np.convolve(test, np.ones(2 * gap + 1), mode="full")[gap : gap + len(test)] > 0
        if near.all():
            raise InputError("years left to train on", f"none with a gap of {gap} times", "shorten the gap")
        yield ~near, test


def signed_rank(differences: Float[np.ndarray, "case"]) -> float:
    """``P(W >= w)``: ``w`` is the sum of the ranks of what is above 0, ``W`` the same had coins chosen the signs.

    Zeros are left out, ties share their mean rank. The distribution is built rank by rank and is exact with ties too,
    where ``scipy.stats.wilcoxon`` tries all signs, a hundred times slower. NaN where a difference is.

    Reference: Wilcoxon (1945), Biometrics Bulletin 1, 80-83, doi:10.2307/3001968.
    """
    if np.isnan(differences).any():
        return float("nan")
    there = differences[differences != 0]
    halves = (2 * rankdata(np.abs(there))).astype(int)
    chances = np.zeros(halves.sum() + 1)
    chances[0] = 1.0
    for rank in halves:
        chances = (chances + np.roll(chances, rank)) / 2  # what would come round is still zero
    return float(chances[halves[there > 0].sum() :].sum())
