"""Blocks that are told numbers beside the field: coefficients of the equation, the lead."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.errors import InputError
from gridvit.rollout import Context

Told = Float[Tensor, "3 batch 1 width"]
Branches = tuple[Told | None, Told | None]
UNTOLD: Branches = (None, None)


class Conditioner(nn.Module):
    """(s, b, g) of both branches of each block = W_l SiLU(W SiLU(V c)), W_l zero at first: adaptive norm.

    A branch is then x + (1 + g) branch((1 + s) norm(x) + b), so an untrained conditioner changes nothing, whatever it
    is told. Reference: AdaLN-zero of Peebles and Xie (2023), arXiv:2212.09748, whose gates start closed; these start
    open, as the blocks that they belong to would without them.

    Args:
        conditions: numbers in c, of order one.
        width: channels of a token.
        depth: blocks.
    """

    def __init__(self, conditions: int, width: int, depth: int) -> None:
        super().__init__()
        self.conditions = conditions
        self.embed = nn.Sequential(
            nn.Linear(conditions, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.blocks = nn.ModuleList(nn.Linear(width, 6 * width) for _ in range(depth))
        for start in self.blocks.parameters():
            nn.init.zeros_(start)

    def forward(self, condition: Tensor | None) -> list[Branches]:
        """Of each block, what its two branches are told.

        Raises:
            InputError: no condition, or one of other numbers.
        """
        if condition is None or condition.ndim != 2 or condition.shape[1] != self.conditions:
            got = "none" if condition is None else f"shape {tuple(condition.shape)}"
            raise InputError(f"a condition (batch, {self.conditions})", got, "give one row for each state")
        told = self.embed(condition)
        parts = [block(told).unflatten(-1, (6, 1, -1)).movedim(1, 0) for block in self.blocks]
        return [(part[:3], part[3:]) for part in parts]


def normalised(
    names: Sequence[str], statistics: Float[Tensor, "2 parameter"], context: Context | None
) -> Float[Tensor, "batch parameter"]:
    """(p - mean) / std of the parameters that a context holds.

    Raises:
        InputError: a context without them.
    """
    if context is None or context.condition is None:
        raise InputError(
            f"{', '.join(dict.fromkeys(names))} of each state",
            "none",
            "give them as the condition of the context",
        )
    mean, std = statistics
    return (context.condition.to(statistics) - mean) / std


def with_lead(
    condition: Float[Tensor, "batch parameter"] | None, lead: float | int, inputs: Float[Tensor, "batch ..."]
) -> Float[Tensor, "batch told"]:
    """The condition with log(lead) as its last number, the lead in steps of the model."""
    column = inputs.new_full((len(inputs), 1), math.log(lead))
    return column if condition is None else torch.cat([condition.to(inputs), column], 1)


def refuse_one_lead(leads: Sequence[int]) -> None:
    """Of one lead there is nothing to be told.

    Raises:
        InputError: one lead.
    """
    if len(leads) < 2:
        raise InputError("several data.leads for model.leads condition", f"{list(leads)}", "leave it out")


def scaled(x: Float[Tensor, "batch token width"], told: Told | None) -> Float[Tensor, "batch token width"]:
    """(1 + s) x + b."""
    return x if told is None else x * (1 + told[0]) + told[1]


def gated(x: Float[Tensor, "batch token width"], told: Told | None) -> Float[Tensor, "batch token width"]:
    """(1 + g) x."""
    return x if told is None else x * (1 + told[2])
