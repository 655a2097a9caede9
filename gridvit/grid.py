"""Where the numbers live: cell centres, cell bounds, units, periodicity and the metric of a field.

A `Grid` is the only place that computes a spacing, an area or a distance. It needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from gridvit import cells, coordinates
from gridvit.axes import Periodic, find_axes
from gridvit.coordinates import Axis, Coordinate
from gridvit.errors import InputError
from gridvit.mesh import Mesh

if TYPE_CHECKING:
    from xarray import Dataset
else:  # xarray takes half a second to import, and only `from_dataset` meets it
    Dataset = Any

EARTH_RADIUS = 6371.0088
"""Mean radius of the Earth in km, (2 a + b) / 3: Moritz 2000, J. Geodesy 74, 128-133."""

Number = float | int
PLANE_NAMES = ("z", "y", "x")
SPHERE_NAMES = ("latitude", "longitude")
SPHERE_UNITS = ("degrees_north", "degrees_east")


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells b_i <= c_i <= b_{i+1} along each axis, on a plane or on a sphere.

    Axes are row-major; `centers` (n) and `bounds` (n + 1) ascend, in the units of their axis. With a
    `radius` (km) the grid lies on a sphere and its axes are (latitude, longitude) in degrees; with a `mesh`
    too, they count cells and the mesh says where these are. The mesh is a field and no second class, so that
    what asks for tokens, areas and distances alone never learns the difference. Two grids are equal where
    their structure is and their coordinates agree within 1e-4 of a cell, so that a float32 and a float64 file
    agree. Raises `InputError` for coordinates that do not ascend or leave their cells.
    """

    names: tuple[str, ...]
    centers: tuple[np.ndarray, ...]
    bounds: tuple[np.ndarray, ...]
    periodic: tuple[bool, ...]
    units: tuple[str, ...]
    radius: float | None = None
    mesh: Mesh | None = None

    def __post_init__(self) -> None:
        for field in ("centers", "bounds"):
            object.__setattr__(self, field, cells.frozen(getattr(self, field)))
        counts = {len(v) for v in (self.names, self.centers, self.bounds, self.periodic, self.units)}
        if len(counts) > 1 or not counts <= {1, 2, 3}:
            raise InputError("1 to 3 axes", f"{sorted(counts)} names and arrays", "give one of each per axis")
        for name, c, b, _ in self._axes:
            cells.check(name, c, b)
        if self.is_latlon:
            cells.check_sphere(self.bounds, self.periodic)

    @property
    def _axes(self) -> list[Axis]:
        return list(zip(self.names, self.centers, self.bounds, self.periodic, strict=True))

    @classmethod
    def regular(
        cls,
        shape: int | Sequence[int],
        lengths: Number | Sequence[Number] | None = None,
        *,
        periodic: bool | Sequence[bool] = True,
        names: Sequence[str] | None = None,
        units: str | Sequence[str] = "1",
        origin: Number | Sequence[Number] = 0.0,
    ) -> Grid:
        """A plane of equal cells, c_i = origin + (i + 1/2) h, h = length / n; h = 1 without `lengths`."""
        centers, bounds = zip(*cells.regular(shape, lengths, origin), strict=True)
        ndim = len(centers)
        wraps, scales = cells.per_axis(periodic, ndim, "periodic"), cells.per_axis(units, ndim, "unit")
        return cls(tuple(names or PLANE_NAMES[-ndim:]), centers, bounds, wraps, scales)

    @classmethod
    def latlon(cls, n_lat: int, n_lon: int, *, poles: bool = False, radius: Number = EARTH_RADIUS) -> Grid:
        """The whole sphere in equal steps; with `poles` the end rows are half cells centred there."""
        return cls._global(*cells.equal_latitudes(n_lat, poles), n_lon, radius)

    @classmethod
    def gaussian(cls, n_lat: int, n_lon: int, radius: Number = EARTH_RADIUS) -> Grid:
        """Rows at P_n(sin c_i) = 0; sin b_{i+1} - sin b_i is the Gauss-Legendre weight of row i."""
        return cls._global(*cells.gaussian_latitudes(n_lat), n_lon, radius)

    @classmethod
    def _global(cls, latitude: np.ndarray, edges: np.ndarray | None, n_lon: int, radius: Number) -> Grid:
        centers = (latitude, np.arange(n_lon) * (360 / n_lon))
        how: dict[str, Any] = {"names": SPHERE_NAMES, "units": SPHERE_UNITS, "periodic": (False, True)}
        return cls.from_centers(centers, **how, radius=radius, bounds=(edges, None))

    @classmethod
    def from_centers(
        cls,
        centers: Sequence[Any],
        *,
        names: Sequence[str],
        units: Sequence[str],
        periodic: Sequence[bool],
        radius: Number | None = None,
        bounds: Sequence[Any] | None = None,
    ) -> Grid:
        """b_i = (c_{i-1} + c_i) / 2 along the axes for which `bounds` has none.

        The outermost lie half a cell out; latitude stops at +-90, a periodic longitude closes at 360.
        """
        values = [np.asarray(c, dtype=np.float64) for c in centers]
        edges = cells.edges(names, values, periodic, bounds, radius is not None)
        wraps = tuple(bool(p) for p in periodic)
        return cls(tuple(names), tuple(values), tuple(edges), wraps, tuple(units), radius and float(radius))

    @classmethod
    def curvilinear(cls, mesh: Mesh, names: Sequence[str] = ("y", "x"), periodic: Any = False) -> Grid:
        """The cells of a mesh on a sphere of the Earth's radius; the axes count them, from 0 to n."""
        return replace(
            cls.regular(mesh.shape, periodic=periodic, names=names), radius=EARTH_RADIUS, mesh=mesh
        )

    @classmethod
    def from_dataset(cls, ds: Dataset, periodic: Periodic = None) -> Grid:
        """The grid of a Dataset in internal order: latitude ascends, longitude ascends from [0, 360).

        `gridvit.axes.find_axes` finds the axes by CF attributes, then by name, and says how to reorder the
        data; `periodic` states what cannot be inferred. Gaussian latitudes get their exact bounds.
        """
        axes = find_axes(ds, periodic)
        if axes.kind == "curvilinear":
            return cls.curvilinear(
                Mesh.from_centers(*axes.mesh(ds), axes.periodic), axes.space, axes.periodic
            )
        how: dict[str, Any] = {"units": axes.units, "periodic": axes.periodic, "bounds": axes.bounds(ds)}
        if axes.kind == "sphere":
            return cls.from_centers(axes.centers(ds), names=SPHERE_NAMES, radius=EARTH_RADIUS, **how)
        return cls.from_centers(axes.centers(ds), names=axes.space, **how)

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Grid:
        """The inverse of `to_dict`, exact to the last bit."""
        centers, bounds = (tuple(np.array(a, dtype=float) for a in d[key]) for key in ("centers", "bounds"))
        names, periodic, units = (tuple(d[key]) for key in ("names", "periodic", "units"))
        mesh = Mesh.from_dict(d["mesh"], [len(c) for c in centers]) if d.get("mesh") else None
        return cls(names, centers, bounds, periodic, units, d["radius"], mesh)

    def to_dict(self) -> dict[str, Any]:
        """Lists, strings and numbers that JSON keeps exactly."""
        arrays = {key: [a.tolist() for a in getattr(self, key)] for key in ("centers", "bounds")}
        plain = {key: list(getattr(self, key)) for key in ("names", "periodic", "units")}
        return {**plain, **arrays, "radius": self.radius, "mesh": self.mesh and self.mesh.to_dict()}

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.names)

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along each axis."""
        return tuple(len(c) for c in self.centers)

    @property
    def size(self) -> int:
        """Cells in all."""
        return int(np.prod(self.shape))

    @property
    def is_sphere(self) -> bool:
        """Whether distances are those on a sphere: whether there is a radius."""
        return self.radius is not None

    @property
    def is_latlon(self) -> bool:
        """Whether the axes are latitude and longitude."""
        return self.is_sphere and self.mesh is None

    def require_axes(self) -> None:
        """`InputError` on a curvilinear mesh, where a step along an axis has no one direction and length."""
        if self.mesh is not None:
            raise InputError("straight axes", self.describe(), "interpolate it to latitude x longitude")

    @property
    def lengths(self) -> tuple[float, ...]:
        """b_n - b_0 of each axis, in its units: the period of a periodic axis."""
        return tuple(float(b[-1] - b[0]) for b in self.bounds)

    @property
    def spacing(self) -> tuple[float, ...]:
        """h = c_{i+1} - c_i of each axis, in its units; `InputError` where it varies (Gaussian latitudes)."""
        self.require_axes()
        return tuple(cells.spacing(*axis) for axis in self._axes)

    @property
    def distance_units(self) -> str:
        """km on a sphere, else the axes' common unit; `InputError` where they have none."""
        if not self.is_sphere and len(set(self.units)) > 1:
            raise InputError("one unit for all axes", " and ".join(self.units), "convert the coordinates")
        return "km" if self.is_sphere else self.units[0]

    @cached_property
    def areas(self) -> Float[np.ndarray, " *space"]:
        """Cell areas (*shape), exact: product of widths; R^2 dlon (sin b_{i+1} - sin b_i); R^2 Omega on a mesh."""
        if self.mesh is not None and self.radius is not None:
            return self.radius**2 * self.mesh.solid_angle
        return cells.box_areas(self.bounds, self.radius)

    @cached_property
    def _points(self) -> Float[np.ndarray, "cell axis"]:
        mesh = np.meshgrid(*self.centers, indexing="ij")
        return np.stack([m.ravel() for m in mesh], axis=-1)

    @cached_property
    def positions(self) -> Float[np.ndarray, "cell k"]:
        """Centres (size, k): coordinates on a plane, on a sphere unit vectors (k = 3)."""
        if self.mesh is not None:
            return self.mesh.points
        return cells.unit_vectors(self._points) if self.is_sphere else self._points

    def displacements(
        self, rows: cells.Rows = None, cols: cells.Rows = None
    ) -> Float[np.ndarray, "row col axis"]:
        """c[col] - c[row] per axis, in its units; a periodic axis gives the image in [-L/2, L/2).

        `rows` and `cols` choose flat cells (indices or slice, None: all); ask for blocks of large grids.
        """
        self.require_axes()
        delta = cells.pick(self._points, cols)[None] - cells.pick(self._points, rows)[:, None]
        periods = [L if wraps else np.inf for L, wraps in zip(self.lengths, self.periodic, strict=True)]
        return cells.nearest_image(delta, np.array(periods))

    def distances(self, rows: cells.Rows = None, cols: cells.Rows = None) -> Float[np.ndarray, "row col"]:
        """|displacement| on a plane, R atan2(|p x q|, p.q) on a sphere, in `distance_units`; blocks as above."""
        if self.radius is not None:
            p, q = (cells.pick(self.positions, which) for which in (rows, cols))
            return self.radius * cells.angles(p, q)
        self.distance_units  # noqa: B018 - refuses axes whose lengths cannot be compared
        return np.sqrt((self.displacements(rows, cols) ** 2).sum(axis=-1))

    def padding(self, patch: Sequence[int]) -> tuple[int, ...]:
        """Cells to add at the high end of each axis, -n mod p; `InputError` if a periodic axis needs any."""
        sizes = cells.per_axis(patch, self.ndim, "patch size")
        return tuple(cells.padding(*axis, p) for axis, p in zip(self._axes, sizes, strict=True))

    def coarsen(self, patch: Sequence[int]) -> Grid:
        """The grid of patch tokens: every p-th bound, centres the width-weighted mean of those inside.

        Area is conserved: where p does not divide a bounded axis, the last token has the bounds of the rest.
        """
        self.padding(patch)
        merged = [cells.merge(c, b, p) for (_, c, b, _), p in zip(self._axes, patch, strict=True)]
        centers, bounds = zip(*merged, strict=True)
        mesh = None if self.mesh is None else self.mesh.coarsen(patch)
        return Grid(self.names, centers, bounds, self.periodic, self.units, self.radius, mesh)

    def ghost(self, axis: int, width: int, condition: str = "open") -> cells.Ghosts:
        """u[padded] = sign * u[index] along `axis`, `width` cells added at each end: (n + 2 width) of both.

        A periodic axis wraps. On a bounded one: "dirichlet" u = 0 on the wall face (odd reflection),
        "neumann" du/dn = 0 there (even reflection), "open" repeats the edge cell.
        """
        return cells.ghost(self.shape[axis], width, self.periodic[axis], condition)

    def coords(self) -> dict[str, Coordinate]:
        """name -> (dimensions, values, CF attributes) for `xarray.Dataset(coords=...)`."""
        if self.mesh is not None:
            return self.mesh.coords(self.names)
        return coordinates.coords(self._axes, self.units, self.is_sphere)

    def describe(self) -> str:
        """One line for people: sizes, extents, units, periodic axes, metric."""
        where = coordinates.extents(self._axes, self.units) if self.mesh is None else self.mesh.spans()
        return coordinates.described(self._axes, where, self.radius, self.mesh is not None)

    def _structure(self) -> tuple:
        radius = self.radius and round(self.radius, 3)
        return self.names, self.shape, self.periodic, self.units, radius, self.mesh is None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        if self._structure() != other._structure():
            return False
        if self.mesh is not None and other.mesh is not None:
            return self.mesh.agrees(other.mesh)
        return coordinates.agree(self._axes, other._axes)

    def __hash__(self) -> int:
        return hash(self._structure())
