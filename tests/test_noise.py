"""Noise on the frames that a model learns from: what it disturbs, and what it adds to the loss by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gridvit.channels import Channels
from gridvit.config import ModelConfig, RunConfig, TrainingConfig
from gridvit.data.samples import Batch
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep
from gridvit.training.noise import short_waves
from gridvit.training.objectives import Labelled, Masked, NextStep
from gridvit.training_config import ObjectiveConfig

BIHARMONIC = {  # the textbook stencil of 13 cells; the root of the sum of its squares is 26
    (0, 0): 20,
    **dict.fromkeys([(1, 0), (-1, 0), (0, 1), (0, -1)], -8),
    **dict.fromkeys([(1, 1), (1, -1), (-1, 1), (-1, -1)], 2),
    **dict.fromkeys([(2, 0), (-2, 0), (0, 2), (0, -2)], 1),
}
OWN = ModelConfig(kind="own", patch=(1, 1))


class Scale(nn.Module):
    """f(x) = a x of the first channels, for as many outputs."""

    def __init__(self, a: float, outputs: int) -> None:
        super().__init__()
        self.a, self.outputs = nn.Parameter(torch.tensor(a)), outputs

    def forward(self, x: Tensor) -> Tensor:
        return self.a * x[:, : self.outputs]


def objective(grid: Grid, channels: Channels, spread: list[float], a: float = 0.0, **how: object) -> NextStep:
    """Of a scale; the variables have mean 0 and standard deviation 1."""
    count, outputs = len(channels.frame), len(channels.targets)
    numbers = torch.zeros(count), torch.ones(count), torch.tensor([spread])
    step = ModelStep(OWN, grid, channels, 1.0, *numbers, network=lambda *_: Scale(a, outputs))
    return NextStep(step, TrainingConfig(**how))


@pytest.mark.parametrize("shape", [(23,), (12, 17), (4, 5, 7)])
def test_a_wave_gets_the_square_of_its_laplacian(shape: tuple[int, ...]) -> None:
    xi, axes = torch.randn(3, 2, *shape, generator=torch.Generator().manual_seed(4)).double(), len(shape)
    found = short_waves(xi, axes)
    angles = torch.meshgrid(*(2 * torch.pi * torch.fft.fftfreq(n).double() for n in shape), indexing="ij")
    gain = torch.stack([2 - 2 * angle.cos() for angle in angles]).sum(0).square()
    expected = torch.fft.ifftn(
        torch.fft.fftn(xi, dim=tuple(range(2, 2 + axes))) * gain, dim=tuple(range(2, 2 + axes))
    )
    torch.testing.assert_close(found, expected.real / expected.real.square().mean().sqrt())


@pytest.mark.parametrize("how", [{"noise": 0.2}, {"grid_noise": 0.2}, {"noise": 0.12, "grid_noise": 0.16}])
def test_what_it_adds_to_the_loss_by_hand(how: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    """f = a (u + n s xi) against (d - n s xi) / s: the mean square grows by n^2 (1 + a s)^2; squares of noises add."""
    a, s, n, grid = 0.3, 0.5, 0.2, Grid.regular((101, 97))
    made = objective(grid, Channels(("u",)), [s], a, **how)
    u = torch.randn(8, 2, 1, 101, 97, generator=torch.Generator().manual_seed(2))
    u[:, 1] = u[:, 0] + 0.05 * u[:, 1]
    batch = Batch(u, torch.zeros(8).double())
    clean, noisy = (float(made.loss(each, []).detach()) for each in (batch, made.disturbed(batch)))
    # the cross term of clean errors and noise has a standard deviation of 2 sqrt(clean n^2 (1 + a s)^2 / cells)
    expected = n**2 * (1 + a * s) ** 2
    tolerance = 4 * 2 * (clean * expected / u[:, 0].numel()) ** 0.5
    assert tolerance < expected / 10
    assert noisy - clean == pytest.approx(expected, abs=tolerance)
    seen: list[Batch] = []
    monkeypatch.setattr(made, "minimised", lambda batch, shifts: seen.append(batch) or made.loss(batch, []))
    assert float(made.training_step(batch, 0).detach()) == pytest.approx(noisy)
    with torch.no_grad():
        made.validation_step(batch, 0)
    assert made.means["validate_loss"].value() == pytest.approx(clean)
    assert len(seen) == 1


def test_it_disturbs_what_the_model_starts_from_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two frames of history and a diagnostic, a forcing beside: u and v up to t, each by its own spread."""
    channels = Channels(("u", "v"), ("y",), history=2, forcing=("f",))
    made = objective(Grid.regular((61, 53)), channels, [0.5, 2.0, 1.0, 1.0], noise=0.1, seed=3)
    frames = torch.zeros(3, 3, 4, 61, 53)
    frames[:, 0, 0, :7] = torch.nan
    batch = Batch(frames, torch.zeros(3).double())
    found = made.disturbed(batch).frames
    assert torch.isnan(found[:, 0, 0, :7]).all()
    assert torch.equal(batch.frames[:, 1], torch.zeros(3, 4, 61, 53))
    assert not found[:, 2].any()
    assert not found[:, :, 2:].any()
    spreads = found[:, 1, :2].std((0, 2, 3))
    torch.testing.assert_close(spreads, torch.tensor([0.05, 0.2]), rtol=0.03, atol=0)
    assert torch.equal(made.disturbed(batch).frames[:, 1], found[:, 1])
    monkeypatch.setattr(NextStep, "global_step", 1)
    assert not torch.equal(made.disturbed(batch).frames[:, 1], found[:, 1])


