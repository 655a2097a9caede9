"""A step with history, forcings, diagnostics, predictors, several leads and a boundary: each enters where it should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from gridvit.channels import Channels
from gridvit.config import ModelConfig, TrainingConfig
from gridvit.data.samples import Batch
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep
from gridvit.nn.position import rim
from gridvit.rollout import Context, check_state, rollout
from gridvit.training.objectives import NextStep

GRID = Grid.regular((4, 6), periodic=(False, True))
CONFIG = ModelConfig(preset="mini", patch=(2, 2), width=24, depth=1, heads=2)
ALL = Channels(("u",), ("y", "i"), ("p",), ("f",), ("s",), index=("i",), history=3)


def step_of(channels: Channels, presence: Tensor | None = None, random: bool = True) -> ModelStep:
    """Statistics that differ in every channel; weights random everywhere, or zero in the decoder."""
    torch.manual_seed(3)
    count, leads = len(channels.frame), len(channels.leads)
    mean, std = torch.arange(count) + 0.5, torch.arange(count) * 0.25 + 1
    increment = (torch.arange(leads * count).reshape(leads, count) + 1) * 0.1
    static = torch.randn(len(channels.static), *GRID.shape)
    step = ModelStep(CONFIG, GRID, channels, 1.0, mean, std, increment, presence, static).double()
    if random:
        for weight in (step.network.decode.weight, step.network.skip.weight):
            torch.nn.init.normal_(weight, std=0.1)
    return step.eval()


def made(channels: Channels, batch: int = 2, ends: int = 2) -> tuple[Tensor, Context]:
    generator = torch.Generator().manual_seed(8)
    state = torch.randn(batch, len(channels.state), *GRID.shape, generator=generator, dtype=torch.float64)
    count = len(channels.known_places)
    known = torch.randn(batch, ends, count, *GRID.shape, generator=generator, dtype=torch.float64)
    return state, Context(torch.zeros(batch, dtype=torch.float64), known if count else None)


def test_untrained_keeps_what_moves_and_gives_the_mean_of_what_it_cannot_see() -> None:
    step = step_of(ALL, random=False)
    state, context = made(ALL)
    check_state(step, state)
    after = step(state, context)
    u, y, i, p, u1, p1, _, _ = state.unbind(1)
    names = dict(zip(step.variables, after.unbind(1), strict=True))
    assert list(names) == ["u", "y", "i", "p", "u@-1", "p@-1", "u@-2", "p@-2"]
    assert torch.equal(names["u"], u)
    assert torch.equal(names["y"], torch.full_like(y, 1.5))
    assert torch.equal(names["i"], torch.full_like(i, 2.5))
    moved = {"p": p, "u@-1": u, "p@-1": p, "u@-2": u1, "p@-2": p1}
    assert all(torch.equal(names[name], field) for name, field in moved.items())


def test_what_is_seen_moves_the_result_and_what_is_not_does_not() -> None:
    step = step_of(ALL)
    state, context = made(ALL, ends=3)
    before = step(state, context)

    def moves(state: Tensor, context: Context) -> bool:
        return bool((step(state, context) - before)[:, :3].detach().abs().max() > 1e-3)

    assert context.known is not None
    for channel, name in enumerate(step.variables):
        bumped = state.clone()
        bumped[:, channel] += 1.0
        assert moves(bumped, context) == (name not in ("y", "i")), name
    for end, seen in ((0, True), (1, True), (2, False)):
        known = context.known.clone()
        known[:, end] += 1.0
        assert moves(state, replace(context, known=known)) == seen


def test_static_fields_and_the_index() -> None:
    step = step_of(ALL)
    state, context = made(ALL)
    before = step(state, context).detach()
    assert float((before[:, 2] - before[:, 2, :1, :1]).abs().max()) < 1e-12
    step.static += 1.0
    assert float((step(state, context).detach() - before)[:, :3].abs().amax((0, 2, 3)).min()) > 1e-3
    # the index is mu + sigma times the area mean of the network's output for it
    f = step.network(step.inputs(state, context))[:, 2]
    area = torch.tensor(GRID.areas / GRID.areas.sum())
    torch.testing.assert_close(step(state, context)[:, 2, 1, 1], 2.5 + 1.5 * (f * area).sum((1, 2)))


def test_a_rollout_with_history_is_told_each_forcing_in_turn() -> None:
    channels = replace(ALL, predictor=(), diagnostic=(), index=())
    step = step_of(channels)
    state, context = made(channels, ends=4)
    whole = rollout(step, state, 3, context)
    assert context.known is not None
    here = state
    for n in range(3):
        here = step(here, Context(context.time + n, context.known[:, n : n + 2]))
        torch.testing.assert_close(whole[:, n + 1], here)
    torch.testing.assert_close(whole[:, 3, 1:3, ...], whole[:, [2, 1], 0])
    sentence = (
        "expected f at both ends of each step, got none at the end of the last: give forcings that cover"
    )
    with pytest.raises(InputError, match=sentence):
        rollout(step, state, 4, context)


def test_the_state_is_read_off_frames() -> None:
    step = step_of(ALL)
    frames = torch.arange(5.0).reshape(1, 1, 5, 1, 1) + 10 * torch.arange(4.0).reshape(1, 4, 1, 1, 1)
    frames = frames.expand(2, 4, 5, *GRID.shape)
    assert step.state_of(frames)[0, :, 0, 0].tolist() == [20, 21, 22, 23, 10, 13, 0, 3]
    assert step.known_of(frames[:, 2:])[1, :, :, 0, 0].tolist() == [[24], [34]]


def test_several_leads_each_in_its_own_unit() -> None:
    channels = Channels(("u", "v"), leads=(2, 4, 8))
    step = step_of(channels)
    state, _ = made(channels)
    f = step.network(step.inputs(state)).unflatten(1, (3, 2))
    unit = torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]).double().reshape(3, 2, 1, 1)
    torch.testing.assert_close(step.predict(state), state[:, None] + unit * f)
    assert torch.equal(step(state), step.predict(state)[:, 0])


def test_the_loss_of_an_untrained_model_is_that_of_persistence_and_of_the_mean() -> None:
    channels = Channels(("u",), ("y",), history=2, leads=(1, 3))
    step = step_of(channels, random=False)
    frames = torch.randn(5, 4, 2, *GRID.shape, dtype=torch.float64)
    found = (
        NextStep(step, TrainingConfig()).double().loss(Batch(frames, torch.zeros(5, dtype=torch.float64)), [])
    )
    u, y = frames[:, :, 0], frames[:, :, 1]
    expected = [(((u[:, 1 + n] - u[:, 1]) / s) ** 2).mean() for n, s in ((1, 0.1), (2, 0.3))]
    expected += [(((y[:, 1 + n] - 1.5) / 1.25) ** 2).mean() for n in (1, 2)]
    torch.testing.assert_close(found.detach(), torch.stack(expected).mean(), atol=1e-6, rtol=1e-6)


def test_the_boundary_is_given_and_not_learned() -> None:
    channels = Channels(("u",), ("y",), forcing=("f",), boundary=1)
    step = step_of(channels)
    state, context = made(channels)
    edge = torch.zeros(GRID.shape, dtype=torch.bool)
    edge[0], edge[-1] = True, True  # x is periodic
    assert torch.equal(torch.from_numpy(rim(GRID, 1)), edge)
    after = step(state, context)
    assert context.known is not None
    assert torch.equal(after[:, 0, edge], context.known[:, 1, 1, edge])
    assert not torch.isclose(after[:, 1, edge], context.known[:, 1, 1, edge]).any()
    # what lies inside is not told, what lies at the edge is seen
    inside, outside = context.known.clone(), context.known.clone()
    inside[:, 1, 1, ~edge] += 1.0
    outside[:, 1, 1, edge] += 1.0
    assert torch.equal(step(state, replace(context, known=inside)), after)
    moved = (step(state, replace(context, known=outside)) - after)[:, :, ~edge].detach()
    assert float(moved.abs().max()) > 1e-3

    frames = torch.randn(3, 2, 3, *GRID.shape, dtype=torch.float64)
    untrained = step_of(channels, random=False)
    loss = NextStep(untrained, TrainingConfig()).double()
    found = loss.loss(Batch(frames, torch.zeros(3, dtype=torch.float64)), []).detach()
    u = ((frames[:, 1, 0] - frames[:, 0, 0])[:, ~edge] / 0.1).square().mean()
    y = ((frames[:, 1, 1] - 1.5) / 1.25).square().mean()
    torch.testing.assert_close(found, (u + y) / 2, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("grid", "width"), [(Grid.regular((4, 6)), 1), (Grid.latlon(5, 8), 1), (GRID, 2)])
def test_a_boundary_needs_walls_and_an_inside(grid: Grid, width: int) -> None:
    with pytest.raises(
        InputError, match=r"expected walls for data.boundary, got (none|2 cells, which leaves nothing)"
    ):
        rim(grid, width)


def test_a_regional_grid_has_four_walls_and_a_pole_is_none() -> None:
    axes = {"names": ("latitude", "longitude"), "units": ("degrees_north", "degrees_east"), "radius": 6371.0}
    region = Grid.from_centers((np.arange(40, 50.0), np.arange(10, 22.0)), periodic=(False, False), **axes)
    assert rim(region, 2).sum() == 10 * 12 - 6 * 8
    cap = Grid.from_centers((np.arange(80.5, 90), np.arange(0, 360, 30.0)), periodic=(False, True), **axes)
    assert rim(cap, 1).sum(1).tolist() == [12] + [0] * 9


def test_gaps_of_what_is_seen_given_and_predicted() -> None:
    channels = Channels(("u",), ("y",), ("p",), ("f",), history=2)
    presence = torch.ones(4, *GRID.shape)
    presence[:, 1] = 0.5
    presence[1, 3] = 0.0
    step = step_of(channels, presence)
    state, context = made(channels)
    holes, known = state.clone(), context.known.clone() if context.known is not None else None
    assert known is not None
    holes[:, 0, 1, 2], holes[:, 3, 1, 2], holes[:, 2, 1, 3], known[:, :, 0, 1] = [torch.nan] * 4
    after = step(holes, Context(context.time, known))
    assert torch.isnan(after[:, 1, 3]).all()
    assert not torch.isnan(after[:, :2, :3]).any()
    filled = holes.clone()
    filled[:, 0, 1, 2], filled[:, 3, 1, 2], filled[:, 2, 1, 3] = (
        0.5,
        0.5,
        2.5,
    )  # the means: but told as values
    moved = (step(filled, context) - after)[:, :2].nan_to_num().detach()
    assert float(moved.abs().max()) > 1e-4
    # a gap is the same whatever stood there: inputs hold zeros, and masks say so
    assert not torch.isnan(step.inputs(holes, Context(context.time, known))).any()
