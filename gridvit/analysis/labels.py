"""How well labels are told: accuracy, intersection over union, and things found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from gridvit.cells import nearest_image
from gridvit.grid import Grid

REACH = 0.5  # tokens along each axis, up to which a thing counts as found


def confusion(
    truth: Float[np.ndarray, "*case"],
    found: Float[np.ndarray, "*case"],
    weights: Float[np.ndarray, "*case"],
    classes: int,
) -> Float[np.ndarray, "truth found"]:
    """M_cd: weight of the cells of class c that are taken for d; cells whose truth is missing (NaN) do not enter."""
    there = ~np.isnan(truth)
    pairs = truth[there].astype(int) * classes + found[there].astype(int)
    counts = np.bincount(pairs, weights[there].astype(np.float64), minlength=classes**2)
    return counts.reshape(classes, classes)


def class_scores(matrix: Float[np.ndarray, "truth found"]) -> dict[str, float]:
    """accuracy = sum_c M_cc / sum M; IoU_c = M_cc / (sum_d M_cd + sum_d M_dc - M_cc); F1_c = 2 M_cc / (both sums).

    The latter two are means over the classes that are there or are said to be.
    """
    right, either = np.diag(matrix), matrix.sum(0) + matrix.sum(1)
    known = either > 0
    return {
        "accuracy": float(right.sum() / matrix.sum()),
        "mean IoU": float((right[known] / (either - right)[known]).mean()),
        "mean F1": float((2 * right[known] / either[known]).mean()),
    }


@dataclass(frozen=True)
class Found:
    """Things: ``true`` in the data, ``said`` to be there, ``right`` of both, and their summed distances in tokens."""

    true: int = 0
    said: int = 0
    right: int = 0
    distance: float | int = 0.0

    def __add__(self, other: Found) -> Found:
        return Found(
            self.true + other.true,
            self.said + other.said,
            self.right + other.right,
            self.distance + other.distance,
        )

    def scores(self) -> dict[str, float]:
        """precision = right / said, recall = right / true, F1 = 2 right / (said + true), mean distance of the right."""
        return {
            "F1": _ratio(2 * self.right, self.said + self.true),
            "precision": _ratio(self.right, self.said),
            "recall": _ratio(self.right, self.true),
            "distance (tokens)": _ratio(self.distance, self.right),
        }


def _ratio(part: float | int, whole: float | int) -> float:
    return part / whole if whole else float("nan")


def matched(
    truth: Float[np.ndarray, "thing axis"], said: Float[np.ndarray, "other axis"], tokens: Grid
) -> Found:
    """Pairs of a true and a said thing, as many as can be, within half a token of each other along each axis.

    Args:
        truth: centres, in the units of the axes.
        said: likewise.
        tokens: their grid; its mean spacing is the unit.
    """
    sizes = np.array(tokens.lengths) / np.array(tokens.shape)
    periods = [L if wraps else np.inf for L, wraps in zip(tokens.lengths, tokens.periodic, strict=True)]
    apart = np.abs(nearest_image(said[None] - truth[:, None], np.array(periods))) / sizes
    near, distance = (apart <= REACH).all(-1), np.sqrt((apart**2).sum(-1))
    pairs: tuple[Int[np.ndarray, "pair"], ...] = linear_sum_assignment(
        np.where(near, distance - len(sizes), 0.0)
    )
    right = near[pairs]
    return Found(len(truth), len(said), int(right.sum()), float(distance[pairs][right].sum()))
