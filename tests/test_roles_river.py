"""From file to report with every role: what is learned, what is asked for, and what comes back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from gridvit import run
from gridvit.cli import main
from gridvit.config import DataConfig, EvaluationConfig, Index, ModelConfig, RunConfig, Split, TrainingConfig
from gridvit.errors import InputError
from gridvit.forecast import Forecaster

TIMES, ROWS, COLUMNS = 120, 5, 8
MODEL = ModelConfig(preset="mini", patch=(2, 2), width=24, depth=1, heads=2)
QUICK = TrainingConfig(epochs=25, batch_size=8, learning_rate=4e-3, warmup_steps=5, accelerator="cpu")


def forced() -> xr.Dataset:
    """u(t + 1) = u(t) + f(t + 1) / 2 - u(t) / 4, f noise in time; y = u^2; on a channel, and all of it NumPy's."""
    rng = np.random.default_rng(2)
    f = rng.normal(size=(TIMES, ROWS, COLUMNS))
    u = np.zeros_like(f)
    for n in range(1, TIMES):
        u[n] = 0.75 * u[n - 1] + 0.5 * f[n]
    dims = ("time", "y", "x")
    fields = {
        name: (dims, values.astype(np.float32)) for name, values in {"u": u, "f": f, "y2": u**2}.items()
    }
    still = {"height": (("y", "x"), rng.normal(size=(ROWS, COLUMNS)).astype(np.float32))}
    coords = {"time": np.arange(TIMES) * 1.0, "y": np.arange(ROWS) * 1.0, "x": np.arange(COLUMNS) * 1.0}
    return xr.Dataset(fields | still, coords)


def config(tmp_path: Path, data: DataConfig, leads: int = 2, training: TrainingConfig = QUICK) -> RunConfig:
    return RunConfig("r", str(tmp_path), data, MODEL, training, EvaluationConfig(leads=leads, states=2))


def test_a_forcing_is_known_in_the_future(tmp_path: Path) -> None:
    ds = forced()
    data = DataConfig(
        variables=("u",), forcings=("f",), diagnostics=("y2",), statics=("height",), periodic={"x": True}
    )
    folder = run.train(config(tmp_path, data), ds)
    scores = run.evaluate(folder, ds)
    ratio = scores["ratio"].sel(model="emulator", variable="u").values
    # what a model without the forcing can reach at best is the noise, 0.5 of an increment of 0.53
    assert (ratio < 0.5).all()
    run.analyse(folder, ds)
    assert run.report(folder).is_file()

    forecaster = Forecaster.load(folder)
    start = ds.isel(time=slice(50, 52))
    found = forecaster(start.drop_vars(["y2", "height"]), 3, ds)
    assert dict(found.sizes) == {"init_time": 2, "lead": 3, "y": ROWS, "x": COLUMNS}
    assert set(found.data_vars) == {"u", "y2"}
    at = found["u"].isel(init_time=1, lead=0).values
    np.testing.assert_allclose(at, ds["u"][52], atol=0.35)
    with pytest.raises(InputError, match="expected f at the start and the end of each step, got none at 52"):
        forecaster(start, 1)
    with pytest.raises(
        InputError, match=r"expected 'f' without gaps, as in the training part, got 37.5 % missing"
    ):
        forecaster(start, 1, ds.assign(f=ds["f"].where(ds["x"] > 2)))
    other = ds.assign(f=ds["f"] + 1)
    assert np.abs(forecaster(start, 1, other)["u"] - found["u"].isel(lead=[0])).max() > 0.1


