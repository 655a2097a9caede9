"""Configuration: YAML and options to dataclasses and back; wrong keys get the nearest right one."""

from __future__ import annotations

from dataclasses import dataclass
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
    odd = "model.between"  # odd patches have no merged cells
    assert differences(config, RunConfig()) == ["data.periodic", "model.patch", odd, "training.shift"]
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
    with pytest.raises(InputError, match=r"expected YAML in .*c.yaml, got a mistake in line 2, column 1 \("):
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


BAD = {
    "objective": (
        "training: {objective: {kind: unroled}}",
        "training.objective.kind to be one of 'next-step', ",
        "got unroled: did you mean 'unrolled'?",
    ),
    "upper case": (
        "training: {precision: BF16}",
        "training.precision to be one of '32', 'bf16', '16'",
        "got BF16: did you mean 'bf16'?",
    ),
    "number for a word": (
        "training: {precision: 16}",
        "training.precision to be one of '32', 'bf16', '16'",
        "got 16: put it in quotes, '16'",
    ),
    "number for text": ("name: 3", "name to be text", "got 3: put it in quotes, '3'"),
    "word for a list": (
        "model: {features: latitude}",
        "model.features to be a list",
        "got latitude: write a list, [latitude]",
    ),
    "fraction": ("model: {depth: 2.5}", "model.depth to be an int", "got 2.5: correct the value"),
    "nested key": (
        "training: {objective: {knd: unrolled}}",
        "an option that exists",
        "got 'training.objective.knd': did you mean 'training.objective.kind'?",
    ),
    "section elsewhere": (
        "logger: {kind: wandb}",
        "an option that exists",
        "got 'logger.kind': did you mean 'training.logger.kind'?",
    ),
    "unknown section": (
        "training: {optimizer: {lr: 1}}",
        "an option that exists",
        "got 'training.optimizer.lr': see --help for the options",
    ),
    "class path": (
        "model: {class_path: os.system}",
        "an option that exists",
        "got 'class_path': see --help for the options",
    ),
    "nothing": ("", "options in c.yaml", "got nothing: write options in it, such as data: {path: FILE}"),
    "a comment": (
        "# nothing",
        "options in c.yaml",
        "got nothing: write options in it, such as data: {path: FILE}",
    ),
    "a list": ("- a", "options in c.yaml", "got list ['a']: write options in it, such as data: {path: FILE}"),
    "empty section": (
        "model:",
        "options under model in c.yaml",
        "got nothing: see --help for those of model, or leave it out",
    ),
    "section is a number": (
        "training: 3",
        "options under training in c.yaml",
        "got 3: see --help for those of training, or leave it out",
    ),
    "section is a word": (
        "training: {objective: unrolled}",
        "options under training.objective in c.yaml",
        "got 'unrolled': see --help for those of training.objective, or leave it out",
    ),
    "null": (
        "training: {epochs: null}",
        "a value of training.epochs in c.yaml",
        "got nothing: give it one, or leave it out",
    ),
    "twice": (
        "name: a\nname: b",
        "YAML in c.yaml",
        "got a mistake in line 2, column 1 ('name' a second time): correct it there",
    ),
    "two colons": (
        "name: a: b",
        "YAML in c.yaml",
        "got a mistake in line 1, column 8 (mapping values are not allowed here): correct it there",
    ),
    "another encoding": (
        "name: caf\udce9",
        "text in UTF-8 in c.yaml",
        "got byte 9 of something else: save it as such",
    ),
    "index without region": (
        "data: {indices: {nino: {variable: sst}}}",
        "the arguments region in data.indices",
        "got none: add them, see --help",
    ),
    "index is a number": (
        "data: {indices: {nino: 3}}",
        "variable and region under each name in data.indices",
        "got 3: see --help for an example",
    ),
    "index key": (
        "data: {indices: {nino: {variable: sst, regoin: {lat: [0, 1]}}}}",
        "an option that exists in data.indices",
        "got 'regoin': did you mean 'region'?",
    ),
    "not a number": (
        "training: {learning_rate: .nan}",
        "training.learning_rate of at least 0",
        "got nan: correct it",
    ),
    "infinite": ("training: {clip: .inf}", "training.clip of at least 0 and finite", "got inf: correct it"),
    "seed": (
        "training: {seed: 4294967296}",
        "training.seed below 2^32",
        "got 4294967296: take a smaller one",
    ),
    "outside root": (
        "name: ../a",
        "the name of a folder within root",
        "got '../a': take another --name, or --root",
    ),
    "no name": ("name: ''", "the name of a folder within root", "got '': take another --name, or --root"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    text, expected, got = BAD[name]
    Path("c.yaml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError) as error:
        parse(RunConfig, ["--config", "c.yaml"])
    assert str(error.value).startswith(f"expected {expected}"), error.value
    assert str(error.value).endswith(f", {got}"), error.value


def test_a_section_on_the_command_line_is_no_option() -> None:
    with pytest.raises(InputError) as error:
        parse(RunConfig, ["--training.objective", "unrolled"])
    assert str(error.value) == (
        "expected options under training.objective, got 'unrolled': did you mean --training.objective.kind unrolled?"
    )


def test_an_option_that_may_be_nothing_may_be_so_in_a_file(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Job:
        nodes: int | None = None
        time: str = "1:00"

    (tmp_path / "job.yaml").write_text("nodes: null\n")
    assert parse(Job, ["--config", str(tmp_path / "job.yaml")]) == Job()
