"""The masked-patch objective: pretraining without labels, for runs that start from this one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from gridvit.channels import Channels
from gridvit.config import RunConfig, TrainingConfig
from gridvit.data.fields import Fields
from gridvit.data.samples import Batch
from gridvit.data.sharing import part_of
from gridvit.errors import InputError
from gridvit.nn import ViT
from gridvit.nn.step import ModelStep
from gridvit.training.losses import present_error
from gridvit.training.objectives.base import Objective, refuse_terms
from gridvit.training.processes import rank, summed, world


class Masked(Objective):
    """loss = mean over hidden cells (area-weighted), variables and windows of |f(x') - (u(t) - mu) / sigma|^2.

    Of each window a ``share`` of the patches is hidden, in all frames of the history alike: in x' what the state has
    there is 0, as if it were missing, and a learned vector is added to their tokens. What is given beside the state
    (forcings, static fields, features) stays. Which patches are hidden is a function of seed and step; in
    validation it is the same in every epoch. With ``model.levels`` a patch is that of the coarsest tokens.

    The vector belongs to the objective: the network has no more weights than any other, so other runs can start from
    it. Its decoder, whose outputs are here states and elsewhere increments, starts anew there. About 1 is what a
    network scores that says the mean; much above it diverges.
    References: He et al. (2021), arXiv:2111.06377; Xie et al. (2021), arXiv:2111.09886, for the hidden tokens, which
    pass through all blocks.

    Raises:
        InputError: a network of one's own, which has no tokens.
    """

    forecasts = False

    def __init__(self, step: ModelStep, config: TrainingConfig) -> None:
        super().__init__(step, config)
        self.token = nn.Parameter(0.02 * torch.randn(step.attending.config.width))

    @classmethod
    def refuse(cls, config: RunConfig, channels: Channels, parts: dict[str, Fields]) -> None:
        """What is hidden must be seen, and be an output of the network."""
        refuse_terms(config.training, "slopes", "noise", "grid_noise")
        if not channels.prognostic:
            raise InputError(
                "data.variables to fill in for training.objective.kind masked",
                "none",
                "name what the model will see",
            )
        tokens = parts["train"].grid.coarsen([n * 2 ** len(config.model.levels) for n in config.model.patch])
        if tokens.size < 2:
            raise InputError("two or more patches, of which some are hidden", "one", "lower model.patch")

    def loss(self, batch: Batch, shifts: list[int]) -> Float[Tensor, ""]:
        """Error of the normalised state where it is hidden."""
        step, network, context = self.step, self.step.attending, self.context(batch)
        moving, state = len(step.channels.prognostic), step.state_of(batch.frames)
        hidden = self.hidden(len(state)).to(state.device)
        cells = network.patches.assemble(hidden[..., None].expand(-1, -1, network.patches.cells).to(state), 1)
        target = torch.where(step.there(state), state, torch.nan)[:, :moving]
        target = self.rolled((target - step.mean[:moving]) / step.std[:moving], shifts)
        inputs = self.rolled(step.inputs(state, context), shifts)
        seen = len(step.seen) + len(step.gappy)  # of the state; after them come what is given beside it
        inputs = torch.cat([inputs[:, :seen] * (1 - cells), inputs[:, seen:]], 1)
        with marked(network, cells, self.token):
            found = self.outputs(inputs, context, slice(1))[:, 0, :moving]
        own = None if self.importance is None else self.importance[:moving]
        unseen = torch.where(cells > 0, target, torch.nan)
        error, self.terms = present_error(found, unseen, self.weights, own)
        return error

    def hidden(self, windows: int) -> Bool[Tensor, "window patch"]:
        """Which patches of each window are hidden in this step: as many in all, at least one and not all.

        Of several processes each has those of its rows of the step's batch.
        """
        patches = self.step.attending.patches.tokens.size
        count = min(patches - 1, max(1, round(self.config.objective.share * patches)))
        step = self.global_step if self.training else -1
        words = np.random.SeedSequence((self.config.seed, step + 1)).generate_state(1)
        generator = torch.Generator().manual_seed(int(words[0]))
        total = windows if world() == 1 else int(summed(self.weights.new_tensor(windows)))
        rows = (part_of(0, total, rank(), world())[0] + torch.arange(windows)) % total
        return torch.rand(total, patches, generator=generator)[rows].argsort(1).argsort(1) < count


@contextmanager
def marked(
    network: ViT, cells: Float[Tensor, "batch 1 *space"], token: Float[Tensor, "width"]
) -> Iterator[None]:
    """Within, ``token`` is added to the embedded tokens whose cells are 1."""
    finest = network.levels[0].patches if network.levels else network.patches
    mark = finest.tokenise(cells)[..., :1].repeat_interleave(network.groups, 1) * token
    handle = network.embed.register_forward_hook(lambda module, given, tokens: tokens + mark)
    try:
        yield
    finally:
        handle.remove()
