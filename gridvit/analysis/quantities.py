"""What an equation may keep: means, energy and enstrophy of a state, from which a forecast may drift away."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from gridvit.analysis.skill import area_mean, area_weights
from gridvit.analysis.stationary import curl, flow
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import Harmonics

Number = Callable[[np.ndarray], np.ndarray]
"""(..., variable, *space) -> (...)."""
Slopes = Callable[[np.ndarray], np.ndarray]
"""(..., component, *space) -> (..., other component, *space)."""


@dataclass(frozen=True)
class Quantity:
    """One number of a state ``(..., variable, *space)``; missing cells do not enter means, and leave no slopes.

    Args:
        units: as CF writes them.
        of: what is worked out.
    """

    units: str
    of: Number


@dataclass(frozen=True)
class Flow:
    """How the fluid moves, by places of variables: two velocities (eastward, northward), or a vorticity."""

    velocity: tuple[int, int] | None = None
    vorticity: int | None = None

    @property
    def places(self) -> tuple[int, ...]:
        """All of them."""
        return (*(self.velocity or ()), *(() if self.vorticity is None else (self.vorticity,)))


def quantities_of(grid: Grid, variables: Mapping[str, str], flowing: Flow) -> dict[str, Quantity]:
    r"""``<u>`` and ``<u^2> / 2`` of each variable; of a flow ``E = <|v|^2> / 2`` and ``Z = <w^2> / 2`` instead.

    <.> is the area mean. The vorticity w of velocities, and the velocities of a vorticity, need slopes: periodic
    planes have them wave by wave and whole spheres by harmonics, up to their truncation; elsewhere what needs them is
    left out.

    Args:
        grid: of the states.
        variables: units by name, in the order of the states.
        flowing: which of them are velocities, or a vorticity.
    """
    mean, half = _mean(grid), _half_square(grid)
    single = [(n, name, units) for n, (name, units) in enumerate(variables.items())]
    means = {f"mean of {name}": Quantity(units, _taken(mean, (n,), grid.ndim)) for n, name, units in single}
    squares = {
        f"half mean square of {name}": Quantity(product((units, 2)), _taken(half, (n,), grid.ndim))
        for n, name, units in single
        if n not in flowing.places
    }
    return means | squares | _of_flow(grid, list(variables.values()), flowing)


def _of_flow(grid: Grid, units: list[str], flowing: Flow) -> dict[str, Quantity]:
    """Kinetic energy and enstrophy, as far as there are slopes."""
    half, (wind, spin) = _half_square(grid), _slopes(grid)

    def halved(places: tuple[int, ...], scale: str, slopes: Slopes | None = None) -> Quantity:
        return Quantity(scale, _taken(half, places, grid.ndim, slopes))

    length = "m" if grid.is_sphere else grid.units[-1]
    found: dict[str, Quantity | None] = {}
    if flowing.velocity is not None:
        places, scale = flowing.velocity, units[flowing.velocity[0]]
        found["kinetic energy"] = halved(places, product((scale, 2)))
        found["enstrophy"] = spin and halved(places, product((scale, 2), (length, -2)), spin)
    elif flowing.vorticity is not None:
        spinning, scale = (flowing.vorticity,), units[flowing.vorticity]
        found["kinetic energy"] = wind and halved(spinning, product((length, 2), (scale, 2)), wind)
        found["enstrophy"] = halved(spinning, product((scale, 2)))
    return {name: quantity for name, quantity in found.items() if quantity}


def _slopes(grid: Grid) -> tuple[Slopes | None, Slopes | None]:
    """Velocities of a vorticity, and the vorticity of velocities, ``(..., component, *space)``; None without slopes."""
    if grid.ndim == 2 and not grid.is_sphere and all(grid.periodic):
        return lambda w: flow(w, grid), lambda v: curl(v, grid)
    try:
        transform = Harmonics(grid)
    except InputError:  # walls, or a grid whose harmonics are not orthogonal
        return None, None
    return lambda w: _sphere_flow(w, transform), lambda v: _sphere_curl(v, transform)


def _sphere_flow(
    w: Float[np.ndarray, "*rest one lat lon"], transform: Harmonics
) -> Float[np.ndarray, "*rest two lat lon"]:
    flat = torch.from_numpy(w.reshape(-1, 1, *w.shape[-2:]).astype(np.float64))
    found = torch.cat(transform.wind(transform.analyse(flat)), dim=1)
    return found.numpy().reshape(*w.shape[:-3], 2, *w.shape[-2:])


def _sphere_curl(
    v: Float[np.ndarray, "*rest two lat lon"], transform: Harmonics
) -> Float[np.ndarray, "*rest one lat lon"]:
    flat = torch.from_numpy(v.reshape(-1, 2, *v.shape[-2:]).astype(np.float64))
    found = transform.synthesise(transform.curl(flat[:, :1], flat[:, 1:]))
    return found.numpy().reshape(*v.shape[:-3], 1, *v.shape[-2:])


def _mean(grid: Grid) -> Number:
    """The area mean of the one component that there is."""
    weights = area_weights(grid)
    return lambda u: np.asarray(area_mean(u.astype(np.float64), weights, ~np.isnan(u))[..., 0])


def _half_square(grid: Grid) -> Number:
    """Half the mean square of all components."""
    weights = area_weights(grid)
    return lambda u: np.asarray(area_mean(u.astype(np.float64) ** 2, weights, ~np.isnan(u)).sum(axis=-1) / 2)


def _taken(of: Number, places: tuple[int, ...], ndim: int, first: Slopes | None = None) -> Number:
    """A number of some of the variables, after slopes have been taken where it needs them."""

    def taken(u: np.ndarray) -> np.ndarray:
        some = np.take(u, places, axis=-1 - ndim)
        return np.asarray(of(first(some) if first else some))

    return taken


def product(*factors: tuple[str, int]) -> str:
    """Units to their powers: ``("m s-1", 2)`` is m2 s-2. What is not written as CF does stays in brackets."""
    total: Counter[str] = Counter()
    for units, exponent in factors:
        plain = re.fullmatch(r"1|([A-Za-z]+(-?\d+)?)( [A-Za-z]+(-?\d+)?)*", units)
        parts = re.findall(r"([A-Za-z]+)(-?\d+)?", units) if plain else [(f"({units})", "")]
        for name, own in parts:
            total[name] += exponent * int(own or 1)
    kept = [name + (str(n) if n != 1 else "") for name, n in total.items() if n]
    return " ".join(kept) or "1"
