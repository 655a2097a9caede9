"""The same weights on another grid: what can be moved, and what moves with it."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from torch import Tensor, as_tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.bias import Bias
from gridvit.nn.position import AXIAL

if TYPE_CHECKING:
    from gridvit.nn.step import ModelStep
    from gridvit.nn.vit import ViT

ROUNDING = 1e-4  # of a token: coordinates of files are rounded


def refuse_unmovable(network: ViT, grid: Grid) -> None:
    """Refuse a grid on which the weights of a network would mean something else.

    Raises:
        InputError: another metric, another period, places that the position does not reach, registers.
    """
    ours, position = network.grid, network.config.position
    if network.config.registers:
        raise InputError(
            "a model without registers on another grid",
            f"{network.config.registers}, which weigh against the number of tokens",
            "train on that grid",
        )
    if _metric(ours) != _metric(grid) or not _same_periods(ours, grid):
        raise InputError(
            f"a grid of the metric and the periods of the model's ({ours.describe()})",
            grid.describe(),
            "train on that grid",
        )
    if position in AXIAL and not _reached(network, grid):
        raise InputError(
            f"a grid within the model's ({ours.describe()}), beyond which model.position {position} knows no place",
            grid.describe(),
            "train on that grid, or with model.position none",
        )


def moved_step(step: ModelStep, grid: Grid) -> ModelStep:
    """The step of the moved network; raises as ``ModelStep.on``."""
    refuse_own_cells(step)
    other = deepcopy(step)
    other.network = step.attending.on(grid)
    other.presence = step.presence.new_ones(len(step.presence), *grid.shape)
    other.static = step.static.new_zeros(0, *grid.shape)
    return other


def refuse_own_cells(step: ModelStep) -> None:
    """Refuse what is said of the model's own cells, and cannot be said of others.

    Raises:
        InputError: gaps, static fields, a given boundary.
    """
    own = {
        "gaps": bool((step.presence < 1).any()),
        "static fields": len(step.static) > 0,
        "a given boundary": step.given is not None,
    }
    if found := [name for name, has in own.items() if has]:
        raise InputError(
            "a model without gaps, static fields and given boundary on another grid",
            f"one with {' and '.join(found)} of its own cells",
            "train on that grid",
        )


def _metric(grid: Grid) -> tuple:
    return (round(grid.radius, 3),) if grid.radius else (grid.names, grid.units, grid.periodic)


def _same_periods(ours: Grid, other: Grid) -> bool:
    """On planes: the waves of a bias are those of its period."""
    lengths = zip(ours.lengths, other.lengths, ours.periodic, strict=True)
    return ours.is_sphere or all(np.isclose(a, b, rtol=1e-6) for a, b, wraps in lengths if wraps)


def _reached(network: ViT, grid: Grid) -> bool:
    """Whether all cells are within the extent, along the axes that the position measures."""
    extent = network.extent
    if grid.mesh is not None or extent.mesh is not None:
        return grid == network.grid
    if grid.periodic != extent.periodic:
        return False
    for axis in range(grid.ndim):
        low, high = extent.bounds[axis][0], extent.bounds[axis][-1]
        near = ROUNDING * (high - low) / extent.shape[axis]
        first, last = grid.centers[axis][0], grid.centers[axis][-1]
        if not grid.periodic[axis] and not low - near <= first <= last <= high + near:
            return False
    return True


def carried(ours: ViT, other: ViT) -> dict[str, Tensor]:
    """The state of ``other``, on its grid, with the weights of ``ours`` and with what its biases keep.

    Raises:
        InputError: tokens of equal area on one grid and not on the other, which leaves the heads other dimensions.
    """
    states, state = ours.state_dict(), other.state_dict()
    parameters = {name: states[name] for name, _ in ours.named_parameters()}
    if any(parameters[name].shape != state[name].shape for name in parameters if name != "table"):
        raise InputError(
            "tokens all of one area on both grids, or on neither",
            other.grid.describe(),
            "train on that grid, or take another patch",
        )
    biases = [(name, module) for name, module in ours.named_modules() if isinstance(module, Bias)]
    kept = [f"{name}.{buffer}" for name, module in biases for buffer in module.kept]
    moved = {**state, **parameters, **{name: states[name] for name in kept if name in states}}
    if "table" in parameters:
        moved["table"] = interpolated(parameters["table"], ours.patches.tokens, other.patches.tokens)
    return moved


def interpolated(
    table: Float[Tensor, "token width"], ours: Grid, other: Grid
) -> Float[Tensor, "other width"]:
    """Linear along each axis, periodic ones closed, bounded ones continued at their ends: of second order.

    Exact where the tokens coincide, and for functions that are linear along bounded axes.
    """
    field = table.reshape(*ours.shape, -1)
    for axis in range(ours.ndim):
        weights = as_tensor(line_weights(ours, other, axis)).to(table)
        field = (weights @ field.movedim(axis, 0).flatten(1)).unflatten(1, field.movedim(axis, 0).shape[1:])
        field = field.movedim(0, axis)
    return field.reshape(other.size, -1)


def line_weights(ours: Grid, other: Grid, axis: int) -> Float[np.ndarray, "new old"]:
    """The weights of linear interpolation along one axis, from centre to centre; rows sum to one."""
    points, places = ours.centers[axis], np.arange(ours.shape[axis])
    targets = other.centers[axis]
    if ours.periodic[axis]:
        low, period = ours.bounds[axis][0], ours.lengths[axis]
        targets = low + (targets - low) % period
        points = np.concatenate([points[-1:] - period, points, points[:1] + period])
        places = np.concatenate([places[-1:], places, places[:1]])
    weights = np.zeros((len(targets), ours.shape[axis]))
    rows = np.arange(len(targets))
    if len(points) == 1:
        weights[:] = 1
        return weights
    left = np.clip(np.searchsorted(points, targets, side="right") - 1, 0, len(points) - 2)
    share = (targets - points[left]) / (points[left + 1] - points[left])
    np.add.at(weights, (rows, places[left]), 1 - share)
    np.add.at(weights, (rows, places[left + 1]), share)
    return weights
