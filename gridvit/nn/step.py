"""A trained network as a Step: physical state in, physical state out."""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from gridvit.channels import Channels
from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.attention import Replace
from gridvit.nn.companion import following
from gridvit.nn.conditioning import normalised, refuse_one_lead, with_lead
from gridvit.nn.differences import both, differences, gain, refuse_one_frame
from gridvit.nn.features import count, features
from gridvit.nn.groups import by_place
from gridvit.nn.indices import with_means
from gridvit.nn.inputs import Inputs, grouped, successive
from gridvit.nn.moving import moved_step
from gridvit.nn.own import Network, Own, without_attention
from gridvit.nn.position import rim, with_rim
from gridvit.nn.vit import Look, ViT
from gridvit.rollout import Context


class ModelStep(nn.Module):
    """u(t + dt) = u(t) + sigma_d f(x), y(t + dt) = mu + sigma f(x), x the normalised state and what is given beside it.

    u are the prognostic variables and y the diagnostic ones, one output of f for each and for every lead; see
    ``Channels``. An index is the area mean of its output. Predictors stay as they are, earlier frames move up by one.
    Cells of the boundary get the values that the context knows.

    Missing values (NaN) of a variable that has gaps are filled with ``mu``; the network is told where. Outside the
    domain of a variable (where training never had a value) the result is NaN, elsewhere it is a value.

    Of ``channels.parameters`` the context holds the numbers of each state; the network is told them in units of their
    spread, by ``parameter_statistics (2, P)``, mean and standard deviation over the training part.

    Args:
        config: of the network.
        grid: of the fields.
        channels: what is predicted from what.
        dt: model step, in seconds or in the PDE's time unit.
        mean: ``(V,)`` mu of the variables of a frame, in the variable's unit and over the training part.
        std: ``(V,)`` sigma likewise.
        increment_std: ``(L, V)`` sigma_d, of u(t + lead) - u(t).
        presence: ``(V, *space)``, share of the training part at which a cell has a value; 1 where absent.
        static: ``(K, *space)`` fields that do not move, normalised, without missing values.
        calendar: of the times that the context tells.
        network: in the place of the transformer; see ``Own``.
    """

    mean: Tensor
    std: Tensor
    increment_std: Tensor
    presence: Tensor
    static: Tensor
    parameter_statistics: Tensor

    def __init__(
        self,
        config: ModelConfig,
        grid: Grid,
        channels: Channels,
        dt: float,
        mean: Tensor,
        std: Tensor,
        increment_std: Tensor,
        presence: Tensor | None = None,
        static: Tensor | None = None,
        calendar: str = "standard",
        network: Network | None = None,
    ) -> None:
        super().__init__()
        self.channels, self.dt, self.calendar = channels, float(dt), calendar
        self.variables = channels.state
        cells = (1,) * grid.ndim
        self.register_buffer("mean", mean.detach().clone().reshape(-1, *cells).float())
        self.register_buffer("std", std.detach().clone().reshape(-1, *cells).float())
        leads = (len(channels.leads), -1, *cells)
        self.register_buffer("increment_std", increment_std.detach().clone().reshape(leads).float())
        everywhere = torch.ones(len(channels.frame), *grid.shape)
        self.register_buffer("presence", everywhere if presence is None else presence.detach().float())
        none = torch.zeros(0, *grid.shape)
        self.register_buffer("static", none if static is None else static.detach().clone().float())
        if channels.parameters:
            standard = torch.tensor([[0.0], [1.0]]).repeat(1, len(channels.parameters))
            self.register_buffer("parameter_statistics", standard)
        self._place(grid)
        self.network = self._network(config, grid, network)

    def _place(self, grid: Grid) -> None:
        """Where in a frame, a state and the known fields each channel is found."""
        channels = self.channels
        now, inputs = len(channels.now), channels.input_places
        self.source = channels.state_places
        self.seen = inputs + list(range(now, len(channels.state)))
        gaps = [share.min() < 1 for share in self.presence]
        self.gappy = [n for n in self.seen if gaps[self.source[n]]]
        self.forcings = list(range(now, len(channels.frame)))
        self.gappy_forcings = [n for n, v in enumerate(self.forcings) if gaps[v]]
        self.given = torch.from_numpy(rim(grid, channels.boundary)) if channels.boundary else None
        targets = len(channels.targets)
        self.complete = self.given is None and not self.gappy and not any(gaps[:targets])
        self.indices = [n for n, name in enumerate(channels.targets) if name in channels.index]

    def on(self, grid: Grid) -> ModelStep:
        """The same step on another grid, its statistics as they are; see ``ViT.on``.

        Raises:
            InputError: gaps, static fields or a given boundary, which are of the model's own cells; what ``ViT.on``
                refuses.
        """
        return moved_step(self, grid)

    def _network(self, config: ModelConfig, grid: Grid, own: Network | None) -> ViT | Own:
        state = len(self.seen)
        masks = slice(state, 2 * state) if len(self.gappy) == state else None
        known = 2 * (len(self.forcings) + len(self.gappy_forcings))
        rim = len(self.channels.prognostic) if self.given is not None else 0
        inputs = state + len(self.gappy) + known + rim + len(self.static) + count(config.features)
        channels, told, leads = self.channels, len(self.channels.parameters), len(self.channels.leads)
        refuse_one_frame(config, channels)
        if config.leads == "condition":
            refuse_one_lead(channels.leads)
            told, leads = told + 1, 1
        outputs = leads * len(channels.targets)
        if config.kind == "own":
            return Own(own, config, grid, inputs, outputs, told)
        masked = [self.seen.index(n) for n in self.gappy]
        groups = grouped(config.tokens, len(channels.inputs), channels.history, masked, inputs)
        kinds = Inputs.of(channels, self._sources(), (-self.mean / self.std).flatten(), groups)
        if config.earlier == "differences":
            kinds = kinds.zero_from(len(channels.inputs), state)
        return ViT(config, grid, inputs, outputs, masks, kinds, told)

    def _sources(self) -> list[int | None]:
        """The variable of a frame that each input is, of masks none; statics and features follow."""
        state: list[int | None] = [self.source[n] for n in self.seen]
        known = [*self.forcings * 2, *[None] * (2 * len(self.gappy_forcings))]
        rim = range(len(self.channels.prognostic)) if self.given is not None else ()
        return [*state, *[None] * len(self.gappy), *known, *rim]

    @property
    def attending(self) -> ViT:
        """The network, where it has attention; InputError where it is one's own."""
        if isinstance(self.network, Own):
            raise without_attention()
        return self.network

    @property
    def period(self) -> tuple[int, ...]:
        """The shifts in cells along each axis that the network commutes with, but for place and walls."""
        return self.network.config.patch if isinstance(self.network, Own) else self.network.patches.patch

    @property
    def grid(self) -> Grid:
        """Grid of the state."""
        return self.network.grid

    @property
    def token_grid(self) -> Grid:
        """Grid of the tokens."""
        return self.attending.patches.tokens

    @property
    def domain(self) -> Bool[Tensor, "variable *space"]:
        """Where a variable of the state has values."""
        return self.presence[self.source] > 0

    @property
    def scale(self) -> Float[Tensor, "lead target *column"]:
        """Units of the network's outputs: sigma_d of what moves on, sigma of what is predicted alone."""
        moving, targets = len(self.channels.prognostic), len(self.channels.targets)
        if moving == targets == self.increment_std.shape[1]:
            return self.increment_std
        alone = self.std[moving:targets].expand(len(self.increment_std), *self.std[moving:targets].shape)
        return torch.cat([self.increment_std[:, :moving], alone], 1)

    def there(self, state: Float[Tensor, "batch variable *space"]) -> Bool[Tensor, "batch variable *space"]:
        """Where a state has values that count."""
        return ~torch.isnan(state) & self.domain

    def state_of(self, frames: Float[Tensor, "batch frame variable *space"]) -> Tensor:
        """The state at the last of ``history`` frames, ``(B, state, *space)``; further frames are not looked at."""
        last = self.channels.history - 1
        now = frames[:, last, : len(self.channels.now)]
        earlier = [frames[:, last - k, self.channels.input_places] for k in range(1, last + 1)]
        return torch.cat([now, *earlier], 1) if earlier else now

    def known_of(self, frames: Float[Tensor, "batch frame variable *space"]) -> Tensor | None:
        """What a context knows of these frames, ``(B, T, K, *space)``; none where nothing is given."""
        places = self.channels.known_places
        return frames[:, :, places] if places else None

    def inputs(
        self, state: Float[Tensor, "batch variable *space"], context: Context | None = None
    ) -> Float[Tensor, "batch input *space"]:
        """The normalised state, masks of the variables that have gaps, then what is given beside it."""
        source = successive([self.source[n] for n in self.seen])
        x = (state[:, successive(self.seen)] - self.mean[source]) / self.std[source]
        frames, told_apart = self.channels.history, self.network.config.earlier == "differences"
        if told_apart:
            x = differences(x, frames, gain(self.std, self.increment_std[0])[self.channels.input_places])
        parts = [x]
        if self.gappy:
            there = self.there(state)
            known = both(there[:, self.seen], frames) if told_apart else there[:, self.seen]
            parts = [torch.where(known, x, 0), there[:, self.gappy].to(x)]
        if self.channels.known_places:
            parts += self._known(self._both_ends(context).to(x))
        if len(self.static):
            parts.append(self.static.to(x).expand(x.shape[0], *self.static.shape))
        if self.network.config.features:
            parts.append(self._features(context).to(x))
        return torch.cat(parts, 1) if len(parts) > 1 else x

    def _both_ends(self, context: Context | None) -> Float[Tensor, "batch 2 known *space"]:
        if context is None or context.known is None or context.known.shape[1] < 2:
            raise InputError(
                f"{', '.join(self.channels.forcing) or 'the boundary'} at both ends of each step",
                "none at the end of the last",
                "give forcings that cover the forecast, or take fewer steps",
            )
        return context.known[:, :2]

    def _known(self, known: Float[Tensor, "batch 2 known *space"]) -> list[Tensor]:
        """Forcings at both ends and their masks, then the boundary at the end, zero inside."""
        count = len(self.forcings)
        forcing = (known[:, :, :count] - self.mean[self.forcings]) / self.std[self.forcings]
        masks = (~torch.isnan(forcing[:, :, self.gappy_forcings])).to(known)
        parts = [forcing.nan_to_num().flatten(1, 2), masks.flatten(1, 2)]
        if self.given is not None:
            moving = len(self.channels.prognostic)
            rim = (known[:, 1, count:] - self.mean[:moving]) / self.std[:moving]
            parts.append(torch.where(self.given.to(known.device), rim.nan_to_num(), 0))
        return parts

    def _features(self, context: Context | None) -> Tensor:
        if context is None:
            raise ValueError("a network with features needs a context that holds the time")
        names = self.network.config.features
        return features(names, self.grid, context.time, self.dt, self.calendar)

    def condition(self, context: Context | None = None) -> Float[Tensor, "batch parameter"] | None:
        """What the network is told of each state, of order one; none where it has no parameters."""
        names = self.channels.parameters
        return normalised(names, self.parameter_statistics, context) if names else None

    def told(
        self, inputs: Float[Tensor, "batch input *space"], context: Context | None = None
    ) -> Float[Tensor, "batch condition"] | None:
        """What the network is told in a step: the parameters and, where it is told leads, that of the step."""
        condition = self.condition(context)
        if self.network.config.leads != "condition":
            return condition
        return with_lead(condition, self.channels.relative_leads[0], inputs)

    def outputs(
        self,
        inputs: Float[Tensor, "batch input *space"],
        attention: Replace | None = None,
        condition: Float[Tensor, "batch parameter"] | None = None,
        leads: slice = slice(None),
        look: Look | None = None,
    ) -> Float[Tensor, "batch lead target *space"]:
        """f(x), of order one; an index is the area mean of its output, everywhere."""
        run = self.network if look is None else partial(self.attending, look=look)
        if self.network.config.leads == "condition":
            told = [with_lead(condition, lead, inputs) for lead in self.channels.relative_leads[leads]]
            f = torch.stack([run(inputs, attention, each) for each in told], 1)
        else:
            f = run(inputs, attention, condition)
            f = f.unflatten(1, (-1, len(self.channels.targets)))[:, leads]
        return with_means(f, self.indices, self.grid) if self.indices else f

    def base(self, state: Float[Tensor, "batch variable *space"]) -> Float[Tensor, "batch target *space"]:
        """What the outputs are added to: u, filled with mu where it is missing, and mu of y."""
        moving, targets = len(self.channels.prognostic), len(self.channels.targets)
        u = state[:, :moving]
        if self.gappy:
            u = torch.where(self.there(state)[:, :moving], u, self.mean[:moving])
        if moving == targets:
            return u
        y = self.mean[moving:targets].to(u).expand(u.shape[0], targets - moving, *self.grid.shape)
        return torch.cat([u, y], 1)

    def predict(
        self,
        state: Float[Tensor, "batch variable *space"],
        context: Context | None = None,
        attention: Replace | None = None,
        leads: slice = slice(None),
    ) -> Float[Tensor, "batch lead target *space"]:
        """u and y at every lead, or some of them, each straight from the state."""
        f = self.outputs(self.inputs(state, context), attention, self.condition(context), leads)
        return self.applied(f, state, context, leads)

    def applied(
        self,
        f: Float[Tensor, "batch lead target *space"],
        state: Float[Tensor, "batch variable *space"],
        context: Context | None = None,
        leads: slice = slice(None),
    ) -> Float[Tensor, "batch lead target *space"]:
        """u and y of outputs f at these leads: no value outside the domain, the boundary as it is given."""
        after = self.base(state)[:, None] + self.scale[leads] * f
        if self.complete:
            return after
        after = torch.where(self.domain[: len(self.channels.targets)], after, torch.nan)
        if self.given is None:
            return after
        known = self._both_ends(context)[:, 1, len(self.forcings) :].to(after)
        return with_rim(after, known, self.given.to(after.device))

    def forward(
        self,
        state: Float[Tensor, "batch variable *space"],
        context: Context | None = None,
        attention: Replace | None = None,
    ) -> Float[Tensor, "batch variable *space"]:
        """One step of a physical state; ``attention`` sees and may replace the weights of every layer."""
        return following(state, self.predict(state, context, attention, slice(1))[:, 0], self.channels)

    @torch.no_grad()
    def token_share(
        self, state: Float[Tensor, "batch variable *space"]
    ) -> Float[Tensor, "batch token"] | None:
        """Part of each token's area that has a value; none where that is always all of it."""
        if self.network.masks is None:
            return None
        return self.attending.share(torch.cat([state[:, self.seen], self.there(state)[:, self.gappy]], 1))

    @torch.no_grad()
    def attention_weights(
        self, state: Float[Tensor, "batch variable *space"], context: Context | None = None
    ) -> Float[Tensor, "batch layer head query key"]:
        """A of every layer and head at these states, from the explicit path, among tokens; rows sum to one.

        Registers are left out, and the rest of a row made to sum to one again. Of several tokens at a place
        (``model.tokens``) the weights are summed over those of the key and averaged over those of the query.
        """
        seen: list[Tensor] = []

        def keep(layer: int, weights: Tensor) -> Tensor:
            seen.append(weights)
            return weights

        self(state, context, attention=keep)
        lead = self.attending.config.registers
        weights = by_place(torch.stack(seen, 1)[..., lead:, lead:], self.attending.groups)
        return weights / weights.sum(-1, keepdim=True) if lead else weights
