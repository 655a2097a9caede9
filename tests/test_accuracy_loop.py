"""The loop of the accuracy benchmark: what it trains, scores and lists, against answers worked out by hand."""

from __future__ import annotations

import json
import math
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.rollout import Persistence

FOLDER = Path(__file__).parents[1] / "experiments/benchmarks/accuracy"
NAMES = ("sources", "equations", "peers", "models", "scores", "references", "costs", "tables", "benchmark")


@pytest.fixture(scope="module")
def loop() -> Iterator[dict[str, Any]]:
    """The modules of the benchmark by name."""
    sys.path.insert(0, str(FOLDER))
    yield {name: import_module(name) for name in NAMES}
    sys.path.remove(str(FOLDER))
    for name in NAMES:
        del sys.modules[name]


def test_relative_errors_by_hand(loop: dict[str, Any]) -> None:
    """|3 - 4| / 4 and |1 - 2| / 2 of two samples, and twice the truth of the second variable."""
    truth = torch.tensor([[[4.0, 1.0]], [[2.0, 5.0]]])[..., None].expand(2, 1, 2, 7)
    found = torch.tensor([[[3.0, 2.0]], [[1.0, 10.0]]])[..., None].expand(2, 1, 2, 7)
    errors = loop["models"].relative(found, truth)
    assert errors.tolist() == pytest.approx([(1 / 4 + 1 / 2 + 1 + 1) / 4])
    assert loop["models"].geometric(torch.tensor([0.1, 0.4])) == pytest.approx(0.2)
    assert loop["models"].geometric(torch.tensor([0.1, math.nan])) == math.inf


def test_scores_of_persistence_on_a_growing_field(loop: dict[str, Any]) -> None:
    """u = 2^n: one step is off by a half, n steps by 1 - 2^-n; 0.4 is passed at once, and nothing grows."""
    grid = Grid.regular((6,))
    truth = 2.0 ** torch.arange(5.0)[None, :, None, None].expand(3, 5, 1, 6)
    step = Persistence(grid, 1.0, ("u",))
    scores = loop["scores"]
    assert scores.once(step, truth) == pytest.approx(0.5)
    found = truth[:, :1].expand_as(truth)
    assert scores.valid_time(found[:, 1:], truth[:, 1:]) == 0
    assert scores.valid_time(truth[:, 1:], truth[:, 1:]) == 4
    assert scores.growth(found, truth[:, :1]) == pytest.approx(1)
    assert scores.growth(found * math.nan, truth) == math.inf
    gaps = scores.once(step, torch.ones(1, 3, 1, 10_000), torch.tensor([[0.0]]))
    assert gaps == pytest.approx(math.sqrt(0.1), rel=0.05)


def test_the_best_linear_step_is_a_shift_where_the_field_is_carried(loop: dict[str, Any]) -> None:
    case = loop["equations"].EQUATIONS["advection-4"]
    ds = case.source.frames(replace(case.source.config, samples=12, steps=3, seed=4))
    u = torch.from_numpy(ds["u"].values[:, :, None])
    step = loop["references"].best_linear(ds, Grid.from_dataset(ds), 1.0)
    assert loop["scores"].once(step, u) < 1e-4
    np.testing.assert_allclose(step(u[:, 0])[:, 0], np.roll(u[:, 0, 0], 4, -1), atol=1e-4)


def test_epochs_that_a_budget_pays_for(loop: dict[str, Any]) -> None:
    """64 trajectories of 20 steps in batches of four are 320 steps: 0.1 s each, 240 s pay for seven and a half."""
    what = {"equation": "gray-scott", "model": "fno", "forecast": 1.0, "held": 1.0}
    line = {"equation": "advection-4", "model": "fno", "train": 0.01, "forecast": 1.0, "held": 1.0}
    rows = [{**what, "train": 0.3}, {**what, "train": 0.1}, {**what, "train": 0.2}, line]
    epochs = partial(loop["costs"].epochs_for, model="fno", rows=rows)
    assert epochs("burgers", budget=240.0) == 8
    assert epochs("burgers", budget=240.0, share=0.25) == 2
    assert epochs("burgers", budget=1.0) == 1
    assert epochs("kuramoto-sivashinsky-1d", budget=24.0) == 19  # 50 x 50 windows in batches of 20
    assert epochs("advection-4", budget=1.0) == 80  # APEBench's protocol
    with pytest.raises(InputError) as error:
        loop["costs"].epochs_for("burgers", "vit", rows, 240.0)
    assert str(error.value) == "expected the cost of a step of vit on burgers, got none: run calibrate first"


def test_costs_are_the_least_of_what_was_measured(loop: dict[str, Any]) -> None:
    what = {"equation": "burgers", "model": "fno", "held": 5.0}
    rows = [{**what, "train": 0.2, "forecast": 0.03}, {**what, "train": 0.3, "forecast": 0.02}]
    line = {"equation": "advection-4", "model": "fno", "train": 0.01, "forecast": 0.001, "held": 1.0}
    found = loop["costs"].costs([*rows, line])
    assert found[False, "fno"] == {"train": 0.2, "forecast": 0.02, "held": 5.0}
    assert found[True, "fno"]["train"] == 0.01


