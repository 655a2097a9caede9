"""What every equation promises alike: precision, batches, gradients, special cases, random states, documentation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from gridvit.grid import Grid
from gridvit.physics import (
    EQUATIONS,
    AllenCahn,
    Burgers,
    DamBreak,
    Diffusion,
    FitzHughNagumo,
    GrayScott,
    KortewegDeVries,
    KuramotoSivashinsky,
    Semilinear,
    ShallowWater,
    Solver,
    Spherical,
    Vorticity,
    Wave,
    equation_from,
    random_field,
    random_states,
)
from gridvit.rollout import Context

GIVEN: dict[str, dict] = {
    "advection": {"velocity": [0.5, -0.3]},
    "diffusion": {"diffusivity": 0.2},
    "advection-diffusion": {"velocity": [0.5, -0.3], "diffusivity": 0.1},
    "burgers": {"viscosity": 0.1, "flux": "central"},
    "dam-break": {"limiter": "none"},
}
METHODS = [(name, method) for name in EQUATIONS for method in ("rk4", "etdrk4")]
METHODS = [(n, m) for n, m in METHODS if m == "rk4" or issubclass(EQUATIONS[n], Semilinear)]


def made(name: str, method: str, n: int) -> tuple[Solver, torch.Tensor]:
    """A step of a tenth of the stable one, and random states."""
    equation = equation_from(name, GIVEN.get(name, {}))
    if isinstance(equation, Spherical):
        grid, cutoff = Grid.gaussian(6, 10), 2.0
    else:
        ndim = 1 if name in ("korteweg-de-vries", "forced-burgers") else 2
        grid, cutoff = Grid.regular((4, 5)[-ndim:]), 2.0
    dt = 0.1 * equation.stable_step(grid, 30.0 if isinstance(equation, Spherical) else 2.0)
    states = random_states(equation, grid, n, seed=3, cutoff=cutoff)
    if isinstance(equation, DamBreak):  # flowing, since the flux has a kink at rest
        noise = random_field(grid, n, seed=3, cutoff=cutoff, variables=3)
        states = torch.tensor([1.0, 0.5, 0.6])[:, None, None] + 0.05 * noise
    return Solver(equation, grid, dt, method), states


def told(step: Solver, rows: slice) -> Context | None:
    """Forces at both ends of a step of three states, where the equation has one."""
    rng = np.random.default_rng(8)
    known = torch.from_numpy(rng.standard_normal((3, 2, len(step.forces), *step.grid.shape)))
    return Context(torch.zeros(3, dtype=torch.float64), known).take(rows) if step.forces else None


def scales(u: torch.Tensor) -> torch.Tensor:
    """The largest of each variable, one where it is zero."""
    largest = u.detach().abs().amax(tuple(range(2, u.ndim)), keepdim=True)
    return torch.where(largest > 0, largest, 1.0)


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_a_batch_is_its_parts_in_both_precisions(name: str, method: str) -> None:
    step, u = made(name, method, 3)
    together = step(u, told(step, slice(3)))
    for k in range(3):
        alone = step(u[k : k + 1], told(step, slice(k, k + 1)))
        torch.testing.assert_close(together[k : k + 1], alone, rtol=1e-13, atol=1e-13)
    single = step(u.float(), told(step, slice(3)))
    assert (single.dtype, together.dtype) == (torch.float32, torch.float64)
    scale = scales(u)
    assert float(((single.double() - together) / scale).abs().max()) < 3e-6
    assert float(((together - u) / scale).abs().max()) > 3e-5


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_the_gradient_is_that_of_differences(name: str, method: str) -> None:
    """Of one random sum of a step's values, along one random direction: (f(u + e d) - f(u - e d)) / 2 e."""
    step, u = made(name, method, 1)
    rng = np.random.default_rng(6)
    scale = scales(u)
    weights, direction = (torch.from_numpy(rng.standard_normal(u.shape)) for _ in range(2))
    direction = direction * scale

    def f(v: torch.Tensor) -> torch.Tensor:
        return (weights * step(v, told(step, slice(1))) / scale).sum()

    e = 1e-5
    differences = float(f(u + e * direction) - f(u - e * direction)) / (2 * e)
    u.requires_grad_(True)
    (gradient,) = torch.autograd.grad(f(u), u)
    assert float((gradient * direction).sum()) == pytest.approx(differences, rel=1e-6, abs=1e-7)


# --- special cases meet

WIDE = [
    (AllenCahn(0.3), ()),
    (Burgers(0.2), (1,)),
    (Burgers(0.2, "central"), (1,)),
    (Diffusion(0.2), ()),
    (DamBreak(), (2,)),
    (FitzHughNagumo(0.3, 0.1), ()),
    (GrayScott(), ()),
    (KuramotoSivashinsky(0.3, 0.2), ()),
    (Wave(1.2), ()),
]


