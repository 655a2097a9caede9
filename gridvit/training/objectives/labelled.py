"""Objectives of labels, read off the tokens by a head: classes of cells or states, things and their places."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.channels import Channels
from gridvit.config import RunConfig, TrainingConfig
from gridvit.data.blocks import blocks
from gridvit.data.fields import Fields
from gridvit.data.samples import Batch
from gridvit.errors import InputError
from gridvit.nn.heads import Detected, Head, Headed, placed
from gridvit.nn.labels import Labels, label_of
from gridvit.nn.step import ModelStep
from gridvit.rollout import Context
from gridvit.training.labels import cross_entropy, detection_error, softened
from gridvit.training.objectives.base import Objective, refuse_terms
from gridvit.training.objectives.distilled import move, refuse_other_grid

Teacher = Callable[[Tensor, Context], Tensor]


class Labelled(Objective):
    """What is minimised is the error of ``head``, on the tokens of a state, against the labels of the same file.

    The label is the one diagnostic variable: at the time of the state, or with ``objective.ahead`` a lead later. The
    network's decoder and skip take no part.

    Args:
        step: the model, whose network gives the tokens.
        config: of the optimiser.
        head: on them.
        teacher: of states and their contexts, the logits; none where the labels are all.
    """

    forecasts = False

    def __init__(
        self, step: ModelStep, config: TrainingConfig, head: Head, teacher: Teacher | None = None
    ) -> None:
        super().__init__(step, config)
        if isinstance(teacher, Labels):
            refuse_other_grid(teacher.grid, step.grid)
        self.head, self.teacher = head, (teacher,)  # the tuples: a teacher is no part of what trains,
        self.headed = (Headed(step.attending, head),)  # and both parts of this are there already

    def on_fit_start(self) -> None:
        """Move the teacher to where the model is."""
        super().on_fit_start()
        move(self.teacher[0], self.device)

    @property
    def passes(self) -> int:
        """Once."""
        return 1

    @classmethod
    def refuse(cls, config: RunConfig, channels: Channels, parts: dict[str, Fields]) -> None:
        """One label, and numbers in it that are classes; nothing that a head has no use for."""
        kind = config.training.objective.kind
        refuse_terms(config.training, "weights", "reach", "slopes", "noise", "grid_noise")
        if len(channels.diagnostic) != 1 or channels.index:
            raise InputError(
                f"one label in data.diagnostics for training.objective.kind {kind}",
                ", ".join(channels.diagnostic) or "none",
                "name the variable that holds it",
            )
        for part in parts.values():
            for _, values in blocks(part.values):
                labels = values[:, :, len(channels.prognostic)]
                refuse_labels(channels.diagnostic[0], labels, cls.numbers(config), kind)

    @classmethod
    def numbers(cls, config: RunConfig) -> int:
        """How many there are that a label may be."""
        return config.training.objective.classes

    @abstractmethod
    def against(self, found: Tensor | Detected, labels: Tensor, taught: Tensor | None) -> Tensor:
        """The error of what the head found, given labels ``(B, *space)`` and the logits of a teacher."""

    def loss(self, batch: Batch, shifts: list[int]) -> Float[Tensor, ""]:
        """The error of a batch."""
        step, context = self.step, self.context(batch)
        state = step.state_of(batch.frames)
        labels = self.rolled(label_of(step, batch.frames, self.config.objective.ahead), shifts)
        inputs = self.rolled(step.inputs(state, context), shifts)
        found = self.headed[0](inputs, step.told(inputs, context))
        return self.against(found, labels, self.taught(state, context, shifts))

    def taught(self, state: Tensor, context: Context, shifts: list[int]) -> Tensor | None:
        """Logits of the teacher, rolled as the batch is."""
        teacher, trust = self.teacher[0], self.config.objective.trust
        if teacher is None or not trust:
            return None
        with torch.no_grad():
            logits = teacher(state, context)
        return self.rolled(logits, shifts) if logits.ndim > 2 else logits

    def classes_error(self, logits: Tensor, labels: Tensor, taught: Tensor | None, weights: Tensor) -> Tensor:
        """(1 - lambda) CE + lambda T^2 KL; see ``softened``."""
        options = self.config.objective
        self.terms = (~torch.isnan(labels)).flatten(1).any(1).sum()
        entropy = cross_entropy(logits, labels, weights)
        if taught is None:
            return entropy
        soft = softened(logits, taught, labels, weights, options.temperature)
        return (1 - options.trust) * entropy + options.trust * soft


class Segmentation(Labelled):
    """loss = mean over cells (area-weighted) that have a label, and states, of the cross-entropy of their class."""

    def against(self, found: Tensor | Detected, labels: Tensor, taught: Tensor | None) -> Tensor:
        """See the class."""
        assert isinstance(found, Tensor)
        return self.classes_error(found, labels, taught, self.weights)


class Classification(Labelled):
    """loss = mean over states of the cross-entropy of their class; the label is the same in all cells of a state."""

    def against(self, found: Tensor | Detected, labels: Tensor, taught: Tensor | None) -> Tensor:
        """See the class."""
        assert isinstance(found, Tensor)
        label = torch.nanmean(labels.flatten(1), 1, keepdim=True)
        teacher = None if taught is None else taught[..., None]
        return self.classes_error(found[..., None], label, teacher, labels.new_ones(1))


class Detection(Labelled):
    """loss = (cross-entropy of presence + Huber error of the place in a token) per thing; see ``detection_error``.

    A label is 1 in the cell that holds the centre of a thing, and 0 elsewhere; of several in a token one counts.
    """

    offsets_of_cells: Tensor

    def __init__(
        self, step: ModelStep, config: TrainingConfig, head: Head, teacher: Teacher | None = None
    ) -> None:
        super().__init__(step, config, head, teacher)
        self.register_buffer("offsets_of_cells", cell_offsets(step), persistent=False)

    @classmethod
    def numbers(cls, config: RunConfig) -> int:
        """Nothing, or a thing."""
        return 2

    def against(self, found: Tensor | Detected, labels: Tensor, taught: Tensor | None) -> Tensor:
        """See the class."""
        assert isinstance(found, Detected)
        cells = self.step.attending.patches.tokenise(labels[:, None])  # (B, token, cell)
        missing = torch.isnan(cells).any(-1)
        present, first = cells.nan_to_num(-1.0).max(-1)
        rows = torch.arange(cells.shape[1], device=cells.device)
        offset = self.offsets_of_cells[rows, first]
        self.terms = (present == 1).sum().clamp(min=1)
        return detection_error(found, torch.where(missing, torch.nan, present), offset)


def cell_offsets(step: ModelStep) -> Float[Tensor, "token cell axis"]:
    """Where in its token each cell has its centre, as ``placed`` says."""
    grid, patches = step.grid, step.attending.patches
    points = np.stack([each.ravel() for each in np.meshgrid(*grid.centers, indexing="ij")], -1)
    offsets = placed(torch.from_numpy(points), patches.tokens)[1].T.reshape(1, grid.ndim, *grid.shape)
    cut = patches.tokenise(offsets.float())[0]  # (token, axis * cell)
    return cut.unflatten(1, (grid.ndim, -1)).transpose(1, 2).contiguous()


def refuse_labels(
    name: str, labels: Float[np.ndarray, "sample time *space"], numbers: int, kind: str
) -> None:
    """Labels are whole numbers below ``numbers`` or missing, those of a state the same everywhere.

    Raises:
        InputError: others.
    """
    there = labels[~np.isnan(labels)]
    wrong = there[(there != np.floor(there)) | (there < 0) | (there >= numbers)]
    if wrong.size:
        raise InputError(
            f"labels 0 to {numbers - 1} or missing in {name!r}",
            f"{wrong[0]:g}",
            "correct the labels" if kind == "detection" else "correct them, or training.objective.classes",
        )
    flat = labels.reshape(*labels.shape[:2], -1)
    if (
        kind == "classification"
        and there.size
        and (np.fmax.reduce(flat, -1) > np.fmin.reduce(flat, -1)).any()
    ):
        raise InputError(
            f"one class for each state in {name!r}", "several", "give it in all cells, or take segmentation"
        )
