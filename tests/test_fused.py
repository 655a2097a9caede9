"""Steps that are compiled several at a time: the same steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.grid import Grid
from gridvit.physics import (
    AllenCahn,
    Burgers,
    Diffusion,
    FitzHughNagumo,
    GrayScott,
    KortewegDeVries,
    KuramotoSivashinsky,
    ShallowWater,
    Solver,
    Vorticity,
    Wave,
)


def field(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape))


@pytest.mark.filterwarnings("ignore:Dynamo does not know:UserWarning")  # of the type checks of the tests
def test_a_fused_step_is_the_same_step(monkeypatch):
    """As traced; the C++ of it takes half a minute to compile."""
    compiled = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda f, dynamic, options: compiled(f, backend="eager", dynamic=dynamic)
    )
    grid, u = Grid.regular(7), field(3, 1, 7)
    fused = Solver(Burgers(0.1, "central"), grid, 0.2, "euler", fused=True)
    torch.testing.assert_close(fused(u), Solver(Burgers(0.1, "central"), grid, 0.2, "euler")(u))


@pytest.mark.filterwarnings("ignore:Dynamo does not know:UserWarning")
@pytest.mark.parametrize("tableau", ["heun", "rk4"])
@pytest.mark.parametrize(
    ("equation", "shape"),
    [
        (Diffusion(0.1), (11,)),
        (Wave(), (7, 11)),
        (Burgers(0.5), (7, 11)),
        (Burgers(0.5, "central"), (7,)),
        (KortewegDeVries(0.01, 0.1), (13,)),
        (KuramotoSivashinsky(form="slope"), (17,)),
        (KuramotoSivashinsky(), (17,)),
        (AllenCahn(), (7, 11)),
        (GrayScott(), (7, 11)),
        (FitzHughNagumo(), (5, 7)),
        (Vorticity(), (8, 8)),
        (ShallowWater(coriolis=1.0), (7, 11)),
    ],
)
def test_ghost_cells_of_a_whole_step_change_nothing(monkeypatch, equation, shape, tableau):
    """Where a step is local its ghost cells are made once; nine steps are a call of eight and one of one."""
    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    grid = Grid.regular(shape)
    u = 0.3 * field(2, len(equation.variables(grid.ndim)), *shape)
    plain, fused = (Solver(equation, grid, 0.09, tableau, 9, fused=fused) for fused in (False, True))
    torch.testing.assert_close(fused(u), plain(u), rtol=0, atol=0)


def test_a_step_that_knows_its_place_is_not_local():
    """A force, rotation or a mean cannot be found on ghost cells; walls need theirs anew at every stage."""
    for equation in (Vorticity(forcing=1.0), ShallowWater(coriolis=1.0), KuramotoSivashinsky()):
        assert not equation.local(2)
