r"""The error of one step, expected from stencils and measured: what a distance between symbols is worth.

A step on patches of ``P`` cells is read as ``F(u) = c + J u + n(u)``: ``J`` commutes with shifts by ``P``, ``c``
repeats with ``P``, ``n`` is what no linear step does. On data whose waves are not correlated the error against a
scheme ``S`` is the sum of the three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import xarray as xr
from jaxtyping import Complex, Float

from gridvit.analysis.bloch import alias_matrices
from gridvit.analysis.symbol import grid_symbol
from gridvit.errors import InputError
from gridvit.stencil import Stencil

Fields = Float[np.ndarray, "state *space"]


def by_alias(values: np.ndarray, patch: Sequence[int]) -> np.ndarray:
    """``(..., *n)`` in FFT order to ``(..., base, alias)``: the waves ``k + 2 pi m / P`` beside each other."""
    ndim = len(patch)
    lead, shape = values.shape[: values.ndim - ndim], values.shape[values.ndim - ndim :]
    split = values.reshape(
        *lead, *(n for pair in zip(patch, shape, strict=True) for n in (pair[0], pair[1] // pair[0]))
    )
    first = len(lead)
    order = [*range(first), *range(first + 1, split.ndim, 2), *range(first, split.ndim, 2)]
    return split.transpose(order).reshape(*lead, -1, prod(patch))


def from_alias(values: np.ndarray, shape: Sequence[int], patch: Sequence[int]) -> np.ndarray:
    """The inverse of ``by_alias``."""
    ndim, lead = len(patch), values.shape[:-2]
    blocks = [n // p for n, p in zip(shape, patch, strict=True)]
    split, first = values.reshape(*lead, *blocks, *patch), len(lead)
    order = [*range(first), *(n for axis in range(ndim) for n in (first + ndim + axis, first + axis))]
    return split.transpose(order).reshape(*lead, *shape)


@dataclass(frozen=True, eq=False)
class PatchLinear:
    """``c + J u``: the linear step nearest to one that knows its patches.

    Args:
        matrices: ``M_k`` of ``J``, as ``alias_matrices`` gives them.
        constant: ``c`` within a patch, shape of the patch.
        shape: of the grid.
    """

    matrices: Complex[np.ndarray, "base n n"]
    constant: Float[np.ndarray, "*patch"]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, rows: Stencil, before: Fields, after: Fields, patch: Sequence[int]) -> PatchLinear:
        """``J`` of rows at every phase (mean over any other axis), ``c`` the mean of ``F(u) - J u`` at each phase.

        For Gaussian ``u`` the mean Jacobian is the best linear approximation to ``F``: then ``n(u)`` is not correlated
        with ``u``, and the mean square errors add up. Reference: C. M. Stein, Ann. Statist. 9 (1981) 1135-1151,
        doi:10.1214/aos/1176345632.
        """
        for dim in rows.dims:
            rows = rows if dim == "cell" else rows.mean(dim)
        shape = before.shape[1:]
        step = cls(alias_matrices(rows, shape, patch), np.zeros(tuple(patch)), shape)
        left = (after - step(before)).mean(axis=0)
        tiles = left.reshape(
            [n for pair in zip(shape, patch, strict=True) for n in (pair[0] // pair[1], pair[1])]
        )
        return cls(step.matrices, tiles.mean(axis=tuple(range(0, tiles.ndim, 2))), shape)

    def __call__(self, fields: Fields) -> Fields:
        """``c + J u``."""
        axes, patch = tuple(range(1, fields.ndim)), self.constant.shape
        waves = by_alias(np.fft.fftn(fields, axes=axes), patch)
        mixed = np.einsum("kij,skj->ski", self.matrices, waves)
        tiled = np.tile(self.constant, [n // p for n, p in zip(self.shape, patch, strict=True)])
        return np.fft.ifftn(from_alias(mixed, self.shape, patch), axes=axes).real + tiled


def bloch_distance(
    step: PatchLinear,
    symbol: Complex[np.ndarray, "*space"],
    energy: Float[np.ndarray, "*space"],
    mean: float = 0.0,
) -> dict[str, float]:
    r"""``sum_k E(k) |(M - G) e_k|^2`` and ``|c + (J - S) mean|^2``, both over ``sum_k E |G|^2 + |S mean|^2``.

    Args:
        step: the linear part of what was measured.
        symbol: ``G`` of the scheme ``S`` that it is held against.
        energy: of the data about their mean, ``mode_energy``.
        mean: of the data.

    Returns:
        ``waves`` and ``constant``: mean square errors relative to that of the scheme's result.
    """
    patch = step.constant.shape
    size = prod(patch)
    gap = step.matrices - by_alias(symbol, patch)[:, :, None] * np.eye(size)
    waves = ((np.abs(gap) ** 2).sum(axis=1) * by_alias(energy, patch)).sum()
    flat = np.zeros((1, *step.shape)) + mean
    left = step(flat)[0] - mean * symbol.ravel()[0].real
    scale = (energy * np.abs(symbol) ** 2).sum() + (mean * np.abs(symbol.ravel()[0])) ** 2
    return {"waves": float(waves / scale), "constant": float((left**2).mean() / scale)}


def one_step_error(
    rows: Stencil,
    before: Fields,
    after: Fields,
    references: Mapping[str, Stencil],
    patch: Sequence[int],
    energy: Float[np.ndarray, "*space"],
    cluster: np.ndarray | None = None,
) -> xr.Dataset:
    r"""``E|F(u) - S u|^2 / E|S u|^2`` of each scheme: expected from ``J``, ``c`` and ``n``, and measured on states.

    Args:
        rows: the Jacobian at every cell of a patch, dims ``("state", "cell")``; of one variable.
        before: ``u``, some states.
        after: ``F(u)``.
        references: scalar stencils by name.
        patch: cells per axis.
        energy: of the data about their mean, from as many states as there are.
        cluster: ``(state,)``, the same number for states that are not independent; each is its own if absent.

    Returns:
        By ``scheme``: ``error_of_waves``, ``error_of_constant`` and ``error_of_state`` (what no linear step does, the
        same mean square for all), ``one_step_expected``, their sum; ``one_step_measured`` and
        ``one_step_standard_error``, by clusters. Expected and measured agree within some standard errors where
        the data are Gaussian and statistically alike everywhere, and the states represent the data.

    Raises:
        InputError: a step of several variables.
    """
    if rows.is_system:
        raise InputError("a step of one variable", f"{rows.components}", "take component(out, into)")
    step, mean = PatchLinear.of(rows, before, after, patch), float(before.mean())
    rest = ((after - step(before)) ** 2).mean()
    axes = tuple(range(1, before.ndim))
    waves, table = np.fft.fftn(before, axes=axes), []
    for stencil in references.values():
        symbol = grid_symbol(stencil, before.shape[1:])
        truth = np.fft.ifftn(symbol * waves, axes=axes).real
        parts = bloch_distance(step, symbol, energy, mean)
        scale = (energy * np.abs(symbol) ** 2).sum() + (mean * np.abs(symbol.ravel()[0])) ** 2
        error, power = ((x**2).mean(axis=axes) for x in (after - truth, truth))
        found = [parts["waves"], parts["constant"], rest / scale]
        table.append([*found, sum(found), *ratio_of_means(error, power, cluster)])
    names = {
        "error_of_waves": "one-step error of the linear part",
        "error_of_constant": "one-step error of the constant part",
        "error_of_state": "one-step error of what is not linear",
        "one_step_expected": "expected one-step error against the scheme",
        "one_step_measured": "measured one-step error against the scheme",
        "one_step_standard_error": "standard error of the measured one",
    }
    columns = np.array(table).reshape(-1, len(names)).T
    attrs = {"units": "1"}
    data = {
        name: ("scheme", column, {**attrs, "long_name": f"{text} (relative mean square)"})
        for (name, text), column in zip(names.items(), columns, strict=True)
    }
    return xr.Dataset(data, {"scheme": ("scheme", list(references), {"long_name": "scheme"})})


def ratio_of_means(
    above: Float[np.ndarray, "state"], below: Float[np.ndarray, "state"], cluster: np.ndarray | None = None
) -> tuple[float, float]:
    """``R = mean a / mean b`` and its standard error ``sqrt(sum_g (sum_g (a - R b))^2) / (n mean b)``.

    Sums within clusters ``g``: states of one trajectory count once. NaN of a single cluster.
    """
    ratio = above.mean() / below.mean()
    _, place = np.unique(np.arange(len(above)) if cluster is None else cluster, return_inverse=True)
    sums = np.bincount(place, weights=above - ratio * below)
    groups = len(sums)
    if groups < 2:
        return float(ratio), float("nan")
    spread = np.sqrt((sums**2).sum() * groups / (groups - 1))
    return float(ratio), float(spread / (len(above) * below.mean()))
