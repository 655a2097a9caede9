"""What each room may import: imports run downhill only, and the light commands stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gridvit

ROOT = Path(gridvit.__file__).parent

# A room is a module or a folder of gridvit; it may import itself and the rooms listed here.
VALUES = {"errors", "axes", "cells", "coordinates", "curvilinear", "mesh", "grid"}
OPERATORS = VALUES | {"moments", "lattice", "stencil", "rollout"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "cells": {"errors"},
    "coordinates": {"cells"},
    "mesh": {"errors", "cells", "coordinates"},
    "curvilinear": {"errors"},
    "axes": {"errors", "cells", "curvilinear"},
    "grid": {"errors", "axes", "cells", "coordinates", "mesh"},
    "moments": {"errors"},
    "lattice": {"errors", "grid"},
    "stencil": {"errors", "grid", "moments", "lattice"},
    "rollout": VALUES,
    "model_config": {"errors"},
    "training_config": {"errors", "model_config"},
    "config": {"errors", "model_config", "training_config"},
    "channels": {"errors"},
    "climatology": {"errors"},
    "yamls": {"errors"},
    "parsing": {"errors", "config", "yamls", "files"},
    "printing": set(),
    "files": set(),
    "progress": set(),
    "cluster": {"errors", "config", "parsing", "printing", "files"},
    "physics": OPERATORS,
    "data": VALUES | {"config", "channels", "climatology"},
    "nn": VALUES | {"rollout", "config", "channels"},
    "checkpoint": VALUES | {"config", "channels", "data", "nn"},
    "training": VALUES
    | {"rollout", "config", "training_config", "channels", "data", "nn", "checkpoint", "cluster", "files"},
    "initial": VALUES | {"rollout", "data"},
    "forecast": VALUES | {"rollout", "config", "channels", "data", "nn", "checkpoint", "initial"},
    "labeller": VALUES | {"data", "nn", "checkpoint", "initial", "forecast"},
    "analysis": OPERATORS | {"physics", "climatology"},
    "report": {"errors"},
}
ALLOWED["run"] = set(ALLOWED) | {"run"}
ALLOWED["cli"] = set(ALLOWED)
ALLOWED["__main__"] = {"cli"}
ALLOWED["__init__"] = set()
# Trajectories are made by solvers: the modules of `data` that know physics.
SOLVING = ("simulate", "simulate_steps", "simulate_list", "simulate_planted")
EXCEPTIONS = {f"data/{name}.py": OPERATORS | {"physics"} for name in SOLVING}


def imported(path: Path) -> set[str]:
    """Rooms of gridvit that a file imports, at its top or inside functions."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module == "gridvit"
                else [node.module or ""]
            )
        rooms |= {name.split(".")[1] for name in names if name.startswith("gridvit.")}
    return rooms - {"__version__"}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downhill(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    allowed = ALLOWED[room] | EXCEPTIONS.get(name, set()) | {room}
    assert imported(path) <= allowed, f"{name} imports {imported(path) - allowed}"


def test_every_room_is_in_the_table() -> None:
    rooms = {p.relative_to(ROOT).parts[0].removesuffix(".py") for p in ROOT.rglob("*.py")}
    assert rooms == set(ALLOWED)


@pytest.mark.parametrize(
    "code", ["import gridvit", "from gridvit.cli import main; main(['--help'])", "import gridvit.config"]
)
def test_light_imports_stay_light(code: str) -> None:
    heavy = ("torch", "lightning", "xarray", "matplotlib", "scipy")
    check = f"{code}; import sys; bad = [m for m in {heavy} if m in sys.modules]; assert not bad, bad"
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True)


def test_help_of_a_verb_loads_no_torch() -> None:
    code = "from gridvit.cli import main; main(['train', '--help']); import sys; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "--model.depth" in done.stdout


def test_public_names_exist() -> None:
    for name in dir(gridvit):
        assert getattr(gridvit, name) is not None
