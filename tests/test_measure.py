"""Statistics and climatology in one streamed pass, against sums over the whole array; runs that stream end to end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import xarray as xr
from numcodecs import Zstd

import gridvit
from gridvit.climatology import Climatology
from gridvit.config import DataConfig, ModelConfig, RunConfig, Split, TrainingConfig
from gridvit.data import blocks as blocks_module
from gridvit.data.choices import open_chosen
from gridvit.data.fields import Fields, stored
from gridvit.data.measure import Measured, measured
from gridvit.data.normalise import compute
from gridvit.data.sums import summed
from gridvit.errors import InputError
from gridvit.training.metrics import MetricsFile, read_metrics

LEADS = (1, 3)
MIB = 2**20


def weather(years: int = 2, gaps: bool = False) -> xr.Dataset:
    """Two levels whose mean rises by year and differs by level, with an annual cycle; daily, latitude descending."""
    rng = np.random.default_rng(5)
    days = np.arange(years * 365)
    shape = (len(days), 2, 6, 8)
    level = np.array([100.0, -40.0])[:, None, None]
    drift = (7.0 * (days // 365) + 3 * np.cos(2 * np.pi * days / 365.2425))[:, None, None, None]
    values = (level + drift + rng.normal(size=shape)).astype(np.float32)
    if gaps:
        values[rng.random(shape) < 0.1] = np.nan
        values[:, 0, 2, 3] = np.nan
    coords = {
        "time": np.datetime64("2001-01-01", "ns") + days * np.timedelta64(1, "D"),
        "level": [500, 850],
        "lat": ("lat", np.linspace(75, -75, 6), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(8) * 45.0, {"units": "degrees_east"}),
    }
    return xr.Dataset({"t": (("time", "level", "lat", "lon"), values, {"units": "K"})}, coords)


def write(ds: xr.Dataset, path: Path, chunk: int = 17, **codec: object) -> Path:
    encoding = {"t": {"chunks": (chunk, *ds["t"].shape[1:]), **codec}}
    ds.to_zarr(path, encoding=encoding, zarr_format=2, consolidated=True, mode="w")
    return path


def opened(path: Path) -> Fields:
    data = DataConfig(path=str(path), stack=("level",))
    return stored(open_chosen(data, direct=True), data)


@pytest.fixture
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many blocks of few chunks each."""
    monkeypatch.setattr(blocks_module, "BLOCK", 20_000)


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize("gaps", [False, True])
def test_a_streamed_pass_gives_the_sums_over_the_whole_array(tmp_path: Path, gaps: bool) -> None:
    fields = opened(write(weather(gaps=gaps), tmp_path / "w.zarr"))
    assert len(blocks_module.cut(fields.values)) > 5
    found = measured(fields, LEADS, MIB)
    u = fields.array.astype(np.float64)[0]
    weights = np.diff(np.sin(np.deg2rad(np.arange(-90, 91, 30))))[:, None] * np.ones(8)

    def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        w = weights * ~np.isnan(x)
        mean = np.nansum(x * w, axis=(0, 2, 3)) / w.sum(axis=(0, 2, 3))
        square = np.nansum((x - mean[:, None, None]) ** 2 * w, axis=(0, 2, 3)) / w.sum(axis=(0, 2, 3))
        return mean, np.sqrt(square)

    mean, std = moments(u)
    np.testing.assert_allclose(found.statistics.mean, mean, rtol=1e-11)
    np.testing.assert_allclose(found.statistics.std, std, rtol=1e-11)
    expected = [moments(u[lead:] - u[:-lead])[1] for lead in LEADS]
    np.testing.assert_allclose(found.statistics.increment_std, expected, rtol=1e-11)
    presence = found.statistics.presence
    assert (presence is None) is not gaps
    if gaps:
        np.testing.assert_allclose(presence, (~np.isnan(u)).mean(axis=0), rtol=1e-12)
    days = np.arange(730) % 365
    phase = 2 * np.pi * days[:, None] / 365.2425 * np.array([1, 2])
    design = np.concatenate([np.ones((730, 1)), np.cos(phase), np.sin(phase)], axis=1)
    for place in ((0, 1, 1), (1, 5, 7)):
        there = ~np.isnan(u[(slice(None), *place)])
        solution = np.linalg.lstsq(design[there], u[(there, *place)], rcond=None)[0]
        assert found.climatology is not None
        np.testing.assert_allclose(found.climatology.coefficients[(slice(None), *place)], solution, atol=1e-9)
    if gaps:
        assert np.isnan(found.climatology.coefficients[:, 0, 3, 3]).all()  # latitude ascends here
    whole = Climatology.fit(fields.array, fields.times)
    np.testing.assert_allclose(found.climatology.coefficients, whole.coefficients, atol=1e-9)


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize("gaps", [False, True])
def test_the_sums_of_parts_merge_into_those_of_the_whole(tmp_path: Path, gaps: bool) -> None:
    fields = opened(write(weather(gaps=gaps), tmp_path / "w.zarr"))
    design = np.ones((fields.n_times, 0))
    parts = [summed(fields.values, fields.grid.areas, LEADS, design, slice(a, b))
             for a, b in ((0, 2), (2, 300), (300, 730))]  # fmt: skip
    merged, whole = parts[0], summed(fields.values, fields.grid.areas, LEADS, design)
    for part in parts[1:]:
        merged += part
    assert merged.frames == whole.frames
    for one, other in zip(
        [*merged.values, *merged.increments[3]], [*whole.values, *whole.increments[3]], strict=True
    ):
        assert one.weight == pytest.approx(other.weight, rel=1e-12)
        assert one.mean == pytest.approx(other.mean, rel=1e-10, abs=1e-12)
        assert one.std == pytest.approx(other.std, rel=1e-10)
    np.testing.assert_array_equal(merged.count, whole.count)


