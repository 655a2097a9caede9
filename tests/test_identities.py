"""The exact answers that the analysis is held to, by number, and that a test holds each.

A test says which it holds in its name, ``test_35_..``, or first in its docstring, ``SCIENCE 35``.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

IDENTITIES = {
    1: "cumulants of upwind: -c, c (1 - c), -c (1 - c) (1 - 2 c)",
    2: "Lax-Wendroff and Beam-Warming: kappa_2 = 0, kappa_3 = -c (1 - c^2) and c (1 - c) (2 - c)",
    3: "FTCS diffusion: kappa_4 = 2 r - 12 r^2",
    4: "least variance of averages {c} (1 - {c}), and what positive schemes can be",
    5: "|G|^2 of upwind and Lax-Wendroff, slopes 2, 3, 4, 6 of the error at long waves",
    6: "Crank-Nicolson: |G| = 1, and (1 - 2 r s^2) / (1 + 2 r s^2), by dense solves",
    7: "softmax(-m |d|) is the implicit heat step, r = 1 / (4 sinh^2 (m / 2))",
    8: "its periodic row is softmax(log cosh)",
    9: "a sampled Gaussian from 1.5 cells on has its variance and no fourth cumulant",
    10: "two signed heads are Lax-Wendroff",
    11: "a quadratic encoding is a bias towards an offset",
    12: "van Leer's scheme is a softmax of two tokens: no new variation, second order, semilinear",
    13: "a softmax head keeps bounds and constants",
    14: "a shift by a cell is two heads over patches",
    15: "upwind of two Courant numbers has one attention of patches",
    16: "alias blocks hold the spectrum of what commutes with patches",
    17: "their diagonals are the symbol of the averaged stencil, and all of a convolution",
    18: "the frozen Jacobian is 1 + sum A x W_OV, and the whole one without content",
    19: "Euler's theorem and Burgers' Jacobian by Engquist-Osher",
    20: "an even floor scales waves and adds e N^2 / 12 of variance",
    21: "cumulants of upwind from its three lowest waves",
    22: "the data-weighted distance is the expected error of a step",
    23: "three shares of attention's variance add up",
    24: "even attention on the sphere looks a quarter around it",
    25: "its mean square angle is (pi^2 - 4) / 2 by area",
    26: "a von Mises-Fisher head: mean angle, and factors of the harmonics",
    27: "mean distances of rings, intervals, torus and square",
    28: "the effective area of an even cap is its share",
    29: "rollout of identity and of even layers; gradient relevance without gradient",
    30: "dE[d] / ds = -Var d",
    31: "the chord folds; the addition theorem",
    32: "any periodic table folds into waves",
    33: "rotary encoding by whole waves closes the ring",
    34: "log areas give area means, which splitting a cell does not change",
    35: "C_L C_0^-1 = A^L; the confounder",
    36: "MCA of a field with itself, CCA under maps, EOF of split cells",
    37: "the effective number of correlated values",
    38: "Simes: exactly alpha of independent nulls",
    39: "surrogates of shared phases keep covariances",
    40: "integrated gradients add up; of linear functions all maps are one",
    41: "AUROC and average precision of constant and perfect maps",
    42: "ACC of the truth, its mirror and the climatology; RMSE of a bias",
    43: "cell areas add up to the sphere's and go by the cosine",
    44: "one-sided spectra add up to the mean square, odd and even",
    45: "Taylor-Green: a quarter of energy, half of enstrophy, and their decay",
    46: "the mean has VRMSE 1, zero has nRMSE 1",
}


@cache
def numbers_held() -> dict[int, list[str]]:
    """Tests by the numbers that they name."""
    held: dict[int, list[str]] = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                named = re.match(r"test_(?:\d\d?_)+", node.name)
                stated = re.match(r"SCIENCE [\d, ]+", ast.get_docstring(node) or "")
                for match in (named, stated):
                    for number in re.findall(r"\d+", match[0]) if match else ():
                        held.setdefault(int(number), []).append(f"{path.name}::{node.name}")
    return held


@pytest.mark.parametrize("number", IDENTITIES)
def test_each_is_held_by_a_test(number: int) -> None:
    assert numbers_held().get(number), f"no test holds {number}: {IDENTITIES[number]}"


def test_no_test_names_a_number_that_is_none() -> None:
    assert set(numbers_held()) <= set(IDENTITIES)