def test_a_given_boundary_stays() -> None:
    grid = Grid.regular((13, 11), periodic=(False, False))
    made = objective(grid, Channels(("u",), boundary=2), [1.0], noise=1.0)
    found = made.disturbed(Batch(torch.zeros(1, 2, 1, 13, 11), torch.zeros(1).double())).frames[0, 0, 0]
    assert found[2:-2, 2:-2].abs().min() > 0
    found[2:-2, 2:-2] = 0
    assert not found.any()


def test_means_over_many_cells_have_white_noise_and_no_grid_noise() -> None:
    """The mean of 8 x 8 independent cells varies by an eighth; of the other only a rim is left."""
    grid, still = Grid.regular((256, 256)), Batch(torch.zeros(2, 2, 1, 256, 256), torch.zeros(2).double())
    spread = {}
    for how in ("noise", "grid_noise"):
        found = objective(grid, Channels(("u",)), [1.0], **{how: 1.0}).disturbed(still).frames[:, 0, 0]
        assert float(found.square().mean()) == pytest.approx(1.0, rel=0.03)
        spread[how] = float(found.reshape(2, 32, 8, 32, 8).mean((2, 4)).std())
    assert spread["noise"] == pytest.approx(1 / 8, rel=0.06)
    block = np.zeros((16, 16))
    block[4:12, 4:12] = 1.0
    expected = sum(weight * np.roll(block, offset, (0, 1)) for offset, weight in BIHARMONIC.items())
    assert spread["grid_noise"] == pytest.approx(float(np.linalg.norm(expected)) / 26 / 64, rel=0.06)


def test_what_has_no_use_for_it_is_refused() -> None:
    training = TrainingConfig(objective=ObjectiveConfig(kind="masked"), noise=0.5)
    sentence = "expected no training.noise for training.objective.kind {}, got 0.5: leave it out"
    with pytest.raises(InputError) as error:
        Masked.refuse(RunConfig(training=training), Channels(("u",)), {})
    assert str(error.value) == sentence.format("masked")
    training = replace(training, objective=ObjectiveConfig(kind="segmentation", classes=2))
    with pytest.raises(InputError) as error:
        Labelled.refuse(RunConfig(training=training), Channels(("u",), ("y",)), {})
    assert str(error.value) == sentence.format("segmentation")
    with pytest.raises(InputError, match=r"^expected training.noise of at least 0, got -1: correct it$"):
        TrainingConfig(noise=-1)
