"""What each head makes of the cells of a token on the straight way: past all other layers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.errors import InputError
from gridvit.nn.block import Block, Gain
from gridvit.nn.looking import Condition
from gridvit.nn.vit import ViT


def without_kernels(network: ViT) -> str:
    """Why a network has no such kernels; nothing where it has."""
    config = network.config
    if config.levels or network.groups > 1:
        return "tokens of several levels, or several at a place, have no one way to the cells"
    straight = isinstance(network.embed, nn.Linear) and isinstance(network.decode, nn.Linear)
    if not straight or network.stem is not None:
        return "convolutions before or after the tokens mix cells of several patches"
    if config.local:
        return "convolutions beside attention mix tokens"
    return "the norm comes after the sum, on the straight way" if config.norm == "post" else ""


@torch.no_grad()
def head_kernels(
    network: ViT,
    x: Float[Tensor, "batch input *space"],
    condition: Condition = None,
    source: int = 0,
    target: int = 0,
) -> Float[Tensor, "layer head out in"]:
    r"""M_h = U N W_O^h W_V^h N_l E from cell to cell of a patch, of one input and one output of the network.

    E embeds, U decodes, W_V^h and W_O^h are a head's part of value and output, N_l and N the mean Jacobians over
    tokens and states of the norm before the layer and of the last norm, (I - 1 1^T / w - z z^T / w) g / s for
    z = (h - mean h) / s. Conditioning of the branches does not enter.

    Args:
        network: see ``without_kernels`` for those that have none.
        x: normalised inputs, at which the norms are taken.
        condition: what the network is told.
        source: input channel.
        target: output channel.

    Raises:
        InputError: a network without such kernels.
    """
    cells, embed, decode = network.patches.cells, network.embed, network.decode
    why = without_kernels(network)
    if why or not isinstance(embed, nn.Linear) or not isinstance(decode, nn.Linear):
        raise InputError("tokens that are linear in their cells", why, "take the Jacobian (probe)")
    layers: list[Block] = list(network.blocks)  # type: ignore[arg-type]
    states = network.features(x, range(len(layers) + 1), condition)
    part = slice(target * cells, (target + 1) * cells)
    last = decode.weight[part] @ norm_jacobian(network.norm, states[-1].patches)
    into = embed.weight[:, source * cells : (source + 1) * cells]
    kernels = []
    for block, before in zip(layers, states, strict=False):
        seen = norm_jacobian(block.norm_1, before.patches) @ into
        kernels.append(torch.stack([last @ each @ seen for each in head_matrices(block)]))
    return torch.stack(kernels)


def head_matrices(block: Block) -> list[Float[Tensor, "width _width"]]:
    """g W_O^h W_V^h of every head."""
    attention, gain = block.attention, block.gain_1
    value, out = attention.value.weight, attention.out.weight
    out = gain.gain[:, None] * out if isinstance(gain, Gain) else out
    size = len(value) // attention.heads
    parts = [slice(h * size, (h + 1) * size) for h in range(attention.heads)]
    return [out[:, part] @ value[part] for part in parts]


def norm_jacobian(
    norm: nn.LayerNorm, tokens: Float[Tensor, "batch token width"]
) -> Float[Tensor, "width width"]:
    """The mean over tokens and states of d norm(h) / dh."""
    flat = tokens.flatten(0, 1)
    centred = flat - flat.mean(-1, keepdim=True)
    scale = (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt()
    z, width = centred / scale, flat.shape[-1]
    spread = torch.eye(width).to(flat) - 1 / width
    mean = spread * (1 / scale).mean() - (z / scale).T @ z / (len(flat) * width)
    return norm.weight[:, None] * mean
