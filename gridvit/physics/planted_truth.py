"""Every map that a method could find in a linear planted world, worked out without a single draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float
from scipy.linalg import LinAlgError, solve

from gridvit.errors import InputError
from gridvit.physics.autoregression import Autoregression, block_toeplitz
from gridvit.physics.planted import Planted
from gridvit.physics.sphere_noise import Correlated


@dataclass(frozen=True, eq=False)
class PlantedTruth:
    r"""z = n + G c with n_t = phi n_{t-1} + e_t and c_t what links have brought to each region, G their caps.

    The links see z through the area means of the regions alone, so (M n, c), two numbers a region, is an
    ``Autoregression`` Y_t = F Y_{t-1} + E M e_t of its own, and K = E[n Y^T] = Q M^T E^T (1 - phi F^T)^{-1}. All
    covariances of the field follow from K, the stationary E[Y Y^T] and Q; no matrix is larger than the field's own
    covariance, and that only ``predictor`` forms.

    Args:
        world: a linear one.

    Raises:
        InputError: a world with gated or rectified links, whose truth is its graph; one that grows.
    """

    world: Planted

    def __post_init__(self) -> None:
        if not self.world.is_linear:
            raise InputError("a linear world", "gated or rectified links", "score its graph of links instead")
        self.system  # noqa: B018 - refuses a world that grows

    @cached_property
    def noise(self) -> Correlated:
        """Q."""
        return self.world.noise.on(self.world.grid)

    @cached_property
    def _shared(self) -> Float[np.ndarray, "region cell"]:
        """M Q."""
        means = self.world.means
        return self.noise.times(means.reshape(-1, *self.world.grid.shape)).reshape(means.shape)

    @cached_property
    def _reading(self) -> Float[np.ndarray, "region pair"]:
        """The index of each region from (M n, c): I = M n + M G c."""
        return np.concatenate([np.eye(len(self.world.names)), self.world.means @ self.world.caps.T], axis=1)

    @cached_property
    def system(self) -> Autoregression:
        """Of (M n, c)."""
        world, n = self.world, len(self.world.names)
        matrices = np.zeros((world.longest_lag, 2 * n, 2 * n))
        matrices[0] = world.memory * np.eye(2 * n)
        for link in world.links:
            target, source = world.index(link.target), world.index(link.source)
            matrices[link.lag - 1, n + target] += link.strength * self._reading[source]
        noise = np.zeros((2 * n, 2 * n))
        noise[:n, :n] = self._shared @ world.means.T
        return Autoregression(matrices, noise)

    @cached_property
    def _mixed(self) -> Float[np.ndarray, "cell state"]:
        """K = E[n_t Y_t^T]."""
        system, n = self.system, len(self.world.names)
        driven = np.zeros((self.world.grid.size, len(system.companion)))
        driven[:, :n] = self._shared.T
        return np.linalg.solve(
            np.eye(len(system.companion)) - self.world.memory * system.companion, driven.T
        ).T

    @cached_property
    def _with_state(self) -> Float[np.ndarray, "cell state"]:
        """E[z_t Y_t^T] = K + G E[c Y^T]."""
        return self._mixed + self.world.caps.T @ self.system.stationary[self._brought]

    @property
    def _brought(self) -> slice:
        """Where c_t stands in Y_t."""
        return slice(len(self.world.names), 2 * len(self.world.names))

    def _indices(self, steps: int) -> Float[np.ndarray, "region state"]:
        """The indices ``steps`` later from the state, the noise in between at its mean."""
        n = 2 * len(self.world.names)
        return self._reading @ self.system.power(steps)[:n]

    @cached_property
    def variance(self) -> Float[np.ndarray, " cell"]:
        """Of z in each cell."""
        own = 1 / (1 - self.world.memory**2)
        crossed = np.einsum("rc,cr->c", self.world.caps, self._mixed[:, self._brought])
        inner = self.system.stationary[self._brought, self._brought]
        return (
            own
            + 2 * crossed
            + np.einsum("rc,rq,qc->c", self.world.caps, inner, self.world.caps, optimize=True)
        )

    def index_covariance(self, lag: int) -> Float[np.ndarray, "region region"]:
        """E[I_{t+lag} I_t^T], lag >= 0."""
        return self._reading @ self.system.covariance(lag) @ self._reading.T

    def covariance_maps(self, lag: int) -> Float[np.ndarray, "region cell"]:
        """E[I_{t+lag} z_t(s)]: towards each region ``lag`` steps later; from it where the lag is negative."""
        if lag >= 0:
            return self._indices(lag) @ self._with_state.T
        later = self.world.memory**-lag * self._mixed
        brought = self.system.power(-lag)[self._brought] @ self.system.stationary
        return self._indices(0) @ (later + self.world.caps.T @ brought).T

    def correlation_maps(self, lag: int) -> Float[np.ndarray, "region cell"]:
        """corr(I_{t+lag}, z_t(s)) as infinitely many steps would show it."""
        spread = np.sqrt(np.outer(np.diag(self.index_covariance(0)), self.variance))
        return self.covariance_maps(lag) / spread

    def effects(self, lead: int) -> Float[np.ndarray, "lag region cell"]:
        r"""d E[I_{t+lead} | past] / d z_{t-k}(s), k = 0 .. longest lag - 1: the rows of A^lead.

        The causal truth: what a change there does to the region, everything else held.
        """
        world, lags = self.world, self.world.longest_lag
        rows = np.zeros((lags + 1, *world.means.shape))
        rows[0] = world.means
        for _ in range(lead):
            first = rows[0].copy()
            rows[:-1] = rows[1:]
            rows[0] += world.memory * first
            for link in world.links:
                felt = link.strength * first @ world.caps[world.index(link.target)]
                rows[link.lag - 1] += np.outer(felt, world.means[world.index(link.source)])
        return rows[:-1]

    def sources(self, lead: int) -> Bool[np.ndarray, "region cell"]:
        """The cells outside a region whose present state acts on it ``lead`` steps later: what a map should show."""
        return (self.effects(lead)[0] != 0) & ~self.world.caps

    def field_covariance(self, lag: int) -> Float[np.ndarray, "cell cell"]:
        """C_lag = E[z_t z_{t-lag}^T], lag >= 0; cells squared."""
        phi, caps = self.world.memory, self.world.caps.T
        direct = phi**lag * (self.noise.dense() / (1 - phi**2) + self._mixed[:, self._brought] @ caps.T)
        return direct + caps @ self.system.power(lag)[self._brought] @ self._with_state.T

    def predictor(self, lead: int, history: int = 1) -> Float[np.ndarray, "history region cell"]:
        r"""d I_{t+lead} / d z_{t-k}(s) of the best linear forecast that sees z_t .. z_{t-history+1}: h^T C_L C_0^{-1}.

        The limit of any emulator's gradient for endless data. It equals ``effects`` where the history is the
        longest lag; with less it shows what is confounded. A matrix of (history cells)^2 is solved.

        Raises:
            InputError: noise without a white share, whose covariance cannot be inverted to rounding.
        """
        ahead = np.concatenate([self.covariance_maps(lead + k) for k in range(history)], axis=1)
        table = block_toeplitz([self.field_covariance(k) for k in range(history)])
        try:
            rows = solve(table, ahead.T, assume_a="pos").T
        except LinAlgError:
            raise InputError(
                "a covariance of cells that has an inverse", "a singular one", "give the noise a white share"
            ) from None
        return rows.reshape(len(self.world.names), history, -1).swapaxes(0, 1)

    def maps(self, leads: Sequence[int]) -> xr.Dataset:
        """``effect``, ``correlation`` and ``source`` towards every region, (region, lead, latitude, longitude)."""
        grid, dims = self.world.grid, ("region", "lead", *self.world.grid.names)

        def stacked(each: list[np.ndarray]) -> np.ndarray:
            return np.stack(each, axis=1).reshape(-1, len(leads), *grid.shape)

        units = {"units": "1"}
        found = {
            "effect": (
                [self.effects(lead)[0] for lead in leads],
                "causal effect on the area mean of the region",
            ),
            "correlation": (
                [self.correlation_maps(lead) for lead in leads],
                "correlation with the region later",
            ),
            "source": ([self.sources(lead) for lead in leads], "whether the cell acts on the region"),
        }
        data = {name: (dims, stacked(v), {**units, "long_name": text}) for name, (v, text) in found.items()}
        coords = {
            "region": ("region", list(self.world.names), {"long_name": "region that is acted on"}),
            "lead": ("lead", list(leads), {"long_name": "steps later", "units": "1"}),
        }
        return xr.Dataset(data, {**coords, **grid.coords()})
