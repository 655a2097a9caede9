"""Jacobian rows on the sphere, and what they do to waves, of steps whose rows and speeds are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import xarray as xr

from gridvit.analysis.zonal import sphere_rows
from gridvit.errors import InputError
from gridvit.grid import EARTH_RADIUS, Grid
from gridvit.rollout import Persistence


@dataclass(frozen=True)
class ZonalFlow:
    """u' = (1 - c) u + c u(one cell west), plus ``north`` times the cell to the north."""

    grid: Grid
    c: float
    north: float = 0.0
    dt: float = 600.0
    variables: tuple[str, ...] = ("u",)

    def __call__(self, state: torch.Tensor, context: object = None) -> torch.Tensor:
        padded = torch.cat([state[..., 1:, :], 0 * state[..., :1, :]], dim=-2)
        return (1 - self.c) * state + self.c * state.roll(1, -1) + self.north * padded


@dataclass(frozen=True)
class Spectral:
    """``u'(m) = factor(row, m) e^{-i m angle(row)} u(m)``: each latitude turned by its angle, then damped."""

    grid: Grid
    angle: torch.Tensor
    damping: float = 0.0
    floor: float = 0.0
    dt: float = 600.0
    variables: tuple[str, ...] = ("u",)

    def __call__(self, state: torch.Tensor, context: object = None) -> torch.Tensor:
        m = torch.arange(state.shape[-1] // 2 + 1, dtype=torch.float64)
        factor = torch.exp(-1j * self.angle[:, None] * m - self.damping * m**2)
        turned = torch.fft.irfft(torch.fft.rfft(state) * factor, n=state.shape[-1])
        return (1 - self.floor) * turned + self.floor * state.mean((-2, -1), keepdim=True)


ANGLES = {-50: 0.11, 1: -2.7, 40: 1.3}  # radians east in a step


def turning(n_lat: int, n_lon: int, **more: float) -> Spectral:
    """A turn by its own angle at each latitude; those of ``ANGLES`` by theirs."""
    grid = Grid.latlon(n_lat, n_lon)
    angle = torch.linspace(-0.5, 0.5, n_lat, dtype=torch.float64)
    for latitude, value in ANGLES.items():
        angle[int(np.abs(grid.centers[0] - latitude).argmin())] = value
    return Spectral(grid, angle, **more)


def metres_of_a_radian(latitude: xr.DataArray) -> np.ndarray:
    return EARTH_RADIUS * 1000 * np.cos(np.deg2rad(latitude.values))


@pytest.mark.parametrize(
    ("n_lat", "n_lon", "waves"), [(17, 24, 11), (12, 23, 11), (13, 31, 12), (11, 34, 12)]
)
def test_a_turn_of_the_row_has_its_angular_speed_at_every_wave(n_lat: int, n_lon: int, waves: int) -> None:
    state = torch.zeros(2, 1, n_lat, n_lon)
    found = sphere_rows(turning(n_lat, n_lon), state, list(ANGLES), (0, 3), longitudes=5)
    assert found.wavenumber.values.tolist() == list(range(1, waves + 1))
    want = np.array(list(ANGLES.values())) * metres_of_a_radian(found.latitude) / 600
    np.testing.assert_allclose(found.zonal_phase_speed, np.tile(want[:, None], waves), rtol=1e-10)
    np.testing.assert_allclose(found.zonal_amplification, 1.0, rtol=1e-12)
    assert (found.zonal_phase_speed.units, found.zonal_amplification.units) == ("m s-1", "1")
    assert np.abs(found.latitude - list(ANGLES)).max() <= 90 / n_lat + 1e-9


@pytest.mark.parametrize("n_lon", [24, 23])
def test_damping_scales_waves_and_does_not_move_them(n_lon: int) -> None:
    still = Spectral(Grid.latlon(7, n_lon), torch.zeros(7, dtype=torch.float64), damping=0.02)
    found = sphere_rows(still, torch.zeros(1, 1, 7, n_lon), [-30, 60], (2, 1), longitudes=3)
    want = np.exp(-0.02 * np.arange(1, 12) ** 2)
    np.testing.assert_allclose(found.zonal_amplification, np.tile(want, (2, 1)), rtol=1e-11)
    np.testing.assert_allclose(found.zonal_phase_speed, 0.0, atol=1e-8)


def test_even_weight_everywhere_leaves_speeds_as_they_are() -> None:
    found = sphere_rows(turning(17, 24, floor=0.3), torch.zeros(1, 1, 17, 24), list(ANGLES), (0, 3))
    want = np.array(list(ANGLES.values())) * metres_of_a_radian(found.latitude) / 600
    np.testing.assert_allclose(found.zonal_phase_speed, np.tile(want[:, None], 11), rtol=1e-10)
    np.testing.assert_allclose(found.zonal_amplification, 0.7, rtol=1e-12)


@pytest.mark.parametrize("n_lon", [8, 9])
def test_persistence_stands_still(n_lon: int) -> None:
    step = Persistence(Grid.latlon(5, n_lon), 3600.0, ("u",))
    found = sphere_rows(step, torch.zeros(1, 1, 5, n_lon), [0, 40], (1, 2))
    assert found.zonal_phase_speed.shape == (2, n_lon // 2 - 1 + n_lon % 2)
    assert (found.zonal_phase_speed == 0).all()
    assert (found.zonal_amplification == 1).all()


def test_waves_are_summed_over_the_latitudes_of_the_window() -> None:
    step, state = ZonalFlow(Grid.latlon(5, 8), 0.3, north=0.5), torch.zeros(1, 1, 5, 8)
    m = np.arange(1, 4)
    row = 0.7 + 0.3 * np.exp(-2j * np.pi * m / 8)
    for height, want in ((0, row), (1, row + 0.5)):
        found = sphere_rows(step, state, [0], (height, 2))
        np.testing.assert_allclose(found.zonal_amplification[0], np.abs(want), rtol=1e-12)
        speed = -np.angle(want) / m * metres_of_a_radian(found.latitude) / 600
        np.testing.assert_allclose(found.zonal_phase_speed[0], speed, rtol=1e-10)
        assert float(found.mass[0]) == pytest.approx(1.0 + 0.5 * height, rel=1e-12)


def test_rows_lie_at_their_offsets_in_degrees() -> None:
    grid = Grid.latlon(19, 24, poles=True)
    found = sphere_rows(ZonalFlow(grid, 0.25, north=0.5), torch.zeros(1, 1, 19, 24), [30], (1, 2))
    np.testing.assert_allclose(found.dlat, [-10, 0, 10])
    np.testing.assert_allclose(found.dlon, [-30, -15, 0, 15, 30])
    row = found.jacobian.sel(latitude=30, method="nearest")
    want = np.zeros((3, 5))
    want[1, 1], want[1, 2], want[2, 2] = 0.25, 0.75, 0.5
    np.testing.assert_allclose(row, want, atol=1e-14)


def test_offsets_beyond_a_pole_hold_zeros() -> None:
    grid = Grid.latlon(6, 8)
    found = sphere_rows(ZonalFlow(grid, 0.0, north=1.0), torch.zeros(1, 1, 6, 8), [75], (2, 1))
    np.testing.assert_allclose(found.jacobian[0].sum("dlon"), [0, 0, 1, 0, 0])


def test_one_variable_of_a_system_is_read() -> None:
    grid = Grid.latlon(5, 8)

    class Two(ZonalFlow):
        def __call__(self, state: torch.Tensor, context: object = None) -> torch.Tensor:
            return torch.stack([3 * state[:, 1], state[:, 1].roll(-1, -1)], dim=1)

    found = sphere_rows(
        Two(grid, 0.0, variables=("a", "b")), torch.zeros(1, 2, 5, 8), [0], (1, 1), variable=1
    )
    np.testing.assert_allclose(found.jacobian[0, 1], [0, 0, 1])
    assert (found.zonal_phase_speed[0] < 0).all()


def test_planes_are_refused() -> None:
    step = Persistence(Grid.regular((5, 5)), 1.0, ("u",))
    with pytest.raises(
        InputError, match=r"expected latitudes and longitudes that close, .*: use compare on a plane"
    ):
        sphere_rows(step, torch.zeros(1, 1, 5, 5), [0])
