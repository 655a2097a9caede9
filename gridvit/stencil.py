"""A local linear operator as a value: what a solver applies and what a model is measured as.

``(S u)(x) = sum_d S(d) u(x + d)`` with offsets ``d`` in cells. For a system of ``C`` variables each
``S(d)`` is a ``C x C`` matrix, ``[out, in]``. Everything is float64.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

import numpy as np
from jaxtyping import Complex, Float
from scipy import sparse

from gridvit import lattice, moments
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.lattice import Number, Spacing
from gridvit.moments import MultiIndex


@dataclass(frozen=True, eq=False)
class Stencil:
    """``(S u)(x) = sum_d S(d) u(x + d)``.

    Equal offsets are added up and sorted; the arrays are read-only (``torch.tensor`` copies them).

    Args:
        offsets: ``(K, d)`` whole numbers of cells.
        weights: ``(*lead, K)`` for one variable, ``(*lead, C, C, K)`` for a system (``[out, in]``).
        spacing: cell widths ``(d,)`` or ``(*lead, d)`` in the grid's unit.
        dims: one name per leading axis; ``("layer", "head")`` says where each stencil was measured.
    """

    offsets: np.ndarray
    weights: np.ndarray
    spacing: np.ndarray
    dims: tuple[str, ...] = ()

    # NumPy scalars then leave ``number * stencil`` to us instead of building an object array.
    __array_ufunc__ = None

    def __post_init__(self) -> None:
        given = np.asarray(self.offsets)
        weights = np.asarray(self.weights, dtype=np.float64)
        spacing = np.array(self.spacing, dtype=np.float64)
        lattice.check_arrays(given, weights, spacing, self.dims)
        offsets, place = np.unique(given.astype(np.int64), axis=0, return_inverse=True)
        merged = np.zeros((*weights.shape[:-1], len(offsets)))
        np.add.at(merged.T, place.reshape(-1), weights.T)
        for name, array in (("offsets", offsets), ("weights", merged), ("spacing", spacing)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @classmethod
    def identity(cls, ndim: int, spacing: Spacing = 1.0) -> Stencil:
        """``(S u)(x) = u(x)``."""
        return cls.shift((0,) * ndim, spacing)

    @classmethod
    def shift(cls, offset: int | Sequence[int], spacing: Spacing = 1.0) -> Stencil:
        """``(S u)(x) = u(x + offset)``, ``offset`` in cells, one number per axis."""
        offsets = np.atleast_1d(np.asarray(offset))[None]
        return cls(offsets, np.ones(1), lattice.widths(spacing, offsets.shape[1]))

    @classmethod
    def derivative(
        cls, order: int | Sequence[int], accuracy: int = 2, *, spacing: Spacing, side: int | Sequence[int] = 0
    ) -> Stencil:
        r"""``d^order u / dx^order + O(h^accuracy)``, the shortest stencil that meets the Taylor conditions.

        Args:
            order: of the derivative; a multi-index such as ``(1, 1)`` is the product of 1-D stencils.
            accuracy: formal order; even for ``side=0``, any from 1 for one-sided stencils.
            spacing: cell width, one number or one per axis.
            side: 0 central, -1 offsets ``<= 0``, +1 offsets ``>= 0``; one number or one per axis.

        Reference: Fornberg (1988), doi:10.1090/S0025-5718-1988-0935077-0.
        """
        orders = lattice.as_tuple(order)
        h = lattice.widths(spacing, len(orders))
        sides = (side,) * len(orders) if isinstance(side, int) else tuple(side)
        lines = [moments.derivative_line(m, accuracy, s) for m, s in zip(orders, sides, strict=True)]
        offsets = np.array([*itertools.product(*(points for points, _ in lines))])
        weights = reduce(np.multiply.outer, [np.array(weights) for _, weights in lines])
        return cls(offsets, np.ravel(weights) / moments.monomial(h, orders), h).trimmed()

    @classmethod
    def block(cls, rows: Sequence[Sequence[Stencil | None]]) -> Stencil:
        """The system ``(S u)_out = sum_in rows[out][in] u_in`` of scalar stencils; ``None`` is zero."""
        if any(len(row) != len(rows) for row in rows) or not any(part for row in rows for part in row):
            raise InputError("a square table of stencils", f"{rows}", "give C rows of C stencils or None")
        units = np.eye(len(rows))
        parts = [
            replace(part, weights=part.weights[..., None, None, :] * np.outer(units[o], units[i])[..., None])
            for o, row in enumerate(rows)
            for i, part in enumerate(row)
            if part is not None
        ]
        return sum(parts[1:], start=parts[0])

    @classmethod
    def from_array(
        cls, array: Float[np.ndarray, "..."], spacing: Spacing, dims: tuple[str, ...] = ()
    ) -> Stencil:
        """``S(d) = array[d mod n]``: a periodic kernel stored from offset 0 on, each axis wrapped.

        Offsets are the minimal images ``-(n//2) .. (n-1)//2``, as in ``numpy.fft.fftfreq``. ``array`` is
        ``(*lead, *n)``, or ``(*lead, C, C, *n)`` if ``spacing`` has one number per axis to tell ``d``.
        """
        ndim = array.ndim - len(dims) if np.ndim(spacing) == 0 else np.shape(spacing)[-1]
        shape = array.shape[array.ndim - ndim :]
        axes = [np.fft.fftfreq(n, 1 / n).round().astype(int) for n in shape]
        offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, ndim)
        weights = array.reshape(*array.shape[: array.ndim - ndim], -1)
        return cls(offsets, weights, lattice.widths(spacing, ndim), dims)

    @classmethod
    def from_symbol(cls, symbol: Complex[np.ndarray, "*n"], spacing: Spacing) -> Stencil:
        """The real ``S`` on a periodic grid with ``sum_d S(d) e^{i d.theta} = symbol`` at ``modes(shape)``.

        On an even axis the real part is kept of the Nyquist mode, as a real field sees it.
        """
        return cls.from_array(np.fft.fftn(symbol).real / symbol.size, spacing)

    @property
    def ndim(self) -> int:
        """Number of space dimensions."""
        return int(self.offsets.shape[1])

    @property
    def is_system(self) -> bool:
        """Whether the weights are ``C x C`` matrices."""
        return self.weights.ndim == len(self.dims) + 3

    @property
    def components(self) -> int:
        """Number of variables ``C``; 1 for a scalar stencil."""
        return int(self.weights.shape[-2]) if self.is_system else 1

    @property
    def reach(self) -> tuple[int, ...]:
        """The largest ``|offset|`` along each axis, cells."""
        return tuple(int(n) for n in np.abs(self.offsets).max(axis=0))

    def isel(self, **where: int) -> Stencil:
        """The stencil at one place of the named leading axes: ``s.isel(layer=0, head=2)``."""
        stencil = self
        for dim, place in where.items():
            stencil = stencil._without(dim, partial(np.take, indices=place))
        return stencil

    def mean(self, dim: str) -> Stencil:
        """The average over one leading axis; the spacing must not vary along it."""
        if self.spacing.ndim > 1 and np.ptp(self.spacing, axis=self._axis(dim)).any():
            raise InputError(f"one spacing along {dim!r}", "several", "average moments or symbols instead")
        return self._without(dim, np.mean)

    def component(self, out: int, into: int) -> Stencil:
        """The scalar stencil by which variable ``into`` enters variable ``out``."""
        if not self.is_system:
            raise InputError("a system stencil", "a scalar one", "use it as it is")
        return replace(self, weights=self.weights[..., out, into, :])

    def trimmed(self, tolerance: float = 0.0) -> Stencil:
        """Without offsets at which every ``|weight| <= tolerance * max |weight|``; one always stays."""
        size = np.abs(self.weights).reshape(-1, len(self.offsets)).max(axis=0)
        keep = ~(size <= tolerance * size.max())
        keep[np.abs(self.offsets).sum(axis=1).argmin()] |= not keep.any()
        return replace(self, offsets=self.offsets[keep], weights=self.weights[..., keep])

    def __add__(self, other: Stencil) -> Stencil:
        one, two, spacing, dims = self._beside(other)
        lead = np.broadcast_shapes(one.shape[:-1], two.shape[:-1])
        weights = np.concatenate([np.broadcast_to(w, (*lead, w.shape[-1])) for w in (one, two)], axis=-1)
        total = Stencil(np.concatenate([self.offsets, other.offsets]), weights, spacing, dims)
        return total if self.is_system or other.is_system else total.component(0, 0)

    def __neg__(self) -> Stencil:
        return -1.0 * self

    def __sub__(self, other: Stencil) -> Stencil:
        return self + (-other)

    def __mul__(self, factor: Number) -> Stencil:
        return replace(self, weights=self.weights * factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Number) -> Stencil:
        return replace(self, weights=self.weights / divisor)

    def __matmul__(self, first: Stencil) -> Stencil:
        """``((a @ b) u)(x) = sum_e a(e) (b u)(x + e)``: first ``b``, then ``a``; the symbols multiply."""
        one, two, spacing, dims = self._beside(first)
        offsets = (self.offsets[:, None] + first.offsets[None]).reshape(-1, self.ndim)
        weights = np.einsum("...oik,...ijl->...ojkl", one, two)
        product = Stencil(offsets, weights.reshape(*weights.shape[:-2], -1), spacing, dims)
        return product if self.is_system or first.is_system else product.component(0, 0)

    def moment(self, n: int | Sequence[int]) -> np.ndarray:
        """``m_n = sum_d S(d) d^n`` in cells, ``(*lead,)`` or ``(*lead, C, C)``; ``n`` a multi-index."""
        return np.asarray(self.weights @ moments.monomial(self.offsets.astype(float), self._index(n)))

    def cumulant(self, n: int | Sequence[int]) -> np.ndarray:
        """``kappa_n`` of ``log sum_d S(d) e^{i theta.d}``, cells; see ``cumulants``."""
        index = self._index(n)
        return self.cumulants(sum(index))[index]

    def cumulants(self, max_order: int) -> dict[MultiIndex, np.ndarray]:
        r"""``log G(theta) = sum_n kappa_n (i theta)^n / n!``, ``|n| <= max_order``; ``(*lead,)`` in cells.

        The modified equation is ``u_t = sum_n kappa_n h^n / (n! dt) d^n u``: growth ``kappa_0 / dt``,
        velocity ``-kappa_1 h / dt``, diffusivity ``kappa_2 h^2 / (2 dt)``. NaN where the weights' sum is not
        positive.
        Reference: Warming & Hyett (1974), J. Comput. Phys. 14, 159-179.
        """
        self._scalar_only()
        return moments.cumulants(self.offsets, self.weights, max_order)

    def derivative_accuracy(self, order: int | Sequence[int]) -> int | float:
        """The formal order ``p`` in ``S u = d^order u + O(h^p)``: 0 if inconsistent, ``inf`` if exact.

        The lowest over the leading axes; see ``moments.formal_accuracy``.
        """
        self._scalar_only()
        index = self._index(order)
        scaled = self.weights * moments.monomial(self.spacing, index)[..., None]
        return moments.formal_accuracy(self.offsets, scaled, index)

    def symbol(self, theta: Float[np.ndarray, "..."]) -> np.ndarray:
        """``G(theta) = sum_d S(d) e^{i d.theta}``, complex, ``theta`` ``(*t, d)`` in radians per cell.

        Shape ``(*lead, *t)``, or the matrices ``(*lead, *t, C, C)`` of a system.
        """
        if theta.ndim == 0 or theta.shape[-1] != self.ndim:
            raise InputError(f"theta of shape (..., {self.ndim})", f"{theta.shape}", "put the axes last")
        phases = np.exp(1j * (theta @ self.offsets.T))
        values = np.tensordot(self.weights, phases, axes=(-1, -1))
        lead = len(self.dims)
        return np.moveaxis(values, (lead, lead + 1), (-2, -1)) if self.is_system else values

    def matrix(self, grid: Grid, boundary: str | Sequence[str] = "open") -> sparse.csr_array:
        """The sparse ``(N, N)`` or ``(C N, C N)`` matrix on a grid's cells, row-major, variable by variable.

        Periodic axes wrap; ``boundary`` of bounded ones, one name or one per axis, is as in ``Grid.ghost``.
        """
        if self.dims or grid.ndim != self.ndim:
            got = f"{self.ndim} dimensions and leading axes {self.dims}"
            raise InputError(f"one stencil in {grid.ndim} dimensions", got, "choose one with isel")
        weights = self.weights.reshape(self.components, self.components, -1)
        return lattice.sparse_matrix(self.offsets, weights, grid, boundary)

    def _index(self, n: int | Sequence[int]) -> MultiIndex:
        index = lattice.as_tuple(n)
        if len(index) != self.ndim:
            raise InputError(f"a multi-index of {self.ndim} numbers", f"{index}", "give one order per axis")
        return index

    def _scalar_only(self) -> None:
        if self.is_system:
            got = f"a system of {self.components} variables"
            raise InputError("a scalar stencil", got, "take component(out, into) first")

    def _axis(self, dim: str) -> int:
        if dim not in self.dims:
            raise InputError(f"one of the leading axes {self.dims}", f"{dim!r}", "name one of those")
        return self.dims.index(dim)

    def _without(self, dim: str, combine: Callable[..., np.ndarray]) -> Stencil:
        axis = self._axis(dim)
        spacing = combine(self.spacing, axis=axis) if self.spacing.ndim > 1 else self.spacing
        dims = self.dims[:axis] + self.dims[axis + 1 :]
        return Stencil(self.offsets, combine(self.weights, axis=axis), spacing, dims)

    def _beside(self, other: Stencil) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
        """Both weights as ``(*lead, C, C, K)``, and what the result inherits; refuses to mix geometries."""
        if self.ndim != other.ndim or (self.dims and other.dims and self.dims != other.dims):
            got = f"{self.ndim} and {other.ndim} dimensions, leading axes {self.dims} and {other.dims}"
            raise InputError("stencils over the same axes", got, "choose or average leading axes first")
        if not np.allclose(self.spacing, other.spacing, rtol=1e-6, atol=0):
            got = f"{self.spacing.tolist()} and {other.spacing.tolist()}"
            raise InputError("stencils of one spacing", got, "build both for the same grid")
        size = max(self.components, other.components)
        if {self.components, other.components} - {1, size}:
            got = f"{self.components} and {other.components}"
            raise InputError("systems of the same number of variables", got, "build both for the same ones")
        # A scalar stencil acts on each variable alike: its weight times the unit matrix.
        eye = np.eye(size)[..., None]
        one, two = (s.weights if s.is_system else s.weights[..., None, None, :] * eye for s in (self, other))
        return one, two, max(self.spacing, other.spacing, key=np.ndim), self.dims or other.dims


def modes(shape: Sequence[int]) -> Float[np.ndarray, "*shape ndim"]:
    """The waves a periodic grid holds: ``theta = 2 pi fftfreq(n)`` per axis, radians per cell, FFT order."""
    lines = [2 * np.pi * np.fft.fftfreq(n) for n in shape]
    return np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1)
