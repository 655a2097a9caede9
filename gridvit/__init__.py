"""gridvit: transformers that learn how gridded fields evolve, read in the language of numerical analysis."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Imported on first use: `import gridvit` and `gridvit --help` load neither torch nor xarray.
_HOME = {
    "Forecaster": "gridvit.forecast",
    "Grid": "gridvit.grid",
    "InputError": "gridvit.errors",
    "Labeller": "gridvit.labeller",
    "Mesh": "gridvit.mesh",
    "Persistence": "gridvit.rollout",
    "PlantedConfig": "gridvit.config",
    "RunConfig": "gridvit.config",
    "SimulateConfig": "gridvit.config",
    "Stencil": "gridvit.stencil",
    "Step": "gridvit.rollout",
    "analyse": "gridvit.run",
    "check": "gridvit.run",
    "evaluate": "gridvit.run",
    "export": "gridvit.run",
    "probe": "gridvit.analysis.probe",
    "repeat": "gridvit.rollout",
    "simulate": "gridvit.run",
    "train": "gridvit.run",
}
# Modules that are reached as attributes, e.g. gridvit.analysis.attention_distance or gridvit.rollout.rollout.
_MODULES = ("analysis", "cluster", "data", "nn", "physics", "report", "rollout", "run", "training")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"gridvit.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'gridvit' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME, *_MODULES])
