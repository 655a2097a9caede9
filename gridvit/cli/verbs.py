"""The verbs over data and runs: each a few lines over ``gridvit.run``, which is imported when one is called."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gridvit.cli.options import flag, helped, parsed, say, value
from gridvit.errors import InputError
from gridvit.printing import as_json, check_text, tables_text

RUN = {"run": {"type": str, "help": "folder of a run, as gridvit train wrote it"}}
JSON = {"--json": {"action": "store_true", "help": "print JSON instead of tables"}}
OVERWRITE = {"--overwrite": {"action": "store_true", "help": "replace what exists"}}
NETWORK = {
    "--network": {
        "type": str,
        "default": "",
        "help": "package.module:factory of a network of your own, which the run was trained with",
    }
}
OUT = {"--out": {"type": str, "required": True, "help": "NetCDF (.nc) or Zarr (.zarr) to write"}}


def simulate(arguments: Sequence[str]) -> None:
    """Solver trajectories to a file."""
    from gridvit.config import SimulateConfig
    from gridvit.parsing import parse

    if list(arguments[:1]) == ["planted"]:
        return _planted(arguments[1:])
    prog = "gridvit simulate EQUATION|CONFIG --out FILE [--overwrite] | --list [EQUATION] [--picture FILE]"
    text = "Solver trajectories of an equation (see --list) or a YAML file; an interrupted call goes on where it was. "
    text += "gridvit simulate planted --help: a world with known teleconnections."
    if helped(SimulateConfig, prog, text, arguments):
        return
    rest = list(arguments)
    overwrite = flag(rest, "--overwrite")
    if flag(rest, "--list"):
        return _list_equations(rest, overwrite)
    out = value(rest, "--out", "FILE")
    if rest and not rest[0].startswith("-"):
        named = rest.pop(0)
        is_file = named.endswith((".yaml", ".yml"))
        rest = ["--config", named, *rest] if is_file else [*rest, "--equation", named]
    config = parse(SimulateConfig, rest, prog, also=("out", "overwrite", "list"))
    from gridvit import run
    from gridvit.progress import shown

    with shown("trajectories") as progress:
        path = run.simulate(config, out, overwrite, progress)
    say(path)


def _planted(arguments: Sequence[str]) -> None:
    from gridvit.config import PlantedConfig
    from gridvit.parsing import parse

    prog = "gridvit simulate planted --out FILE [--overwrite]"
    text = "A world with known teleconnections, and what is true of it in a second file, FILE with _truth in its name."
    if helped(PlantedConfig, prog, text, arguments):
        return
    rest = list(arguments)
    overwrite, out = flag(rest, "--overwrite"), value(rest, "--out", "FILE")
    config = parse(PlantedConfig, rest, prog, also=("out", "overwrite"))
    from gridvit import run

    say(run.simulate(config, out, overwrite))


def _list_equations(rest: list[str], overwrite: bool) -> None:
    options: dict[str, dict[str, Any]] = {
        "name": {"type": str, "nargs": "?", "default": "", "help": "an equation"},
        "--picture": {"type": str, "default": "", "help": "image to draw of it"},
    }
    given = parsed("simulate --list", "The equations that can be simulated.", options, rest)
    from gridvit.data import simulate_list

    if given.picture and not given.name:
        raise InputError("an equation to draw", "none", "gridvit simulate --list EQUATION --picture FILE")
    say(simulate_list.listed(given.name))
    if given.picture:
        say(simulate_list.picture_file(given.name, given.picture, overwrite))


def check(arguments: Sequence[str]) -> None:
    """What gridvit sees in a file."""
    from gridvit.config import DataConfig, RunConfig
    from gridvit.parsing import parse

    prog = "gridvit check FILE [--config CONFIG] [--json]"
    text = (
        "What gridvit sees in a file, whether it can be used, after which choice, and what a run would cost."
    )
    if helped(DataConfig, prog, text, arguments):
        return
    rest = list(arguments)
    as_json = flag(rest, "--json")
    if not rest or rest[0].startswith("-"):
        raise InputError("a file to check", rest[0] if rest else "none", "gridvit check FILE")
    path = rest.pop(0)
    costs = any(part.partition("=")[0] == "--config" for part in rest)
    config = parse(RunConfig, [_of_data(part) for part in rest] if costs else [], prog)
    data = config.data if costs else parse(DataConfig, rest, prog, also=("json",))
    from gridvit import run

    try:
        found = run.check(path, data=data, config=config if costs else None)
    except InputError as error:
        if as_json:
            say(json.dumps(run.refused(path, error), indent=2))
        raise
    say(json.dumps(found, indent=2) if as_json else check_text(found))


def _of_data(part: str) -> str:
    """``--select`` as the option of a run that it is."""
    own = part.startswith("--") and "." not in part.partition("=")[0] and not part.startswith("--config")
    return f"--data.{part[2:]}" if own else part


def train(arguments: Sequence[str]) -> None:
    """Train, or go on with, a run."""
    from gridvit.config import RunConfig
    from gridvit.parsing import parse

    prog = "gridvit train CONFIG [--overwrite] [--network package.module:factory]"
    text = "Train, or go on with, the run that a YAML file describes; options override the file."
    if helped(RunConfig, prog, text, arguments):
        return
    rest = list(arguments)
    overwrite, network = flag(rest, "--overwrite"), value(rest, "--network", "package.module:factory", "")
    if rest and not rest[0].startswith("-"):
        rest.insert(0, "--config")
    config = parse(RunConfig, rest, prog, also=("overwrite", "network"))
    from gridvit import run
    from gridvit.run.network import named_network

    say(run.train(config, overwrite=overwrite, model=named_network(network)))


def forecast(arguments: Sequence[str]) -> None:
    """Forecasts from the states of a file."""
    options: dict[str, dict[str, Any]] = {
        **RUN,
        "file": {"type": str, "help": "file or store with the initial states"},
        "--steps": {"type": int, "default": 4, "help": "model steps to forecast"},
        "--init": {
            "type": str,
            "default": "last",
            "help": "initial time: first, last, all (every data.stride-th), or a time in the file",
        },
        "--forcings": {
            "type": str,
            "default": "",
            "help": "file that covers the forecast, of what the model is given",
        },
        "--direct": {
            "action": "store_true",
            "help": "forecast at the leads that the model was trained for, each in one step, instead of --steps",
        },
    }
    options = {**options, **OUT, **OVERWRITE, **NETWORK}
    given = parsed("forecast", "Forecast from the states of a file.", options, arguments)
    from gridvit import run
    from gridvit.run.network import named_network

    chosen = (given.init, given.overwrite, given.forcings, given.direct, named_network(given.network))
    say(run.forecast(given.run, given.file, given.steps, given.out, *chosen))


def evaluate(arguments: Sequence[str]) -> None:
    """Scores of a run."""
    given = parsed("evaluate", "Score a run on its test part.", {**RUN, **JSON, **NETWORK}, arguments)
    from gridvit import run
    from gridvit.report.skill_tables import skill_tables
    from gridvit.run.network import named_network

    scores = run.evaluate(given.run, model=named_network(given.network))
    say(as_json(scores) if given.json else tables_text(skill_tables(scores)))


def analyse(arguments: Sequence[str]) -> None:
    """What a run has learned."""
    given = parsed("analyse", "Measure what a run has learned.", {**RUN, **JSON, **NETWORK}, arguments)
    from gridvit import run
    from gridvit.report.tables import analysis_tables
    from gridvit.run.network import named_network

    found = run.analyse(given.run, model=named_network(given.network))
    say(as_json(found) if given.json else tables_text(analysis_tables(found)))


def report(arguments: Sequence[str]) -> None:
    """The page of a run."""
    options: dict[str, dict[str, Any]] = {
        **RUN,
        "--coast": {
            "type": str,
            "default": "",
            "help": "coastlines for maps: GeoJSON, or NetCDF with a land mask; else those that cartopy has here",
        },
    }
    given = parsed("report", "One HTML page of a run's scores and analysis.", options, arguments)
    from gridvit import run

    say(run.report(given.run, given.coast))


def export(arguments: Sequence[str]) -> None:
    """One step as a graph."""
    options: dict[str, dict[str, Any]] = {
        **RUN,
        "--to": {"type": str, "required": True, "help": "file to write: .onnx or .pt2"},
        "--batch": {"type": int, "default": 0, "help": "states at once; 0 for any number"},
    }
    text = "One step as a graph, physical state in and out, checked against the model."
    given = parsed("export", text, {**options, **OVERWRITE, **NETWORK}, arguments)
    from gridvit import run
    from gridvit.run.network import named_network

    network = named_network(given.network)
    say(run.export(given.run, given.to, given.overwrite, given.batch, model=network))


def fetch(arguments: Sequence[str]) -> None:
    """A public data set."""
    options: dict[str, dict[str, Any]] = {
        "name": {"type": str, "nargs": "?", "default": "", "help": "a name in the catalog"},
        "--out": {"type": str, "default": ".", "help": "folder to write to"},
        "--list": {"action": "store_true", "help": "show the catalog, or the one entry named"},
    }
    given = parsed("fetch", "A public data set from the catalog.", {**options, **JSON}, arguments)
    from gridvit.data import listing

    if given.list or not given.name:
        say(listing.listed(given.name, given.json))
    else:
        found = listing.fetch(given.name, given.out)
        say(json.dumps(found, indent=2) if given.json else found["path"] or found["open"])


def rechunk(arguments: Sequence[str]) -> None:
    """A copy that training reads fast."""
    options: dict[str, dict[str, Any]] = {
        "file": {"type": str, "help": "a file, a store, or a pattern of files"},
        "--out": {"type": str, "required": True, "help": "Zarr store to write"},
        "--time": {"type": int, "default": 64, "help": "times in a chunk"},
    }
    given = parsed("rechunk", "A copy in chunks that training reads fast.", options, arguments)
    from gridvit.data.rechunk import rechunk

    say(rechunk(given.file, given.out, given.time))
