"""The command line: each verb a few lines over ``gridvit.run``. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import json
import logging
import sys
from argparse import ArgumentError
from collections.abc import Callable, Sequence
from typing import Any

from gridvit import __version__
from gridvit.errors import InputError
from gridvit.printing import as_json, check_text, tables_text

USAGE = """usage: gridvit VERB ...

Learn how gridded fields evolve with a transformer, and read what it learned as a numerical scheme.

  simulate EQUATION --out FILE    solver trajectories as a CF NetCDF or Zarr file; --list shows the equations
  check FILE                      what gridvit sees in a file, and what to fix
  train CONFIG                    train, or go on with, a run; any option can be overridden: --model.depth 6
  forecast RUN FILE --out FILE    forecast from the states of a file
  evaluate RUN                    score against persistence, climatology, regression and solver, by lead time
  analyse RUN                     attention distances, learned stencil, symbol, recovered coefficients
  report RUN                      one self-contained HTML page of it all
  export RUN --to FILE            one step as an ONNX (.onnx) or torch.export (.pt2) graph
  fetch NAME [--out DIR]          a public data set from the catalog; --list shows them
  rechunk FILE --out STORE.zarr   a copy in chunks that training reads fast

gridvit VERB --help tells the options of a verb; gridvit --version the version.
"""

Verb = Callable[[Sequence[str]], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; 0 if it went well, 2 with one sentence on stderr for bad input, 130 if interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        _say(USAGE.rstrip())
        return 0
    if given[0] == "--version":
        _say(__version__)
        return 0
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("gridvit").setLevel(logging.INFO)
    try:
        _verb(given[0])(given[1:])
    except InputError as error:
        sys.stderr.write(f"gridvit: {error}\n")
        return 2
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        sys.stderr.write("gridvit: interrupted; without --overwrite the same command goes on where it was\n")
        return 130
    return 0


def _say(text: object) -> None:
    """The result of a verb, on standard output."""
    sys.stdout.write(f"{text}\n")


def _verb(name: str) -> Verb:
    if name in VERBS:
        return VERBS[name]
    from gridvit.parsing import nearest

    near = nearest(name, list(VERBS))
    raise InputError(
        f"one of {', '.join(VERBS)}", repr(name), f"did you mean {near!r}?" if near else "see gridvit --help"
    )


def _parsed(verb: str, description: str, options: dict[str, dict[str, Any]], arguments: Sequence[str]) -> Any:
    """Positional and optional arguments of the verbs that take no configuration."""
    from jsonargparse import ArgumentParser

    from gridvit.parsing import explained

    parser = ArgumentParser(
        prog=f"gridvit {verb}", description=description, exit_on_error=False, allow_abbrev=False
    )
    for name, settings in options.items():
        parser.add_argument(name, **settings)
    try:
        return parser.parse_args(list(arguments))
    except (ArgumentError, TypeError, ValueError) as error:
        known = [name.lstrip("-") for name in options if name.startswith("--")]
        raise explained(str(error), known) from None


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


def _flag(arguments: list[str], name: str) -> bool:
    """Take a flag out of arguments that a configuration's parser will read."""
    found = name in arguments
    while name in arguments:
        arguments.remove(name)
    return found


def _value(arguments: list[str], name: str, what: str, default: str | None = None) -> str:
    """Take an option and its value out of arguments that a configuration's parser will read."""
    for index, argument in enumerate(arguments):
        if argument == name and index + 1 < len(arguments):
            del arguments[index]
            return arguments.pop(index)
        if argument.startswith(f"{name}="):
            return arguments.pop(index).partition("=")[2]
    if default is not None:
        return default
    raise InputError(f"{name} {what}", "none", f"add {name} {what}")


def _helped(kind: type, prog: str, description: str, arguments: Sequence[str]) -> bool:
    """Print the help of a verb that takes a configuration, if asked for."""
    if not {"-h", "--help"} & set(arguments):
        return False
    from gridvit.parsing import parser_of

    parser_of(kind, prog, description).print_help()
    return True


def _simulate(arguments: Sequence[str]) -> None:
    from gridvit.config import SimulateConfig
    from gridvit.parsing import parse

    prog = "gridvit simulate EQUATION|CONFIG --out FILE [--overwrite] | --list [EQUATION] [--picture FILE]"
    text = "Solver trajectories of an equation (see --list) or a YAML file; an interrupted call goes on where it was."
    if _helped(SimulateConfig, prog, text, arguments):
        return
    rest = list(arguments)
    overwrite = _flag(rest, "--overwrite")
    if _flag(rest, "--list"):
        return _list_equations(rest, overwrite)
    out = _value(rest, "--out", "FILE")
    if rest and not rest[0].startswith("-"):
        named = rest.pop(0)
        is_file = named.endswith((".yaml", ".yml"))
        rest = ["--config", named, *rest] if is_file else [*rest, "--equation", named]
    config = parse(SimulateConfig, rest, prog, also=("out", "overwrite", "list"))
    from gridvit import run
    from gridvit.progress import shown

    with shown("trajectories") as progress:
        path = run.simulate(config, out, overwrite, progress)
    _say(path)


def _list_equations(rest: list[str], overwrite: bool) -> None:
    options: dict[str, dict[str, Any]] = {
        "name": {"type": str, "nargs": "?", "default": "", "help": "an equation"},
        "--picture": {"type": str, "default": "", "help": "image to draw of it"},
    }
    given = _parsed("simulate --list", "The equations that can be simulated.", options, rest)
    from gridvit.data import simulate_list

    if given.picture and not given.name:
        raise InputError("an equation to draw", "none", "gridvit simulate --list EQUATION --picture FILE")
    _say(simulate_list.listed(given.name))
    if given.picture:
        _say(simulate_list.picture_file(given.name, given.picture, overwrite))


