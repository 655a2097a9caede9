"""Steps repeated: states in order, time passed on, strangers refused."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.rollout import Context, Persistence, Step, repeat, rollout

GRID = Grid.regular((5, 7))
STATE = torch.arange(3 * 2 * 5 * 7, dtype=torch.float64).reshape(3, 2, 5, 7)


@dataclass(frozen=True)
class Clock:
    """u' = 2 u + t, with t from the context where there is one."""

    grid: Grid
    dt: float = 0.5
    variables: tuple[str, ...] = ("u", "v")

    def __call__(self, state: Tensor, context: Context | None = None) -> Tensor:
        return 2 * state if context is None else 2 * state + context.time[:, None, None, None]


def test_rollout_holds_the_start_and_every_step() -> None:
    trajectory = rollout(Clock(GRID), STATE, 4)
    assert trajectory.shape == (3, 5, 2, 5, 7)
    for n in range(5):
        assert torch.equal(trajectory[:, n], 2**n * STATE)
    assert torch.equal(repeat(Clock(GRID), STATE, 4), trajectory[:, 4])


def test_no_steps_give_the_start() -> None:
    assert torch.equal(rollout(Clock(GRID), STATE, 0), STATE[:, None])
    assert torch.equal(repeat(Clock(GRID), STATE, 0), STATE)


def test_each_step_sees_its_own_time() -> None:
    start = Context(torch.tensor([0.0, 10.0, 100.0], dtype=torch.float64))
    trajectory = rollout(Clock(GRID), 0 * STATE, 3, start)
    # u_1 = t, u_2 = 2 t + (t + 1/2), u_3 = 2 u_2 + (t + 1), for t = 0, 10, 100.
    assert trajectory[:, 1:, 0, 0, 0].tolist() == [[0, 0.5, 2], [10, 30.5, 72], [100, 300.5, 702]]
    assert start.time.tolist() == [0, 10, 100]
    assert start.take(torch.tensor([2, 2, 0])).time.tolist() == [100, 100, 0]


def test_rollout_is_differentiable() -> None:
    state = STATE.clone().requires_grad_()
    rollout(Clock(GRID), state, 3).sum().backward()
    assert torch.equal(state.grad, torch.full_like(STATE, 1 + 2 + 4 + 8))


def test_persistence_is_a_step_that_stays() -> None:
    still = Persistence(GRID, 21600.0, ("u", "v"))
    assert isinstance(still, Step)
    assert isinstance(Clock(GRID), Step)
    assert not isinstance(GRID, Step)
    assert torch.equal(rollout(still, STATE, 2), torch.stack([STATE] * 3, dim=1))


def test_refusals() -> None:
    with pytest.raises(
        InputError, match=r"expected a state \(batch, 2, 5, 7\), got shape \(3, 2, 7, 5\): use the step's own"
    ):
        rollout(Clock(GRID), STATE.mT, 1)
    with pytest.raises(InputError, match=r"expected a state \(batch, 2, 5, 7\), got shape \(3, 1, 5, 7\)"):
        repeat(Clock(GRID), STATE[:, :1], 0)
    with pytest.raises(InputError, match="expected at least 0 steps, got -1: give a number of steps"):
        rollout(Clock(GRID), STATE, -1)
