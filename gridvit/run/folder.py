"""A run on disk: what lies where in ``runs/<name>``, and what may be written there."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import xarray as xr

from gridvit.config import MODEL_FILE, REQUEUE_FILE, RunConfig
from gridvit.data.blocks import blocks
from gridvit.data.fields import Fields
from gridvit.data.loading import open_fields
from gridvit.errors import InputError
from gridvit.forecast import Forecaster
from gridvit.parsing import differences, load_config, save_config
from gridvit.run.record import RECORD
from gridvit.training.snapshots import SNAPSHOTS

STATISTICS = "statistics.npz"
KNOWN = {"config.yaml", "checkpoints", STATISTICS, "metrics.csv", MODEL_FILE, "scores.nc", "forecast.nc", "truth.nc",
         "analysis.nc", "report.html", "figures", RECORD, REQUEUE_FILE, "tensorboard", "wandb", SNAPSHOTS}  # fmt: skip
FREE = (
    "name",
    "root",
    "evaluation.",
    "data.dask",
    "training.workers",
    "training.keep",
    "training.checkpoint_minutes",
    "training.accelerator",
    "training.devices",
    "training.nodes",
    "training.strategy",
    "training.logger.",
)  # fields that do not change what is trained


@dataclass(frozen=True)
class RunFolder:
    """``config.yaml``, ``checkpoints/``, ``statistics.npz``, ``metrics.csv``, ``model.safetensors``, ... of one run."""

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
        """Refuse what ``claim`` would lose: a finished or another run (without ``overwrite``), anything that is no run.

        Raises:
            InputError: one of these; nothing has been touched.
        """
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return
        self._refuse_strange()
        if overwrite:
            return
        changed = [name for name in differences(self.config, config) if not name.startswith(FREE)]
        lose = "take another --name, or --overwrite to lose the run"
        if changed:
            wanted = f"the configuration that {self.path} was started with"
            raise InputError(wanted, f"other values of {', '.join(changed)}", lose)
        if self.finished:
            raise InputError("an unfinished run", f"{self.path}, which is finished", lose)

    def _refuse_strange(self) -> None:
        """Only what ``claim`` made, and nothing beside it, may be resumed or emptied."""
        found = {entry.name for entry in self.path.iterdir()} if self.path.is_dir() else {self.path.name}
        strange = sorted(name for name in found - KNOWN if not name.endswith(".tmp"))
        if strange or not {"config.yaml", "checkpoints"} <= found:
            what = f"{self.path}, which holds {strange[0] if strange else 'other things'}"
            raise InputError("a new folder or a run", what, "choose another --name")

    def claim(self, config: RunConfig, overwrite: bool) -> bool:
        """Make the folder that of ``config``: new, resumed (True), or emptied where ``overwrite`` says so."""
        self.refuse(config, overwrite)
        if overwrite and self.path.exists():
            shutil.rmtree(self.path)
        resumed = (self / "config.yaml").is_file()
        (self / "checkpoints").mkdir(parents=True, exist_ok=True)
        save_config(config, self / "config.yaml")
        return resumed

    def fields(self, forecaster: Forecaster, data: xr.Dataset | None = None) -> Fields:
        """The data of the run (or ``data`` in their place), checked against its model."""
        described = forecaster.description
        named = replace(self.config.data, variables=described.channels.prognostic)
        fields = load_fields(replace(self.config, data=named), data)
        described.refuse_other(fields.grid, fields.variables, fields.times)
        described.step.refuse_other(fields.times, fields.layout.time)
        for _, values in blocks(fields.values):
            forecaster.refuse_new_gaps(values, fields.names)
        return fields

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
    """The fields that ``config.data`` names, or those of an open Dataset, in memory or streamed."""
    if source is None and not config.data.path:
        raise InputError("a data file", "none", "give --data.path FILE, or data.path in the config")
    return open_fields(source, config.data)