@pytest.mark.usefixtures("_small_blocks")
def test_every_year_of_every_level_enters_the_statistics(tmp_path: Path) -> None:
    """A well-known script kept those of the last year alone: a key per level was looked up by the variable's name."""
    years = 4
    paths = [tmp_path / f"{year}.nc" for year in range(years)]
    for year, path in enumerate(paths):
        weather(years).isel(time=slice(365 * year, 365 * (year + 1))).to_netcdf(path)
    data = DataConfig(path=str(tmp_path / "*.nc"), stack=("level",))
    found = compute(stored(open_chosen(data, direct=True), data))
    assert found.variables == ("t_500", "t_850")
    for mean, level in zip(found.mean, (100.0, -40.0), strict=True):
        assert mean == pytest.approx(
            level + 7 * (years - 1) / 2, abs=0.1
        )  # that of the last year: level + 21
    spread = np.sqrt(1 + 3**2 / 2 + 7**2 * (years**2 - 1) / 12)
    np.testing.assert_allclose(found.std, spread, rtol=0.02)


def test_what_was_measured_is_kept_with_the_run(tmp_path: Path) -> None:
    found = measured(opened(write(weather(gaps=True), tmp_path / "w.zarr")), LEADS, MIB)
    found.save(tmp_path / "statistics.npz")
    again = Measured.load(tmp_path / "statistics.npz")
    assert again is not None
    assert again.statistics.to_dict() == found.statistics.to_dict()
    assert again.fingerprint == found.fingerprint
    np.testing.assert_array_equal(again.climatology.coefficients, found.climatology.coefficients)
    assert again.climatology.name == "climatology (day of year)"
    assert Measured.load(tmp_path / "none.npz") is None


