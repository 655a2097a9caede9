"""Figures during training: what they show, how little time they take, and a forecast that explodes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.figure import Figure

from gridvit.config import DataConfig, EvaluationConfig, ModelConfig, RunConfig, Split, TrainingConfig
from gridvit.data.fields import load
from gridvit.run import pictures
from gridvit.run.pictures import Pictures, middle_case, variances
from gridvit.training.plan import Plan, plan
from gridvit.training.train import fit
from gridvit.training.watch import Diverged

MINUS = "\N{MINUS SIGN}"


def weather(days: int = 20) -> xr.Dataset:
    """Six-hourly waves that travel east, latitude descending, longitudes from -180; a second variable without land."""
    hours = np.arange(days * 4) * 6
    lat, lon = np.linspace(90, -90, 7), np.arange(12) * 30.0 - 180
    wave = np.cos(np.deg2rad(2 * (lon - 2.0 * hours[:, None, None])) + np.deg2rad(lat)[:, None])
    sst = np.where(lon > 90, np.nan, 280 + wave)
    dims = ("time", "lat", "lon")
    return xr.Dataset(
        {
            "p": (dims, 1e5 + 1e3 * wave, {"units": "Pa", "long_name": "pressure"}),
            "sst": (dims, sst, {"units": "K"}),
        },
        {
            "time": np.datetime64("2001-01-01", "ns") + hours * np.timedelta64(1, "h"),
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
    )


@pytest.fixture
def made() -> Plan:
    config = RunConfig(
        data=DataConfig(split=Split(train=(0, 50), validate=(50, 65), test=(65, 80))),
        model=ModelConfig(preset="mini", patch=(4, 4), width=24, depth=1, heads=2),
        training=TrainingConfig(epochs=2, batch_size=7, warmup_steps=3, accelerator="cpu", ema=0.5),
        evaluation=EvaluationConfig(leads=3),
    )
    return plan(config, load(weather()))


def drawn(monkeypatch: pytest.MonkeyPatch, made: Plan, folder: Path) -> list[Figure]:
    """The figures that a training draws at its end; those on the way hang on how busy the machine is."""
    monkeypatch.setattr(pictures, "SHARE", 0.0)
    figures: list[Figure] = []
    write = pictures.png

    def watched(figure: Figure) -> bytes:
        figures.append(figure)
        return write(figure)

    monkeypatch.setattr(pictures, "png", watched)
    fit(made, folder, [Pictures(made, folder)])
    return figures


def test_the_last_epoch_is_drawn_with_times_units_and_coordinates(
    made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "SHORT", 0.0)
    losses, forecast = drawn(monkeypatch, made, tmp_path)
    # the window of four times in the middle of times 50 to 64 begins at 50 + (15 - 4) // 2 = 55: day 14, 18 h
    assert forecast.get_suptitle() == "validation after epoch 2, from 2001-01-14 18:00"
    titles = [panel.get_title() for panel in forecast.axes[:9]]
    assert titles[:3] == [
        "truth at 2001-01-15 00:00",
        "forecast, lead 6 h",
        f"forecast {MINUS} truth, lead 6 h",
    ]
    assert titles[6:] == [
        "truth at 2001-01-15 12:00",
        "forecast, lead 18 h",
        f"forecast {MINUS} truth, lead 18 h",
    ]
    assert (forecast.axes[6].get_xlabel(), forecast.axes[6].get_ylabel()) == ("lon (°E)", "lat (°N)")
    assert [bar.get_xlabel() for bar in forecast.axes[9:]] == ["pressure (Pa)", "error (Pa)"]
    truth, found, error = (forecast.axes[n].collections[0] for n in range(3))
    assert truth.get_clim() == found.get_clim()
    low, high = error.get_clim()
    assert (low, error.get_cmap().name) == (-high, "RdBu_r")
    np.testing.assert_allclose(np.ravel(truth.get_array()), np.ravel(weather()["p"].values[56].astype("f4")))
    names = {line.get_label() for line in losses.axes[0].get_lines()}
    assert names == {"train loss", "validate loss", "persistence loss"}
    for name in ("training", "forecast"):
        assert matplotlib.image.imread(tmp_path / "figures" / f"{name}.png").shape[1] == 1200
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["forecast.png", "training.png"]


def test_drawing_takes_little_of_the_time(
    made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epochs of 10 s and figures of 1.5 s: the first after 20 s (1 s is 5 %), the next after 60 s (3 s are 5 %)."""
    clock, epochs = [0.0], []

    class Trainer:
        is_global_zero, max_epochs, current_epoch = True, 9, 0

    def draw(epoch: int) -> None:
        epochs.append(epoch)
        clock[0] += 1.5

    shown: Any = Pictures(made, tmp_path)
    monkeypatch.setattr(pictures.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(shown, "draw", draw)
    shown.started = 0.0
    for epoch in range(8):
        clock[0] += 10
        Trainer.current_epoch = epoch
        Pictures.on_train_epoch_end.__wrapped__(shown, Trainer, None)  # type: ignore[attr-defined]
    assert epochs == [2, 6]


def test_short_trainings_are_not_drawn(made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "SHORT", 1e9)
    assert drawn(monkeypatch, made, tmp_path) == []


def test_the_variance_of_a_forecast_is_in_units_of_the_data(made: Plan) -> None:
    """((u - mu) / sigma)^2 by area: bands between the middles of latitudes 90, 60, .., -90, land left out."""
    case = middle_case(made)
    mu, sigma = (v[:, 0, 0].double().numpy() for v in (made.model.mean, made.model.std))
    bounds = np.deg2rad([-90, -75, -45, -15, 15, 45, 75, 90])
    bands = np.diff(np.sin(bounds)) / 2
    truth = case.truth[0].astype(np.float64)
    square = ((truth - mu[:, None, None]) / sigma[:, None, None]) ** 2
    expected = [(square[:, 0].mean(2) @ bands), (np.nanmean(square[:, 1], 2) @ bands)]
    np.testing.assert_allclose(variances(made.model, case.truth[0]).T, expected, rtol=1e-5)


def test_a_forecast_that_explodes_stops_the_training_and_is_drawn(
    made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """u grows tenfold a step: 100, then 10,000 times the variance that it began with, of the second variable."""
    forward = type(made.model).forward

    def growing(self: Any, state: torch.Tensor, *rest: Any) -> torch.Tensor:
        after = forward(self, state, *rest).clone()
        after[:, 1] = self.mean[1] + 10 * (state[:, 1] - self.mean[1])
        return after

    monkeypatch.setattr(type(made.model), "forward", growing)
    with pytest.raises(Diverged) as error:
        fit(made, tmp_path, [Pictures(made, tmp_path)])
    assert re.match(
        r"expected a validation forecast of at most 1000 times the variance of the data, got \d\.\d+e\+0[34] times "
        r"that of 'sst' after 2 steps from 2001-01-14 18:00 at step 7 \(end of epoch 1\): the checkpoints before it",
        str(error.value),
    ), error.value
    assert (tmp_path / "figures" / "forecast.png").is_file()
