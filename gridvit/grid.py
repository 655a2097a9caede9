"""Where the numbers live: cell centres, cell bounds, units, periodicity and the metric of a field.

A `Grid` is the only place that computes a spacing, an area or a distance. It needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from gridvit import cells
from gridvit.axes import Periodic, find_axes
from gridvit.errors import InputError

if TYPE_CHECKING:
    from xarray import Dataset
else:  # xarray takes half a second to import, and only `from_dataset` meets it
    Dataset = Any

EARTH_RADIUS = 6371.0088
"""Mean radius of the Earth in km, (2 a + b) / 3: Moritz 2000, J. Geodesy 74, 128-133."""

Number = float | int
Coordinate = tuple[tuple[str, ...], np.ndarray, dict[str, str]]
PLANE_NAMES = ("z", "y", "x")
SPHERE_NAMES = ("latitude", "longitude")
SPHERE_UNITS = ("degrees_north", "degrees_east")


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells b_i <= c_i <= b_{i+1} along each axis, on a plane or on a sphere.

    Axes are row-major; `centers` (n) and `bounds` (n + 1) ascend, in the units of their axis. With a
    `radius` (km) the grid lies on a sphere and its axes are (latitude, longitude) in degrees. Two grids are
    equal where their structure is and their coordinates agree within 1e-4 of a cell, so that a float32 and a
    float64 file agree. Raises `InputError` for coordinates that do not ascend or leave their cells.
    """

    names: tuple[str, ...]
    centers: tuple[np.ndarray, ...]
    bounds: tuple[np.ndarray, ...]
    periodic: tuple[bool, ...]
    units: tuple[str, ...]
    radius: float | None = None

    def __post_init__(self) -> None:
        for field in ("centers", "bounds"):
            arrays = tuple(np.array(a, dtype=np.float64) for a in getattr(self, field))
            for array in arrays:
                array.flags.writeable = False
            object.__setattr__(self, field, arrays)
        counts = {len(v) for v in (self.names, self.centers, self.bounds, self.periodic, self.units)}
        if len(counts) > 1 or not counts <= {1, 2, 3}:
            raise InputError("1 to 3 axes", f"{sorted(counts)} names and arrays", "give one of each per axis")
        for name, c, b, _ in self._axes:
            cells.check(name, c, b)
        if self.is_sphere:
            cells.check_sphere(self.bounds, self.periodic)

    @property
    def _axes(self) -> list[tuple[str, np.ndarray, np.ndarray, bool]]:
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
        if poles:
            return cls._global(np.linspace(-90, 90, n_lat), None, n_lon, radius)
        edges = np.linspace(-90, 90, n_lat + 1)
        return cls._global((edges[1:] + edges[:-1]) / 2, edges, n_lon, radius)

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
        given = list(bounds) if bounds is not None else [None] * len(values)
        turns = [360.0 if radius is not None and i and wraps else None for i, wraps in enumerate(periodic)]
        edges = [cells.halfway(*axis) for axis in zip(names, values, turns, given, strict=True)]
        edges[0] = edges[0] if radius is None else cells.within_poles(values[0], edges[0])
        wraps, R = tuple(bool(p) for p in periodic), None if radius is None else float(radius)
        return cls(tuple(names), tuple(values), tuple(edges), wraps, tuple(units), R)

    @classmethod
    def from_dataset(cls, ds: Dataset, periodic: Periodic = None) -> Grid:
        """The grid of a Dataset in internal order: latitude ascends, longitude ascends from [0, 360).

        `gridvit.axes.find_axes` finds the axes by CF attributes, then by name, and says how to reorder the
        data; `periodic` states what cannot be inferred. Gaussian latitudes get their exact bounds.
        """
        axes = find_axes(ds, periodic)
        sphere = axes.kind == "sphere"
        return cls.from_centers(
            axes.centers(ds),
            names=SPHERE_NAMES if sphere else axes.space,
            units=axes.units,
            periodic=axes.periodic,
            radius=EARTH_RADIUS if sphere else None,
            bounds=axes.bounds(ds),
        )

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Grid:
        """The inverse of `to_dict`, exact to the last bit."""
        centers, bounds = (tuple(np.array(a, dtype=float) for a in d[key]) for key in ("centers", "bounds"))
        names, periodic, units = (tuple(d[key]) for key in ("names", "periodic", "units"))
        return cls(names, centers, bounds, periodic, units, d["radius"])

    def to_dict(self) -> dict[str, Any]:
        """Lists, strings and numbers that JSON keeps exactly."""
        arrays = {key: [a.tolist() for a in getattr(self, key)] for key in ("centers", "bounds")}
        plain = {key: list(getattr(self, key)) for key in ("names", "periodic", "units")}
        return {**plain, **arrays, "radius": self.radius}

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
        """Whether there is a radius."""
        return self.radius is not None

    @property
    def lengths(self) -> tuple[float, ...]:
        """b_n - b_0 of each axis, in its units: the period of a periodic axis."""
        return tuple(float(b[-1] - b[0]) for b in self.bounds)

    @property
    def spacing(self) -> tuple[float, ...]:
        """h = c_{i+1} - c_i of each axis, in its units; `InputError` where it varies (Gaussian latitudes)."""
        return tuple(cells.spacing(*axis) for axis in self._axes)

    @property
    def distance_units(self) -> str:
        """km on a sphere, else the axes' common unit; `InputError` where they have none."""
        return "km" if self.is_sphere else self._common_unit()

    def _common_unit(self) -> str:
        if len(set(self.units)) > 1:
            raise InputError("one unit for all axes", " and ".join(self.units), "convert the coordinates")
        return self.units[0]

    @cached_property
    def areas(self) -> Float[np.ndarray, " *space"]:
        """Cell areas (*shape), exact: product of widths; R^2 dlon (sin b_{i+1} - sin b_i) on a sphere."""
        widths = [np.diff(b) for b in self.bounds]
        if self.radius is not None:
            sines = np.sin(np.deg2rad(self.bounds[0]))
            widths = [self.radius**2 * np.diff(sines), np.deg2rad(widths[1])]
        return reduce(np.multiply.outer, widths)

    @cached_property
    def _points(self) -> Float[np.ndarray, "cell axis"]:
        mesh = np.meshgrid(*self.centers, indexing="ij")
        return np.stack([m.ravel() for m in mesh], axis=-1)

    @cached_property
    def positions(self) -> Float[np.ndarray, "cell k"]:
        """Centres (size, k): coordinates on a plane, on a sphere unit vectors (k = 3)."""
        return cells.unit_vectors(self._points) if self.is_sphere else self._points

    def displacements(
        self, rows: cells.Rows = None, cols: cells.Rows = None
    ) -> Float[np.ndarray, "row col axis"]:
        """c[col] - c[row] per axis, in its units; a periodic axis gives the image in [-L/2, L/2).

        `rows` and `cols` choose flat cells (indices or slice, None: all); ask for blocks of large grids.
        """
        delta = cells.pick(self._points, cols)[None] - cells.pick(self._points, rows)[:, None]
        periods = [L if wraps else np.inf for L, wraps in zip(self.lengths, self.periodic, strict=True)]
        return cells.nearest_image(delta, np.array(periods))

    def distances(self, rows: cells.Rows = None, cols: cells.Rows = None) -> Float[np.ndarray, "row col"]:
        """|displacement| on a plane, R atan2(|p x q|, p.q) on a sphere, in `distance_units`; blocks as above.

        Raises `InputError` on a plane whose axes have different units.
        """
        if self.radius is not None:
            return self.radius * cells.angles(
                cells.pick(self.positions, rows), cells.pick(self.positions, cols)
            )
        self._common_unit()
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
        return Grid(self.names, centers, bounds, self.periodic, self.units, self.radius)

    def ghost(self, axis: int, width: int, condition: str = "open") -> cells.Ghosts:
        """u[padded] = sign * u[index] along `axis`, `width` cells added at each end: (n + 2 width) of both.

        A periodic axis wraps. On a bounded one: "dirichlet" u = 0 on the wall face (odd reflection),
        "neumann" du/dn = 0 there (even reflection), "open" repeats the edge cell.
        """
        return cells.ghost(self.shape[axis], width, self.periodic[axis], condition)

    def coords(self) -> dict[str, Coordinate]:
        """name -> (dimensions, values, CF attributes) for `xarray.Dataset(coords=...)`.

        Bounds go along where `from_dataset` could not know them. CF has no word for a periodic plane axis:
        the attribute `periodic` is ours.
        """
        found: dict[str, Coordinate] = {}
        for (name, c, b, wraps), units, axis in zip(self._axes, self.units, "ZYX"[-self.ndim :], strict=True):
            ours = {"standard_name": name} if self.is_sphere else {"periodic": str(wraps).lower()}
            found[name] = ((name,), c, {**ours, "units": units, "axis": axis})
            if not cells.implied(c, b, name if self.is_sphere else "", wraps):
                found[name][2]["bounds"] = f"{name}_bounds"
                found[f"{name}_bounds"] = ((name, "bounds"), np.stack([b[:-1], b[1:]], axis=-1), {})
        return found

    def describe(self) -> str:
        """One line for people: sizes, extents, units, periodic axes, metric."""
        sizes = " x ".join(f"{n} {name}" for n, name in zip(self.shape, self.names, strict=True))
        spans = (f"{b[0]:.6g}..{b[-1]:.6g} {u}" for b, u in zip(self.bounds, self.units, strict=True))
        wraps = " and ".join(name for name, _, _, periodic in self._axes if periodic)
        metric = "plane" if self.radius is None else f"sphere of radius {self.radius:g} km"
        return f"{sizes} ({', '.join(spans)}), {f'periodic in {wraps}' if wraps else 'bounded'}, {metric}"

    def _structure(self) -> tuple:
        return self.names, self.shape, self.periodic, self.units, self.radius and round(self.radius, 3)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return self._structure() == other._structure() and all(
            max(np.abs(c - c2).max(), np.abs(b - b2).max()) <= cells.tolerance(b)
            for (_, c, b, _), (_, c2, b2, _) in zip(self._axes, other._axes, strict=True)
        )

    def __hash__(self) -> int:
        return hash(self._structure())
