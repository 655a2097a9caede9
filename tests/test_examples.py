"""The example of every equation starts, moves, stays finite and is drawn again by its seed."""

from __future__ import annotations

import pytest
import torch

from gridvit.errors import InputError
from gridvit.physics import EQUATIONS
from gridvit.physics.examples import EXAMPLES, example


def test_every_equation_has_an_example():
    assert list(EXAMPLES) == list(EQUATIONS)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name):
    solver, states = example(name, 2, seed=3)
    assert states.shape == (2, len(solver.variables), *solver.grid.shape)
    after = solver(states)
    assert torch.isfinite(after).all()
    assert (after - states).abs().max() > 1e-2 * states.abs().max()
    assert (states[0] != states[1]).any()
    assert torch.equal(example(name, 2, seed=3)[1], states)
    assert (example(name, 1, seed=4)[1] != states[:1]).any()


@pytest.mark.parametrize("name", [name for name, e in EXAMPLES.items() if e.tableau == "ssprk3"])
def test_explicit_examples_keep_to_the_stable_step(name):
    """With |u|, or |u| + sqrt(g h), up to 2."""
    solver, _ = example(name)
    assert solver.dt / solver.substeps <= solver.equation.stable_step(solver.grid, 2.0)


def test_unknown_example():
    with pytest.raises(InputError, match="expected one of the equations advection, .*, got 'kdv': use '"):
        example("kdv")
