"""What precedes a region: maps of the trained model beside those of the data, and hypotheses on the test part."""

from __future__ import annotations

import logging

import numpy as np
import xarray as xr
from jaxtyping import Float, Shaped

from gridvit.analysis.hypotheses import Hypothesis, check_hypotheses, propose
from gridvit.analysis.teleconnection import anomalies, region_mean, teleconnections
from gridvit.analysis.towards import Blocks, block_maps, gradient_maps
from gridvit.data.fields import Fields
from gridvit.data.loading import within
from gridvit.data.rounds import GIB
from gridvit.grid import Grid
from gridvit.nn.attention import Replace
from gridvit.nn.own import Own
from gridvit.nn.replacing import knock_out
from gridvit.run.aims import Aim, aims, seen
from gridvit.run.subject import Subject

log = logging.getLogger("gridvit")
BLOCKS = 64  # boxes that are covered one after another
COUNT = 3  # hypotheses of each map
FOLDS = 5
SHORTEST = 40  # pairs of the test part that a hypothesis is tested on
PARTS = 10  # "years" of times without a calendar
KEPT = ("correlation", "p", "significant", "partial", "partial_p", "partial_significant")


def towards(subject: Subject) -> xr.Dataset:
    """Gradient, occlusion, pulse and knock-out of the model towards each aim; correlations and hypotheses.

    Along ``towards``, one for each target and lead, prefixed so. Correlations are of the training part, of anomalies;
    hypotheses are the boxes of the greatest gradient at the last frame that is seen, outside the target's own region,
    tested on the test part. Both need one sample.
    """
    found = aims(subject)
    blocks = Blocks.within(subject.grid, subject.step.period, BLOCKS)
    maps = [model_maps(subject, aim, blocks) for aim in found]
    parts = [joined(maps, found, subject.grid)]
    if subject.test.n_samples > 1:
        log.info("left out correlations and hypotheses: the data have several samples")
        return parts[0].assign_coords(told(found))
    memory = subject.config.data.buffer * GIB
    train = within(subject.train, memory, "correlated of the training part")
    fields = [seen_anomalies(train, place) for place in subject.step.channels.input_places]
    parts.append(joined([data_maps(subject, aim, train, fields) for aim in found], found, subject.grid))
    parts += tested(subject, found, blocks, [one["gradient"] for one in maps])
    whole = xr.merge(parts, join="exact", combine_attrs="drop_conflicts")
    return whole.assign_coords(told(found))


def no_aim(subject: Subject) -> str:
    """It needs something to draw maps towards."""
    aimed = subject.step.channels.index or subject.config.evaluation.regions
    return "" if aimed else "no index is predicted, and evaluation.regions names no region"


def model_maps(subject: Subject, aim: Aim, blocks: Blocks) -> xr.Dataset:
    """Of the trained step, at the states at which Jacobians are measured."""
    step, double, (states, context) = subject.step, subject.double, subject.somewhere
    slopes = gradient_maps(aim.readout(double, context), states, seen(double))
    there = (step.presence[step.channels.input_places] > 0).numpy()
    for name in slopes.data_vars:
        slopes[name] = slopes[name].where(there)  # land has no slope
    boxes = block_maps(
        aim.readout(step, context), states.to(subject.states), seen(step), blocks, blinded(subject, blocks)
    )
    return xr.merge([slopes, boxes], join="exact", combine_attrs="drop_conflicts")


