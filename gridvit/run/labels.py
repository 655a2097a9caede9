"""Score a run that labels on its test part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float

from gridvit.analysis.labels import Found, class_scores, confusion, matched
from gridvit.checkpoint import Description, load_head, model_file
from gridvit.data.fields import Fields
from gridvit.data.loading import in_memory, within
from gridvit.data.rounds import GIB
from gridvit.data.samples import Windows
from gridvit.data.windows import partition
from gridvit.forecast import Forecaster
from gridvit.initial import CHUNK
from gridvit.labeller import SURE
from gridvit.nn.heads import Detected
from gridvit.nn.labels import Labels, label_of, things
from gridvit.rollout import Context
from gridvit.run.folder import RunFolder

TRAINED, COMMON = "trained", "most frequent class"


def score_labels(folder: RunFolder, data: xr.Dataset | None = None) -> xr.Dataset:
    """``score (model, measure)`` on the test part; also written as ``scores.nc``.

    Of classes accuracy, mean intersection over union and mean F1, by area, beside always saying the most frequent
    class of the training part; ``confusion`` is the area of each pair of classes. Of things F1, precision, recall and
    mean distance, see ``gridvit.analysis.labels.matched``; ``confusion`` is left out.
    """
    labels, about = load_head(model_file(folder.path))
    config = folder.config
    fields = folder.fields(Forecaster(labels.step, about), data)
    parts = partition(config.data.split, fields, about.channels.history - 1 + about.channels.leads[-1])
    test = in_memory(parts["test"])
    train = within(parts["train"], config.data.buffer * GIB, "the most frequent class is of the train part")
    made = (
        _things(labels, about, test)
        if about.task.kind == "detection"
        else _classes(labels, about, test, train)
    )
    made.attrs["statement"] = (
        f"Labels of {len(Windows(test, about.channels.offsets))} states of the test part."
    )
    folder.write(made, "scores.nc")
    return made


def _answers(
    labels: Labels, about: Description, fields: Fields
) -> Iterator[tuple[np.ndarray, torch.Tensor | Detected]]:
    """Labels of the data and what the model says, portion by portion."""
    step, windows = labels.step, Windows(fields, about.channels.offsets)
    for first in range(0, len(windows), CHUNK):
        batch = windows.__getitems__(range(first, min(first + CHUNK, len(windows))))
        known = step.known_of(batch.frames[:, about.channels.history - 1 :])
        with torch.no_grad():
            found = labels(step.state_of(batch.frames), Context(batch.time, known, batch.condition))
        yield label_of(step, batch.frames, about.task.ahead).numpy(), found


def _classes(labels: Labels, about: Description, test: Fields, train: Fields) -> xr.Dataset:
    """Of cells, or of states: those have one label in all cells, and count once."""
    classes, whole = about.task.classes, about.task.kind == "classification"
    areas = np.ones(1) if whole else labels.grid.areas
    counts = Counter[int]()
    for truth in _truths(labels, about, train, whole):
        weights = np.broadcast_to(areas, truth.shape)
        counts.update(
            dict(enumerate(np.diag(confusion(truth, np.nan_to_num(truth), weights, classes)).tolist()))
        )
    common = counts.most_common(1)[0][0]
    matrices = {name: np.zeros((classes, classes)) for name in (TRAINED, COMMON)}
    for cells, found in _answers(labels, about, test):
        assert isinstance(found, torch.Tensor)
        truth, said = _one(cells) if whole else cells, found.argmax(1).numpy().astype(float)
        said = said[:, None] if whole else said
        weights = np.broadcast_to(areas, truth.shape)
        for name, answer in ((TRAINED, said), (COMMON, np.full_like(said, common))):
            matrices[name] += confusion(truth, answer, weights, classes)
    made = _table({name: class_scores(matrix) for name, matrix in matrices.items()})
    numbers = np.arange(classes)
    stacked = np.stack(list(matrices.values()))
    return made.assign(confusion=(("model", "truth", "found"), stacked)).assign_coords(
        truth=numbers, found=numbers
    )


def _truths(
    labels: Labels, about: Description, fields: Fields, whole: bool
) -> Iterator[Float[np.ndarray, "case *space"]]:
    """The labels of a part."""
    windows = Windows(fields, about.channels.offsets)
    for first in range(0, len(windows), CHUNK):
        batch = windows.__getitems__(range(first, min(first + CHUNK, len(windows))))
        cells = label_of(labels.step, batch.frames, about.task.ahead).numpy()
        yield _one(cells) if whole else cells


def _one(cells: Float[np.ndarray, "case *space"]) -> Float[np.ndarray, "case 1"]:
    """The label that the cells of a state share; NaN where none has it."""
    return np.fmax.reduce(cells.reshape(len(cells), -1), -1, keepdims=True)


def _things(labels: Labels, about: Description, test: Fields) -> xr.Dataset:
    grid, tokens = labels.grid, labels.step.token_grid
    points = np.stack([each.ravel() for each in np.meshgrid(*grid.centers, indexing="ij")], -1)
    total = Found()
    for cells, found in _answers(labels, about, test):
        assert isinstance(found, Detected)
        probability, centres = (each.numpy() for each in things(found, tokens))
        for truth, sure, where in zip(cells.reshape(len(cells), -1), probability, centres, strict=True):
            total = total + matched(points[truth == 1], where[sure > SURE].astype(float), tokens)
    return _table({TRAINED: total.scores()})


def _table(scores: dict[str, dict[str, float]]) -> xr.Dataset:
    """``score (model, measure)``."""
    measures = list(next(iter(scores.values())))
    values = [[scores[name][measure] for measure in measures] for name in scores]
    return xr.Dataset({"score": (("model", "measure"), values)}, {"model": list(scores), "measure": measures})
