"""Small made-up scores, analyses and forecasts that follow the schema of the files a report reads."""

from __future__ import annotations

import numpy as np
import xarray as xr


def filled(
    dims: tuple[str, ...], shape: tuple[int, ...], name: str, units: str, seed: int = 0
) -> xr.DataArray:
    values = np.random.default_rng(seed).uniform(0.1, 2.0, shape)
    return xr.DataArray(values, dims=dims, attrs={"long_name": name, "units": units})


def make_scores(models: tuple[str, ...] = ("emulator", "persistence", "climatology")) -> xr.Dataset:
    dims, shape = ("model", "variable", "lead"), (len(models), 2, 5)
    rmse = filled(dims, shape, "root mean square error", "Pa")
    ratio = filled(dims, shape, "ratio to persistence", "1", 1)
    lead = xr.DataArray(6.0 * np.arange(1, 6), dims="lead", attrs={"long_name": "lead time", "units": "h"})
    fields = {"rmse": rmse, "ratio": ratio, "nrmse": filled(dims, shape, "relative error", "1", 2)}
    for name in ("rmse", "ratio"):
        fields |= {f"{name}_low": 0.9 * fields[name], f"{name}_high": 1.1 * fields[name]}
    coords = {"model": list(models), "variable": ["msl", "t2m"], "lead": lead}
    return xr.Dataset(fields, coords, {"cases": 11, "statement": "Means over <all> cases & leads."})


def make_skill() -> xr.Dataset:
    """All that an evaluation measures of two forecasts."""
    scores = make_scores(("emulator", "persistence"))
    by_lead, sources = ("model", "variable", "lead"), ("source", "lead", "quantity")
    waves = ("source", "lead", "variable", "zonal_wavenumber")
    fields = {
        "acc": filled(by_lead, (2, 2, 5), "anomaly correlation", "1", 3),
        "vrmse": filled(by_lead, (2, 2, 5), "error over the truth's standard deviation in space", "1", 4),
        "valid_time": filled(("model", "criterion", "variable"), (2, 1, 2), "valid prediction time", "h", 5),
        "valid_share": filled(("model", "criterion", "variable"), (2, 1, 2), "share", "1", 6) / 2,
        "zonal_spectrum": filled(waves, (3, 5, 2, 7), "zonal power", "1", 7),
        "zonal_error": filled(waves, (3, 5, 2, 7), "zonal power of the error", "1", 8),
        "quantity_mean": filled(sources, (3, 5, 2), "mean over cases", "units of the quantity", 9),
        "drift": filled(sources, (3, 5, 2), "drift", "units of the quantity", 10),
        "scaled_error": filled(("model", "lead"), (2, 5), "scaled error", "1", 11),
        "seconds": filled(("model",), (2,), "processor time", "s", 12),
        "operations": filled(("model",), (2,), "operations", "1", 13),
        "solver_error": filled(("solver", "lead"), (3, 5), "scaled error", "1", 14),
        "solver_seconds": filled(("solver",), (3,), "processor time", "s", 15),
        "solver_operations": filled(("solver",), (3,), "operations", "1", 16),
        "solver_best_seconds": xr.DataArray([True, False, True], dims="solver"),
        "solver_best_operations": xr.DataArray([False, True, True], dims="solver"),
    }
    for name in ("valid_time", "quantity_mean"):
        fields |= {f"{name}_low": 0.9 * fields[name], f"{name}_high": 1.1 * fields[name]}
    scores["rmse"].attrs["definition"] = "sqrt(mean e)"
    waved = xr.DataArray(np.arange(7), dims="zonal_wavenumber", attrs={"long_name": "waves", "units": "1"})
    coords = {"source": ["truth", "emulator", "persistence"], "criterion": ["error below 0.5 of the spread"],
              "quantity": ["mean of t", "kinetic energy"], "quantity_units": ("quantity", ["K", "m2 s-2"]),
              "zonal_wavenumber": waved, "solver": ["8 cells, exact", "16 cells, rk4", "32 cells, rk4"]}  # fmt: skip
    return scores.assign(fields).assign_coords(coords)


