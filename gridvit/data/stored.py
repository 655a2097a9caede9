"""Fields that stay in their file: the array of ``Fields.values``, read block by block into the Grid's order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise, product
from math import prod
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Shaped

from gridvit.data.layout import Layout
from gridvit.errors import InputError

PERCENT = 100.0
PORTION = 2**24  # bytes
Piece = tuple[slice, slice | np.ndarray]  # cells of the Grid, and where the file has them


def pieces(order: np.ndarray) -> list[Piece]:
    """``u[order]`` as copies of whole slices: one where the file's order is the Grid's or its reverse, two of a roll.

    An order that takes more than that is one copy by index.
    """
    cuts = [0, *(np.flatnonzero(np.abs(np.diff(order)) != 1) + 1).tolist(), len(order)]
    runs = [(slice(a, b), _run(order[a:b])) for a, b in pairwise(cuts)]
    return runs if len(runs) < 3 else [(slice(0, len(order)), order)]


def _run(order: np.ndarray) -> slice | np.ndarray:
    """Successive indices as a slice, up or down."""
    first, last = int(order[0]), int(order[-1])
    if (np.diff(order) == 1).all():
        return slice(first, last + 1)
    if (np.diff(order) == -1).all():
        return slice(first, last - 1 if last else None, -1)
    return order


@dataclass(frozen=True, eq=False)
class Channel:
    """One variable as the file lays it out, and the way of its cells to the Grid.

    name:     of the variable.
    variable: lazily indexed, in the file's order of dimensions.
    source:   of the file, for errors.
    leading:  the file's dimensions of samples ("" where there is none) and time.
    axes:     its space dimensions in the Grid's order; ``cells`` the pieces of each.
    weights:  of an index, the mean with these weights in every cell; else None.
    """

    name: str
    variable: xr.Variable
    source: str
    leading: tuple[str, str]
    axes: tuple[str, ...]
    cells: tuple[list[Piece], ...]
    weights: Float[np.ndarray, "*space"] | None = None

    @property
    def chunks(self) -> tuple[int, int]:
        """Samples and times of a chunk of the file; 1 where it is not chunked."""
        found = self.variable.encoding.get("preferred_chunks") or {}
        sample, time = (int(found.get(dim, 1) or 1) for dim in self.leading)
        return sample, time

    def raw(self, samples: range, times: range) -> np.ndarray:
        """The values at those indices as the file has them; raises what the library that decodes it does."""
        key = dict(zip(self.leading, (_slice(samples), _slice(times)), strict=True))
        return np.asarray(
            self.variable[tuple(key.get(str(d), slice(None)) for d in self.variable.dims)].values
        )

    def place(self, raw: np.ndarray, out: Float[np.ndarray, "sample time *space"]) -> None:
        """Fill ``out`` with such values, in the Grid's order."""
        kept = [d for d in (*self.leading, *self.axes) if d]
        extra = [d for d in self.variable.dims if d not in kept]  # of size one
        places = [self.variable.dims.index(d) for d in (*extra, *kept)]
        raw = raw.transpose(places).reshape(*out.shape[:2], *(self.variable.sizes[d] for d in self.axes))
        with np.errstate(over="ignore"):  # beyond float32 becomes infinite, which is refused by name
            for choice in product(*self.cells):
                inside = (slice(None), slice(None), *(to for to, _ in choice))
                out[inside] = _taken(raw, [where for _, where in choice])
        if self.weights is not None:
            out[:] = _mean(out, self.weights)


def _slice(indices: range) -> slice:
    return slice(indices.start, indices.stop, indices.step)


def _taken(raw: np.ndarray, where: list[slice | np.ndarray]) -> np.ndarray:
    """Slices as one view; indices one axis after the other."""
    views = tuple(w if isinstance(w, slice) else slice(None) for w in where)
    found = raw[(slice(None), slice(None), *views)]
    for axis, w in enumerate(where):
        found = found if isinstance(w, slice) else np.take(found, w, axis + 2)
    return found


