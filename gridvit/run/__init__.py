"""The verbs over a run folder: train, forecast, evaluate, analyse, report; and simulate and check before them."""

from __future__ import annotations

from gridvit.run.analyse import analyse
from gridvit.run.evaluate import evaluate
from gridvit.run.verbs import check, forecast, report, simulate, train

__all__ = ["analyse", "check", "evaluate", "forecast", "report", "simulate", "train"]