def test_a_line_has_the_rate_of_lines_where_one_was_chosen(loop: dict[str, Any]) -> None:
    tried = [
        {"equation": e, "model": m, "rate": rate, "valid": 1.0}
        for e, m, rate in (
            ("gray-scott", "fno", 0.1),
            ("gray-scott", "vit", 0.2),
            ("advection-4", "fno", 0.3),
        )
    ]
    rate = loop["benchmark"].rate_of
    assert [rate(e, m, tried) for e in ("burgers", "advection-4.37") for m in ("fno", "vit")] == [
        0.1,
        0.2,
        0.3,
        0.2,
    ]
    with pytest.raises(
        InputError, match="^expected a learning rate of unet, got none: run choose first, or give"
    ):
        rate("burgers", "unet", tried)


def test_what_is_trained_twice_is_scored_once(
    loop: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {
        "equation": "burgers",
        "model": "fno",
        "rate": 0.1,
        "epochs": 2,
        "seed": 0,
        "share": 1.0,
        "noise": 0.1,
    }
    rows = [row, row, {**row, "seed": 1}, {**row, "seed": 2, "error": "diverged"}, {**row, "model": "vit"}]
    (tmp_path / "trained.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    (tmp_path / "scores.jsonl").write_text(json.dumps({**row, "seed": 3}) + "\n")
    asked: list[Any] = []
    monkeypatch.setattr(loop["benchmark"], "parallel", lambda function, calls, *_: asked.extend(calls))
    options = Namespace(root=tmp_path, only=["burgers"], models=["fno"], device="cpu", no_fine=True)
    loop["benchmark"].score_all(options)
    assert [(call[0].model, call[0].seed) for call in asked] == [("fno", 0), ("fno", 1)]


def test_the_rate_with_the_lowest_geometric_mean_is_chosen(loop: dict[str, Any]) -> None:
    rows = [
        {"model": "a", "rate": rate, "valid": valid}
        for rate, valid in ((0.1, 0.01), (0.1, 1.0), (0.2, 0.2), (0.2, 0.2), (0.3, math.inf), (0.3, 0.0001))
    ]
    assert loop["benchmark"].chosen_rates(rows) == {"a": 0.1}


def test_a_table_has_medians_over_seeds(loop: dict[str, Any]) -> None:
    who = {"equation": "burgers", "model": "fno", "noise": 0.01, "grid_noise": 0.1, "rate": 0.004}
    scores = [{**who, "one": one} for one in (0.1, 0.3, 0.2)] + [{**who, "noise": 0.03, "one": 5.0}]
    trained = [
        {**who, "valid": math.inf, "error": "diverged"},
        {**who, "parameters": 7, "epochs": 3, "valid": 0.25},
    ]
    costs = [{"equation": "gray-scott", "model": "fno", "train": 0.1234, "forecast": 0.02, "held": 17.0}]
    shown = loop["tables"].table(scores, trained, costs, ["burgers"]).splitlines()
    assert shown[1] == "burgers"
    assert shown[-2].startswith(
        "| fno | 7 | 3 | 0.004 | 0.1 | 0.01 | 123 | 20 | 17 | 3 | 0.25 | 0.2 (0.1 to 0.3) |  |"
    )
    assert shown[-1].startswith("| fno |  |  |  |  |  | 123 | 20 | 17 | 1 |  | 5 |  |")


def test_bytes_that_a_gradient_holds(loop: dict[str, Any]) -> None:
    """exp keeps its result and the product the same tensor and x: 2 of 1,000 numbers of 4 bytes; w is a parameter."""
    x, w = torch.ones(1000), torch.nn.Parameter(torch.ones(1000))
    assert loop["costs"].held(lambda: ((x * w).exp() * 2).sum()) == 2 * 4 * 1000


def test_a_model_is_trained_and_scored(
    loop: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark, equations = loop["benchmark"], loop["equations"]
    case = equations.EQUATIONS["advection-diffusion"]
    small = replace(case.source.config, shape=(12, 16), lengths=(12.0, 16.0), cutoff=2.0)
    few = {name: replace(split, samples=3, steps=4) for name, split in equations.SPLITS.items()}
    toy = replace(case, source=replace(case.source, config=small), splits=few, fine=(24, 32))
    monkeypatch.setitem(equations.EQUATIONS, "advection-diffusion", toy)
    monkeypatch.setattr(loop["scores"], "LEADS", 3)
    monkeypatch.setattr(benchmark, "LEADS", 3)
    benchmark.FOLDER_OF_PROCESS[:] = [tmp_path / "data"]
    job = loop["models"].Job("advection-diffusion", "gridvit", 4e-3, 1)
    row = benchmark.trained(job, tmp_path, "cpu")
    assert 0 < row["valid"] < 2
    found = benchmark.scored(job, tmp_path, "cpu")
    names = ("one", "mean", "unseen", "fine", "fine, resampled", "gappy")
    assert {name for name in names if not 0 < found[name] < 10} == set()
