"""Where the attention of a run looks: distances, profiles, bias curves, stencils of tokens."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float

from gridvit.analysis.attention_tables import table_of, zonal_table
from gridvit.analysis.bloch import phase_average
from gridvit.analysis.compare import MEASURED, window
from gridvit.analysis.looking import attention_by_blocks
from gridvit.analysis.modified import modified_equation
from gridvit.analysis.reach import attention_reach, outside_dependence
from gridvit.analysis.signed import signed_stencil
from gridvit.grid import Grid
from gridvit.nn.kernels import head_kernels
from gridvit.nn.looking import bias_maps
from gridvit.nn.step import ModelStep
from gridvit.run.subject import LATITUDES, Subject, inside
from gridvit.stencil import Stencil


def attention(subject: Subject) -> xr.Dataset:
    """Attention distance, radial profile, bias curves, and stencils where axes are periodic, per layer and head.

    Beside it stands what the bias alone would make of attention. Blocks of queries are looked at one after another: no
    matrix of all pairs of tokens is held.
    """
    found = looked(subject)
    parts = [found]
    if subject.shifts:
        parts += by_offset(subject)
    parts.append(bias_curves(subject.step, found["distance"]))
    return xr.merge(parts, join="exact", combine_attrs="drop_conflicts")


def looked(subject: Subject) -> xr.Dataset:
    """``attention_distance`` and ``radial_lift`` of a step at some states, beside those of its bias alone."""
    found = subject.seen[0]
    return found.merge(alone(subject, found))


def alone(subject: Subject, found: xr.Dataset) -> xr.Dataset:
    """Distance and effective area of the bias without content, beside what is ``found`` of both together."""
    step, network = subject.step, subject.step.attending
    share = step.token_share(subject.states)
    maps = bias_maps(network, share, subject.block(1 if share is None else len(share)))
    bias = attention_by_blocks(maps, step.token_grid, subject.areas, network.config.registers)
    named = {
        "bias_distance": ("attention_distance", "mean distance of attention by the bias alone"),
        "bias_rms": ("attention_rms", "root mean square distance of attention by the bias alone"),
        "bias_effective_area_fraction": (
            "effective_area_fraction",
            "effective area fraction of the bias alone",
        ),
    }
    tables = {name: bias[of].assign_attrs(long_name=long_name) for name, (of, long_name) in named.items()}
    ratio = (found["attention_distance"] / bias["attention_distance"]).assign_attrs(
        long_name="attention distance over that of the bias alone", units="1"
    )
    return xr.Dataset({**tables, "attention_over_bias": ratio})


def by_offset(subject: Subject) -> list[xr.Dataset]:
    """Stencils of the heads, on a torus or by latitude, and how much of their attention these are."""
    tokens, found, parts = subject.step.token_grid, subject.offsets, []
    if len(subject.states) > 1:  # of one state what is due to its content cannot be told
        shares = {
            f"attention_{name}": table_of(found[name], f"{name} share of the attention variance", "1")
            for name in ("static", "position", "content")
        }
        parts.append(xr.Dataset(shares))
    if all(tokens.periodic) and not tokens.is_sphere:
        parts.append(token_stencils(head_stencils(subject), tokens))
    elif tokens.is_latlon:
        parts.append(zonal_stencils(found["stencil"], tokens))
    return parts


def head_stencils(subject: Subject) -> Stencil:
    """The attention stencil of each head between tokens of a torus."""
    return Stencil.from_array(
        subject.offsets["stencil"][:, :, 0], subject.step.token_grid.spacing, ("layer", "head")
    )


def signed(subject: Subject) -> xr.Dataset:
    """What each head adds to a cell, on the straight way past all other layers: its stencil with a sign.

    The norms of its way are means over all tokens of the states at which the Jacobian is measured.
    """
    some = torch.from_numpy(subject.some)
    step, (x, told) = subject.step, subject.at(subject.states[some], subject.context.take(some)).inputs
    kernels = head_kernels(step.attending, x, told).double().numpy()
    units = float(step.scale[0, 0].flatten()[0] / step.std.flatten()[0])
    found = signed_stencil(head_stencils(subject), units * kernels, step.period)
    dims, offsets, weights = window(found, subject.grid)
    negative = np.where(found.weights < 0, -found.weights, 0).sum(axis=-1)
    data = {
        "signed_stencil": table_of(weights, "stencil of a head times its values", "1", dims),
        "signed_sum": table_of(found.weights.sum(axis=-1), "sum of a head's signed stencil", "1"),
        "signed_negative": table_of(negative, "sum of the negative weights of a head's signed stencil", "1"),
    }
    return xr.Dataset(data).assign_coords(offsets)


def reach(subject: Subject) -> xr.Dataset:
    """Whether heads look where the signal comes from, by the velocity and diffusivity that the step itself has."""
    step, grid = subject.step, subject.grid
    found = modified_equation(phase_average(subject.rows).mean("state"), grid, step.dt)
    h = np.asarray(grid.spacing)
    courant = (found["modified_velocity"].values * step.dt / h).tolist()
    numbers = (np.diagonal(found["modified_diffusivity"].values).clip(0) * step.dt / h**2).tolist()
    config = step.attending.config
    beside = config.depth * ((config.local or 0) // 2)  # tokens, in all blocks
    table = attention_reach(head_stencils(subject), step.period, courant, numbers, beside)
    schemes = {MEASURED: phase_average(subject.rows).mean("state")} | subject.references[0]
    outside = outside_dependence(schemes, grid, courant, numbers)
    return table.assign_coords(axis=list(grid.names)).assign(outside_dependence=outside)


def zonal_stencils(stencil: Float[np.ndarray, "layer head row *token"], tokens: Grid) -> xr.Dataset:
    """Zonally averaged attention of queries at a few latitudes."""
    table = zonal_table(stencil, tokens)
    rows = [int(np.abs(tokens.centers[0] - latitude).argmin()) for latitude in inside(LATITUDES, tokens)]
    names = {"latitude": "token_query_latitude", "key_latitude": "token_key_latitude", "dlon": "token_dlon"}
    return table.isel(latitude=rows).rename(names).to_dataset(name="attention_zonal")


def token_stencils(stencil: Stencil, tokens: Grid) -> xr.Dataset:
    """An attention stencil as a map over token offsets."""
    lines = [np.unique(stencil.offsets[:, axis]) for axis in range(tokens.ndim)]
    full = np.zeros((*stencil.weights.shape[:-1], *(len(line) for line in lines)))
    place = tuple(
        np.searchsorted(line, column) for line, column in zip(lines, stencil.offsets.T, strict=True)
    )
    full[(..., *place)] = stencil.weights
    names = [f"token_d{name}" for name in tokens.names]
    coords = {
        name: (name, line, {"long_name": f"offset along {axis}", "units": "tokens"})
        for name, line, axis in zip(names, lines, tokens.names, strict=True)
    }
    attrs = {"long_name": "mean attention by offset", "units": "1"}
    return xr.Dataset({"attention_stencil": (("layer", "head", *names), full, attrs)}, coords)


def bias_curves(step: ModelStep, distance: xr.DataArray) -> xr.Dataset:
    """The learned bias against distance, its signed length scale, and the error of a series, per layer and head."""
    points = torch.tensor(distance.values, dtype=torch.float32)
    with torch.no_grad():
        biases = step.attending.biases
        curves = torch.stack([bias.kernel(points) for bias in biases]).numpy()
        lengths = torch.stack([bias.length() for bias in biases]).numpy()
        errors = torch.stack([bias.approximation_error() for bias in biases]).numpy()
    units = distance.attrs.get("units", "1")
    series = {
        "bias_error": (
            ("layer", "head"), errors, {"long_name": "error of the series of the distance bias", "units": "1"}
        )
    }  # fmt: skip
    return xr.Dataset(
        {
            "bias_kernel": (
                ("layer", "head", "distance"), curves, {"long_name": "distance bias of the logits", "units": "1"}
            ),
            "bias_length": (
                ("layer", "head"), lengths, {"long_name": "signed length of the distance bias", "units": units}
            ),
            **(series if errors.any() else {}),
        },
        coords={"distance": distance},
    )  # fmt: skip
