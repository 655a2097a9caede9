"""Jacobian rows on the sphere of steps whose rows and speeds are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

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


@pytest.mark.parametrize(("n_lat", "n_lon"), [(17, 24), (12, 23)])
def test_steering_is_the_speed_of_the_flow(n_lat: int, n_lon: int) -> None:
    grid = Grid.latlon(n_lat, n_lon)
    found = sphere_rows(
        ZonalFlow(grid, 0.3), torch.zeros(2, 1, n_lat, n_lon), [-50, 1, 40], (2, 3), longitudes=5
    )
    cell = 2 * np.pi * EARTH_RADIUS * 1000 * np.cos(np.deg2rad(found.latitude)) / n_lon
    np.testing.assert_allclose(found.steering, 0.3 * cell / 600, rtol=1e-10)
    np.testing.assert_allclose(found.mass, 1.0, rtol=1e-12)
    assert found.steering.units == "m s-1"
    assert np.abs(found.latitude - [-50, 1, 40]).max() <= 90 / n_lat + 1e-9


def test_rows_lie_at_their_offsets_in_degrees() -> None:
    grid = Grid.latlon(19, 24, poles=True)
    found = sphere_rows(ZonalFlow(grid, 0.25, north=0.5), torch.zeros(1, 1, 19, 24), [30], (1, 2))
    np.testing.assert_allclose(found.dlat, [-10, 0, 10])
    np.testing.assert_allclose(found.dlon, [-30, -15, 0, 15, 30])
    row = found.jacobian.sel(latitude=30, method="nearest")
    want = np.zeros((3, 5))
    want[1, 1], want[1, 2], want[2, 2] = 0.25, 0.75, 0.5
    np.testing.assert_allclose(row, want, atol=1e-14)


def test_steering_is_per_unit_of_mass() -> None:
    grid = Grid.latlon(5, 8)
    found = sphere_rows(ZonalFlow(grid, 0.5, north=1.0), torch.zeros(1, 1, 5, 8), [0], (1, 2))
    still = sphere_rows(ZonalFlow(grid, 0.5), torch.zeros(1, 1, 5, 8), [0], (1, 2))
    assert float(found.mass[0]) == pytest.approx(2.0, rel=1e-12)
    assert float(found.steering[0]) == pytest.approx(float(still.steering[0]) / 2, rel=1e-12)


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
    assert float(found.steering[0]) < 0


def test_planes_are_refused() -> None:
    step = Persistence(Grid.regular((5, 5)), 1.0, ("u",))
    with pytest.raises(
        InputError, match=r"expected a sphere whose longitudes close, .*: use compare on a plane"
    ):
        sphere_rows(step, torch.zeros(1, 1, 5, 5), [0])
