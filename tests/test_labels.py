"""Labels: losses and scores by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gridvit.analysis.labels import Found, class_scores, confusion, matched
from gridvit.grid import Grid
from gridvit.nn.heads import Detected
from gridvit.training.labels import cell_mean, cross_entropy, detection_error, softened

LOG = math.log


def test_cross_entropy_by_hand() -> None:
    # two classes with odds 3 : 1 and 1 : 4; the third cell has no label, the second twice the area
    logits = torch.tensor([[[LOG(3), 0.0, 9.0], [0.0, LOG(4), 0.0]]])
    labels = torch.tensor([[0.0, 0.0, torch.nan]])
    weights = torch.tensor([1.0, 2.0, 5.0])
    expected = (1 * LOG(4 / 3) + 2 * LOG(5)) / 3
    assert float(cross_entropy(logits, labels, weights)) == pytest.approx(expected, rel=1e-6)


def test_states_count_the_same_and_those_without_labels_not_at_all() -> None:
    values = torch.tensor([[1.0, 3.0], [10.0, 20.0], [7.0, 7.0]])
    there = torch.tensor([[True, True], [True, False], [False, False]])
    assert float(cell_mean(values, there, torch.tensor([1.0, 3.0]))) == pytest.approx((10 / 4 + 10) / 2)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_soft_labels_by_hand(temperature: float) -> None:
    # teacher 4 : 1 and student 2 : 1 at this temperature
    teacher = temperature * torch.tensor([[[LOG(4)], [0.0]]])
    student = temperature * torch.tensor([[[LOG(2)], [0.0]]])
    divergence = 4 / 5 * LOG((4 / 5) / (2 / 3)) + 1 / 5 * LOG((1 / 5) / (1 / 3))
    found = softened(student, teacher, torch.zeros(1, 1), torch.ones(1), temperature)
    assert float(found) == pytest.approx(temperature**2 * divergence, rel=1e-5)


def test_gradients_of_soft_labels_do_not_depend_on_a_high_temperature() -> None:
    """Hinton's equation 4: T (p - q) -> (z - v - their mean) / C, C classes."""
    z, v = (
        torch.tensor([[[0.3], [-0.1], [0.7]]], dtype=torch.float64),
        torch.tensor([[[0.5], [0.2], [-0.4]]]).double(),
    )
    expected = (z - v) - (z - v).mean(1, keepdim=True)
    for temperature in (100.0, 1000.0):
        free = z.clone().requires_grad_()
        softened(free, v, torch.zeros(1, 1).double(), torch.ones(1).double(), temperature).backward()
        assert free.grad is not None
        torch.testing.assert_close(free.grad, expected / 3, rtol=20 / temperature, atol=1e-6)


def test_error_of_detection_by_hand() -> None:
    presence = torch.tensor([[LOG(3), 0.0, 5.0, -LOG(4)]])  # probabilities 3/4, 1/2, ., 1/5
    offset = torch.tensor([[[0.25, 0.05], [0.4, 0.4], [0.1, 0.1], [0.0, 0.0]]])
    present = torch.tensor([[1.0, 0.0, torch.nan, 1.0]])
    where = torch.tensor([[[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, -0.1]]])
    entropy = LOG(4 / 3) + LOG(2) + LOG(5)
    huber = (0.25 - 0.05) + 0.05**2 / 0.2 + (0.1 - 0.05)  # |x| - b / 2 from b = .1 on, x^2 / (2 b) below
    found = float(detection_error(Detected(presence, offset), present, where))
    assert found == pytest.approx((entropy + huber) / 2, rel=1e-5)
    empty = float(detection_error(Detected(presence, offset), torch.zeros(1, 4), where))
    assert empty == pytest.approx(LOG(4) + LOG(2) + math.log1p(math.exp(5)) + LOG(5 / 4), rel=1e-5)


def test_scores_of_classes_by_hand() -> None:
    truth, found = np.array([[0.0, 0, 1], [1, np.nan, 2]]), np.array([[0.0, 1, 1], [1, 0, 0]])
    matrix = confusion(truth, found, np.array([[1.0, 2, 3], [4, 5, 6]]), 4)
    assert matrix.tolist() == [[1, 2, 0, 0], [0, 7, 0, 0], [6, 0, 0, 0], [0, 0, 0, 0]]
    scores = class_scores(matrix)  # the fourth class is nowhere
    assert scores["accuracy"] == pytest.approx(8 / 16)
    assert scores["mean IoU"] == pytest.approx((1 / 9 + 7 / 9 + 0) / 3)
    assert scores["mean F1"] == pytest.approx((2 / 10 + 14 / 16 + 0) / 3)


def test_scores_of_things_by_hand() -> None:
    tokens = Grid.regular((6, 10), (6.0, 20.0)).coarsen((2, 2))  # of 2 x 4
    truth = np.array([[1.0, 2.0], [5.5, 19.0], [3.0, 10.0]])
    said = np.array(
        [[1.5, 3.0], [0.1, 0.8], [3.0, 13.0]]
    )  # half a row; across both seams; three quarters of a column
    found = matched(truth, said, tokens)
    assert (found.true, found.said, found.right) == (3, 3, 2)
    assert found.distance == pytest.approx(np.hypot(0.25, 0.25) + np.hypot(0.3, 0.45))
    assert (found + Found(1, 0)).scores() == pytest.approx(
        {"F1": 4 / 7, "precision": 2 / 3, "recall": 2 / 4, "distance (tokens)": found.distance / 2}
    )
    nothing = matched(np.zeros((0, 2)), said, tokens)
    assert (nothing.true, nothing.said, nothing.right) == (0, 3, 0)
    assert math.isnan(Found().scores()["F1"])


def test_two_things_are_matched_to_two_where_that_can_be() -> None:
    tokens = Grid.regular(12, periodic=False).coarsen((2,))
    # the second true thing is within reach of both, the first of one
    found = matched(np.array([[2.0], [3.0]]), np.array([[2.9], [3.8]]), tokens)
    assert found.right == 2
