"""Several tokens at each place: of frames or of variables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from attention_data import looked

from gridvit.channels import Channels
from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep, ViT
from gridvit.nn.attention import attention_weights, folded_attention
from gridvit.nn.bias import AreaWeighted, make_bias
from gridvit.nn.bias.groups import Grouped
from gridvit.nn.groups import by_place
from gridvit.nn.inputs import Inputs, grouped
from gridvit.nn.window import Window
from gridvit.rollout import Context
from gridvit.run.check import blocks_passed

TORUS, SPHERE = Grid.regular((4, 6), (2.0, 3.0)), Grid.latlon(5, 8, poles=True)
SMALL = ModelConfig(preset="mini", patch=(1, 2), width=48, depth=2, heads=3, tokens="variable")
GROUPS = Inputs((1,), (0.3,), ((0, 2), (1, 2)))
CHOICES = {
    "plain": SMALL,
    "registers and window": replace(SMALL, registers=2, window=1.1),
    "decoder of convolutions": replace(SMALL, decode="conv", channels=5, sizes=(1, 3)),
    "explicit": replace(SMALL, bias="linear", registers=1),
}


def biased(kind: str, grid: Grid, registers: int, gaps: bool) -> Grouped:
    torch.manual_seed(3)
    made = Grouped(make_bias(kind, grid, 2, 2, gaps, registers=registers), grid, 2, 3, registers)
    torch.nn.init.normal_(made.offset)
    return made


@pytest.mark.parametrize("registers", [0, 2])
@pytest.mark.parametrize(
    ("kind", "grid", "gaps"),
    [("distance", TORUS, False), ("distance", SPHERE, True), ("linear", TORUS, False)],
)
def test_logits_are_those_of_the_places_and_a_number_for_the_groups(
    kind: str, grid: Grid, gaps: bool, registers: int
) -> None:
    bias = biased(kind, grid, registers, gaps)
    inner, found = bias.inner.logits(), bias.logits()
    assert found.shape[-1] == registers + 3 * grid.size
    for i, g, j, k in ((0, 0, 0, 2), (1, 2, 3, 0), (4, 1, 2, 1)):
        query, key = registers + 3 * i + g, registers + 3 * j + k
        expected = inner[:, registers + i, registers + j] + bias.offset[:, g, k]
        torch.testing.assert_close(found[:, query, key], expected)
        torch.testing.assert_close(bias.logits(torch.tensor([query]))[:, 0], found[:, query])
    for register in range(registers):
        torch.testing.assert_close(found[:, register, registers + 7], inner[:, register, registers + 2])
        torch.testing.assert_close(found[:, registers + 7, register], inner[:, registers + 2, register])


@pytest.mark.parametrize("registers", [0, 2])
@pytest.mark.parametrize(("grid", "gaps"), [(TORUS, False), (SPHERE, True)], ids=["torus", "sphere"])
def test_fold_is_explicit_with_gradients(grid: Grid, gaps: bool, registers: int) -> None:
    bias = biased("distance", grid, registers, gaps).double()
    assert isinstance(bias.inner, AreaWeighted) == gaps
    share = torch.rand(2, grid.size, dtype=torch.float64) if gaps else None
    tokens = registers + 3 * grid.size
    query, key, value = torch.randn(3, 2, 2, tokens, 5, dtype=torch.float64)
    found = []
    for fused in (True, False):
        bias.zero_grad()
        fold = bias.fold(share)
        assert fold is not None
        assert fold[0].shape[-1] == bias.dims
        logits = bias.logits(share=share)
        out = (
            folded_attention(query, key, value, fold)
            if fused
            else attention_weights(query, key, logits) @ value
        )
        out.square().sum().backward()
        found.append([out.detach(), *(p.grad.clone() for p in bias.parameters())])
    assert float(found[0][1].abs().max()) > 1e-3
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_windows_hold_all_tokens_of_a_place() -> None:
    one, three = Window(TORUS, 1.1, 2), Window(TORUS, 1.1, 2, 3)
    near = one.near(torch.arange(26))[2:, 2:]
    every = three.near(torch.arange(2 + 72))
    assert every[:2].all()
    assert every[:, :2].all()
    assert torch.equal(every[2:, 2:], near.repeat_interleave(3, 0).repeat_interleave(3, 1))
    flat = torch.zeros(1, 1, 74, 1)
    fold = torch.zeros(1, 74, 0), torch.zeros(74, 0)
    reached = folded_attention(flat, flat, torch.eye(74)[None, None], fold, three)[0, 0] > 0
    assert torch.equal(reached, every)


def network(config: ModelConfig, grid: Grid, masks: slice | None = None) -> ViT:
    torch.manual_seed(5)
    if config.window and grid.is_sphere:
        config = replace(config, window=11000.0)
    made = ViT(config, grid, 3, 2, masks, GROUPS)
    weights = [made.decode.weight, made.skip.weight, *(bias.offset for bias in made.biases)]
    for weight in weights:
        torch.nn.init.normal_(weight, std=0.1)
    return made


def fields(grid: Grid, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, *grid.shape, generator=torch.Generator().manual_seed(6))


@pytest.mark.parametrize("config", CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize("grid", [TORUS, SPHERE], ids=["torus", "sphere"])
def test_fast_and_explicit_paths_shifts_and_maps(config: ModelConfig, grid: Grid) -> None:
    made, x = network(config, grid), fields(grid)
    seen: list[torch.Tensor] = []
    out = made(x)
    with torch.no_grad():
        torch.testing.assert_close(made(x, lambda _, w: seen.append(w) or w), out, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(made(x.roll(2, 3)).roll(-2, 3), out, atol=2e-5, rtol=1e-4)
    lead, tokens = config.registers, made.patches.tokens.size
    for block in (3, 256):
        parts = [w for layer, _, w in made.attention_maps(x, block) if layer == 1]
        maps = torch.cat(parts, 2)
        assert maps.shape == (2, 3, lead + tokens, lead + tokens)
        torch.testing.assert_close(maps[:, :, lead:, lead:], by_place(seen[1][..., lead:, lead:], 2))
        torch.testing.assert_close(maps.sum(-1), torch.ones(2, 3, lead + tokens))
    rows = [rows for layer, rows, _ in made.attention_maps(x, 3) if layer == 1]
    assert [row.start for row in rows] == [0, *(row.stop for row in rows[:-1])]
    assert looked(made, x, block=5)["attention_distance"].shape == (2, 3)


def test_weights_by_place_by_hand() -> None:
    weights = torch.tensor(
        [[0.1, 0.2, 0.3, 0.4], [0.5, 0.1, 0.2, 0.2], [0.25, 0.25, 0.25, 0.25], [0.0, 0.0, 0.0, 1.0]]
    )
    expected = torch.tensor([[(0.3 + 0.6) / 2, (0.7 + 0.4) / 2], [(0.5 + 0.0) / 2, (0.5 + 1.0) / 2]])
    torch.testing.assert_close(by_place(weights, 2), expected)


def test_a_token_has_the_inputs_of_its_group() -> None:
    made = network(SMALL, TORUS)
    x = fields(TORUS, 1).requires_grad_()
    for group, channels in ((0, [True, False, True]), (1, [False, True, True])):
        x.grad = None
        made.embed(x)[0, 2 * 5 + group].sum().backward()  # place 5 is row 1, columns 4 and 5
        inside = torch.zeros(3, 4, 6, dtype=torch.bool)
        inside[:, 1, 4:] = torch.tensor(channels)[:, None]
        assert torch.equal(x.grad[0] != 0, inside)


def test_inputs_of_frames_and_of_variables() -> None:
    # u, p now; u, p before; a mask of p at each frame; two that are given
    assert grouped("frame", 2, 2, [1, 3], 8) == ((0, 1, 4, 6, 7), (2, 3, 5, 6, 7))
    assert grouped("variable", 2, 2, [1, 3], 8) == ((0, 2, 6, 7), (1, 3, 4, 5, 6, 7))
    assert grouped("place", 2, 2, [1, 3], 8) == ()


@pytest.mark.parametrize("tokens", ["frame", "variable"])
def test_a_model_with_history_forcing_and_gaps(tokens: str) -> None:
    channels = Channels(("u", "p"), forcing=("f",), history=3, vector=("u",))
    config = replace(SMALL, tokens=tokens, width=60, heads=2, depth=1)
    presence = torch.ones(3, *SPHERE.shape)
    presence[1, 0] = 0.5
    numbers = torch.zeros(3), torch.ones(3), torch.ones(3)
    torch.manual_seed(2)
    step = ModelStep(config, SPHERE, channels, 1.0, *numbers, presence)
    assert step.network.groups == (3 if tokens == "frame" else 2)
    assert sorted({n for group in step.network.embed.groups for n in group}) == list(range(6 + 3 + 2))
    state, known = torch.randn(2, 6, *SPHERE.shape), torch.randn(2, 2, 1, *SPHERE.shape)
    state[:, 1, 0] = torch.nan
    context = Context(torch.zeros(2, dtype=torch.float64), known)
    after = step(state, context)
    torch.testing.assert_close(after[:, 0], state[:, 0])  # untrained
    torch.nn.init.normal_(step.network.decode.weight)
    weights = step.attention_weights(state, context)
    count = SPHERE.coarsen((1, 2)).size
    assert weights.shape == (2, 1, 2, count, count)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 1, 2, count))
    before = step(state, context).detach()
    for channel in range(6):
        moved = state.clone()
        moved[:, channel, 3, 2] += 1.0
        assert float((step(moved, context).detach() - before)[:, :2, 1].abs().max()) > 1e-4


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: grouped("frame", 2, 1, [], 2),
         "expected two or more frames for model.tokens frame, got 1: raise data.history, or take model.tokens place"),
        (lambda: grouped("variable", 1, 4, [], 4),
         "expected two or more variables for model.tokens variable, got 1: name more, or take model.tokens place"),
        (lambda: ViT(SMALL, TORUS, 2, 2),
         "expected the inputs of each token for model.tokens variable, got none: give groups"),
        (lambda: replace(SMALL, embed="conv"),
         "expected one embedding and one level for model.tokens variable, got model.embed conv: leave one of them out"),
        (lambda: replace(SMALL, levels=(2,)),
         "expected one embedding and one level for model.tokens variable, got model.levels [2]: leave one of them out"),
    ],
)  # fmt: skip
def test_tokens_that_do_not_fit_are_refused(make: object, sentence: str) -> None:
    with pytest.raises(InputError) as error:
        make()  # type: ignore[operator]
    assert str(error.value) == sentence


def test_no_offset_of_the_groups_at_first() -> None:
    made = ViT(SMALL, TORUS, 3, 2, None, GROUPS)
    inner = made.biases[0].inner.logits().detach().numpy()
    np.testing.assert_array_equal(made.biases[0].logits().detach(), np.kron(inner, np.ones((2, 2))))
    assert not made(fields(TORUS)).any()


def test_the_estimate_of_memory_counts_all_tokens_of_all_blocks() -> None:
    grouped_tokens = ViT(replace(SMALL, registers=3), TORUS, 3, 2, kinds=GROUPS)
    assert blocks_passed(grouped_tokens) == 2 * (12 * 2 + 3)  # two blocks, 12 places of two tokens, registers
    fine = replace(SMALL, tokens="place", patch=(1, 1), levels=(1,), harmonics=1)
    assert blocks_passed(ViT(fine, TORUS, 3, 2)) == 2 * 24 + 2 * 6  # before and after the global two
