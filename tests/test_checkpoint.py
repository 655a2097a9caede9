"""The model file: exact, self-contained, and refused when it is not one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gridvit import checkpoint
from gridvit.checkpoint import Description
from gridvit.config import DataConfig, ModelConfig
from gridvit.data.fields import Fields, load
from gridvit.data.normalise import compute
from gridvit.errors import InputError


def make_fields(times: int = 7, shape: tuple[int, int] = (6, 10)) -> Fields:
    rng = np.random.default_rng(3)
    lat, lon = np.linspace(75, -75, shape[0]), np.arange(shape[1]) * 36.0 - 180
    values = 100 + 10 * rng.standard_normal((times, *shape)).cumsum(0)
    ds = xr.Dataset(
        {"t": (("time", "lat", "lon"), values.astype("f4"), {"units": "K"})},
        {
            "time": np.datetime64("2001-02-03", "ns") + np.arange(times) * np.timedelta64(6, "h"),
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
    )
    return load(ds)


def make_model(fields: Fields) -> tuple[checkpoint.ModelStep, Description]:
    description = Description.of(
        ModelConfig(preset="mini", patch=(2, 5), width=24, depth=1, heads=2), DataConfig(), fields
    )
    torch.manual_seed(5)
    model = checkpoint.build(description, compute(fields))
    torch.nn.init.normal_(model.network.decode.weight)
    return model, description


def test_round_trip_is_exact(tmp_path: Path) -> None:
    fields = make_fields()
    model, description = make_model(fields)
    checkpoint.save(tmp_path / "m.safetensors", model, description)
    again, described = checkpoint.load(tmp_path / "m.safetensors")
    assert described == description
    assert (again.dt, again.variables) == (6 * 3600.0, ("t",))
    state = torch.tensor(fields.values[:, 0])
    assert torch.equal(again(state), model(state))
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a trained model, got no file .*: train the run first"):
        checkpoint.load(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("not a model")
    with pytest.raises(InputError, match=r"got .*text.safetensors, which is damaged"):
        checkpoint.load(tmp_path / "text.safetensors")
    save_file({"a": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="which has no gridvit header"):
        checkpoint.load(tmp_path / "other.safetensors")
    save_file({"a": torch.zeros(3)}, tmp_path / "new.safetensors", metadata={"gridvit": '{"format": 99}'})
    with pytest.raises(InputError, match="expected a model file of format 3, got format 99 in"):
        checkpoint.load(tmp_path / "new.safetensors")


def test_a_file_of_the_format_before_gaps_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "old.safetensors", metadata={"gridvit": '{"format": 1}'})
    sentence = "expected a model file of format 3, got format 1 in .*: load it with the gridvit version that wrote it"
    with pytest.raises(InputError, match=sentence):
        checkpoint.load(tmp_path / "old.safetensors")


def test_truncated_file(tmp_path: Path) -> None:
    model, description = make_model(make_fields())
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, model, description)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="which is damaged"):
        checkpoint.load(path)


def test_weights_of_another_version_are_refused(tmp_path: Path) -> None:
    model, description = make_model(make_fields())
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, model, description)
    with safe_open(path, "pt") as file:
        about = file.metadata()
    tensors = load_file(path)
    del tensors["network.norm.bias"]
    save_file(tensors, path, about)
    with pytest.raises(InputError) as refused:
        checkpoint.load(path)
    assert str(refused.value) == (
        "expected a model file whose weights are this version's, got Missing key(s) in state_dict: "
        '"network.norm.bias".: train it again, or load it by the version of gridvit that wrote it'
    )