def blinded(subject: Subject, blocks: Blocks) -> list[Replace]:
    """For each block what masks its tokens as keys; none of a network without attention, or of one block."""
    network = subject.step.network
    if isinstance(network, Own) or blocks.coarse.size == 1:
        return []
    patches = network.patches
    ratio = [b // p for b, p in zip(blocks.patch, patches.patch, strict=True)]
    number = Blocks(patches.tokens, tuple(max(1, r) for r in ratio)).numbers().ravel()
    groups = np.arange(network.groups)
    lead = network.config.registers
    return [
        knock_out((lead + np.flatnonzero(number == k)[:, None] * network.groups + groups).ravel().tolist())
        for k in range(blocks.coarse.size)
    ]


def joined(maps: list[xr.Dataset], found: list[Aim], grid: Grid) -> xr.Dataset:
    """The maps of all aims along ``towards``, their names with that prefix; cells along ``map_latitude`` and so on."""
    labels = xr.DataArray([aim.label for aim in found], dims="towards", name="towards")
    whole = xr.concat([one.drop_attrs(deep=False) for one in maps], labels, combine_attrs="override")
    prefixed = {str(name): f"towards_{name}" for name in whole.data_vars}
    return whole.rename(prefixed | {name: f"map_{name}" for name in grid.names})


def told(found: list[Aim]) -> dict[str, xr.DataArray]:
    """Target and lead of each entry along ``towards``."""
    columns = {
        "target": ([aim.name for aim in found], {"long_name": "index or region of the forecast"}),
        "towards_lead": ([aim.lead for aim in found], {"long_name": "steps of the data ahead", "units": "1"}),
    }
    return {name: xr.DataArray(v, dims="towards", attrs=attrs) for name, (v, attrs) in columns.items()}


def seen_anomalies(part: Fields, place: int) -> xr.DataArray:
    """Of one variable in the first sample."""
    values = anomalies(part.array[0, :, place].astype(np.float64), part.times)
    return xr.DataArray(values, dims=("time", *part.grid.names))


def data_maps(subject: Subject, aim: Aim, train: Fields, fields: list[xr.DataArray]) -> xr.Dataset:
    """Correlation and partial correlation of every input with the target later, over the training part."""
    series = xr.DataArray(anomalies(aim.series(train), train.times), dims="time")
    every = (teleconnections(field, series, train.grid, (aim.lead,), modes=0) for field in fields)
    maps = [one[list(KEPT)].isel(lead=0, drop=True) for one in every]
    names = xr.DataArray(list(subject.step.channels.inputs), dims="input", name="input")
    return xr.concat(maps, names, combine_attrs="override")


def tested(
    subject: Subject, found: list[Aim], blocks: Blocks, gradients: list[xr.DataArray]
) -> list[xr.Dataset]:
    """Hypotheses of all aims, tested together; none where the test part is too short."""
    test, lead = subject.test, max(aim.lead for aim in found)
    if test.n_times - lead < SHORTEST:
        log.info("left out hypotheses: %d times of the test part are too few", test.n_times)
        return []
    series = block_series(subject, blocks) | {
        aim.name: anomalies(aim.series(test), test.times) for aim in found
    }
    slopes = zip(found, gradients, strict=True)
    stated = [each for aim, slope in slopes for each in proposed(subject, aim, blocks, slope, series)]
    if not stated:
        return []
    indices = xr.DataArray(
        np.stack([*series.values()], axis=1), dims=("time", "region"), coords={"region": list(series)}
    )
    years = years_of(test.times)
    folds = min(FOLDS, len(np.unique(years)))
    table = check_hypotheses(indices, stated, years, folds=folds, gap=lead)
    return [
        table.rename({str(name): f"hypothesis_{name}" for name in table.data_vars}).drop_attrs(deep=False)
    ]


def proposed(
    subject: Subject, aim: Aim, blocks: Blocks, slope: xr.DataArray, series: dict[str, np.ndarray]
) -> list[Hypothesis]:
    """The blocks of the greatest summed gradient among those outside the region whose series are whole."""
    found: list[tuple[float, Hypothesis]] = []
    areas = subject.grid.areas
    for name in subject.step.channels.inputs:
        masks = {
            key: cells
            for key, cells in zip(block_names(blocks, name), blocks.masks(), strict=True)
            if key in series and not (cells & aim.region).any()
        }
        density = slope.sel(input=name).isel(frame=0).values
        stated = propose(density, masks, areas, aim.name, aim.lead, COUNT)
        found += [(abs(float(np.nansum((areas * density)[masks[h.source]]))), h) for h in stated]
    return [h for _, h in sorted(found, key=lambda pair: -pair[0])[:COUNT]]


def block_series(subject: Subject, blocks: Blocks) -> dict[str, Float[np.ndarray, "time"]]:
    """Anomalies of the mean of each input over each block in the test part; blocks with gaps are left out."""
    test, found = subject.test, {}
    channels = subject.step.channels
    for name, place in zip(channels.inputs, channels.input_places, strict=True):
        values = test.array[0, :, place].astype(np.float64)
        for key, cells in zip(block_names(blocks, name), blocks.masks(), strict=True):
            mean = region_mean(values, cells, test.grid)
            if not np.isnan(mean).any():
                found[key] = anomalies(mean, test.times)
    return found


def block_names(blocks: Blocks, variable: str) -> list[str]:
    """Such as "sst at 10, 165": the variable and the centre of each block."""
    lines = np.meshgrid(*blocks.coarse.centers, indexing="ij")
    places = zip(*(line.ravel() for line in lines), strict=True)
    return [f"{variable} at {', '.join(f'{x:g}' for x in place)}" for place in places]


def years_of(times: Shaped[np.ndarray, "time"]) -> Shaped[np.ndarray, "time"]:
    """The year of each time; equal runs where there is no calendar, or less than two years."""
    if np.issubdtype(times.dtype, np.datetime64):
        years = times.astype("datetime64[Y]").astype(int)
    else:
        years = np.array([getattr(time, "year", 0) for time in times])
    runs = np.arange(len(times)) * PARTS // len(times)
    return years if len(np.unique(years)) > 1 else runs
