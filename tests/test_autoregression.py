"""Linear systems with memory: covariances, responses and forecasts against each other and by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gridvit.errors import InputError
from gridvit.physics.autoregression import Autoregression, block_toeplitz


def test_35_lyapunov_gives_the_propagator_back(rng: np.random.Generator) -> None:
    # C_L C_0^{-1} = A^L with the whole past in the state, at every lag (the tau-test of linear inverse models)
    matrices = 0.3 * rng.standard_normal((2, 3, 3)) / np.sqrt(3)
    system = Autoregression(matrices, np.diag([1.0, 2.0, 0.5]))
    big = Autoregression(
        system.companion[None], block_toeplitz([system.noise * 0] * 2) + np.diag([1, 2, 0.5, 0, 0, 0])
    )
    for lag in (1, 2, 5):
        found = big.covariance(lag) @ np.linalg.inv(big.covariance(0))
        np.testing.assert_allclose(found, np.linalg.matrix_power(system.companion, lag), atol=1e-12)
        np.testing.assert_allclose(system.predictor(lag, 2), system.response(lag), atol=1e-12)
        np.testing.assert_allclose(system.predictor(lag, 4)[:2], system.response(lag), atol=1e-12)


def test_35_a_confounder_correlates_without_acting() -> None:
    # Z -> X (1), Z -> Y (2): a = 0.6, couplings 0.8, memory 0.3, unit noise
    matrices = np.zeros((2, 3, 3))
    matrices[0] = [[0.6, 0, 0], [0.8, 0.3, 0], [0, 0, 0.3]]
    matrices[1, 2, 0] = 0.8
    system = Autoregression(matrices, np.eye(3))
    c0, c1 = system.covariance(0), system.covariance(1)
    assert c1[2, 1] / np.sqrt(c0[1, 1] * c0[2, 2]) == pytest.approx(0.59, abs=5e-4)
    assert system.response(1)[0, 2, 1] == 0
    assert system.predictor(1, 2)[0, 2, 1] == pytest.approx(0, abs=1e-14)
    assert system.predictor(1, 1)[0, 2, 1] == pytest.approx(0.3355, abs=5e-5)
    # by hand: Var Z = 1 / (1 - 0.36), and X_t = 0.3 X_{t-1} + 0.8 Z_{t-1} + e
    zz = 1 / 0.64
    xz = 0.8 * 0.6 * zz / (1 - 0.18)
    np.testing.assert_allclose(c0[:2, :2], [[zz, xz], [xz, (1 + 0.64 * zz + 0.48 * xz) / 0.91]], rtol=1e-12)


def test_a_system_that_grows_is_refused() -> None:
    text = "expected a system that forgets, got one that grows by 1.1 a step: weaken its links or memory"
    with pytest.raises(InputError, match=f"^{re.escape(text)}$"):
        Autoregression(np.full((1, 1, 1), 1.1), np.eye(1))
