"""A run on disk: what lies where in ``runs/<name>``, and what may be written there."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from gridvit.checkpoint import Description
from gridvit.config import RunConfig
from gridvit.data.fields import Fields, load
from gridvit.data.windows import partition
from gridvit.errors import InputError
from gridvit.forecast import MODEL_FILE, Forecaster
from gridvit.parsing import differences, load_config, save_config


@dataclass(frozen=True)
class RunFolder:
    """``config.yaml``, ``checkpoints/``, ``metrics.csv``, ``model.safetensors``, ``scores.nc``, ... of one run."""

    path: Path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def finished(self) -> bool:
        """The model file is written last."""
        return (self / MODEL_FILE).is_file()

    @property
    def config(self) -> RunConfig:
        """The configuration that the run was started with."""
        return load_config(RunConfig, self / "config.yaml")

    def refuse(self, config: RunConfig, overwrite: bool) -> None:
        """Refuse what ``claim`` would lose: a finished or another run (without ``overwrite``), a folder that is no run.

        Raises:
            InputError: one of these; nothing has been touched.
        """
        if not self.path.exists() or not any(self.path.iterdir()):
            return
        if not (self / "config.yaml").is_file():
            raise InputError(
                "a new folder or a run", f"{self.path}, which holds other things", "choose another --name"
            )
        if overwrite:
            return
        changed = differences(self.config, config)
        if changed:
            raise InputError(
                f"the configuration that {self.path} was started with",
                f"other values of {', '.join(changed)}",
                "take another --name, or --overwrite to lose the run",
            )
        if self.finished:
            raise InputError(
                "an unfinished run",
                f"{self.path}, which is finished",
                "take another --name, or --overwrite to lose it",
            )

    def claim(self, config: RunConfig, overwrite: bool) -> None:
        """Make the folder that of ``config``: new, resumed, or emptied where ``overwrite`` says so."""
        self.refuse(config, overwrite)
        if overwrite and self.path.exists():
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        save_config(config, self / "config.yaml")

    def forecaster(self) -> Forecaster:
        """The trained model."""
        return Forecaster.load(self.path)

    def fields(self) -> Fields:
        """The data that the run was trained on, checked against its model."""
        fields = load_fields(self.config)
        refuse_other_data(fields, self.forecaster().description)
        return fields

    def parts(self, n_steps: int) -> dict[str, Fields]:
        """Its training, validation and test parts, each at least ``n_steps`` steps long."""
        return partition(self.config.data.split, self.fields(), n_steps)

    def write(self, ds: xr.Dataset, name: str) -> Path:
        """Write a NetCDF file by a temporary name and a rename."""
        temporary = self / f"{name}.tmp"
        ds.to_netcdf(temporary)
        os.replace(temporary, self / name)
        return self / name

    def read(self, name: str) -> xr.Dataset | None:
        """A NetCDF file of the run in memory, or nothing where it is not there."""
        if not (self / name).is_file():
            return None
        with xr.open_dataset(self / name, decode_timedelta=False) as ds:
            return ds.load()


def load_fields(config: RunConfig, source: xr.Dataset | None = None) -> Fields:
    """The fields that ``config.data`` names, or those of an open Dataset."""
    data = config.data
    if source is None and not data.path:
        raise InputError("a data file", "none", "give --data.path FILE, or data.path in the config")
    return load(
        data.path if source is None else source, data.variables or None, data.periodic or None, data.stride
    )


def refuse_other_data(fields: Fields, description: Description) -> None:
    """A model serves the grid and the step that it was trained with."""
    if fields.grid != description.grid:
        raise InputError(
            f"data on the grid of the model ({description.grid.describe()})",
            fields.grid.describe(),
            "give the data that the run was trained on",
        )
    if abs(fields.step.seconds - description.step.seconds) > 1e-3 * description.step.seconds:
        raise InputError(
            f"data in steps of {description.step}",
            str(fields.step),
            "set data.stride, or give the run's own data",
        )