@pytest.mark.parametrize(("equation", "across"), WIDE, ids=lambda c: type(c).__name__)
def test_constant_along_one_axis_it_is_the_equation_of_the_other(equation, across, rng) -> None:  # type: ignore[no-untyped-def]
    """What moves across stays still; along either axis."""
    line, count = Grid.regular(7), len(equation.variables(1))
    u = 1 + 0.2 * torch.from_numpy(rng.standard_normal((2, count, 7)))
    alone = Solver(equation, line, 0.2, "rk4", 4)(u)
    zero = [torch.zeros_like(u[:, :1])] * len(across)
    wide = torch.cat([u, *zero], dim=1)[:, :, None].expand(-1, -1, 5, -1).contiguous()
    after = Solver(equation, Grid.regular((5, 7)), 0.2, "rk4", 4)(wide)
    torch.testing.assert_close(after[:, :count], alone[:, :, None].expand(-1, -1, 5, -1), atol=1e-13, rtol=0)
    turn = [*range(count - 1), count, count - 1] if across else list(range(count))
    turned = Solver(equation, Grid.regular((7, 5)), 0.2, "rk4", 4)(wide[:, turn].mT)
    torch.testing.assert_close(turned.mT[:, turn], after, atol=1e-13, rtol=0)


def test_gray_scott_without_reaction_and_flow_without_vorticity_are_diffusion(
    rng: np.random.Generator,
) -> None:
    grid = Grid.regular((6, 7))
    u = torch.from_numpy(rng.standard_normal((1, 1, 6, 7)))
    none = torch.zeros_like(u)
    found = Solver(GrayScott(0.1, 0.3, 0.0, 0.0), grid, 0.5, "etdrk4", 2)(torch.cat([u, none], dim=1))
    torch.testing.assert_close(found[:, :1], Solver(Diffusion(0.1), grid, 0.5, "etdrk4", 2)(u))
    shear = u.mean(dim=3, keepdim=True).expand_as(u).contiguous()  # a parallel flow does not carry itself
    found = Solver(Vorticity(0.3), grid, 0.5, "etdrk4", 2)(shear)
    torch.testing.assert_close(found, Solver(Diffusion(0.3), grid, 0.5, "etdrk4", 2)(shear))
    still = Solver(ShallowWater(0.0, 0.0, viscosity=0.2), grid, 0.5, "etdrk4", 2)
    torch.testing.assert_close(still(torch.cat([u, none, none], dim=1))[:, :1], u)


def test_without_convection_of_note_kdv_is_its_linear_part() -> None:
    """A small wave is carried by the mean it rides on: u = U + e cos(k x - (U k - beta k^3) t) e^(-nu k^2 t)."""
    grid = Grid.regular(32, 2 * np.pi)
    x, mean, e, k, t = grid.centers[0], 0.6, 1e-7, 3, 0.7
    solver = Solver(KortewegDeVries(0.2, 0.05), grid, t, "etdrk4", 40, "spectral")
    after = solver(torch.from_numpy(mean + e * np.cos(k * x))[None, None])[0, 0].numpy()
    expected = np.cos(k * x - (mean * k - 0.2 * k**3) * t) * np.exp(-0.05 * k**2 * t)
    np.testing.assert_allclose((after - mean) / e, expected, atol=1e-5)


# --- random states


@pytest.mark.parametrize("grid", [Grid.regular((16, 17)), Grid.gaussian(16, 32)], ids=["plane", "sphere"])
def test_fields_of_different_numbers_seeds_and_variables_are_independent(grid: Grid) -> None:
    """Correlations of 200 pairs of fields scatter about zero as those of independent ones: their mean square is the sum
    of the squared shares of variance of the waves, that is what the pairs of one sample with the next but one give."""
    u = random_field(grid, 200, seed=4, cutoff=3, variables=2).double()
    other = random_field(grid, 200, seed=5, cutoff=3, variables=2).double()
    weights = torch.from_numpy(grid.areas / grid.areas.sum())

    def correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a * b * weights).sum((-2, -1))

    pairs = {
        "neighbours": correlation(u[:-1, 0], u[1:, 0]),
        "variables": correlation(u[:, 0], u[:, 1]),
        "seeds": correlation(u[:, 0], other[:, 0]),
        "seeds and neighbours": correlation(u[1:, 0], other[:-1, 0]),
    }
    far = correlation(u[:100, 0], u[100:, 0]).square().mean().sqrt()
    for values in pairs.values():
        assert abs(float(values.mean())) < 4 * float(far) / len(values) ** 0.5
        assert 0.8 < float(values.square().mean().sqrt() / far) < 1.25
    assert float(far) < 0.35


# --- documentation


@pytest.mark.parametrize("name", EQUATIONS)
def test_every_equation_says_what_it_is_its_good_values_and_its_coefficients(name: str) -> None:
    kind = EQUATIONS[name]
    text = " ".join((kind.__doc__ or "").split())
    assert "_t " in text.split(":")[0]  # opens with the equation
    assert "Good values:" in text
    for field in dataclasses.fields(kind):
        assert f" {field.name}: " in text, field.name
    limits = " ".join((kind.stable_step.__doc__ or "").split())
    assert limits.startswith("dt = ")