def _check(arguments: Sequence[str]) -> None:
    from gridvit.config import DataConfig, RunConfig
    from gridvit.parsing import parse

    prog = "gridvit check FILE [--config CONFIG] [--json]"
    text = (
        "What gridvit sees in a file, whether it can be used, after which choice, and what a run would cost."
    )
    if _helped(DataConfig, prog, text, arguments):
        return
    rest = list(arguments)
    as_json = _flag(rest, "--json")
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
            _say(json.dumps(run.refused(path, error), indent=2))
        raise
    _say(json.dumps(found, indent=2) if as_json else check_text(found))


def _of_data(part: str) -> str:
    """``--select`` as the option of a run that it is."""
    own = part.startswith("--") and "." not in part.partition("=")[0] and not part.startswith("--config")
    return f"--data.{part[2:]}" if own else part


def _train(arguments: Sequence[str]) -> None:
    from gridvit.config import RunConfig
    from gridvit.parsing import parse

    prog = "gridvit train CONFIG [--overwrite] [--network package.module:factory]"
    text = "Train, or go on with, the run that a YAML file describes; options override the file."
    if _helped(RunConfig, prog, text, arguments):
        return
    rest = list(arguments)
    overwrite, network = _flag(rest, "--overwrite"), _value(rest, "--network", "package.module:factory", "")
    if rest and not rest[0].startswith("-"):
        rest.insert(0, "--config")
    config = parse(RunConfig, rest, prog, also=("overwrite", "network"))
    from gridvit import run
    from gridvit.run.network import named_network

    _say(run.train(config, overwrite=overwrite, model=named_network(network)))


def _forecast(arguments: Sequence[str]) -> None:
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
    given = _parsed("forecast", "Forecast from the states of a file.", options, arguments)
    from gridvit import run
    from gridvit.run.network import named_network

    chosen = (given.init, given.overwrite, given.forcings, given.direct, named_network(given.network))
    _say(run.forecast(given.run, given.file, given.steps, given.out, *chosen))


def _evaluate(arguments: Sequence[str]) -> None:
    given = _parsed("evaluate", "Score a run on its test part.", {**RUN, **JSON, **NETWORK}, arguments)
    from gridvit import run
    from gridvit.report.tables import score_tables
    from gridvit.run.network import named_network

    scores = run.evaluate(given.run, model=named_network(given.network))
    _say(as_json(scores) if given.json else tables_text(score_tables(scores)))


def _analyse(arguments: Sequence[str]) -> None:
    given = _parsed("analyse", "Measure what a run has learned.", {**RUN, **JSON, **NETWORK}, arguments)
    from gridvit import run
    from gridvit.report.tables import analysis_tables
    from gridvit.run.network import named_network

    found = run.analyse(given.run, model=named_network(given.network))
    _say(as_json(found) if given.json else tables_text(analysis_tables(found)))


def _report(arguments: Sequence[str]) -> None:
    given = _parsed("report", "One HTML page of a run's scores and analysis.", RUN, arguments)
    from gridvit import run

    _say(run.report(given.run))


def _export(arguments: Sequence[str]) -> None:
    options: dict[str, dict[str, Any]] = {
        **RUN,
        "--to": {"type": str, "required": True, "help": "file to write: .onnx or .pt2"},
        "--batch": {"type": int, "default": 0, "help": "states at once; 0 for any number"},
    }
    text = "One step as a graph, physical state in and out, checked against the model."
    given = _parsed("export", text, {**options, **OVERWRITE, **NETWORK}, arguments)
    from gridvit import run
    from gridvit.run.network import named_network

    network = named_network(given.network)
    _say(run.export(given.run, given.to, given.overwrite, given.batch, model=network))


def _fetch(arguments: Sequence[str]) -> None:
    options: dict[str, dict[str, Any]] = {
        "name": {"type": str, "nargs": "?", "default": "", "help": "a name in the catalog"},
        "--out": {"type": str, "default": ".", "help": "folder to write to"},
        "--list": {"action": "store_true", "help": "show the catalog, or the one entry named"},
    }
    given = _parsed("fetch", "A public data set from the catalog.", {**options, **JSON}, arguments)
    from gridvit.data import listing

    if given.list or not given.name:
        _say(listing.listed(given.name, given.json))
    else:
        found = listing.fetch(given.name, given.out)
        _say(json.dumps(found, indent=2) if given.json else found["path"] or found["open"])


def _rechunk(arguments: Sequence[str]) -> None:
    options: dict[str, dict[str, Any]] = {
        "file": {"type": str, "help": "a file, a store, or a pattern of files"},
        "--out": {"type": str, "required": True, "help": "Zarr store to write"},
        "--time": {"type": int, "default": 64, "help": "times in a chunk"},
    }
    given = _parsed("rechunk", "A copy in chunks that training reads fast.", options, arguments)
    from gridvit.data.rechunk import rechunk

    _say(rechunk(given.file, given.out, given.time))


VERBS: dict[str, Verb] = {
    "simulate": _simulate,
    "check": _check,
    "train": _train,
    "forecast": _forecast,
    "evaluate": _evaluate,
    "analyse": _analyse,
    "report": _report,
    "export": _export,
    "fetch": _fetch,
    "rechunk": _rechunk,
}

if __name__ == "__main__":
    sys.exit(main())
