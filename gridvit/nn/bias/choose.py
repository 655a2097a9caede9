"""From a name in the configuration to the biases of all layers."""

from __future__ import annotations

from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.bias.area import AreaWeighted, Registered
from gridvit.nn.bias.base import Bias, NoBias
from gridvit.nn.bias.pairs import Distances, Pairs
from gridvit.nn.bias.plane import Plane
from gridvit.nn.bias.radial import Linear, Radial
from gridvit.nn.bias.spectral import Fourier, Legendre, lattice
from gridvit.nn.bias.sphere import Aimed, Chordal, Harmonics

OF_DISTANCE = ("linear", "radial")


def make_biases(config: ModelConfig, grid: Grid, gaps: bool = False) -> list[Bias]:
    """The bias of each layer on the token ``grid`` and leading registers; those of distance share their pairs."""
    check_fit(config.bias, grid, config.harmonics, config.spectral)
    pairs = make_pairs(grid, config.spectral) if config.bias in OF_DISTANCE else None
    how = config.bias, grid, config.heads, config.harmonics, gaps, pairs, config.registers, config.spectral
    return [make_bias(*how) for _ in range(config.depth)]


def make_bias(
    kind: str,
    grid: Grid,
    heads: int,
    harmonics: int,
    gaps: bool = False,
    pairs: Pairs | None = None,
    registers: int = 0,
    spectral: int = 0,
) -> Bias:
    """The bias ``kind`` of one layer; area-weighted where areas differ or have gaps.

    Raises:
        InputError: a family that does not fit the metric, more waves than the tokens resolve, a single row of tokens,
            more tokens than a matrix of logits can be held for.
    """
    check_fit(kind, grid, harmonics, spectral)
    if kind in OF_DISTANCE:
        family = Linear if kind == "linear" else Radial
        inner: Bias = family(grid, heads, pairs or make_pairs(grid, spectral))
    else:
        inner = _family(kind, grid, heads, harmonics)
    if registers:
        inner = Registered(inner, grid, registers)
    uniform = float(grid.areas.max() - grid.areas.min()) <= 1e-6 * float(grid.areas.max())
    return inner if uniform and not gaps else AreaWeighted(inner, grid, registers)


def make_pairs(grid: Grid, spectral: int) -> Pairs:
    """A matrix of all distances, or a series to ``spectral``."""
    if not spectral:
        return Distances(grid)
    return (Legendre if grid.is_sphere else Fourier)(grid, spectral)


def _family(kind: str, grid: Grid, heads: int, harmonics: int) -> Bias:
    if kind == "none":
        return NoBias(grid, heads)
    if not grid.is_sphere:
        return Plane(grid, heads, harmonics)
    if kind == "harmonics":
        return Harmonics(grid, heads, harmonics)
    return (Aimed if kind == "gaussian" else Chordal)(grid, heads)


def check_fit(kind: str, grid: Grid, harmonics: int, spectral: int = 0) -> None:
    """Refuse a family that cannot be on these tokens."""
    if spectral and kind not in OF_DISTANCE:
        raise InputError(
            "model.bias linear or radial with model.spectral",
            kind,
            "set model.spectral to 0, or change the bias",
        )
    if kind == "none":
        return
    if 1 in grid.shape:
        raise InputError(
            f"two or more tokens along each axis for model.bias {kind}",
            f"one along {grid.names[grid.shape.index(1)]}",
            "lower model.patch, or take model.bias none",
        )
    fits = {
        "harmonics": grid.is_sphere,
        "fourier": not grid.is_sphere and all(grid.periodic),
        "gaussian": grid.is_sphere or not any(grid.periodic),
    }
    if not fits.get(kind, True):
        where = {"harmonics": "a sphere", "fourier": "periodic axes", "gaussian": "a sphere or bounded axes"}
        raise InputError(f"{where[kind]} for model.bias {kind}", grid.describe(), "take model.bias distance")
    if kind in ("harmonics", "fourier"):
        refuse_unresolved("harmonics", harmonics, _resolved(grid))
    if spectral:
        longest = max(zip(*lattice(grid), strict=True)) if not grid.is_sphere else None
        refuse_unresolved("spectral", spectral, longest[1] // 2 if longest else _resolved(grid))


def refuse_unresolved(option: str, given: int, most: int) -> None:
    """Refuse more waves than there are tokens for."""
    if given > most:
        raise InputError(
            f"model.{option} of at most {most}, which the tokens resolve",
            str(given),
            "lower it, or lower model.patch",
        )


def _resolved(grid: Grid) -> int:
    """Half the tokens along a circle of the fewest: along a meridian there are half a circle's."""
    across = [
        n if wraps or not grid.is_latlon else 2 * n
        for n, wraps in zip(grid.shape, grid.periodic, strict=True)
    ]
    return min(across) // 2
