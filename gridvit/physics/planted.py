"""A world whose teleconnections are known because they were put there: red noise on a sphere and a few links."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import pairwise, product
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from gridvit.cells import angles, unit_vectors
from gridvit.errors import InputError
from gridvit.grid import Grid, Number
from gridvit.physics.sphere_noise import SphereNoise

SPINUP = 300
"""Steps that are thrown away, so that a start from rest is forgotten: 0.95^300 is 2e-7."""
BLOCK = 256
"""Steps of noise that are held at once."""


@dataclass(frozen=True)
class Region:
    """A cap: the cells whose centres lie within ``radius`` degrees of a point.

    Args:
        name: of the region.
        latitude: of its centre, degrees north.
        longitude: degrees east.
        radius: degrees of arc; 18 covers 2.4 % of the sphere.
    """

    name: str
    latitude: Number
    longitude: Number
    radius: Number = 18.0


@dataclass(frozen=True)
class Link:
    """z_t(target) += strength f(I_source(t - lag)), I the area mean over a region.

    Args:
        source: name of a region.
        target: name of a region; the source itself for one with a longer memory than the rest.
        lag: steps, at least one.
        strength: with its sign.
        months: of the target's time in which the link acts; all where empty. A gate.
        rectified: f(I) = max(I, 0) in place of I: only one sign of the source is felt.
    """

    source: str
    target: str
    lag: int = 1
    strength: Number = 0.12
    months: tuple[int, ...] = ()
    rectified: bool = False


@dataclass(frozen=True)
class Climate:
    r"""x = mean sin(lat) cos(y) + (1 + spread sin(lat) cos(y)) z + trend years, y the phase of the year.

    Args:
        mean: amplitude of the annual cycle, opposite in the hemispheres; y is 0 on 1 January.
        spread: amplitude of that of the standard deviation, below 1.
        trend: shared by all cells, per year.
        land: caps that are never observed.
        swath: radius in degrees of a cap without observations that circles the equator; 0 for none.
        swath_speed: degrees of longitude a step.
    """

    mean: Number = 0.0
    spread: Number = 0.0
    trend: Number = 0.0
    land: tuple[Region, ...] = ()
    swath: Number = 0.0
    swath_speed: Number = 17.0


# Ten points no two of which are closer than 65 degrees, so that the weather of two correlates by 0.03 at most.
RING = [Region("", north, east) for north, east in product((25.0, -25.0), (0.0, 90.0, 180.0, 270.0))]
NAMES = ("chain_1", "common", "chain_3", "cooler", "early", "chain_2", "cooled", "late")
REGIONS = (
    *(Region(n, r.latitude, r.longitude + (45 if r.latitude < 0 else 0)) for n, r in zip(NAMES, RING, strict=True)),
    Region("decoy_north", 90.0, 0.0),
    Region("decoy_south", -90.0, 0.0),
)  # fmt: skip
LAND = (Region("land_west", 0.0, 22.5, 15.0), Region("land_east", 0.0, 202.5, 15.0))


def links(strength: Number = 0.12, persistence: Number = 0.15) -> tuple[Link, ...]:
    """A chain of both signs, a cause of two effects at different lags, a negative link and two decoys.

    "common" drives "early" after 1 step and "late" after 3: the two correlate, but neither acts on the other.
    The decoys are regions of longer memory that act on nothing: they look alike anything slow by chance.
    """
    return (
        Link("chain_1", "chain_2", 1, strength),
        Link("chain_2", "chain_3", 2, -strength),
        Link("common", "early", 1, strength),
        Link("common", "late", 3, strength),
        Link("cooler", "cooled", 2, -strength),
        Link("decoy_north", "decoy_north", 1, persistence),
        Link("decoy_south", "decoy_south", 1, persistence),
    )


@dataclass(frozen=True, eq=False)
class Planted:
    r"""z_t = memory z_{t-1} + sum_l beta_l g_l f_l(sum_s w h_l z_{t - L_l}) + e_t on the cells of a sphere.

    g_l is one in the cap of the target and zero outside, h_l one over the area of the source's cap inside it, so
    the sum is an area mean (w: areas that sum to one): links between places, whatever the grid. Without rectified
    or gated links it is linear and Gaussian, and ``gridvit.physics.planted_truth`` knows every covariance. Otherwise
    its truth is the graph of links.

    Args:
        grid: latitudes and longitudes of the whole sphere.
        regions: where things happen.
        links: what acts on what.
        memory: phi of the noise; 0.8 forgets in five steps.
        noise: e_t.
        climate: what is seen of z; nothing but z itself as it comes.
        days: length of a step.

    Raises:
        InputError: a link between unknown regions, of no lag, or in no month; a region without a cell.

    Good values: ``Planted.linear(Grid.latlon(16, 32))``, 1000 steps; a strength of 0.35 is found by any method, 0.12
    parts them. Reference: after X.-A. Tibau et al., Environ. Data Sci. 1 (2022) e12, doi:10.1017/eds.2022.11 (SAVAR),
    whose grid is flat and without areas.
    """

    grid: Grid
    regions: tuple[Region, ...] = REGIONS
    links: tuple[Link, ...] = field(default_factory=links)
    memory: Number = 0.8
    noise: SphereNoise = field(default_factory=SphereNoise)
    climate: Climate = Climate()
    days: int = 5

    @classmethod
    def linear(cls, grid: Grid, strength: Number = 0.12) -> Planted:
        """The world of ``links`` as it is."""
        return cls(grid, links=links(strength))

    @classmethod
    def nonlinear(cls, grid: Grid, strength: Number = 0.35) -> Planted:
        """The chain's first link acts in December to February alone, the cooling of "cooled" by positive values alone.

        Seen through an annual cycle, a shared trend, two lands and a swath without observations that moves.
        """
        chain, second, early, late, cooling, *decoys = links(strength)
        gated = Link(chain.source, chain.target, chain.lag, chain.strength, months=(12, 1, 2))
        one_sided = Link(cooling.source, cooling.target, cooling.lag, cooling.strength, rectified=True)
        climate = Climate(mean=2.0, spread=0.3, trend=0.05, land=LAND, swath=12.0)
        return cls(grid, links=(gated, second, early, late, one_sided, *decoys), climate=climate)

    @classmethod
    def from_attrs(cls, attrs: Mapping[str, Any], grid: Grid) -> Planted:
        """The world of a Dataset that ``planted_data.dataset`` made, by its attribute ``gridvit_planted``.

        Raises:
            InputError: attributes of another Dataset.
        """
        if "gridvit_planted" not in attrs:
            raise InputError("a Dataset of a planted world", "no attribute gridvit_planted", "make one")
        how = json.loads(attrs["gridvit_planted"])
        regions = tuple(Region(**r) for r in how["regions"])
        made = tuple(Link(**{**link, "months": tuple(link["months"])}) for link in how["links"])
        land = tuple(Region(**r) for r in how["climate"].pop("land"))
        climate = Climate(**how["climate"], land=land)
        return cls(grid, regions, made, how["memory"], SphereNoise(**how["noise"]), climate, how["days"])

    def to_json(self) -> str:
        """All but the grid, for an attribute."""
        parts = {"regions": [asdict(r) for r in self.regions], "links": [asdict(link) for link in self.links]}
        numbers = {"memory": self.memory, "days": self.days}
        return json.dumps({**parts, **numbers, "noise": asdict(self.noise), "climate": asdict(self.climate)})

    def __post_init__(self) -> None:
        if len(set(self.names)) < len(self.names):
            raise InputError("regions of different names", ", ".join(self.names), "rename one")
        for link in self.links:
            _check(link, self.names)
        empty = [r.name for r, cap in zip(self.regions, self.caps, strict=True) if not cap.any()]
        if empty:
            raise InputError(
                "a cell in every region", f"none in {empty[0]}", "take a finer grid or a wider cap"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Of the regions, in order."""
        return tuple(region.name for region in self.regions)

    @property
    def is_linear(self) -> bool:
        """Whether every link is the same at all times and for both signs."""
        return not any(link.rectified or link.months for link in self.links)

    @property
    def longest_lag(self) -> int:
        """Of the links, at least one: the history that a forecast needs."""
        return max([1, *(link.lag for link in self.links)])

    @cached_property
    def caps(self) -> Bool[np.ndarray, "region cell"]:
        """g: the cells of each region."""
        return caps(self.regions, self.grid)

    @cached_property
    def means(self) -> Float[np.ndarray, "region cell"]:
        """w h: ``means @ z`` is the index of each region, its area mean."""
        areas = self.caps * self.grid.areas.ravel()
        return areas / areas.sum(axis=1, keepdims=True)

    def index(self, name: str) -> int:
        """The number of a region.

        Raises:
            InputError: no such region.
        """
        if name not in self.names:
            raise InputError(f"a region among {', '.join(self.names)}", repr(name), "choose one of them")
        return self.names.index(name)

    def simulate(
        self, steps: int, seed: int = 0, months: Sequence[int] | np.ndarray | None = None
    ) -> Float[np.ndarray, "time lat lon"]:
        """z at ``steps`` times, float64, after a start from rest that is forgotten.

        Args:
            steps: number of times.
            seed: same seed, same world.
            months: of each time, where links are gated.

        Raises:
            InputError: gated links and no months.
        """
        gated = any(link.months for link in self.links)
        if gated and (months is None or len(months) != steps):
            raise InputError("the month of each step for gated links", "none", "use planted_data.dataset")
        total, rng, noise = SPINUP + steps, np.random.default_rng(seed), self.noise.on(self.grid)
        states = np.empty((total, self.grid.size))
        for first in range(0, total, BLOCK):
            part = states[first : first + BLOCK]
            part[:] = noise.draw(len(part), rng).reshape(part.shape)
        for before, now in pairwise(states):
            now += self.memory * before
        opened = np.concatenate(
            [np.zeros(SPINUP, dtype=int), np.zeros(steps, dtype=int) if months is None else months]
        )
        states += self._brought(states @ self.means.T, opened) @ self.caps
        return states[SPINUP:].reshape(steps, *self.grid.shape)

    def _brought(self, weather: np.ndarray, months: np.ndarray) -> Float[np.ndarray, "time region"]:
        """What the links bring: z = n + G c as the sum of red noise n of the means ``weather`` and c in the caps.

        c_t = memory c_{t-1} + sum_l beta_l f_l(I(t - L_l)), I = M n + M G c. In month 0, of the spin-up, every gate is
        open.
        """
        acting = [(link, self.index(link.source), self.index(link.target)) for link in self.links]
        spread = self.means @ self.caps.T
        index, brought = weather.copy(), np.zeros_like(weather)
        for t in range(1, len(weather)):
            brought[t] = self.memory * brought[t - 1]
            for link, source, target in acting:
                if t < link.lag or (link.months and months[t] and months[t] not in link.months):
                    continue
                felt = index[t - link.lag, source]
                brought[t, target] += link.strength * (max(felt, 0.0) if link.rectified else felt)
            index[t] += spread @ brought[t]
        return brought


def caps(regions: Sequence[Region], grid: Grid) -> Bool[np.ndarray, "region cell"]:
    """The cells whose centres lie in each region."""
    places = np.array([(r.latitude, r.longitude) for r in regions], dtype=np.float64)
    centers = unit_vectors(places.reshape(-1, 2))
    radii = np.deg2rad([r.radius for r in regions])
    return angles(centers, grid.positions) <= radii[:, None]


def _check(link: Link, names: tuple[str, ...]) -> None:
    for name in (link.source, link.target):
        if name not in names:
            raise InputError(f"links between the regions {', '.join(names)}", repr(name), "name one of them")
    if link.lag < 1 or not set(link.months) <= set(range(1, 13)):
        got = f"lag {link.lag} and months {link.months}"
        raise InputError("a lag of at least one step and months of 1 to 12", got, "correct the link")
