"""Maps of a trained step towards one number of its forecast: what that number hangs on, place by place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gridvit.analysis.attribution import Readout, Replace
from gridvit.errors import InputError
from gridvit.grid import Grid


@dataclass(frozen=True, eq=False)
class Seen:
    """Which channel of a state holds what the step sees: ``places[k, i]`` is input ``i``, ``k`` steps back.

    Args:
        places: channels.
        inputs: names.
        spreads: a usual change of each input, such as its standard deviation.
    """

    places: Int[np.ndarray, "frame input"]
    inputs: tuple[str, ...]
    spreads: Float[np.ndarray, "input"]


@dataclass(frozen=True, eq=False)
class Blocks:
    """Boxes of cells that tile a grid: what is covered, moved or not looked at as one.

    Args:
        grid: of the cells.
        patch: cells of a block along each axis.
    """

    grid: Grid
    patch: tuple[int, ...]

    @classmethod
    def within(cls, grid: Grid, patch: Sequence[int], most: int) -> Blocks:
        """The smallest blocks of whole patches of which there are at most ``most``, or one block.

        Along a periodic axis, which blocks have to divide, they may be longer.
        """
        counts = [-(-n // p) for n, p in zip(grid.shape, patch, strict=True)]
        for factor in range(1, max(counts) + 1):
            each = [
                next(f for f in range(min(factor, n), n + 1) if n % f == 0 or not periodic)
                for n, periodic in zip(counts, grid.periodic, strict=True)
            ]
            if np.prod([-(-n // f) for n, f in zip(counts, each, strict=True)]) <= most:
                break
        return cls(grid, tuple(f * p for f, p in zip(each, patch, strict=True)))

    @property
    def coarse(self) -> Grid:
        """The grid of the blocks."""
        return self.grid.coarsen(self.patch)

    def masks(self) -> Bool[np.ndarray, "block *space"]:
        """The cells of each block, row-major."""
        return self.numbers()[None] == np.arange(self.coarse.size).reshape(-1, *(1,) * self.grid.ndim)

    def numbers(self) -> Int[np.ndarray, "*space"]:
        """The block of each cell."""
        lines = [np.arange(n) // p for n, p in zip(self.grid.shape, self.patch, strict=True)]
        return np.ravel_multi_index(np.meshgrid(*lines, indexing="ij"), self.coarse.shape)

    def coords(self) -> dict[str, xr.DataArray]:
        """Centres along ``block_latitude`` and so on."""
        found = xr.Dataset(coords=self.coarse.coords())
        lines = {
            name: (f"block_{name}", {**found[name].attrs, "long_name": f"{name} of the block"})
            for name in self.grid.names
        }
        return {
            dim: xr.DataArray(found[name].values, dims=dim, attrs=attrs)
            for name, (dim, attrs) in lines.items()
        }


def gradient_maps(readout: Readout, states: Float[Tensor, "batch variable *space"], seen: Seen) -> xr.Dataset:
    r"""``g_ki(s) = sigma_i df / du_i(s, t - k) / (a_s / sum a)``: mean over the states, and the spread over them.

    Per share of the whole area, so that a finer grid shows the same map: where the inputs change by ``c(s)`` of their
    spreads ``sigma``, ``f`` changes by the area mean of ``g c``. The spread over states is zero where ``f`` is linear;
    where it is not small against the mean, the mean is no one state's.

    Returns:
        ``gradient`` and ``gradient_spread``, ``(frame, input, *space)``, in units of ``f``.
    """
    grid = readout.step.grid
    share = torch.from_numpy(grid.areas / grid.areas.sum()).to(states)
    slopes = (readout.gradient(states)[:, seen.places.ravel().tolist()] / share).cpu().numpy()
    slopes = slopes.reshape(len(states), *seen.places.shape, *grid.shape)
    slopes = slopes * seen.spreads.reshape(-1, *(1,) * grid.ndim)
    dims = ("frame", "input", *grid.names)
    frames = -np.arange(len(seen.places))
    mean = _said(slopes.mean(axis=0), "gradient of the target, in standard deviations, per share of the area")
    spread = _said(slopes.std(axis=0), "spread of that gradient over states")
    return xr.Dataset(
        {"gradient": (dims, *mean), "gradient_spread": (dims, *spread)},
        {
            "frame": (
                "frame",
                frames,
                {"long_name": "steps of the data from the last state seen", "units": "1"},
            ),
            "input": ("input", list(seen.inputs), {"long_name": "variable that is seen"}),
            **grid.coords(),
        },
    )


def block_maps(
    readout: Readout,
    states: Float[Tensor, "batch variable *space"],
    seen: Seen,
    blocks: Blocks,
    blinded: Sequence[Replace] = (),
) -> xr.Dataset:
    r"""What is covered, moved or not looked at, block by block, with no derivative taken.

    Args:
        readout: ``f``.
        states: ``u``, some; their mean in each cell stands for what is covered.
        seen: the inputs.
        blocks: boxes.
        blinded: for each block what takes it from the keys of attention; left out where there is none.

    Returns:
        Along the blocks: ``occlusion``, the root mean square over states of ``f(u) - f(u, block at its mean)`` in all
        frames and inputs; ``pulse`` ``(input, ..)``, the mean of ``f(u + e) - f(u)`` with ``e`` one spread of the input
        in the block at the last frame; ``knock_out``, the root mean square of ``f(u) - f(u; block no key)``.

    Raises:
        InputError: replacements for some blocks and not for others.
    """
    masks = blocks.masks()
    if len(blinded) not in (0, len(masks)):
        raise InputError(f"none or {len(masks)} replacements", f"{len(blinded)}", "give one for each block")
    shape, dims = blocks.coarse.shape, tuple(blocks.coords())
    mean = states.nanmean(dim=0, keepdim=True).expand_as(states)
    baseline = torch.where(states.isnan(), states, mean)
    covered = _rms(readout.occlusion(states, baseline, masks)).reshape(shape)
    raised = zip(seen.places[0].tolist(), seen.spreads.tolist(), strict=True)
    pulses = np.stack([_pulse(readout, states, place, size, masks) for place, size in raised])
    data = {
        "occlusion": (dims, *_said(covered, "change of the target when the block is at its mean")),
        "pulse": (
            ("input", *dims),
            *_said(
                pulses.reshape(-1, *shape), "response of the target to one standard deviation in the block"
            ),
        ),
    }
    if blinded:
        hidden = _rms(readout.knock_out(states, blinded)).reshape(shape)
        data["knock_out"] = (
            dims,
            *_said(hidden, "change of the target when the block is no key of attention"),
        )
    names = ("input", list(seen.inputs), {"long_name": "variable that is seen"})
    return xr.Dataset(data, {"input": names, **blocks.coords()})


def _pulse(
    readout: Readout, states: Tensor, place: int, size: float, masks: np.ndarray
) -> Float[np.ndarray, "block"]:
    """Mean over the states of the response to ``size`` in one channel of each block."""
    patterns = torch.zeros(len(masks), *states.shape[1:], dtype=states.dtype)
    patterns[:, place] = torch.from_numpy(masks).to(states) * size
    return readout.pulse(states, patterns).mean(0).cpu().numpy()


def _said(values: np.ndarray, text: str) -> tuple[np.ndarray, dict[str, str]]:
    return values, {"long_name": text, "units": "1"}


def _rms(changes: Float[Tensor, "batch block"]) -> Float[np.ndarray, "block"]:
    return changes.double().square().mean(0).sqrt().cpu().numpy()
