"""Errors of labels as one number: area-weighted, over the cells and tokens that have a label."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from gridvit.nn.heads import Detected

HUBER = 0.1  # tokens, up to which an error of a place counts by its square


def cell_mean(
    values: Float[Tensor, "batch *space"],
    there: Bool[Tensor, "batch *space"],
    weights: Float[Tensor, "*space"],
) -> Float[Tensor, ""]:
    """mean over states of sum_x w v / sum_x w, x the cells that are ``there``; states without any do not enter."""
    area = (there * weights).flatten(1).sum(-1)
    total = (torch.where(there, values, 0.0) * weights).flatten(1).sum(-1)
    return (total / area.clamp(min=torch.finfo(area.dtype).tiny)).sum() / (area > 0).sum().clamp(min=1)


def cross_entropy(
    logits: Float[Tensor, "batch class *space"],
    labels: Float[Tensor, "batch *space"],
    weights: Float[Tensor, "*space"],
) -> Float[Tensor, ""]:
    """- mean of log softmax(z)_c, c the label of each cell; cells whose label is NaN do not enter."""
    there = ~torch.isnan(labels)
    return cell_mean(
        functional.cross_entropy(logits, labels.nan_to_num().long(), reduction="none"), there, weights
    )


def softened(
    logits: Float[Tensor, "batch class *space"],
    teacher: Float[Tensor, "batch class *space"],
    labels: Float[Tensor, "batch *space"],
    weights: Float[Tensor, "*space"],
    temperature: float | int,
) -> Float[Tensor, ""]:
    """T^2 mean of sum_c q_c log(q_c / p_c), q = softmax(teacher / T), p = softmax(z / T), where there is a label.

    Gradients of soft targets are of order T^-2, hence the factor: Hinton et al. (2015), arXiv:1503.02531, section 2.
    """
    p, q = (functional.log_softmax(each / temperature, 1) for each in (logits, teacher))
    divergence = (q.exp() * (q - p)).sum(1)
    return temperature**2 * cell_mean(divergence, ~torch.isnan(labels), weights)


def detection_error(
    found: Detected,
    present: Float[Tensor, "batch token"],
    offset: Float[Tensor, "batch token axis"],
) -> Float[Tensor, ""]:
    """(sum over tokens of the binary cross-entropy of presence + sum over things of Huber's of the offset) / things.

    The mean over things, not over tokens: most tokens are empty, and their number should not matter (Lin et al. 2017,
    arXiv:1708.02002, section 4). Tokens whose ``present`` is NaN do not enter. Without things it is the first sum.
    """
    there, things = ~torch.isnan(present), present == 1
    entropy = functional.binary_cross_entropy_with_logits(
        found.presence, present.nan_to_num(), reduction="none"
    )
    place = functional.smooth_l1_loss(found.offset, offset, reduction="none", beta=HUBER).sum(-1)
    total = torch.where(there, entropy, 0.0).sum() + torch.where(things, place, 0.0).sum()
    return total / things.sum().clamp(min=1)
