"""What the command line says of the equations that can be simulated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gridvit.cli import main
from gridvit.data.simulate_list import _shaded
from gridvit.physics import EQUATIONS


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["simulate", "--list", *arguments]) == 0
    return capsys.readouterr().out


def test_all_are_listed_with_equation_parameters_and_picture(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys)
    for name in EQUATIONS:
        assert f"\n{name}\n" in f"\n{text}"
    assert (
        "u_t = div(D grad u): differences even out.\n  parameters: diffusivity = 0.2\n  stable step: 1.25 by ssprk3\n"
        in text
    )
    assert text.count(" | ") >= 12 * len(EQUATIONS) / 2


def test_one_is_described_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "burgers")
    for part in (
        "viscosity: nu, length^2 / time, not negative.",
        "Good values:",
        "Below that the central flux oscillates",
        "variables:   u, v",
        "scheme:      ssprk3 (of euler, heun, ssprk3, rk4, etdrk4, ars222, ars443)",
        "boundary:    periodic, dirichlet, neumann, wall, open",
        "stable step: 0.1 by ssprk3",  # 1 / (4 + 4 + 2 * 0.5 + 2 * 0.5), |u| at most four
    ):
        assert part in text, part
    assert "Raises:" not in text


def test_the_boundaries_that_are_offered_are_those_that_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert "boundary:    periodic, dirichlet\n" in said(capsys, "vorticity")  # free slip alone
    assert "boundary:    periodic\n" in said(capsys, "korteweg-de-vries")  # waves would not keep their images
    assert "boundary:    none\n" in said(capsys, "sphere-diffusion")


def test_an_unknown_equation_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--list", "burger"]) == 2
    assert "got 'burger': use 'burgers'" in capsys.readouterr().err


def test_a_picture_is_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    assert str(path) in said(capsys, "advection", "--picture", str(path))
    assert path.read_bytes().startswith(b"\x89PNG")
    assert main(["simulate", "--list", "advection", "--picture", str(path)]) == 2
    assert "expected an output that does not exist yet" in capsys.readouterr().err
    assert main(["simulate", "--list", "--picture", str(path)]) == 2
    assert "expected an equation to draw, got none" in capsys.readouterr().err


def test_shades_go_from_low_to_high() -> None:
    assert _shaded(np.array([[0.0, 1.0], [2.0, 9.0]]), 2, 2) == [" .", ":@"]
    assert _shaded(np.ones((2, 3)), 2, 3) == ["   ", "   "]
