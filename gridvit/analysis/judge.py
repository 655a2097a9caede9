"""What the fields of a forecast are like beside those of the truth: spectra, energies, drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from gridvit.analysis.bootstrap import Bootstrap
from gridvit.analysis.quantities import Flow, Quantity, quantities_of
from gridvit.analysis.score_table import Labels
from gridvit.analysis.spectra import Spectrum, spectra_of
from gridvit.grid import Grid

TRUTH = "truth"
FEW = 500
"""Redrawn samples of what is many numbers."""
Fields = Float[np.ndarray, "case lead variable *space"]


@dataclass(frozen=True, eq=False)
class Judge:
    r"""Of forecasts of the same cases, one at a time: no forecast is kept.

    - ``zonal_spectrum``, ``isotropic_spectrum``: the mean over cases of ``E_k``, whose sum is ``<u^2>``;
    - ``zonal_error``, ``isotropic_error``: that of the error ``f - o``, whose sum over k is the square of the RMSE;
    - ``quantity_mean``: the mean over cases of means, energy and enstrophy (``gridvit.analysis.quantities``);
    - ``drift``: ``sqrt(mean (Q(t + L) - Q(t))^2)``, 0 where Q is conserved.

    Each has ``_low`` and ``_high``. Spectra are left out where the truth has gaps.

    Args:
        truth: what is forecast, NaN where it is not scored.
        start: the states that forecasts start from.
        grid: of all.
        labels: of leads and variables.
        flowing: which variables are velocities, or a vorticity.
        bootstrap: how cases are redrawn.
    """

    truth: Fields
    start: Float[np.ndarray, "case variable *space"]
    grid: Grid
    labels: Labels
    flowing: Flow
    bootstrap: Bootstrap

    def table(self, measured: Mapping[str, xr.Dataset]) -> xr.Dataset:
        """What ``measure`` found of forecasts by their names, along ``source``; the truth's own comes first."""
        rows = {TRUTH: self.measure(self.truth), **measured}
        source = xr.DataArray(
            list(rows), dims="source", name="source", attrs={"long_name": "forecast or truth"}
        )
        return xr.concat(list(rows.values()), source, join="exact", combine_attrs="override")

    def measure(self, forecast: Fields) -> xr.Dataset:
        """All of one forecast."""
        few = replace(self.bootstrap, draws=FEW)
        data: dict[str, tuple] = {}
        with np.errstate(invalid="ignore"):  # leads that are not forecast are NaN
            for spectrum in self._spectra:
                data |= self._waves(spectrum, forecast, few)
            data |= self._kept(forecast, few)
        return xr.Dataset(data, self._coords)

    def _waves(self, spectrum: Spectrum, forecast: Fields, few: Bootstrap) -> dict[str, tuple]:
        dims, name = ("lead", "variable", f"{spectrum.name}_wavenumber"), spectrum.name
        units = f"square of {self.labels.units}" if self.labels.units != "1" else "1"
        power, error = spectrum.waves(forecast), spectrum.waves(forecast.astype(np.float64) - self.truth)
        own, wrong = ({"long_name": f"{name} power{of}", "units": units} for of in ("", " of the error"))
        return few.bounded(f"{name}_spectrum", dims, own, power) | few.bounded(
            f"{name}_error", dims, wrong, error
        )

    def _kept(self, forecast: Fields, few: Bootstrap) -> dict[str, tuple]:
        dims, units = ("lead", "quantity"), "units of the quantity"
        where = np.where(np.isnan(self.truth), np.nan, forecast)
        begun = np.where(np.isnan(self.truth[:, 0]), np.nan, self.start)
        values = np.stack([quantity.of(where) for quantity in self._quantities.values()], axis=-1)
        first = np.stack([quantity.of(begun) for quantity in self._quantities.values()], axis=-1)
        mean = {"long_name": "mean over cases", "units": units}
        drift = {"long_name": "root mean square change since the start", "units": units}
        change = (values - first[:, None]) ** 2
        return few.bounded("quantity_mean", dims, mean, values) | few.bounded(
            "drift", dims, drift, change, of=np.sqrt
        )

    @cached_property
    def _spectra(self) -> list[Spectrum]:
        return [] if np.isnan(self.truth).any() else spectra_of(self.grid)

    @cached_property
    def _quantities(self) -> dict[str, Quantity]:
        return quantities_of(self.grid, self.labels.variables, self.flowing)

    @cached_property
    def _coords(self) -> dict[str, Any]:
        named, size = self._quantities, self.truth[:1, :1]
        waves = {f"{s.name}_wavenumber": np.arange(s.waves(size).shape[-1]) for s in self._spectra}
        about = {f"{s.name}_wavenumber": {"long_name": s.long_name, "units": "1"} for s in self._spectra}
        units = [quantity.units for quantity in named.values()]
        return {
            **self.labels.coords(),
            **{name: (name, values, about[name]) for name, values in waves.items()},
            "quantity": ("quantity", list(named), {"long_name": "quantity"}),
            "quantity_units": ("quantity", units, {"long_name": "units of the quantity"}),
        }