def make_attention(layers: int = 2, heads: int = 3) -> xr.Dataset:
    by_head, shape = ("layer", "head"), (layers, heads)
    distance = xr.DataArray(
        np.linspace(0, 20000, 7), dims="distance", attrs={"long_name": "distance", "units": "km"}
    )
    curves = (*by_head, "distance"), (*shape, 7)
    return xr.Dataset(
        {
            "attention_distance": filled(by_head, shape, "mean attention distance", "km"),
            "attention_rms": filled(by_head, shape, "root mean square attention distance", "km", 1),
            "attention_uniform": filled(by_head, shape, "distance under uniform attention", "km", 2),
            "attention_ratio": filled(by_head, shape, "ratio to uniform", "1", 3),
            "effective_area_fraction": filled(by_head, shape, "effective area fraction", "1", 4),
            "bias_length": filled(by_head, shape, "length scale of the bias", "km", 5),
            "bias_kernel": filled(*curves, "bias logit", "1", 6),
            "attention_radial": filled(*curves, "attention over uniform", "1", 7),
        },
        {"distance": distance},
    )


def make_plane(axes: tuple[str, ...] = ("y", "x")) -> xr.Dataset:
    cells = tuple(f"d{axis}" for axis in axes)
    offsets = {dim: xr.DataArray(np.arange(-3, 4), dims=dim, attrs={"units": "cells"}) for dim in cells}
    window, d = (7,) * len(axes), len(axes)
    waves = ("scheme", "direction", "theta"), (3, 2, 13)
    theta = xr.DataArray(
        np.linspace(0, np.pi, 13), dims="theta", attrs={"long_name": "phase angle", "units": "rad"}
    )
    return xr.Dataset(
        {
            "attention_stencil": filled(("layer", "head", *cells), (2, 3, *window), "attention", "1"),
            "stencil": filled(("scheme", *cells), (3, *window), "weight", "1", 1),
            "cumulant": filled(("scheme", "order"), (3, 2), "cumulant", "1", 2),
            "distance_unweighted": filled(("scheme",), (3,), "distance", "1", 3),
            "distance_weighted": filled(("scheme",), (3,), "data-weighted distance", "1", 4),
            "amplification": filled(*waves, "amplification", "1", 5),
            "phase_speed": filled(*waves, "relative phase speed", "1", 6),
            "velocity": filled(("scheme", "axis"), (3, d), "velocity", "m s-1", 7),
            "diffusivity": filled(("scheme", "axis", "axis_2"), (3, d, d), "diffusivity", "m2 s-1", 8),
            "spectral_radius": xr.DataArray(0.9975, attrs={"long_name": "spectral radius", "units": "1"}),
        },
        {
            "scheme": ["emulator", "lax-wendroff", "exact"],
            "direction": ["x", "diagonal"],
            "order": ["1,0", "0,1"],
            "axis": list(axes),
            "axis_2": list(axes),
            "theta": theta,
        }
        | offsets,
    )


def make_sphere() -> xr.Dataset:
    degrees = {
        dim: xr.DataArray(5.0 * np.arange(-3, 4), dims=dim, attrs={"units": "degrees"})
        for dim in ("dlat", "dlon")
    }
    latitude = xr.DataArray([-45.0, 0.0, 45.0], dims="latitude", attrs={"units": "degrees_north"})
    jacobian = filled(("latitude", "dlat", "dlon"), (3, 7, 7), "Jacobian row", "1") - 1.0
    jacobian.attrs = {"long_name": "Jacobian row", "units": "1"}
    waves, shape = ("latitude", "wavenumber"), (3, 11)
    speed = filled(waves, shape, "eastward phase speed", "m s-1", 1)
    speed[0, 3], speed[1, 9] = 7.25, -3.5
    growth = filled(waves, shape, "amplification per step", "1", 2)
    growth[0, 3] = 0.75
    return xr.Dataset(
        {"jacobian": jacobian, "zonal_phase_speed": speed, "zonal_amplification": growth},
        {"latitude": latitude, "wavenumber": np.arange(1, 12), **degrees},
    )


