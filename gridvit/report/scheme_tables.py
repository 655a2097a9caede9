"""Tables of the learned scheme: modified equation, one-step error by its parts, defects. Dataset in, cells out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement

import xarray as xr

from gridvit.report.canvas import name_of, pretty
from gridvit.report.maps import shown_schemes
from gridvit.report.tables import Table, number

EMULATOR = "emulator"
COEFFICIENTS = ("modified_reaction", "modified_velocity", "modified_diffusivity", "modified_dispersion")
ONE_STEP = ("one_step_expected", "error_of_waves", "error_of_constant", "error_of_state", "one_step_measured",
            "one_step_standard_error")  # fmt: skip
DEFECTS = ("mass_defect", "constants_defect", "energy_defect", "shift_defect", "patch_shift_defect",
           "reflection_defect", "odd_share", "anisotropy", "semilinearity_defect")  # fmt: skip


def modified_table(analysis: xr.Dataset) -> Table:
    """A row per coefficient, a column for emulator, generating scheme and exact; the first's interval in brackets."""
    schemes = shown_schemes(analysis)
    rows = [
        [title, *(_coefficient(analysis, name, scheme, at) for scheme in schemes)]
        for name in COEFFICIENTS
        if name in analysis
        for title, at in _components(analysis[name])
    ]
    return ["coefficient", *schemes], rows


def _components(array: xr.DataArray) -> Iterator[tuple[str, dict[str, str]]]:
    """Each component of a symmetric tensor once, with its name and unit."""
    dims = [str(dim) for dim in array.dims if str(dim).startswith("axis")]
    name, units = name_of(array).removesuffix(" of the modified equation"), array.attrs.get("units", "1")
    axes = [str(axis) for axis in array["axis"].values] if dims else []
    for at in combinations_with_replacement(axes, len(dims)):
        yield (
            f"{name} {''.join(at)} ({pretty(str(units))})".replace("  ", " "),
            dict(zip(dims, at, strict=True)),
        )


def _coefficient(analysis: xr.Dataset, name: str, scheme: str, at: dict[str, str]) -> str:
    value = number(float(analysis[name].sel(at | {"scheme": scheme})))
    if scheme != EMULATOR or f"{name}_low" not in analysis:
        return value
    low, high = (number(float(analysis[f"{name}_{end}"].sel(at)), 3) for end in ("low", "high"))
    return f"{value}\n[{low}, {high}]"


def one_step_table(analysis: xr.Dataset) -> Table:
    """A row per scheme but the emulator, a column per part."""
    arrays = [analysis[name] for name in ONE_STEP if name in analysis]
    names = [str(name) for name in analysis["scheme"].values if name != EMULATOR]
    columns = [name_of(array).removesuffix(" (relative mean square)") for array in arrays]
    return ["scheme", *columns], [
        [name, *(number(float(array.sel(scheme=name)), 3) for array in arrays)] for name in names
    ]


def defect_table(analysis: xr.Dataset) -> Table:
    """A row per defect; along each axis where it has a direction."""
    found = [analysis[name] for name in DEFECTS if name in analysis]
    return ["defect", "value"], [[name_of(array), _along(array)] for array in found]


def _along(array: xr.DataArray) -> str:
    if "axis" not in array.dims:
        return number(float(array), 3)
    return ", ".join(f"{axis.item()} {number(float(array.sel(axis=axis)), 3)}" for axis in array["axis"])
