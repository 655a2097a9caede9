"""How much of what is new belongs to a region as such: optimal fingerprints against the weather around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from gridvit.errors import InputError


@dataclass(frozen=True, eq=False)
class Fingerprints:
    r"""``A_t = p^T (x_t - a x_{t-1})`` with ``p = Q^{-1} g / (g^T Q^{-1} g)``: a series for each region.

    ``a`` is what each cell keeps by itself in a step, ``Q`` the covariance of what is new, ``g`` one in the region and
    zero outside. ``A`` is what rises in the region alone: of all linear series that a uniform rise of the region moves
    by as much (``p^T g = 1``) it is the one of least variance, ``1 / (g^T Q^{-1} g)``. Weather that covers the region
    and its surroundings alike is taken off by the surroundings, whose weights are negative. What acts on the region
    from afar acts on ``A`` as on the area mean, but the noise in the way is a small part.

    Args:
        memory: ``a``.
        weights: ``p``.

    How it fails: an effect that spreads beyond the region is taken off with the weather; noise that is white in space
    leaves nothing to gain. Reference: K. Hasselmann, J. Climate 6 (1993) 1957-1971; M. R. Allen and S. F. B. Tett,
    Clim. Dyn. 15 (1999) 419-434.
    """

    memory: Float[np.ndarray, " cell"]
    weights: Float[np.ndarray, "region cell"]

    @classmethod
    def fit(
        cls, field: Float[np.ndarray, "time cell"], regions: Bool[np.ndarray, "region cell"]
    ) -> Fingerprints:
        """Of anomalies; ``a`` by least squares in each cell, ``Q`` by ``shrunk_covariance`` of what it leaves.

        Raises:
            InputError: fewer than three times, missing values, or a region without a cell.
        """
        if len(field) < 3 or np.isnan(field).any() or not regions.any(axis=1).all():
            raise InputError(
                "anomalies of three times or more without gaps, and a cell in every region",
                f"{len(field)} times, {int(np.isnan(field).sum())} values missing, "
                f"{int((~regions.any(axis=1)).sum())} empty regions",
                "leave out the cells that have gaps, and the regions without cells",
            )
        power = (field[:-1] ** 2).sum(axis=0)
        product = (field[1:] * field[:-1]).sum(axis=0)
        memory = np.divide(product, power, out=np.zeros_like(power), where=power > 0)
        covariance, _ = shrunk_covariance(field[1:] - memory * field[:-1])
        return cls(memory, np.stack([fingerprint(covariance, region) for region in regions]))

    def series(self, field: Float[np.ndarray, "time cell"]) -> Float[np.ndarray, "time region"]:
        """``A`` at the times of a field; zero, its mean, at the first, before which nothing is known."""
        new = np.zeros_like(field)
        new[1:] = field[1:] - self.memory * field[:-1]
        return new @ self.weights.T


def fingerprint(
    covariance: Float[np.ndarray, "cell cell"], pattern: Bool[np.ndarray, " cell"]
) -> Float[np.ndarray, " cell"]:
    """``p = Q^{-1} g / (g^T Q^{-1} g)``: generalised least squares of the amplitude of ``g`` in noise ``Q``."""
    ahead = np.linalg.solve(covariance, pattern.astype(np.float64))
    return ahead / ahead[pattern].sum()


def shrunk_covariance(
    samples: Float[np.ndarray, "sample cell"],
) -> tuple[Float[np.ndarray, "cell cell"], float]:
    r"""``(1 - b) S + b m 1`` and ``b``, ``S = X^T X / n``, ``m = tr S / p``: with an inverse however few the samples.

    ``b = min(1, sum_t ||x_t x_t^T - S||^2 / n^2 / ||S - m 1||^2)`` is the estimate of the share that brings the matrix
    nearest to the truth, in the Frobenius norm.

    Args:
        samples: of zero mean, independent.

    Reference: O. Ledoit and M. Wolf, J. Multivariate Anal. 88 (2004) 365-411, doi:10.1016/S0047-259X(03)00096-4.
    """
    n, cells = samples.shape
    found = samples.T @ samples / n
    level = np.trace(found) / cells
    away = ((found - level * np.eye(cells)) ** 2).sum()
    error = (((samples**2).sum(axis=1) ** 2).sum() / n - (found**2).sum()) / n
    share = min(1.0, error / away) if away > 0 else 1.0
    return (1 - share) * found + share * level * np.eye(cells), float(share)
