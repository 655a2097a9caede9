"""Missing values through the whole river: land comes back as NaN, other gaps are filled, fillers say nothing."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from gridvit import checkpoint
from gridvit.checkpoint import Description
from gridvit.config import DataConfig, EvaluationConfig, ModelConfig, RunConfig, Split, TrainingConfig
from gridvit.data.fields import Fields, load
from gridvit.data.normalise import compute
from gridvit.data.samples import Batch
from gridvit.errors import InputError
from gridvit.forecast import Forecaster
from gridvit.grid import Grid
from gridvit.nn.attention import attention_weights, folded_attention
from gridvit.nn.bias import make_bias
from gridvit.nn.step import ModelStep
from gridvit.nn.tokens import Patches
from gridvit.run.analyse import analyse
from gridvit.run.evaluate import evaluate
from gridvit.run.verbs import report, train
from gridvit.training.losses import present_error
from gridvit.training.objectives import NextStep

LAND = np.zeros((7, 10), bool)
LAND[:3, :5] = LAND[4, 7] = True  # a whole patch of 3 x 5, and one cell


def dataset(times: int = 23, moving: bool = True, names: tuple[str, ...] = ("sst",)) -> xr.Dataset:
    """Random walks on 7 x 10 cells with land; ``moving`` gaps (swaths) come and go elsewhere."""
    rng = np.random.default_rng(11)
    data = {}
    for name in names:
        values = 5 + rng.standard_normal((times, 7, 10)).cumsum(0)
        values[:, LAND] = np.nan
        if moving:
            values[np.arange(times)[:, None], :, (np.arange(times) * 3 % 10)[:, None]] = np.nan
        data[name] = (("time", "lat", "lon"), values.astype("f4"), {"units": "K"})
    coords = {
        "time": np.datetime64("2001-02-03", "ns") + np.arange(times) * np.timedelta64(24, "h"),
        "lat": ("lat", np.linspace(-60, 60, 7), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(10) * 36.0, {"units": "degrees_east"}),
    }
    return xr.Dataset(data, coords)


def model(fields: Fields, position: str = "bounded") -> tuple[ModelStep, Description]:
    """A model with random weights everywhere, on the statistics of all of ``fields``."""
    config = ModelConfig(preset="mini", patch=(3, 5), width=32, depth=2, heads=2, position=position)
    description = Description.of(config, DataConfig(), fields)
    torch.manual_seed(5)
    step = checkpoint.build(description, compute(fields)).eval()
    for weight in (step.network.decode.weight, step.network.skip.weight):
        torch.nn.init.normal_(weight, std=0.1)
    return step, description


FIELDS = load(dataset())
STEP, DESCRIPTION = model(FIELDS)


def test_statistics_are_those_of_the_values_that_are_there() -> None:
    found = compute(FIELDS)
    values = FIELDS.values[0, :, 0].astype(np.float64)
    weights = np.broadcast_to(FIELDS.grid.areas, values.shape)
    there = ~np.isnan(values)
    mean = np.average(values[there], weights=weights[there])
    assert found.mean[0] == pytest.approx(mean, rel=1e-12)
    assert found.std[0] ** 2 == pytest.approx(np.average((values[there] - mean) ** 2, weights=weights[there]))
    steps = np.diff(values, axis=0)
    both = ~np.isnan(steps)
    center = np.average(steps[both], weights=weights[1:][both])
    square = np.average((steps[both] - center) ** 2, weights=weights[1:][both])
    assert found.increment_std[0, 0] ** 2 == pytest.approx(square)
    assert found.presence is not None
    np.testing.assert_array_equal(found.presence[0] == 0, LAND)
    assert found.presence[0, 6, 3] == pytest.approx(there[:, 6, 3].mean())
    assert compute(load(dataset().fillna(0))).presence is None


def test_a_variable_that_is_never_there_twice_in_a_row_is_refused() -> None:
    ds = dataset(moving=False)
    odd = (ds["time"].dt.day % 2 == 1) == (ds["lon"] < 180)
    with pytest.raises(InputError, match="got 'sst', which has no value at two successive times"):
        compute(load(ds.where(odd)))


def test_mask_channels_are_there_only_with_gaps() -> None:
    cells = STEP.network.patches.cells
    assert STEP.network.embed.in_features == 2 * cells
    complete, _ = model(load(dataset().fillna(1)))
    assert (complete.gappy, complete.network.embed.in_features) == ([], cells)
    two = dataset(names=("a", "b"))
    mixed, _ = model(load(two.assign(a=two["a"].fillna(1))))
    assert (mixed.gappy, mixed.network.embed.in_features) == ([1], 3 * cells)
    assert mixed.token_share(torch.zeros(2, 2, 7, 10)) is None  # "a" is everywhere
    inputs = STEP.inputs(torch.tensor(FIELDS.values[0, :2]))
    expected = ~np.isnan(FIELDS.values[0, :2])
    np.testing.assert_array_equal(inputs[:, 1:], expected)
    np.testing.assert_array_equal(inputs[:, :1][~expected], 0)


@settings(max_examples=25, deadline=None)
@given(filler=st.floats(-1e6, 1e6, width=32) | st.just(float("nan")), time=st.integers(0, 22))
def test_forecasts_do_not_depend_on_what_lies_under_the_domain_mask(filler: float, time: int) -> None:
    state = torch.tensor(FIELDS.values[:, time])
    other = torch.where(STEP.domain, state, filler)
    with torch.no_grad():
        one, two = STEP(state), STEP(other)
    torch.testing.assert_close(one, two, atol=0, rtol=0, equal_nan=True)
    np.testing.assert_array_equal(torch.isnan(one)[0, 0], LAND)


@settings(max_examples=25, deadline=None)
@given(shift=st.floats(-10, 10), seed=st.integers(0, 99))
def test_the_network_sees_fillers_of_gaps_as_the_mean(shift: float, seed: int) -> None:
    """Whatever the mean, a missing cell enters as 0 and mask 0: shifting all values and the mean shifts the result."""
    rng = np.random.default_rng(seed)
    state = torch.tensor(np.where(rng.random((1, 1, 7, 10)) < 0.3, np.nan, FIELDS.values[:, 4]))
    moved, _ = model(FIELDS)
    moved.mean += shift
    with torch.no_grad():
        torch.testing.assert_close(
            moved(state + shift), STEP(state) + shift, atol=1e-4, rtol=1e-4, equal_nan=True
        )


def test_gaps_are_filled_and_stay_filled_in_a_rollout() -> None:
    state = torch.tensor(FIELDS.values[:, 4])
    with torch.no_grad():
        after = STEP(state)
        again = STEP(after)
    for result in (after, again):
        np.testing.assert_array_equal(torch.isnan(result)[0, 0], LAND)
    known = STEP.there(after)[0, 0]
    np.testing.assert_array_equal(known, ~LAND)  # no observation mask is left


def test_share_counts_real_cells_by_area() -> None:
    grid = Grid.latlon(7, 10)
    patches = Patches(grid, (3, 5))
    there = torch.tensor(~LAND)[None, None].float()
    share = patches.share(there)[0]
    areas = grid.areas
    assert share[0] == 0
    middle = areas[3:6, 5:].sum()
    assert float(share[3]) == pytest.approx((middle - areas[4, 7]) / middle, rel=1e-6)
    assert share[[1, 2, 4, 5]].tolist() == [1, 1, 1, 1]  # the last row is padded by two that have no area
    last = torch.zeros(1, 1, 7, 10)
    last[..., 6, 0] = 1
    assert float(patches.share(last)[0, 4]) == pytest.approx(1 / 5, rel=1e-6)


@pytest.mark.parametrize("grid", [Grid.latlon(5, 6), Grid.regular((3, 7)), Grid.regular(11, periodic=False)])
def test_masked_keys_folded_equal_explicit_and_uniform_is_the_mean_of_valid_areas(grid: Grid) -> None:
    generator = torch.Generator().manual_seed(1)
    bias = make_bias("distance", grid, 2, 2, gaps=True)
    share = torch.rand(3, grid.size, generator=generator)
    share[:, ::3] = 0
    share[2] = 0
    query, key, value = (torch.randn(3, 2, grid.size, d, generator=generator) for d in (5, 5, 13))
    weights = attention_weights(query, key, bias.logits(share=share))
    assert weights[:2, :, :, ::3].abs().max() == 0
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2, grid.size))  # even without any key: no NaN
    folded = folded_attention(query, key, value, bias.fold(share))
    torch.testing.assert_close(folded[:2], (weights @ value)[:2], atol=2e-5, rtol=1e-4)
    assert torch.isfinite(folded).all()
    flat = make_bias("none", grid, 2, 2, gaps=True)
    uniform = folded_attention(0 * query, key, value, flat.fold(share))[:2]
    areas = torch.tensor(grid.areas).flatten().float() * share[:2]
    mean = torch.einsum("bk,bhkc->bhc", areas, value[:2]) / areas.sum(-1)[:, None, None]
    torch.testing.assert_close(uniform, mean[:, :, None].expand_as(uniform), atol=1e-5, rtol=1e-4)


def test_a_token_without_values_gets_no_attention() -> None:
    state = torch.tensor(FIELDS.values[0, 3:5])
    weights = STEP.attention_weights(state)
    share = STEP.token_share(state)
    assert share is not None
    assert weights[..., 0].max() == 0 == share[:, 0].max()
    assert (weights[..., 1:] > 0).all()
    frozen = STEP(state, attention=lambda layer, _: weights[:, layer])
    torch.testing.assert_close(frozen, STEP(state), atol=1e-5, rtol=1e-5, equal_nan=True)


def test_loss_by_hand_and_no_gradient_from_masked_cells() -> None:
    found = torch.tensor([[[1.0, 2.0, 3.0]], [[1.0, 1.0, 1.0]], [[5.0, 5.0, 5.0]]], requires_grad=True)
    nan = torch.nan
    target = torch.tensor([[[0.0, nan, 0.0]], [[nan, nan, 3.0]], [[nan, nan, nan]]])
    loss, _ = present_error(found, target, torch.tensor([1.0, 2.0, 3.0]))
    assert float(loss.detach()) == pytest.approx(
        ((1 * 1 + 3 * 9) / 4 + 4) / 2
    )  # two states count, each the same
    (gradient,) = torch.autograd.grad(loss, found)
    assert (gradient == 0).tolist() == torch.isnan(target).tolist()


def test_loss_counts_known_cells_by_increments_and_filled_ones_by_states() -> None:
    objective = NextStep(STEP, TrainingConfig())
    state, after = (torch.tensor(FIELDS.values[0, t : t + 2]) for t in (3, 4))
    time = torch.zeros(2, dtype=torch.float64)
    loss = objective.loss(Batch(torch.stack([state, after], 1), time), [])
    assert torch.isfinite(loss)
    there = ~torch.isnan(after) & STEP.domain
    strange = Batch(torch.stack([state, torch.where(torch.tensor(LAND), 1e3, after)], 1), time)
    assert torch.equal(objective.loss(strange, []), loss)  # a value on land is none
    gradients = torch.autograd.grad(loss, [p for p in STEP.parameters() if p.requires_grad])
    assert all(torch.isfinite(g).all() for g in gradients)
    with torch.no_grad():
        unit = torch.where(torch.isnan(state), STEP.std, STEP.increment_std)
        error = ((STEP(state) - after) / unit).square()[there]
        weights = objective.weights.expand_as(there)[there]
        counts = there.flatten(1).sum(1).tolist()
        by_state = [
            (e * w).sum() / w.sum() for e, w in zip(error.split(counts), weights.split(counts), strict=True)
        ]
    torch.testing.assert_close(loss.detach(), sum(by_state) / 2, atol=1e-5, rtol=1e-5)


def test_round_trip_of_gaps_through_model_and_forecast_files(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "model.safetensors", STEP, DESCRIPTION)
    forecaster = Forecaster.load(tmp_path)
    assert torch.equal(forecaster.step.presence, STEP.presence)
    out = forecaster(dataset().isel(time=[3, 4]), steps=2)
    out.to_netcdf(tmp_path / "f.nc")
    with xr.open_dataset(tmp_path / "f.nc", decode_timedelta=False) as again:
        np.testing.assert_array_equal(again["sst"], out["sst"])
        np.testing.assert_array_equal(np.isnan(again["sst"]), np.broadcast_to(LAND, (2, 2, 7, 10)))


def test_gaps_in_a_variable_that_had_none_are_refused() -> None:
    forecaster = Forecaster(*model(load(dataset().fillna(1))))
    sentence = (
        "expected 'sst' without gaps, as in the training part, got 22.* % missing: fill them, or train on"
    )
    with pytest.raises(InputError, match=sentence):
        forecaster(dataset(moving=False).isel(time=[0]), steps=1)


@pytest.mark.parametrize("moving", [False, True])
def test_the_river_with_gaps(tmp_path: Path, caplog: pytest.LogCaptureFixture, moving: bool) -> None:
    ds = dataset(60, moving)
    config = RunConfig(
        name="gaps", root=str(tmp_path), model=ModelConfig(preset="mini", patch=(3, 5), width=32, depth=1, heads=2),
        training=TrainingConfig(epochs=2, batch_size=8, accelerator="cpu", shift=("longitude",)),
        evaluation=EvaluationConfig(leads=2, states=2),
    )  # fmt: skip
    run = train(config, ds)
    with caplog.at_level(logging.INFO, "gridvit"):
        scores = evaluate(run, ds)
    assert "left out" in caplog.text
    assert scores["model"].values.tolist()[:3] == ["emulator", "persistence", "damped persistence"]
    assert np.isfinite(scores["rmse"]).all()
    assert np.isfinite(scores["ratio"]).all()
    analysis = analyse(run, ds)
    for name in ("attention_distance", "attention_uniform", "effective_area_fraction", "jacobian", "mass"):
        assert np.isfinite(analysis[name]).all(), name
    report(run)


@pytest.mark.real
@pytest.mark.skipif("GRIDVIT_REAL_DATA" not in os.environ, reason="GRIDVIT_REAL_DATA is not set")
def test_sea_surface_temperature(tmp_path: Path) -> None:
    path = Path(os.environ["GRIDVIT_REAL_DATA"]) / "enso/ersstv5_sst_195001-202012.nc"
    config = RunConfig(
        name="sst", root=str(tmp_path),
        data=DataConfig(path=str(path), split=Split(train=(0, 60), validate=(60, 72), test=(72, 96))),
        model=ModelConfig(preset="mini", patch=(6, 6), width=32, depth=1, heads=2),
        training=TrainingConfig(epochs=1, batch_size=8, accelerator="cpu"), evaluation=EvaluationConfig(leads=2),
    )  # fmt: skip
    run = train(config)
    scores = evaluate(run)
    assert np.isfinite(scores["rmse"]).all()
    with xr.open_dataset(path) as ds:
        land = np.isnan(ds["sst"]).all("time").values
        out = Forecaster.load(run)(ds.isel(time=[100]), steps=2)
    np.testing.assert_array_equal(np.isnan(out["sst"].values), np.broadcast_to(land, (1, 2, *land.shape)))
