"""Linear systems with memory and noise, of which every covariance, response and best forecast is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_discrete_lyapunov

from gridvit.errors import InputError


@dataclass(frozen=True, eq=False)
class Autoregression:
    r"""x_t = sum_{k=1}^{p} A_k x_{t-k} + e_t with independent Gaussian e_t of covariance Q.

    With X_t = (x_t, .., x_{t-p+1}) it is X_t = F X_{t-1} + (e_t, 0, ..), F the companion matrix, and the
    stationary covariance is the solution of S = F S F^T + diag(Q, 0, ..), n p numbers square: keep n p below a
    few hundred.

    Args:
        matrices: A_1 .. A_p.
        noise: Q, may be singular.

    Raises:
        InputError: a system that grows (an eigenvalue of F of modulus one or more).

    Reference: H. Lütkepohl, New Introduction to Multiple Time Series Analysis, Springer 2005, section 2.1.
    """

    matrices: Float[np.ndarray, "lag n n"]
    noise: Float[np.ndarray, "n n"]

    def __post_init__(self) -> None:
        radius = abs(np.linalg.eigvals(self.companion)).max()
        if radius >= 1:
            raise InputError(
                "a system that forgets",
                f"one that grows by {radius:.4g} a step",
                "weaken its links or memory",
            )

    @property
    def size(self) -> int:
        """n."""
        return self.noise.shape[0]

    @cached_property
    def companion(self) -> Float[np.ndarray, "np np"]:
        """F: the A_k side by side, ones below the diagonal block."""
        lags, n, _ = self.matrices.shape
        found = np.eye(lags * n, k=-n)
        found[:n] = np.concatenate(self.matrices, axis=1)
        return found

    @cached_property
    def stationary(self) -> Float[np.ndarray, "np np"]:
        """S = E[X X^T]."""
        driven = np.zeros_like(self.companion)
        driven[: self.size, : self.size] = self.noise
        return solve_discrete_lyapunov(self.companion, driven)

    def power(self, steps: int) -> Float[np.ndarray, "np np"]:
        """F^steps."""
        return np.linalg.matrix_power(self.companion, steps)

    def covariance(self, lag: int) -> Float[np.ndarray, "n n"]:
        """C_lag = E[x_t x_{t-lag}^T], lag >= 0."""
        return (self.power(lag) @ self.stationary)[: self.size, : self.size]

    def response(self, lead: int) -> Float[np.ndarray, "lag n n"]:
        """d E[x_{t+lead} | X_t] / d x_{t-k}, k = 0 .. p - 1: what each past value does, the others held."""
        rows = self.power(lead)[: self.size]
        return rows.reshape(self.size, -1, self.size).swapaxes(0, 1)

    def predictor(self, lead: int, history: int) -> Float[np.ndarray, "history n n"]:
        r"""B_k of the least-squares forecast x_{t+lead} = sum_{k < history} B_k x_{t-k}.

        [B_0 .. B_{q-1}] = [C_L .. C_{L+q-1}] T^{-1}, T the covariance of (x_t, .., x_{t-q+1}). It is the response
        where the history holds all p lags. A shorter one is confounded: it gives weight to what merely
        happened together with the cause that it cannot see.
        """
        ahead = np.concatenate([self.covariance(lead + k) for k in range(history)], axis=1)
        table = block_toeplitz([self.covariance(k) for k in range(history)])
        rows = np.linalg.solve(table, ahead.T).T
        return rows.reshape(self.size, history, self.size).swapaxes(0, 1)


def block_toeplitz(covariances: list[np.ndarray]) -> Float[np.ndarray, "qn qn"]:
    """Covariance of (x_t, x_{t-1}, ..): block (i, j) is C_{j-i} for i <= j, C_{i-j}^T below."""
    q = len(covariances)
    return np.block(
        [[covariances[j - i] if i <= j else covariances[i - j].T for j in range(q)] for i in range(q)]
    )
