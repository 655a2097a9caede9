"""Earlier frames seen as differences of frames that follow each other."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gridvit.channels import Channels
from gridvit.config import ModelConfig
from gridvit.errors import InputError


def differences(
    x: Float[Tensor, "batch frame_variable *space"], frames: int, by: Float[Tensor, "variable *column"]
) -> Float[Tensor, "batch frame_variable *space"]:
    """x(t), then g (x(t) - x(t - 1)), g (x(t - 1) - x(t - 2)), ..: what the frames say, in numbers of order one.

    Frames a short step apart are nearly the same, and what tells them apart is small: an optimiser that moves all
    weights alike is slow to find it there.

    Args:
        x: normalised frames, the latest first.
        frames: how many.
        by: g of each variable, from ``gain``: differences are then in units of the increments.
    """
    each = x.unflatten(1, (frames, -1))
    return torch.cat([each[:, :1], by * (each[:, :-1] - each[:, 1:])], 1).flatten(1, 2)


def gain(
    std: Float[Tensor, "variable *column"], increment_std: Float[Tensor, "variable *column"]
) -> Float[Tensor, "variable *column"]:
    """g = sigma / sigma_d; 1 of what does not change from frame to frame."""
    return std / torch.where(increment_std > 0, increment_std, std)


def both(
    there: Bool[Tensor, "batch frame_variable *space"], frames: int
) -> Bool[Tensor, "batch frame_variable *space"]:
    """Where x(t) has a value, and where both terms of each difference have one."""
    each = there.unflatten(1, (frames, -1))
    return torch.cat([each[:, :1], each[:, :-1] & each[:, 1:]], 1).flatten(1, 2)


def refuse_one_frame(config: ModelConfig, channels: Channels) -> None:
    """Differences need two frames."""
    if config.earlier == "differences" and channels.history == 1:
        raise InputError(
            "two or more frames for model.earlier differences",
            "1",
            "raise data.history, or leave model.earlier out",
        )
