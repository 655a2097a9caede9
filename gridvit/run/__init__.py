"""The verbs over a run folder: train, forecast, evaluate, analyse, report, export; simulate and check before them."""

from __future__ import annotations

from gridvit.run.analyse import analyse
from gridvit.run.check import check, refused
from gridvit.run.evaluate import evaluate
from gridvit.run.export import export
from gridvit.run.verbs import forecast, report, simulate, train

__all__ = ["analyse", "check", "evaluate", "export", "forecast", "refused", "report", "simulate", "train"]
