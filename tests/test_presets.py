"""Presets: what each says, what gives way to what the user states, and the default network on every grid."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gridvit.cli import main
from gridvit.config import ModelConfig, RunConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ViT
from gridvit.parsing import load_config, parse, save_config
from gridvit.run.check import blocks_passed, kept_by_cells

NAMES = ("width", "depth", "heads", "embed", "decode", "channels", "between", "local")
PLAIN = ("linear", "linear", 24, 0, 0)
SAID = {
    "hybrid": (96, 2, 4, "conv", "conv", 16, 32, 3),
    "mini": (128, 4, 4, *PLAIN),
    "tiny": (192, 12, 3, *PLAIN),
    "small": (384, 12, 6, *PLAIN),
    "base": (768, 12, 12, *PLAIN),
}
GIVEN = {
    "width": 7,
    "depth": 3,
    "heads": 5,
    "embed": "conv",
    "decode": "conv",
    "channels": 11,
    "between": 13,
    "local": 5,
}
OTHER = {"embed": "linear", "decode": "linear", "between": 0, "local": 0}


def said(config: ModelConfig) -> tuple[Any, ...]:
    return tuple(getattr(config, name) for name in NAMES)


@pytest.mark.parametrize("preset", SAID)
def test_each_says_its_numbers_in_python_on_the_command_line_and_in_a_file(
    preset: Any, tmp_path: Path
) -> None:
    assert said(ModelConfig(preset=preset)) == SAID[preset]
    assert said(parse(RunConfig, ["--model.preset", preset]).model) == SAID[preset]
    (tmp_path / "c.yaml").write_text(f"model: {{preset: {preset}}}\n")
    assert said(parse(RunConfig, ["--config", str(tmp_path / "c.yaml")]).model) == SAID[preset]
    assert type(ModelConfig(preset=preset).local) is int


def test_the_default_is_the_hybrid() -> None:
    assert ModelConfig() == ModelConfig(preset="hybrid")
    assert parse(RunConfig, []) == RunConfig()


@pytest.mark.parametrize("preset", SAID)
def test_what_is_given_stays(preset: Any) -> None:
    assert said(ModelConfig(preset=preset, **GIVEN)) == tuple(GIVEN.values())
    others = ModelConfig(preset=preset, **OTHER)
    assert {name: getattr(others, name) for name in OTHER} == OTHER
    for name in ("width", "depth", "heads", "channels"):
        numbers = dict(zip(NAMES, SAID[preset], strict=True)) | {name: 17}
        assert said(ModelConfig(preset=preset, **{name: 17})) == tuple(numbers.values())


@pytest.mark.parametrize(
    ("how", "embed", "decode", "between"),
    [
        ({"tokens": "frame"}, "linear", "conv", 0),
        ({"tokens": "variable", "patch": (3,)}, "linear", "conv", 0),
        ({"sizes": (1, 3)}, "conv", "conv", 0),
        ({"embed": "linear"}, "linear", "conv", 0),
        ({"decode": "linear"}, "conv", "linear", 0),
        ({"patch": (4, 3)}, "conv", "conv", 0),
        ({"patch": (2,)}, "conv", "conv", 32),
        ({"levels": (2,)}, "conv", "conv", 32),
        ({"between": 0}, "conv", "conv", 0),
    ],
    ids=str,
)
def test_what_is_not_given_gives_way(how: dict[str, Any], embed: str, decode: str, between: int) -> None:
    made = ModelConfig(**how)
    assert (made.embed, made.decode, made.between) == (embed, decode, between)
    assert (made.channels, made.local) == (16, 3)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        (
            {"tokens": "frame", "embed": "conv"},
            "expected one embedding and one level for model.tokens frame, got model.embed conv: leave one of them out",
        ),
        (
            {"tokens": "variable", "levels": (2, 3)},
            "expected one embedding and one level for model.tokens variable, got model.levels [2, 3]: "
            "leave one of them out",
        ),
        (
            {"tokens": "frame", "between": 8},
            "expected model.embed conv, model.decode conv and model.sizes [1] where model.between is set, "
            "got linear, conv and [1]: correct them, or leave it out",
        ),
        (
            {"sizes": (1, 3), "between": 8},
            "expected model.embed conv, model.decode conv and model.sizes [1] where model.between is set, "
            "got conv, conv and [1, 3]: correct them, or leave it out",
        ),
        (
            {"preset": "tiny", "between": 8},
            "expected model.embed conv, model.decode conv and model.sizes [1] where model.between is set, "
            "got linear, linear and [1]: correct them, or leave it out",
        ),
        (
            {"patch": (5, 2), "between": 8},
            "expected an even model.patch where model.between is set, got [5, 2]: correct it, or leave it out",
        ),
        ({"between": -1}, "expected model.between of at least 0, got -1: correct it"),
        ({"channels": -2}, "expected model.channels of at least 1, got -2: correct it"),
    ],
    ids=str,
)
def test_what_is_given_and_excluded_is_refused(how: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        ModelConfig(**how)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (("between", "x"), "gridvit: expected model.between to be an int, got x: correct the value\n"),
        (("local", "x"), "gridvit: expected model.local to be an int, got x: correct the value\n"),
        (
            ("preset", "hybird"),
            "gridvit: expected model.preset to be one of 'hybrid', 'mini', 'tiny', 'small', 'base', got hybird: "
            "did you mean 'hybrid'?\n",
        ),
    ],
)
def test_other_values_are_refused(
    value: tuple[str, str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", f"--model.{value[0]}", value[1]]) == 2
    assert capsys.readouterr().err == sentence


@pytest.mark.parametrize(
    "how",
    [*({"preset": name} for name in SAID), {"tokens": "frame"}, {"patch": (3, 5)}, {"kind": "own"}],
    ids=str,
)
def test_written_and_read_again_it_is_the_same(how: dict[str, Any], tmp_path: Path) -> None:
    config = RunConfig(model=ModelConfig(**how))
    save_config(config, tmp_path / "config.yaml")
    assert "null" not in (tmp_path / "config.yaml").read_text()
    assert load_config(RunConfig, tmp_path / "config.yaml") == config
    assert ModelConfig(**asdict(config.model)) == replace(config.model) == config.model


@pytest.mark.parametrize(
    ("grid", "patch"),
    [
        (Grid.regular(24), (4,)),
        (Grid.regular((8, 12)), (4, 4)),
        (Grid.regular((4, 6, 8)), (2, 2, 4)),
        (Grid.regular((9, 10)), (3, 5)),
        (Grid.latlon(7, 12, poles=True), (4, 4)),
        (Grid.latlon(6, 10), (4, 2)),
        (Grid.regular((7, 11), periodic=False), (4, 4)),
        (Grid.regular((13, 8), periodic=(False, True)), (3, 4)),
    ],
    ids=["line", "plane", "space", "odd patch", "poles", "sphere", "walls", "channel"],
)
def test_the_default_network_learns_on_any_grid(grid: Grid, patch: tuple[int, ...]) -> None:
    torch.manual_seed(3)
    made = ViT(ModelConfig(patch=patch), grid, 2, 2)
    assert (made.merging is None) == any(cells % 2 for cells in patch)
    x = torch.randn(2, 2, *grid.shape)
    assert not made(x).any()  # persistence, untrained
    torch.nn.init.normal_(made.decode.weight, std=0.1)
    made(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())


@pytest.mark.parametrize(
    ("grid", "patch", "how"),
    [
        (Grid.regular((24, 40)), (8, 8), {}),
        (Grid.regular((24, 40)), (4, 4), {"between": 0}),
        (Grid.regular((24, 40)), (8, 8), {"decode": "linear"}),
        (Grid.regular(176), (4,), {}),
        (Grid.regular((8, 8, 12)), (4, 4, 4), {"local": 0}),
    ],
    ids=["plane", "not merged", "embed", "line", "space"],
)
def test_memory_is_estimated_to_a_factor_of_two(
    grid: Grid, patch: tuple[int, ...], how: dict[str, Any]
) -> None:
    config = ModelConfig(patch=patch, **how)
    made, kept = ViT(config, grid, 1, 1), {}
    weights = {w.untyped_storage().data_ptr() for w in [*made.parameters(), *made.buffers()]}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (
                storage.nbytes() / 4,
                tensor,
            )  # held, so that its place is not used again
        return tensor

    torch.nn.init.normal_(made.decode.weight)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        made(torch.randn(1, 1, *grid.shape)).square().mean()
    numbers = sum(count for count, _ in kept.values())
    said = blocks_passed(made) * config.width * 20 + grid.size * kept_by_cells(config, grid.ndim)
    assert numbers / 1.5 < said < numbers * 1.5


def test_the_help_names_the_presets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "--model.preset {hybrid,mini,tiny,small,base}" in shown
    assert "default: hybrid" in shown
    assert (
        "channels of a token; 0 for the preset's, as of depth, heads and channels. (type: int, default: 0)"
        in shown
    )