def _mean(
    values: Float[np.ndarray, "sample time *space"], weights: Float[np.ndarray, "*space"]
) -> Float[np.ndarray, "sample time *one"]:
    """sum w u / sum w over the cells that have a value; NaN where none has."""
    axes = tuple(range(2, values.ndim))
    inside = np.where(weights > 0, weights, 0.0)
    total = ((~np.isnan(values)) * inside).sum(axis=axes, keepdims=True)
    sums = np.nansum(values * inside, axis=axes, keepdims=True)
    return np.divide(sums, total, out=np.full_like(sums, np.nan), where=total > 0)


@dataclass(frozen=True, eq=False)
class Stored:
    """u[s, t, c, x] of ``Fields.values`` on disk: shape, slices by sample and time, and ``read``.

    channels: the variables.
    space:    cells along each axis of the Grid.
    samples:  indices of the samples in the file; ``times`` those of the times, every stride-th.
    stamps:   the times of the whole file, for errors.
    """

    channels: tuple[Channel, ...]
    space: tuple[int, ...]
    samples: range
    times: range
    stamps: Shaped[np.ndarray, " time"]

    dtype = np.dtype(np.float32)

    @classmethod
    def of(
        cls,
        ds: xr.Dataset,
        layout: Layout,
        names: Mapping[str, str],
        means: Mapping[str, Float[np.ndarray, "*space"]],
        stamps: Shaped[np.ndarray, " time"],
        stride: int = 1,
    ) -> Stored:
        """Variables of a dataset as the file lays it out, every ``stride``-th of its times ``stamps``.

        Args:
            ds: the dataset.
            layout: where its axes are.
            names: of the variables, and of each the name in the file.
            means: weights of those that are means.
            stamps: all times.
            stride: of the times to take.
        """
        leading = (layout.sample or "", layout.time)
        axes = tuple(axis.name for axis in layout.axes)
        cells = tuple(pieces(axis.order) for axis in layout.axes)
        held = {name: ds.variables[source] for name, source in names.items()}
        where = str(ds.encoding.get("source", ""))
        channels = tuple(
            Channel(name, v, str(v.encoding.get("source") or where), leading, axes, cells, means.get(name))
            for name, v in held.items()
        )
        samples = range(ds.sizes[layout.sample] if layout.sample else 1)
        space = tuple(len(axis.order) for axis in layout.axes)
        return cls(channels, space, samples, range(len(stamps))[::stride], stamps)

    @property
    def shape(self) -> tuple[int, ...]:
        """(S, T, C, *space)."""
        return (len(self.samples), len(self.times), len(self.channels), *self.space)

    @property
    def ndim(self) -> int:
        """Of the array that it stands for."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Of the whole in memory."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def frame_bytes(self) -> int:
        """Of all variables at one time of one sample."""
        return prod(self.shape[2:]) * self.dtype.itemsize

    @property
    def chunks(self) -> tuple[int, int]:
        """Samples and times, in steps of this array, of the largest chunk of any variable."""
        sample, time = (
            max(each) for each in zip(*(channel.chunks for channel in self.channels), strict=True)
        )
        return min(sample, len(self.samples)), min(max(1, time // self.times.step), len(self.times))

    @property
    def phase(self) -> int:
        """The first time of this array at which a chunk begins."""
        return (-self.times.start // self.times.step) % self.chunks[1]

    def __getitem__(self, key: slice | tuple[slice, ...]) -> Stored:
        """A part by slices of samples, times and variables; nothing is read.

        Raises:
            InputError: anything else than these slices.
        """
        parts = key if isinstance(key, tuple) else (key,)
        if len(parts) > 3 or not all(isinstance(part, slice) for part in parts):
            raise InputError(
                "slices of samples, times and variables", repr(key), "read a block of them first"
            )
        samples, times, channels = (*parts, slice(None), slice(None))[:3]
        return replace(
            self, samples=self.samples[samples], times=self.times[times], channels=self.channels[channels]
        )

    def read(
        self, samples: slice = slice(None), times: slice = slice(None), out: np.ndarray | None = None
    ) -> Float[np.ndarray, "sample time variable *space"]:
        """The block (s, t, C, *space) float32, NaN where missing; into ``out`` where one is given.

        Raises:
            InputError: the file cannot be read there, infinite values, a variable without any value at a time;
                the sentence names variable, file and time.
        """
        chosen, when = self.samples[samples], self.times[times]
        if out is None:
            out = np.empty((len(chosen), len(when), *self.shape[2:]), dtype=self.dtype)
        whole = len(when) == len(range(len(self.stamps))[:: self.times.step])
        for c, channel in enumerate(self.channels if out.size else ()):
            for part in self._portions(when):
                stamps = self.stamps[_slice(when[part])]
                try:
                    raw = channel.raw(chosen, when[part])
                except Exception as error:  # of whatever library decodes the file
                    raise _unreadable(channel, stamps, error) from error
                channel.place(raw, out[:, part, c])
            refuse_unusable(channel.name, out[:, :, c], self.stamps[_slice(when)], channel.source, whole)
        return out

    @property
    def portion(self) -> int:
        """Times of one variable to decode at once: whole chunks, of ``PORTION`` bytes if one is smaller."""
        sample, chunk = self.chunks
        return chunk * max(1, PORTION // max(1, chunk * sample * self.frame_bytes // len(self.channels)))

    def _portions(self, when: range) -> list[slice]:
        """Parts of the times, cut where chunks begin."""
        length = self.portion
        first = -(when.start // when.step) % self.chunks[1]
        cuts = [0, *(i for i in range(first, len(when), length) if i), len(when)]
        return [slice(a, b) for a, b in pairwise(cuts)]


def _unreadable(channel: Channel, stamps: np.ndarray, error: Exception) -> InputError:
    reason = (str(error).splitlines() or [""])[0]
    return InputError(
        f"readable values of {channel.name!r} in {channel.source or 'the data'} from {_shown(stamps[0])} "
        f"to {_shown(stamps[-1])}",
        f"{type(error).__name__}{f' ({reason})' if reason else ''}",
        "write or download the file again; a run that it stopped then goes on with the same command",
    )


def refuse_unusable(
    name: str,
    values: Float[np.ndarray, "sample time *space"],
    times: Shaped[np.ndarray, " time"],
    source: str = "",
    whole: bool = True,
) -> None:
    """Values must be finite or missing, and some there at every time; ``whole`` if these are all times.

    Raises:
        InputError: infinite values in float32; a time without any value, which is named.
    """
    if np.isfinite(values).all():
        return
    where = f" in {source}" if source else ""
    infinite = np.isinf(values)
    if infinite.any():
        place = "" if whole else f" at {_shown(times[infinite.any(axis=(0, *range(2, values.ndim)))][0])}"
        raise InputError(
            "finite values in the range of float32",
            f"{PERCENT * infinite.mean():.3g} % infinite in {name!r}{place}{where}",
            "repair the file or rescale the variable",
        )
    empty = np.isnan(values).all(axis=tuple(range(2, values.ndim))).any(axis=0)
    if empty.all() and len(empty) and whole:
        raise InputError(
            f"values of {name!r}", f"none at any time{where}", "repair the file or leave the variable out"
        )
    if empty.any():
        raise InputError(
            f"values of {name!r} at every time",
            f"none at {_shown(times[empty][0])} ({int(empty.sum())} of {len(empty)} times){where}",
            "select times that have it, or leave the variable out",
        )


def _shown(time: Any) -> str:
    return str(np.datetime_as_string(time, "s")) if isinstance(time, np.datetime64) else str(time)
