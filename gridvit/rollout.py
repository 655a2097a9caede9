"""One verb for solvers, models and baselines: a step takes a state to the next, and a rollout repeats it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid


@dataclass(frozen=True)
class Context:
    """What a step may need besides the state.

    Args:
        time: ``(B,)`` float64, when each state holds: seconds since 1970, or since the start if undated.
        known: ``(B, T, K, *space)`` fields known at the time of the state and at the end of each coming step.
        condition: ``(B, P)`` numbers of each state's own that do not change, such as coefficients of the equation.
    """

    time: Tensor
    known: Tensor | None = None
    condition: Tensor | None = None

    def advanced(self, dt: float) -> Context:
        """The same a step of ``dt`` seconds later."""
        return replace(self, time=self.time + dt, known=None if self.known is None else self.known[:, 1:])

    def take(self, rows: Tensor | slice) -> Context:
        """The context of the chosen states, ``rows`` an index into the batch."""
        known, own = (held if held is None else held[rows] for held in (self.known, self.condition))
        return Context(self.time[rows], known, own)


@runtime_checkable
class Step(Protocol):
    """``u(t + dt) = F(u(t))`` on tensors ``(batch, variable, *space)`` over one grid.

    ``dt`` is in seconds, or in the time unit of the equation; ``variables`` names the second axis. A step
    treats each state of the batch alone, keeps its dtype and device, and changes nothing in place.
    """

    @property
    def grid(self) -> Grid:
        """Where the states live."""
        ...

    @property
    def dt(self) -> float:
        """Time from one state to the next."""
        ...

    @property
    def variables(self) -> tuple[str, ...]:
        """Names along the second axis."""
        ...

    def __call__(self, state: Tensor, context: Context | None = None) -> Tensor:
        """The state one ``dt`` later."""
        ...


@dataclass(frozen=True)
class Persistence:
    """``u(t + dt) = u(t)``: the forecast that every other must beat."""

    grid: Grid
    dt: float
    variables: tuple[str, ...]

    def __call__(self, state: Tensor, context: Context | None = None) -> Tensor:
        return state


def rollout(
    step: Step, state: Float[Tensor, "batch variable *space"], n: int, context: Context | None = None
) -> Float[Tensor, "batch time variable *space"]:
    """``u_0, u_1 = F(u_0), .., u_n``: ``n + 1`` states stacked along a time axis, the start included.

    Args:
        state: ``u_0``, ``(batch, variable, *space)`` on the step's grid.
        n: number of steps, at least 0.
        context: of ``u_0``; each step gets it advanced to its own time.

    Differentiable; under ``torch.no_grad()`` memory is that of the result. Raises ``InputError`` if the state
    does not live on the step's grid.
    """
    return torch.stack([*_states(step, state, n, context)], dim=1)


def repeat(
    step: Step, state: Float[Tensor, "batch variable *space"], n: int, context: Context | None = None
) -> Float[Tensor, "batch variable *space"]:
    """``u_n = F^n(u_0)``: as ``rollout``, the last state only."""
    return deque(_states(step, state, n, context), maxlen=1).pop()


def _states(step: Step, state: Tensor, n: int, context: Context | None) -> Iterator[Tensor]:
    check_state(step, state)
    if n < 0:
        raise InputError("at least 0 steps", f"{n}", "give a number of steps")
    yield state
    for _ in range(n):
        state = step(state, context)
        context = context and context.advanced(step.dt)
        yield state


def check_state(step: Step, state: Tensor) -> None:
    """Refuse a state that does not live on the step's grid or has other variables."""
    want = (len(step.variables), *step.grid.shape)
    if tuple(state.shape[1:]) != want:
        got = f"shape {tuple(state.shape)}"
        raise InputError(f"a state (batch, {', '.join(map(str, want))})", got, "use the step's own grid")