def test_by_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ds = forced()
    ds.isel(time=slice(0, 100)).to_netcdf(tmp_path / "past.nc")
    ds.isel(time=slice(90, None))[["f"]].to_netcdf(tmp_path / "future.nc")
    common = [
        "--data.variables",
        "[u]",
        "--data.forcings",
        "[f]",
        "--data.statics",
        "[height]",
        "--data.history",
        "2",
    ]
    settings = [
        "--model.patch",
        "[2,2]",
        "--model.preset",
        "mini",
        "--model.width",
        "24",
        "--model.depth",
        "1",
        "--model.heads",
        "2",
    ]
    assert main(["train", "--root", str(tmp_path), "--data.path", str(tmp_path / "past.nc"), *common, *settings,
                 "--training.epochs", "1", "--training.accelerator", "cpu"]) == 0  # fmt: skip
    asked = [
        "forecast",
        str(tmp_path / "run"),
        str(tmp_path / "past.nc"),
        "--steps",
        "5",
        "--out",
        str(tmp_path / "o.nc"),
    ]
    assert main(asked) == 2
    assert "expected f at the start and the end of each step, got none at 100" in capsys.readouterr().err
    assert main([*asked, "--forcings", str(tmp_path / "future.nc")]) == 0
    with xr.open_dataset(tmp_path / "o.nc") as found:
        assert found["init_time"].item() == 99
        assert found["u"].dims == ("init_time", "lead", "y", "x")
        expected = Forecaster.load(tmp_path / "run")(ds.isel(time=[98, 99]), 5, ds)
        np.testing.assert_allclose(found["u"], expected["u"], atol=1e-6)
    assert main([*asked[:-2], "--out", str(tmp_path / "p.nc"), "--init", "0"]) == 2
    assert "expected 2 times up to the initial one, the model's history, got '0'" in capsys.readouterr().err
    assert main(["check", str(tmp_path / "past.nc"), "--variables", "[u]", "--forcings", "[f]"]) == 0
    assert "forcing" in capsys.readouterr().out


def test_history_sees_what_one_frame_cannot(tmp_path: Path) -> None:
    """u(t) = cos(w t + p): the next state needs two frames, u(t + 1) = 2 cos(w) u(t) - u(t - 1)."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, (1, ROWS, COLUMNS))
    u = np.cos(0.9 * np.arange(TIMES)[:, None, None] + phase)
    coords = {"time": np.arange(TIMES) * 0.5, "y": np.arange(ROWS) * 1.0, "x": np.arange(COLUMNS) * 1.0}
    ds = xr.Dataset({"u": (("time", "y", "x"), u.astype(np.float32))}, coords)
    ratios = {}
    for history in (1, 2):
        chosen = config(
            tmp_path / str(history), DataConfig(periodic={"x": True, "y": False}, history=history)
        )
        folder = run.train(chosen, ds)
        ratios[history] = float(run.evaluate(folder, ds)["ratio"].sel(model="emulator", variable="u")[0])
    assert ratios[2] < 0.3 * ratios[1]
    forecast = Forecaster.load(folder)(ds.isel(time=slice(7, 9)), 2)
    assert forecast["valid_time"].values.tolist() == [[4.5, 5.0]]
    sentence = (
        "expected times in steps of 0.5 along 'time', got 3.5 after 2.5: set data.stride, or select every so"
    )
    with pytest.raises(InputError, match=sentence):
        Forecaster.load(folder)(ds.isel(time=[5, 7]), 2)
    with pytest.raises(
        InputError, match="expected at least 2 times along 'time', the model's history, got 1"
    ):
        Forecaster.load(folder)(ds.isel(time=[5]), 2)
    run.analyse(folder, ds)


def teleconnected() -> xr.Dataset:
    """Rain over the whole region follows the west's sst of three months before."""
    rng = np.random.default_rng(1)
    months = np.datetime64("1951-01", "M") + np.arange(240)
    west = np.convolve(rng.normal(size=246), np.ones(7) / 7, "valid")[:, None, None]
    sst = 0.3 * rng.normal(size=(240, 6, 8)) + west * (np.arange(8) < 3)
    rain = 0.1 * rng.normal(size=sst.shape)
    rain[3:] += west[:-3]
    coords = {"time": months.astype("datetime64[ns]"),
              "lat": ("lat", np.linspace(-25, 25, 6), {"units": "degrees_north"}),
              "lon": ("lon", np.arange(200, 280, 10.0), {"units": "degrees_east"})}  # fmt: skip
    dims = ("time", "lat", "lon")
    return xr.Dataset(
        {"sst": (dims, sst.astype(np.float32)), "rain": (dims, rain.astype(np.float32))}, coords
    )


