"""A trained network as a Step: physical state in, physical state out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from gridvit.grid import Grid
from gridvit.nn.attention import Replace
from gridvit.nn.position import clock
from gridvit.nn.vit import ViT
from gridvit.rollout import Context


class ModelStep(nn.Module):
    """u(t + dt) = u(t) + sigma_d f((u(t) - mu) / sigma).

    Missing values (NaN) of a variable that has gaps are filled with ``mu``; the network is told where. Outside the
    domain of a variable (where training never had a value) the result is NaN, elsewhere it is a value.

    ``mu`` and ``sigma`` are mean and standard deviation of each variable, ``sigma_d`` the standard deviation of its
    increment over ``dt``, all of the training part and in the variable's unit.

    Args:
        network: normalised fields to normalised increments.
        variables: names, in channel order.
        dt: model step, in seconds or in the PDE's time unit.
        mean, std, increment_std: ``(C,)`` each.
        presence: ``(C, *space)``, share of the training part at which a cell has a value; 1 where absent.
    """

    mean: Tensor
    std: Tensor
    increment_std: Tensor
    presence: Tensor

    def __init__(
        self,
        network: ViT,
        variables: Sequence[str],
        dt: float,
        mean: Tensor,
        std: Tensor,
        increment_std: Tensor,
        presence: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.network, self.variables, self.dt = network, tuple(variables), float(dt)
        column = (-1, *([1] * network.grid.ndim))
        self.register_buffer("mean", mean.detach().clone().reshape(column).float())
        self.register_buffer("std", std.detach().clone().reshape(column).float())
        self.register_buffer("increment_std", increment_std.detach().clone().reshape(column).float())
        everywhere = torch.ones(len(self.variables), *network.grid.shape)
        self.register_buffer("presence", everywhere if presence is None else presence.detach().float())
        self.gappy = [c for c, share in enumerate(self.presence) if share.min() < 1]

    @property
    def grid(self) -> Grid:
        """Grid of the state."""
        return self.network.grid

    @property
    def token_grid(self) -> Grid:
        """Grid of the tokens."""
        return self.network.patches.tokens

    @property
    def domain(self) -> Bool[Tensor, "variable *space"]:
        """Where a variable has values."""
        return self.presence > 0

    def there(self, state: Float[Tensor, "batch variable *space"]) -> Bool[Tensor, "batch variable *space"]:
        """Where a state has values that count."""
        return ~torch.isnan(state) & self.domain

    def inputs(
        self, state: Float[Tensor, "batch variable *space"], context: Context | None = None
    ) -> Float[Tensor, "batch input *space"]:
        """The normalised state, masks of the variables that have gaps, and the clock where the network has one."""
        x = (state - self.mean) / self.std
        if self.gappy:
            there = self.there(state)
            x = torch.cat([torch.where(there, x, 0), there[:, self.gappy].to(x)], 1)
        if not self.network.config.clock:
            return x
        if context is None:
            raise ValueError("a network with a clock needs a context that holds the time")
        return torch.cat([x, clock(self.grid, context.time).to(x)], 1)

    def forward(
        self,
        state: Float[Tensor, "batch variable *space"],
        context: Context | None = None,
        attention: Replace | None = None,
    ) -> Float[Tensor, "batch variable *space"]:
        """One step of a physical state; ``attention`` sees and may replace the weights of every layer."""
        increment = self.increment_std * self.network(self.inputs(state, context), attention)
        if not self.gappy:
            return state + increment
        after = torch.where(self.there(state), state, self.mean) + increment
        return torch.where(self.domain, after, torch.nan)

    @torch.no_grad()
    def token_share(
        self, state: Float[Tensor, "batch variable *space"]
    ) -> Float[Tensor, "batch token"] | None:
        """Part of each token's area that has a value; none where that is always all of it."""
        return self.network.share(torch.cat([state, self.there(state)[:, self.gappy].to(state)], 1))

    @torch.no_grad()
    def attention_weights(
        self, state: Float[Tensor, "batch variable *space"], context: Context | None = None
    ) -> Float[Tensor, "batch layer head query key"]:
        """A of every layer and head at these states, from the explicit path; rows sum to one."""
        seen: list[Tensor] = []

        def keep(layer: int, weights: Tensor) -> Tensor:
            seen.append(weights)
            return weights

        self(state, context, attention=keep)
        return torch.stack(seen, 1)
