"""Areas, directions and patches of cells without axes, against what spherical geometry says of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from curvilinear_data import rotated

from gridvit.analysis.attention import attention_distance, attention_stencil, radial_lift, zonal_stencil
from gridvit.analysis.probe import probe
from gridvit.analysis.zonal import sphere_rows
from gridvit.errors import InputError
from gridvit.grid import EARTH_RADIUS, Grid
from gridvit.mesh import Mesh, directions, packed, solid_angles, unpacked
from gridvit.nn.bias import AreaWeighted, Chordal, make_bias
from gridvit.nn.features import features
from gridvit.nn.position import bounded_features
from gridvit.nn.tokens import Patches
from gridvit.physics.apply import pad
from gridvit.rollout import Persistence
from gridvit.stencil import Stencil

SHARP = 1e-12


def meshed(grid: Grid) -> Grid:
    """A latitude-longitude grid as a mesh that knows nothing of its axes."""
    centers = np.meshgrid(*grid.centers, indexing="ij")
    return Grid.curvilinear(Mesh.from_centers(*centers, None, grid.periodic), ("y", "x"), grid.periodic)


def region(n: int = 5, m: int = 7, step: float = 1.0) -> Grid:
    """A curvilinear grid over Europe."""
    rlat, rlon = (np.arange(n) - n / 2) * step, (np.arange(m) - m / 2) * step
    return Grid.curvilinear(Mesh.from_centers(*rotated(*np.meshgrid(rlat, rlon, indexing="ij"))))


def gnomonic(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(latitude, longitude) of the points (1, x, y) / |(1, x, y)|: straight lines become great circles."""
    return np.rad2deg(np.arctan2(y, np.hypot(1, x))), np.rad2deg(np.arctan2(x, np.ones_like(x)))


def rectangle(x: float, y: float) -> float:
    """Solid angle of the gnomonic rectangle (0, x) x (0, y): arctan(x y / sqrt(1 + x^2 + y^2))."""
    return float(np.arctan(x * y / np.sqrt(1 + x * x + y * y)))


def test_octant_and_face_of_a_cube() -> None:
    octant = directions([0, 0, 90, 90], [0, 90, 90, 0])  # two corners at the pole
    corner = np.rad2deg(np.arctan(np.sqrt(0.5)))
    face = directions([corner] * 4, [45, 135, 225, 315])
    for corners, area in ((octant, np.pi / 2), (octant[:3], np.pi / 2), (face, 4 * np.pi / 6)):
        assert solid_angles(corners[None])[0] == pytest.approx(area, rel=1e-15)
        assert solid_angles(corners[None, ::-1])[0] == pytest.approx(area, rel=1e-15)


@pytest.mark.parametrize("size", [1.0, 1e-2, 1e-4])  # of the Earth's radius: down to 640 m
def test_areas_of_small_cells_keep_their_digits(size: float) -> None:
    lines = np.linspace(0, size, 6), np.linspace(0, 0.7 * size, 4)
    lat, lon = gnomonic(*np.meshgrid(*lines))
    around = [(slice(None, -1), slice(None, -1)), (slice(None, -1), slice(1, None)),
              (slice(1, None), slice(1, None)), (slice(1, None), slice(None, -1))]  # fmt: skip
    corners = tuple(np.stack([a[place] for place in around], -1) for a in (lat, lon))
    middles = [(line[1:] + line[:-1]) / 2 for line in lines]
    mesh = Mesh.from_centers(*gnomonic(*np.meshgrid(*middles)), corners)
    exact = np.array([[rectangle(x, y) for x in lines[0]] for y in lines[1]])
    exact = np.diff(np.diff(exact, axis=0), axis=1)
    tolerance = max(1e-12, 1e-15 / size)  # the closed form, too, is a difference of sums
    np.testing.assert_allclose(mesh.solid_angle, exact, rtol=100 * tolerance)
    assert mesh.solid_angle.sum() == pytest.approx(rectangle(size, 0.7 * size), rel=tolerance)


def test_a_latlon_grid_as_a_mesh_has_its_positions_distances_and_total_area() -> None:
    grid = Grid.latlon(7, 12)
    mesh = meshed(grid)
    np.testing.assert_allclose(mesh.positions, grid.positions, atol=SHARP)
    np.testing.assert_allclose(mesh.distances(), grid.distances(), atol=1e-6)
    assert mesh.areas.sum() == pytest.approx(4 * np.pi * EARTH_RADIUS**2, rel=SHARP)
    assert (mesh.distance_units, mesh.shape, mesh.size) == ("km", (7, 12), 84)
    assert mesh != grid
    assert (mesh.is_sphere, mesh.is_latlon, grid.is_latlon) == (True, False, True)