def test_a_teleconnection_to_an_index_at_a_lag(tmp_path: Path) -> None:
    ds = teleconnected()
    index = {"wet": Index("rain", {"lat": (-10, 10), "lon": (240, 280)})}
    data = DataConfig(predictors=("sst",), indices=index, leads=(3,), split=Split(train=(0.0, 0.6), validate=(0.6, 0.8),
                                                                                 test=(0.8, 1.0)))  # fmt: skip
    with pytest.raises(
        InputError, match=r"expected evaluation.leads of 1 where data.predictors are not known beyond"
    ):
        run.train(config(tmp_path, data), ds)
    folder = run.train(config(tmp_path, data, leads=1), ds)
    scores = run.evaluate(folder, ds)
    assert scores["variable"].values.tolist() == ["wet"]
    assert scores["lead"].values.tolist() == [3.0]
    error = scores["rmse"].sel(variable="wet", lead=3.0)
    assert float(error.sel(model="emulator")) < 0.6 * float(error.sel(model="persistence"))
    assert float(error.sel(model="emulator")) < 0.6 * float(error.sel(model="climatology (day of year)"))
    run.analyse(folder, ds)
    run.report(folder)
    found = Forecaster.load(folder)(ds[["sst"]].isel(time=[200]), 1)
    assert found["wet"].dims == ("init_time", "lead")
    assert str(found["valid_time"].values[0, 0])[:10] == "1967-12-01"
    with pytest.raises(InputError, match="expected one step, as sst is not known beyond the present, got 2"):
        Forecaster.load(folder)(ds, 2)


def test_direct_leads_are_scored_beside_the_rollout(tmp_path: Path) -> None:
    ds = forced()[["u"]]
    data = DataConfig(leads=(1, 3), periodic={"x": True, "y": False})
    quick = TrainingConfig(epochs=2, batch_size=16, accelerator="cpu")
    folder = run.train(config(tmp_path, data, 3, quick), ds)
    scores = run.evaluate(folder, ds)["rmse"].sel(variable="u")
    straight, rolled = scores.sel(model="emulator, direct"), scores.sel(model="emulator")
    assert np.isnan(straight.values).tolist() == [False, True, False]
    assert float(straight[0]) == pytest.approx(float(rolled[0]), rel=1e-5)
    assert float(straight[2]) != pytest.approx(float(rolled[2]), rel=1e-5)
    run.analyse(folder, ds)
    run.report(folder)


def test_a_regional_model_is_given_its_boundary(tmp_path: Path) -> None:
    ds = forced()[["u"]]
    data = DataConfig(boundary=1, periodic={"x": True, "y": False})
    folder = run.train(config(tmp_path, data, 2, TrainingConfig(epochs=1, accelerator="cpu")), ds)
    scores = run.evaluate(folder, ds)
    found = Forecaster.load(folder)(ds.isel(time=[10]), 2, ds)["u"].isel(init_time=0)
    np.testing.assert_array_equal(found[:, [0, -1]], ds["u"][11:13, [0, -1]])
    # scored inside alone: persistence by hand
    test = ds["u"].values[102:].astype(np.float64)[:, 1:-1]
    expected = np.sqrt(((test[1:-1] - test[:-2]) ** 2).mean())
    assert float(scores["rmse"].sel(model="persistence", variable="u")[0]) == pytest.approx(
        expected, rel=1e-5
    )
    with pytest.raises(InputError, match="expected u at the start and the end of each step, got none at 11"):
        Forecaster.load(folder)(ds.isel(time=[10]), 1)


def test_features_of_time_need_dates(tmp_path: Path) -> None:
    model = ModelConfig(
        preset="mini", patch=(2, 2), width=24, depth=1, heads=2, features=("insolation", "latitude")
    )
    ds = teleconnected()
    timeless = ds.assign_coords(time=np.arange(240.0))
    chosen = RunConfig("r", str(tmp_path), DataConfig(variables=("sst",)), model, QUICK)
    with pytest.raises(InputError, match="expected dates for model.features insolation, got 1: leave it out"):
        run.train(chosen, timeless)
    local = replace(chosen, model=replace(model, features=("local_time",)))
    sentence = "expected steps of fixed length for model.features local_time, got 1 month: leave it out"
    with pytest.raises(InputError, match=sentence):
        run.train(local, ds)
    folder = run.train(RunConfig("r", str(tmp_path), DataConfig(variables=("sst",)), model,
                                 TrainingConfig(epochs=1, accelerator="cpu")), ds)  # fmt: skip
    step = Forecaster.load(folder).step
    assert step.network.embed.in_features == (1 + 2) * 4
    assert torch.isfinite(step.increment_std).all()


