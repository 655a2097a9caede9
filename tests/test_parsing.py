"""Configuration: YAML and options to dataclasses and back; wrong keys get the nearest right one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridvit.config import DataConfig, RunConfig, SimulateConfig
from gridvit.errors import InputError
from gridvit.parsing import differences, keys_of, load_config, nearest, parse, save_config


def test_file_then_options(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: a\nmodel: {patch: [2, 3], depth: 5}\ndata: {split: {train: [0, 11]}}\n")
    config = parse(RunConfig, ["--config", str(file), "--model.depth", "7"])
    assert (config.name, config.model.patch, config.model.depth) == ("a", (2, 3), 7)
    assert config.data.split.train == (0, 11)
    assert isinstance(config.data.split.train[0], int)
    assert config.data.split.test == (0.85, 1.0)


def test_round_trip_and_differences(tmp_path: Path) -> None:
    config = parse(
        RunConfig, ["--model.patch", "[3,5]", "--data.periodic", '{"x": true}', "--training.shift", "[x]"]
    )
    save_config(config, tmp_path / "c.yaml")
    assert load_config(RunConfig, tmp_path / "c.yaml") == config
    assert differences(config, RunConfig()) == ["data.periodic", "model.patch", "training.shift"]
    simulated = parse(SimulateConfig, ["--parameters", "{velocity: [1.0, 2.0]}"])
    save_config(simulated, tmp_path / "s.yaml")
    assert load_config(SimulateConfig, tmp_path / "s.yaml").parameters == {"velocity": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--model.dept", "6"],
            "expected an option that exists, got 'model.dept': did you mean 'model.depth'?",
        ),
        (["--dept", "6"], "expected an option that exists, got 'dept': did you mean 'model.depth'?"),
        (
            ["--frobnicate", "6"],
            "expected an option that exists, got 'frobnicate': see --help for the options",
        ),
        (["--model.depth", "six"], "expected model.depth to be an int, got six: correct the value"),
        (
            ["--model.bias", "far"],
            "expected model.bias to be one of 'distance', 'harmonics', 'gaussian', 'fourier', 'linear', 'radial', "
            "'none', got far: correct the value",
        ),
        (
            ["a.yaml"],
            "expected options that can be read, got unrecognized arguments: a.yaml: see --help for the options",
        ),
    ],
)
def test_bad_options(options: list[str], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        parse(RunConfig, options)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("model: {dept: 6}", "model.dept"),
        ("modl: {depth: 6}", "modl.depth"),
        ("data: {split: {trian: [0, 1]}}", "data.split.trian"),
    ],
)
def test_bad_keys_in_a_file(tmp_path: Path, text: str, got: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    right = {
        "model.dept": "model.depth",
        "modl.depth": "model.depth",
        "data.split.trian": "data.split.train",
    }[got]
    with pytest.raises(InputError) as error:
        parse(RunConfig, ["--config", str(tmp_path / "c.yaml")])
    assert str(error.value) == f"expected an option that exists, got '{got}': did you mean '{right}'?"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--model.heads", "-1"], "expected model.heads of at least 1, got -1: correct it"),
        (["--model.patch", "[4,0]"], "expected model.patch of at least 1, got (4, 0): correct it"),
        (["--training.epochs", "0"], "expected training.epochs of at least 1, got 0: correct it"),
        (
            ["--training.learning_rate", "-1"],
            "expected training.learning_rate of at least 0, got -1.0: correct it",
        ),
        (["--evaluation.leads", "0"], "expected evaluation.leads of at least 1, got 0: correct it"),
        (["--data.stride", "0"], "expected data.stride of at least 1, got 0: correct it"),
    ],
)
def test_numbers_out_of_range(options: list[str], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        parse(RunConfig, options)
    assert str(error.value) == sentence


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="expected a configuration file, got no file .*none.yaml: check the path"
    ):
        parse(RunConfig, ["--config", str(tmp_path / "none.yaml")])
    (tmp_path / "c.yaml").write_text("model: [1\n")
    with pytest.raises(InputError, match="Problems parsing config"):
        parse(RunConfig, ["--config", str(tmp_path / "c.yaml")])
    with pytest.raises(
        InputError, match="expected a run folder with a config.yaml, got no .*: give the folder"
    ):
        load_config(RunConfig, tmp_path / "config.yaml")


def test_keys_and_nearest() -> None:
    keys = keys_of(RunConfig)
    assert {"name", "model", "model.depth", "data.split.train"} <= set(keys)
    assert nearest("training.epoch", keys) == "training.epochs"
    assert nearest("zzz", keys) is None


def test_dates_and_choices_survive_a_file(tmp_path: Path) -> None:
    text = "data: {split: {train: [1980-01-01, 1999-12]}, select: {plev: 500.5, member: r1}, stack: [level]}"
    (tmp_path / "c.yaml").write_text(text)
    config = parse(RunConfig, ["--config", str(tmp_path / "c.yaml")])
    assert config.data.split.train == ("1980-01-01", "1999-12")
    assert config.data.select == {"plev": 500.5, "member": "r1"}
    save_config(config, tmp_path / "again.yaml")
    assert load_config(RunConfig, tmp_path / "again.yaml") == config


def test_a_value_that_is_none_of_several_types() -> None:
    with pytest.raises(InputError) as caught:
        parse(DataConfig, ["--buffer", "much"])
    assert str(caught.value) == "expected buffer to be a float or an int, got much: correct the value"