def test_great_circles_become_parallels_as_cells_shrink_in_second_order() -> None:
    errors = []
    for n in (12, 24, 48):
        grid = Grid.latlon(n, 2 * n)
        errors.append(np.abs(meshed(grid).areas / grid.areas - 1).max())
    ratios = np.array(errors[:-1]) / errors[1:]
    np.testing.assert_allclose(ratios, 4, rtol=0.06)
    assert errors[-1] < 2e-3


def test_rotating_the_sphere_changes_no_area_and_no_distance() -> None:
    rlat, rlon = np.meshgrid(np.arange(5) - 2.5, np.arange(7) * 1.5, indexing="ij")
    straight = Grid.curvilinear(Mesh.from_centers(rlat, rlon))
    turned = Grid.curvilinear(Mesh.from_centers(*rotated(rlat, rlon)))
    assert turned != straight
    np.testing.assert_allclose(turned.areas, straight.areas, rtol=1e-11)
    np.testing.assert_allclose(turned.distances(), straight.distances(), atol=1e-6)


def test_corners_that_are_no_cells_are_not_used() -> None:
    lat, lon = np.meshgrid([10.0, 11, 12], [20.0, 21], indexing="ij")
    plain = Mesh.from_centers(lat, lon)
    nowhere = Mesh.from_centers(lat, lon, (np.zeros((3, 2, 4)), np.zeros((3, 2, 4))))
    np.testing.assert_array_equal(nowhere.solid_angle, plain.solid_angle)


def test_patches_keep_area_and_take_the_mean_direction() -> None:
    grid = region(5, 7)
    tokens = grid.coarsen((2, 3))
    assert tokens.shape == (3, 3)
    assert tokens.areas.sum() == pytest.approx(grid.areas.sum(), rel=SHARP)
    assert tokens.areas[2, 2] == pytest.approx(grid.areas[4, 6], rel=SHARP)
    np.testing.assert_allclose(tokens.positions[8], grid.positions[34], atol=SHARP)
    corner = [0, 1, 2, 7, 8, 9]  # cells of the first token
    mean = (grid.areas.ravel()[corner, None] * grid.positions[corner]).sum(0)
    np.testing.assert_allclose(tokens.positions[0], mean / np.linalg.norm(mean), atol=SHARP)
    assert tokens.areas[0, 0] == pytest.approx(grid.areas[:2, :3].sum(), rel=SHARP)


def test_equal_by_rounded_value_and_exact_in_json() -> None:
    grid = region()
    again = Grid.from_dict(json.loads(json.dumps(grid.to_dict())))
    for key in ("latitude", "longitude", "solid_angle"):
        np.testing.assert_array_equal(getattr(again.mesh, key), getattr(grid.mesh, key))
    assert grid.mesh is not None
    lat, lon = grid.mesh.latitude, grid.mesh.longitude
    single = Grid.curvilinear(Mesh.from_centers(lat.astype("f4"), lon.astype("f4")))
    turned = Grid.curvilinear(Mesh.from_centers(lat, np.mod(lon, 360)))
    assert grid == again == single == turned
    assert hash(grid) == hash(again) == hash(single) == hash(turned)
    assert grid != Grid.curvilinear(Mesh.from_centers(lat + 0.01, lon))
    assert grid != Grid.regular((5, 7), periodic=False)


def test_packed_arrays_come_back() -> None:
    for values in (np.array([[1.5, -np.pi]], "f4"), np.arange(6, dtype=">i2").reshape(2, 3)):
        back = unpacked(packed(values), str(values.dtype), values.shape)
        np.testing.assert_array_equal(back, values)
        assert back.dtype == values.dtype


def test_described_in_one_line() -> None:
    lat, lon = np.meshgrid([10.0, 11, 12], [-1.0, 1], indexing="ij")
    grid = Grid.curvilinear(Mesh.from_centers(lat, lon), ("j", "i"))
    assert grid.describe() == (
        "3 j x 2 i (centres 10..12 degrees_north, 359..361 degrees_east), bounded, "
        "curvilinear on a sphere of radius 6371.01 km"
    )
    globe = meshed(Grid.latlon(2, 48))
    assert "(centres -45..45 degrees_north, at all longitudes), periodic in x" in globe.describe()


