"""How far attention looks, with gradients and without a matrix of all pairs: a term that an objective may add."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.grid import Grid
from gridvit.nn.attention import Attention, Share
from gridvit.nn.bias.precision import exact
from gridvit.nn.hidden import present_areas
from gridvit.nn.vit import ViT


class Reach(nn.Module):
    """r_h = D_h^2 / D_uniform^2, D_h^2 = sum_i w_i sum_j A_ij |p_i - p_j|^2, of every head that attention passes.

    p are the places of the tokens where straight lines are chords: on the sphere in three dimensions, of a periodic
    axis on a circle, so that neither has an end. With |p_i|^2 - 2 p_i . p_j + |p_j|^2 the inner sum is attention with
    (p_j, |p_j|^2) as values: linear memory wherever attention is. w are the areas of the tokens, or of what a state
    has of them; D_uniform is that of A_ij = w_j, so r is 1 where attention is uniform, near 0 where it is local, and at
    most some 2. With ``model.levels`` it is that of the global level. Registers have no place: they are left out, and
    rows made to sum to one again.

    For logits q . k / sqrt(d) - s |p_i - p_j|^2 the slope dD^2 / ds is minus the variance of |p_i - p_j|^2 under A, at
    fixed q and k.

    Args:
        network: whose heads are looked at.
    """

    places: Tensor
    values: Tensor
    areas: Tensor

    def __init__(self, network: ViT) -> None:
        super().__init__()
        self.tokens, self.groups, self.lead = (
            network.patches.tokens,
            network.groups,
            network.config.registers,
        )
        places = torch.from_numpy(embedded(self.tokens))
        areas = present_areas(self.tokens, None)
        places = places - areas @ places
        places = places / (2 * areas @ places.square().sum(-1)).sqrt()  # D_uniform is 1, which rounds least
        values = torch.cat([places, places.square().sum(-1, keepdim=True), torch.ones(len(places), 1)], -1)
        values = values.repeat_interleave(self.groups, 0)
        none = values.new_zeros(self.lead, values.shape[-1])
        for name, value in (("places", places), ("values", torch.cat([none, values])), ("areas", areas)):
            self.register_buffer(name, value.float(), persistent=False)
        self.seen: list[Float[Tensor, "batch head"]] = []

    def see(self, attention: Attention, x: Float[Tensor, "batch token width"], share: Share) -> None:
        """Note r of the heads of a layer that is given ``x``, for each state."""
        with exact(x):
            self.seen.append(self._ratio(attention, x, share))

    def _ratio(self, attention: Attention, x: Tensor, share: Share) -> Float[Tensor, "batch head"]:
        looked = attention.average(x, self.values, share)[:, :, self.lead :]
        looked = looked.unflatten(2, (-1, self.groups)).mean(3)
        p, square, mass = looked[..., :-2], looked[..., -2], looked[..., -1].clamp(min=1e-6)
        here = self.places.square().sum(-1)
        distances = here + (square - 2 * (self.places * p).sum(-1)) / mass
        areas = self._areas(share)
        return (distances * areas[:, None]).sum(-1) / self._uniform(areas)[:, None]

    def _areas(self, share: Share) -> Float[Tensor, "_batch token"]:
        """Of sum one."""
        if share is None:
            return self.areas
        present = self.areas * share
        return present / present.sum(-1, keepdim=True).clamp(min=1e-6)

    def _uniform(self, areas: Float[Tensor, "_batch token"]) -> Float[Tensor, "_batch"]:
        """D_uniform^2 = 2 (<|p|^2> - |<p>|^2)."""
        spread = areas @ self.places.square().sum(-1) - (areas @ self.places).square().sum(-1)
        return (2 * spread).clamp(min=1e-6)

    def taken(self) -> Float[Tensor, ""]:
        """The mean over what was noted since the last call: heads, layers, states."""
        found, self.seen = torch.stack(self.seen).mean(), []
        return found


def embedded(grid: Grid) -> Float[np.ndarray, "cell k"]:
    """Places of the cells whose straight distances are chords: (L / pi) sin(pi d / L) along a periodic axis."""
    if grid.is_sphere:
        return grid.positions
    columns: list[np.ndarray] = []
    for x, length, turns in zip(grid.positions.T, grid.lengths, grid.periodic, strict=True):
        angle = 2 * np.pi * x / length
        columns += [length / (2 * np.pi) * f(angle) for f in (np.cos, np.sin)] if turns else [x]
    return np.stack(columns, -1)
