"""How a step's stencil depends on the state: the share that varies, what it follows, and from which side it takes."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from gridvit.errors import InputError
from gridvit.stencil import Stencil


def state_share(rows: Stencil) -> tuple[float, Stencil]:
    r"""``Var_u J / (Var_u J + |E_u J|^2)``: of the whole Jacobian, and offset by offset. 0 for a linear step.

    Args:
        rows: probed at two states or more, dims ``("state", "cell")``.

    Returns:
        The share over all offsets and cells, and a stencil of shares (mean squares over cells; 0 where ``J`` is 0).

    Raises:
        InputError: a single state, where nothing can vary.
    """
    if rows.dims[:1] != ("state",) or rows.weights.shape[0] < 2:
        raise InputError("rows at two states or more", f"dims {rows.dims}", "probe more states")
    many = tuple(range(1, rows.weights.ndim - 1))
    varies = rows.weights.var(axis=0, ddof=1).mean(axis=tuple(a - 1 for a in many))
    steady = ((rows.weights**2).mean(axis=0).mean(axis=tuple(a - 1 for a in many)) - varies).clip(0)
    total = varies + steady
    share = np.divide(varies, total, out=np.zeros_like(total), where=total > 0)
    spacing = rows.spacing if rows.spacing.ndim == 1 else rows.spacing.reshape(-1, rows.ndim).mean(axis=0)
    return float(varies.sum() / total.sum()), Stencil(rows.offsets, share, spacing)


def upwind_index(rows: Stencil, velocity: Float[np.ndarray, "state cell"], axis: int = 0) -> float:
    r"""Mean over cells of ``sign(a) (|S(-1)| - |S(+1)|) / (|S(-1)| + |S(+1)|)``: 1 takes from upwind alone.

    0 is central, -1 downwind. Sizes are compared: central differences have weights of opposite signs, so that the
    difference of the weights themselves would call them upwind.

    Args:
        rows: at states and cells, of one variable, dims ``("state", "cell")``.
        velocity: ``a`` at each of them: the state itself for Burgers, a constant for advection. Where it is 0, and
            where neither neighbour enters, a cell does not count.
        axis: along which the neighbours lie, ``S(-1)`` and ``S(+1)`` summed over the other axes.
    """
    step = rows.offsets[:, axis]
    low, high = (np.abs(rows.weights[..., step == side].sum(axis=-1)) for side in (-1, 1))
    size = low + high
    counts = (size > 0) & (velocity != 0)
    if not counts.any():
        return float("nan")
    return float((np.sign(velocity) * (low - high))[counts] @ (1 / size[counts]) / counts.sum())


def local_regression(
    rows: Stencil,
    state: Float[np.ndarray, "state *space"],
    cells: Int[np.ndarray, "cell axis"],
    axis: int = 0,
) -> xr.Dataset:
    r"""``-m_1(x; u) = b_0 + b_u u(x) + b_s sign u(x) + b_x u_x(x)``: what moves a step's stencil, by least squares.

    ``-m_1 = -sum_d S(d) d`` is the distance in cells that the step carries things along ``axis``. For ``u_t + u
    u_x = 0`` it is ``u dt / h``: ``b_u = dt / h``, the rest near 0.

    Args:
        rows: at states and cells, of one variable, dims ``("state", "cell")``.
        state: the fields that they were measured at.
        cells: indices of the cells.
        axis: along which.

    Returns:
        ``displacement_slope(term)`` with terms "constant", "u", "sign", "slope" (``u_x`` per cell, central), and
        ``displacement_explained``, the share of the variance of ``m_1`` that they explain (NaN where it does not vary).
    """
    moved = -(rows.weights @ rows.offsets[:, axis].astype(float)).ravel()
    where = (slice(None), *cells.T)
    u = state[where].ravel()
    slope = ((np.roll(state, -1, axis + 1) - np.roll(state, 1, axis + 1)) / 2)[where].ravel()
    design = np.stack([np.ones_like(u), u, np.sign(u), slope], axis=-1)
    found, *_ = np.linalg.lstsq(design, moved, rcond=None)
    varies = moved.var()
    left = ((moved - design @ found) ** 2).mean()
    explained = 1 - left / varies if varies > 1e-20 else float("nan")
    words = {"long_name": "slope of the displacement in a step on the local state", "units": "cells"}
    share = {"long_name": "share of the displacement's variance that the local state explains", "units": "1"}
    data = {"displacement_slope": ("term", found, words), "displacement_explained": ((), explained, share)}
    term = ("term", ["constant", "u", "sign", "slope"], {"long_name": "term of the regression"})
    return xr.Dataset(data, {"term": term})