def test_without_room_for_its_equations_there_is_no_climatology(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fields = opened(write(weather(), tmp_path / "w.zarr"))
    with caplog.at_level(logging.INFO, "gridvit"):
        assert measured(fields, LEADS, 1000).climatology is None
    assert "no climatology: its equations for 96 cells do not fit in data.buffer" in caplog.text


def run_of(path: Path, root: Path, loading: str = "stream", buffer: float = 1e-3) -> RunConfig:
    data = DataConfig(
        path=str(path), stack=("level",), loading=loading, buffer=buffer,  # type: ignore[arg-type]
        split=Split(train=(0.0, 0.7), validate=(0.7, 0.85), test=(0.85, 1.0)),
    )  # fmt: skip
    training = TrainingConfig(epochs=3, batch_size=16, learning_rate=3e-3, warmup_steps=5, accelerator="cpu")
    return RunConfig(
        name=loading, root=str(root), data=data, model=ModelConfig(preset="mini",
                                                                   patch=(3, 4), width=24, depth=1, heads=2),
        training=training,
    )  # fmt: skip


def test_a_streamed_run_learns_as_one_in_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(weather(), tmp_path / "w.zarr")
    losses = {}
    for loading in ("stream", "memory"):
        with caplog.at_level(logging.INFO, "gridvit"):
            folder = gridvit.run.train(run_of(path, tmp_path, loading))
        losses[loading] = [row["validate_loss"] for row in read_metrics(folder / "metrics.csv")]
        assert (folder / "statistics.npz").is_file()
    assert "streaming (data.loading stream: " in caplog.text
    assert losses["stream"][-1] < 0.9 * losses["stream"][0] < 1
    assert losses["stream"][-1] == pytest.approx(losses["memory"][-1], rel=0.1)
    scores = gridvit.run.evaluate(tmp_path / "stream")
    assert "climatology (day of year)" in scores["model"]
    assert "baselines see of the train part: the last" not in caplog.text
    one, other = (gridvit.run.evaluate(tmp_path / name).sel(model="damped persistence") for name in losses)
    np.testing.assert_allclose(one["rmse"], other["rmse"], rtol=1e-12)


@pytest.fixture
def in_epoch(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """Do something when an epoch has begun, once."""

    def at(epoch: int, act: Callable[[], object]) -> None:
        def start(self: MetricsFile, trainer: L.Trainer, module: L.LightningModule) -> None:
            if trainer.current_epoch == epoch:
                act()

        monkeypatch.setattr(MetricsFile, "on_train_epoch_start", start)

    return at


def test_a_run_stopped_by_a_truncated_chunk_goes_on_after_its_repair(
    tmp_path: Path, in_epoch: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    # not Blosc: it reads on beyond the end of half a chunk, and now and then finds a whole one there
    path = write(weather(), tmp_path / "w.zarr", compressors=Zstd())
    config = run_of(path, tmp_path, buffer=1e-4)
    chunk = path / "t" / "12.0.0.0"
    good = chunk.read_bytes()
    half = tmp_path / "half"
    half.write_bytes(good[: len(good) // 2])
    in_epoch(1, lambda: half.replace(chunk))  # at once: the reading thread must not meet an empty file
    with pytest.raises(
        InputError, match=r"readable values of 't_.*' in .*w.zarr from 2001-0.*, got RuntimeError"
    ):
        gridvit.run.train(config)
    rows = read_metrics(tmp_path / "stream" / "metrics.csv")
    assert [row["epoch"] for row in rows] == [0]
    in_epoch(-1, lambda: None)
    chunk.write_bytes(good)
    with caplog.at_level(logging.INFO, "gridvit"):
        folder = gridvit.run.train(config)
    assert (
        "the files have changed since the run was started, their statistics have not: going on" in caplog.text
    )
    again = read_metrics(folder / "metrics.csv")
    assert [row["epoch"] for row in again] == [0, 1, 2]
    assert again[0] == rows[0]


def test_files_that_change_under_a_run_stop_it_and_other_data_do_not_resume_it(
    tmp_path: Path, in_epoch: Callable[..., None]
) -> None:
    path = write(weather(), tmp_path / "w.zarr")
    config = run_of(path, tmp_path)
    in_epoch(1, lambda: write(weather() + 1, path))
    with pytest.raises(InputError) as caught:
        gridvit.run.train(config)
    assert str(caught.value) == (
        f"expected {path} as it was when its statistics were taken, got another size or time of modification: "
        "the run stops here; the same command goes on, if the statistics are still the same"
    )
    in_epoch(-1, lambda: None)
    with pytest.raises(InputError, match=r"expected the data that the run was started with, got another mean, 103\.\d+ "
                       r"instead of 102\.\d+: restore the file, or start again with --overwrite"):  # fmt: skip
        gridvit.run.train(config)


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize("gaps", [False, True])
def test_a_cluster_gives_the_statistics_of_one_machine(tmp_path: Path, gaps: bool) -> None:
    distributed = pytest.importorskip("distributed")
    fields = opened(write(weather(gaps=gaps), tmp_path / "w.zarr"))
    here = measured(fields, LEADS, MIB)
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=":0",  # any port that is free
    ) as cluster:
        there = measured(fields, LEADS, MIB, cluster.scheduler_address)
    for name in ("mean", "std", "increment_std"):
        np.testing.assert_allclose(
            getattr(there.statistics, name), getattr(here.statistics, name), rtol=1e-10, atol=1e-12
        )
    if gaps:
        np.testing.assert_array_equal(there.statistics.presence, here.statistics.presence)
    np.testing.assert_allclose(
        there.climatology.coefficients, here.climatology.coefficients, rtol=1e-9, atol=1e-9
    )


def test_a_cluster_that_is_not_there_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    fields = opened(write(weather(), tmp_path / "w.zarr"))
    with pytest.raises(
        InputError, match=r"expected a dask scheduler at tcp://127.0.0.1:9, got none \(OSError\)"
    ):
        measured(fields, LEADS, MIB, "tcp://127.0.0.1:9")
    with pytest.raises(
        InputError, match="expected data.dask like tcp://host:8786, or \"slurm\", got 'here': correct"
    ):
        DataConfig(dask="here")
