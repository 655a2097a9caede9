"""The command line: one verb a call. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence

from gridvit import __version__
from gridvit.cli import verbs
from gridvit.cli.options import say
from gridvit.cluster.preflight import place
from gridvit.errors import InputError

USAGE = """usage: gridvit VERB ...

Learn how gridded fields evolve with a transformer, and read what it learned as a numerical scheme.

  simulate EQUATION --out FILE    solver trajectories as a CF NetCDF or Zarr file; --list shows the equations
  check FILE                      what gridvit sees in a file, and what to fix
  train CONFIG                    train, or go on with, a run; any option can be overridden: --model.depth 6
  submit CONFIG                   the same as a SLURM job, resumed whatever ends it; -- COMMAND for any other
  sweep CONFIG FILE               one run for each line of overrides in a text file, and one table of them
  forecast RUN FILE --out FILE    forecast from the states of a file
  evaluate RUN                    score against persistence, climatology, regression and solver, by lead time
  analyse RUN                     attention distances, learned stencil, symbol, recovered coefficients
  report RUN                      one self-contained HTML page of it all
  export RUN --to FILE            one step as an ONNX (.onnx) or torch.export (.pt2) graph
  fetch NAME [--out DIR]          a public data set from the catalog; --list shows them
  rechunk FILE --out STORE.zarr   a copy in chunks that training reads fast

gridvit VERB --help tells the options of a verb; gridvit --version the version.
"""


def _submit(arguments: Sequence[str]) -> int:
    from gridvit.cli import jobs

    return jobs.submit(arguments)


def _sweep(arguments: Sequence[str]) -> int:
    from gridvit.cli import jobs

    return jobs.sweep(arguments)


Verb = Callable[[Sequence[str]], int | None]
VERBS: dict[str, Verb] = {
    "simulate": verbs.simulate,
    "check": verbs.check,
    "train": verbs.train,
    "submit": _submit,
    "sweep": _sweep,
    "forecast": verbs.forecast,
    "evaluate": verbs.evaluate,
    "analyse": verbs.analyse,
    "report": verbs.report,
    "export": verbs.export,
    "fetch": verbs.fetch,
    "rechunk": verbs.rechunk,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; its own status, 2 with one sentence on stderr for bad input, 130 if interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        say(USAGE.rstrip())
        return 0
    if given[0] == "--version":
        say(__version__)
        return 0
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("gridvit").setLevel(logging.INFO if place() == 0 else logging.WARNING)
    try:
        return _verb(given[0])(given[1:]) or 0
    except InputError as error:
        if not (error.shared and place()):
            sys.stderr.write(f"gridvit: {error}\n")
        return 2
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        sys.stderr.write("gridvit: interrupted; without --overwrite the same command goes on where it was\n")
        return 130


def _verb(name: str) -> Verb:
    if name in VERBS:
        return VERBS[name]
    from gridvit.parsing import nearest

    near = nearest(name, list(VERBS))
    raise InputError(
        f"one of {', '.join(VERBS)}", repr(name), f"did you mean {near!r}?" if near else "see gridvit --help"
    )