def make_towards(count: int = 5) -> xr.Dataset:
    """Maps of ``count`` targets on 5 x 7 cells and 3 x 2 boxes, and as many hypotheses."""
    cells, boxes = ("map_latitude", "map_longitude"), ("block_latitude", "block_longitude")
    names = [f"nino34 in {k + 1}" for k in range(count)]
    gradient = filled(("towards", "frame", "input", *cells), (count, 2, 1, 5, 7), "gradient", "1") - 1.0
    gradient.attrs = {
        "long_name": "gradient of the target, in standard deviations, per share of the area",
        "units": "1",
    }
    correlation = filled(("towards", "input", *cells), (count, 1, 5, 7), "", "1", 1) - 1.0
    correlation.attrs = {"long_name": "correlation with the target later", "units": "1"}
    pulse = filled(("towards", "input", *boxes), (count, 1, 3, 2), "", "1", 2) - 1.0
    pulse.attrs = {
        "long_name": "response of the target to one standard deviation in the block",
        "units": "1",
    }
    covered = "change of the target when the block is at its mean"
    hidden = "change of the target when the block is no key of attention"
    columns = {
        "source": ["sst at 4, 5", "sst at -9, 80"],
        "target": ["nino34", "nino34"],
        "lag": [1, 3],
        "sign": [1, -1],
        "partial": [0.3125, 0.0625],
        "p": [0.00025, 0.75],
        "supported": [True, False],
        "skill": [0.125, -0.5],
    }
    lines = {"map_latitude": np.linspace(-60, 60, 5), "map_longitude": 360 / 7 * np.arange(7)}
    lines |= {"block_latitude": np.array([-40.0, 0, 40]), "block_longitude": np.array([90.0, 270])}
    units = {"latitude": "degrees_north", "longitude": "degrees_east"}
    coords = {
        dim: (dim, line, {"long_name": dim.split("_")[1], "units": units[dim.split("_")[1]]})
        for dim, line in lines.items()
    }
    return xr.Dataset(
        {
            "towards_gradient": gradient,
            "towards_correlation": correlation,
            "towards_significant": correlation > 0.5,
            "towards_pulse": pulse,
            "towards_occlusion": filled(("towards", *boxes), (count, 3, 2), covered, "1", 3),
            "towards_knock_out": filled(("towards", *boxes), (count, 3, 2), hidden, "1", 4),
            **{f"hypothesis_{key}": ("hypothesis", values) for key, values in columns.items()},
        },
        {"towards": names, "input": ["sst"], **coords},
    )


def make_forecast(
    seed: int = 0, dims: tuple[str, ...] = ("init_time", "lead", "latitude", "longitude")
) -> xr.Dataset:
    sizes = {"init_time": 2, "sample": 2, "lead": 7, "latitude": 11, "longitude": 17, "y": 11, "x": 17}
    units = {"latitude": "degrees_north", "longitude": "degrees_east", "y": "m", "x": "m", "lead": "h"}
    steps = {
        "latitude": np.linspace(90, -90, 11),
        "longitude": 360 / 17 * np.arange(17),
        "y": np.arange(11.0),
    }
    values = steps | {"x": np.arange(17.0), "lead": 6.0 * np.arange(1, 8), "sample": np.arange(2)}
    values["init_time"] = np.array(["2020-03-01T06", "2020-03-02T06"], "datetime64[ns]")
    coords = {dim: (dim, values[dim], {"units": units.get(dim, ""), "long_name": dim}) for dim in dims}
    field = filled(dims, tuple(sizes[dim] for dim in dims), "mean sea level pressure", "Pa", seed)
    return xr.Dataset({"msl": field}, coords)


def make_places(tokens: dict[str, int], places: int = 5) -> xr.Dataset:
    """Attention maps from a few places; a line or a map of tokens."""
    units = {"latitude": "degrees_north", "longitude": "degrees_east"}
    steps = {"latitude": (-60.0, 30.0), "longitude": (0.0, 45.0)}
    lines = {
        a: np.arange(n) * steps.get(a, (0, 2.0))[1] + steps.get(a, (1.0, 0))[0] for a, n in tokens.items()
    }
    dims = ("place", "layer", "head", *(f"attended_{axis}" for axis in tokens))
    maps = filled(dims, (places, 2, 3, *tokens.values()), "attention over uniform", "1", 9)
    coords = {}
    for axis, line in lines.items():
        about = {"long_name": axis, "units": units.get(axis, "m")}
        coords[f"attended_{axis}"] = (f"attended_{axis}", line, about)
        coords[f"place_{axis}"] = ("place", np.resize(line, places), about)
    return xr.Dataset({"attention_map": maps.assign_attrs(states=4)}, coords)


SESSIONS = [
    {
        "started": "2026-01-02T03:04:05.678+00:00",
        "outcome": "finished",
        "command": ["/usr/lib/gridvit/__main__.py", "train", "--name", "a b"],
        "seed": 7,
        "gridvit": {"version": "0.1.0", "commit": "0123456789abcdef", "dirty": True},
        "versions": {"torch": "2.6", "zarr": "3"},
        "device": "a machine",
    }
]

METRICS = [
    {"step": "0", "epoch": "0", "train_loss": "1.0", "validate_loss": ""},
    {"step": "10", "epoch": "0", "train_loss": "0.25", "validate_loss": "0.5"},
    {"step": "20", "epoch": "1", "train_loss": "0.125", "validate_loss": "0.375"},
]