@pytest.mark.parametrize(
    ("latitude", "longitude", "says"),
    [
        (np.zeros(3), np.zeros(3), r"latitude and longitude \(y, x\), got \(3,\) and \(3,\): give one of each"),
        (np.full((2, 2), np.nan), np.zeros((2, 2)), "got NaN or infinity: fill them: land has a place too"),
        (np.full((2, 2), 91.0), np.zeros((2, 2)), "expected latitudes from -90 to 90, got 91 to 91: correct"),
        (np.zeros((1, 3)), np.arange(3.0)[None], "expected two cells along each axis, got one: give the corners"),
        (
            np.array([[0.0, 0, 0], [1, 1, 1]]), np.array([[0.0, 0, 0], [0, 0, 0]]),
            "expected cells with an area, got 6 of 6 without, the first in row 0, column 0: cut off rows and columns",
        ),
    ],
)  # fmt: skip
def test_meshes_that_are_none_are_refused(latitude: np.ndarray, longitude: np.ndarray, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Mesh.from_centers(latitude, longitude)


def test_what_needs_straight_axes_refuses_a_mesh() -> None:
    grid = region(4, 6)
    state = torch.zeros(1, 1, 4, 6, dtype=torch.float64)
    step = Persistence(grid, 1.0, ("u",))
    weights = np.full((1, 1, 24, 24), 1 / 24)
    calls = [
        lambda: grid.spacing,
        lambda: grid.displacements(),
        lambda: Stencil.derivative((1, 0), 2, spacing=(1.0, 1.0)).matrix(grid),
        lambda: pad(state, grid, (1, 1)),
        lambda: probe(step, state),
    ]
    for call in calls:
        with pytest.raises(InputError, match="expected straight axes, got 4 y x 6 x .*: interpolate it to"):
            call()
    for call in (lambda: zonal_stencil(weights, grid), lambda: sphere_rows(step, state, [40.0])):
        with pytest.raises(InputError, match="expected latitudes and longitudes that close, got 4 y x 6 x"):
            call()
    with pytest.raises(InputError, match="expected a plane that is periodic along every axis, got 4 y x 6 x"):
        attention_stencil(weights, grid)


def test_attention_is_measured_in_kilometres() -> None:
    grid = region(4, 6, 2.0)
    uniform = np.tile(grid.areas.ravel() / grid.areas.sum(), (1, 1, 24, 1))
    table = attention_distance(uniform, grid)
    areas = grid.areas.ravel() / grid.areas.sum()
    lat, lon = (np.deg2rad(a.ravel()) for a in (grid.mesh.latitude, grid.mesh.longitude))
    half = np.sin((lat[:, None] - lat) / 2) ** 2
    half += np.cos(lat[:, None]) * np.cos(lat) * np.sin((lon[:, None] - lon) / 2) ** 2
    haversine = 2 * EARTH_RADIUS * np.arcsin(np.sqrt(half))
    assert table["attention_distance"].item() == pytest.approx(areas @ haversine @ areas, rel=1e-10)
    assert table["attention_distance"].attrs["units"] == "km"
    assert table["effective_area_fraction"].item() == pytest.approx(1, rel=1e-10)
    lift = radial_lift(uniform, grid).values
    np.testing.assert_allclose(lift[~np.isnan(lift)], 1)


def test_bias_of_tokens_is_that_of_a_sphere() -> None:
    grid = region(5, 7, 2.0)
    bias = make_bias("distance", grid.coarsen((2, 2)), 4, 1)
    assert isinstance(bias, AreaWeighted)
    assert isinstance(bias.inner, Chordal)
    with torch.no_grad():
        kernel = bias.kernel(torch.tensor(grid.coarsen((2, 2)).distances()[0]).float())
        logits = bias.inner.logits()[:, 0]
    torch.testing.assert_close(kernel, logits, atol=1e-4, rtol=1e-4)
    token = float(np.sqrt(grid.coarsen((2, 2)).areas.max()))
    assert float(bias.inner.lengths[0]) == pytest.approx(token, rel=1e-6)


def test_tokens_positions_and_local_time_of_a_mesh() -> None:
    grid = region(5, 7)
    patches = Patches(grid, (2, 3))
    field = torch.randn(2, 1, 5, 7)
    torch.testing.assert_close(patches.assemble(patches.tokenise(field), 1), field)
    plane = Grid.regular((5, 7), periodic=False)
    torch.testing.assert_close(bounded_features(grid), bounded_features(plane))
    noon = features(("local_time",), grid, torch.tensor([43200.0], dtype=torch.float64), 3600.0)
    phase = np.pi + np.deg2rad(grid.mesh.longitude)
    np.testing.assert_allclose(noon[0, :2], [np.cos(phase), np.sin(phase)], atol=1e-12)