def test_months_of_the_forcing_are_found_though_their_middles_wander(tmp_path: Path) -> None:
    ds = teleconnected()
    first = ds["time"].values.astype("datetime64[M]")
    middle = (
        first.astype("datetime64[s]")
        + ((first + 1).astype("datetime64[s]") - first.astype("datetime64[s]")) / 2
    )
    ds = ds.assign_coords(time=middle.astype("datetime64[ns]"))
    data = DataConfig(variables=("rain",), forcings=("sst",))
    folder = run.train(config(tmp_path, data, 2, TrainingConfig(epochs=1, accelerator="cpu")), ds)
    found = Forecaster.load(folder)(ds.isel(time=[0]), 3, ds)
    assert np.isfinite(found["rain"]).all()
    with pytest.raises(
        InputError, match="expected sst at the start and the end of each step, got none at 1951-04"
    ):
        Forecaster.load(folder)(ds.isel(time=[0]), 3, ds.isel(time=slice(0, 3)))


SMALL = TrainingConfig(epochs=1, batch_size=16, accelerator="cpu")


def daily(times: int = 40, members: int = 0, calendar: str = "standard") -> xr.Dataset:
    """Random u, f, v on a small region, dated."""
    rng = np.random.default_rng(6)
    days = xr.date_range(
        "2000-01-01", periods=times, freq="D", calendar=calendar, use_cftime=calendar != "standard"
    )
    dims, shape = ("time", "lat", "lon"), (times, 4, 6)
    coords = {"time": days, "lat": ("lat", np.arange(40.0, 44), {"units": "degrees_north"}),
              "lon": ("lon", np.arange(10.0, 16), {"units": "degrees_east"})}  # fmt: skip
    if members:
        dims, shape = ("number", *dims), (members, *shape)
        coords |= {"number": ("number", np.arange(members), {"standard_name": "realization"})}
    return xr.Dataset({n: (dims, rng.normal(size=shape).astype(np.float32)) for n in ("u", "f", "v")}, coords)


def test_a_forecast_of_months_from_its_last_history(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ds = teleconnected()[["sst"]].isel(time=slice(0, 60))
    folder = run.train(config(tmp_path, DataConfig(variables=("sst",), history=2), 1, SMALL), ds)
    for last in (2, 3, 14, 60):  # January to February, February to March, ...
        found = Forecaster.load(folder)(ds.isel(time=slice(last - 2, last)), 1)
        assert found["sst"].sizes["init_time"] == 1
    with pytest.raises(InputError, match="expected times in steps of 1 month along 'time', got 1951-04"):
        Forecaster.load(folder)(ds.isel(time=[0, 3]), 1)


def test_members_get_their_own_forcing_or_the_common_one(tmp_path: Path) -> None:
    ds = daily(members=3)
    data = DataConfig(variables=("u",), forcings=("f",), members="samples")
    folder = run.train(config(tmp_path, data, 1, SMALL), ds)
    forecaster, start = Forecaster.load(folder), ds.isel(time=[20])
    expected = forecaster(start, 1, ds)
    xr.testing.assert_equal(forecaster(start, 1, ds.isel(number=[2, 0, 1])), expected)
    common = forecaster(start, 1, ds.isel(number=1, drop=True))
    np.testing.assert_array_equal(common["u"].isel(number=1), expected["u"].isel(number=1))
    assert np.abs(common["u"] - expected["u"]).isel(number=0).max() > 1e-4
    with pytest.raises(
        InputError, match="expected f for each sample of the states, or once for all, got none for 2"
    ):
        forecaster(start, 1, ds.isel(number=[0, 1]))


def test_dates_of_another_calendar_are_refused_where_they_are_looked_at(tmp_path: Path) -> None:
    features = replace(MODEL, features=("day_of_year",))
    ds, other = daily(), daily(calendar="360_day")
    sentence = "expected dates in the calendar of the model, 'standard', got '360_day': convert them"
    seasonal = RunConfig("s", str(tmp_path), DataConfig(variables=("u",)), features, SMALL)
    with pytest.raises(InputError, match=sentence):
        Forecaster.load(run.train(seasonal, ds))(other.isel(time=[3]), 1)
    given = config(tmp_path, DataConfig(variables=("u",), forcings=("f",)), 1, SMALL)
    with pytest.raises(InputError, match=sentence):
        Forecaster.load(run.train(given, ds))(ds.isel(time=[3]), 1, other)
    plain = RunConfig("p", str(tmp_path), DataConfig(variables=("u",)), MODEL, SMALL)
    assert Forecaster.load(run.train(plain, ds))(other.isel(time=[3]), 1).sizes["lead"] == 1


def test_all_times_that_the_forcing_covers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ds = daily()
    ds.to_netcdf(tmp_path / "d.nc")
    given = config(
        tmp_path, DataConfig(path=str(tmp_path / "d.nc"), variables=("u",), forcings=("f",)), 1, SMALL
    )
    folder = run.train(given)
    out = run.forecast(folder, str(tmp_path / "d.nc"), 3, str(tmp_path / "o.nc"), "all")
    with xr.open_dataset(out, decode_timedelta=False) as found:
        assert found.sizes["init_time"] == 37
        assert str(found["init_time"].values[-1])[:10] == "2000-02-06"
    assert "37 of 40 times: the others lack what the model is given" in caplog.text


def test_direct_leads_with_a_predictor_are_forecast_and_scored(tmp_path: Path) -> None:
    ds = daily()
    data = DataConfig(path=str(tmp_path / "d.nc"), predictors=("u",), diagnostics=("v",), leads=(1, 2, 4))
    ds.to_netcdf(tmp_path / "d.nc")
    folder = run.train(config(tmp_path, data, 1, SMALL))
    scores = run.evaluate(folder)
    assert scores["lead"].values.tolist() == [24.0, 48.0, 96.0]
    assert np.isfinite(scores["rmse"].sel(model="emulator, direct")).all()
    assert np.isnan(scores["rmse"].sel(model="emulator", variable="v").values).tolist() == [False, True, True]
    out = run.forecast(folder, str(tmp_path / "d.nc"), 9, str(tmp_path / "o.nc"), "2000-01-05", direct=True)
    with xr.open_dataset(out, decode_timedelta=False) as found:
        assert found["lead"].values.tolist() == [24.0, 48.0, 96.0]
        assert str(found["valid_time"].values[0, 2])[:10] == "2000-01-09"
        assert set(found.data_vars) == {"v"}


def test_a_diagnostic_that_is_not_there_yet_is_not_asked_for(tmp_path: Path) -> None:
    ds = daily()
    folder = run.train(config(tmp_path, DataConfig(variables=("u",), diagnostics=("v",)), 1, SMALL), ds)
    last = ds.isel(time=[-1])
    found = Forecaster.load(folder)(last.assign(v=last["v"] * np.nan), 2)
    assert np.isfinite(found["v"]).all()


def test_a_gap_in_the_boundary_is_filled(tmp_path: Path) -> None:
    ds = daily()
    ds["u"][::3, 0, 2] = np.nan
    folder = run.train(config(tmp_path, DataConfig(variables=("u",), boundary=1), 1, SMALL), ds)
    found = Forecaster.load(folder)(ds.isel(time=[2]), 1, ds)["u"].isel(init_time=0, lead=0)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[0, 3:], ds["u"][3, 0, 3:])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--boundary", "2"],
            "expected walls for data.boundary, got 2 cells, which leaves nothing inside: set data",
        ),
        (
            ["--history", "400"],
            "expected at least 401 times for data.history and data.leads, got 40: make them short",
        ),
        (
            ["--indices", "{lead: {variable: u, region: {}}}"],
            "expected an index of a new name, got 'lead', which is ",
        ),
    ],
)
def test_check_refuses_what_train_would(
    options: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daily().to_netcdf(tmp_path / "d.nc")
    assert main(["check", str(tmp_path / "d.nc"), "--variables", "[u]", *options]) == 2
    assert sentence in capsys.readouterr().err
