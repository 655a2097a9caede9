"""Every family: its fold is its formula, its gradients are right, and it refuses what it cannot do."""

from __future__ import annotations

import math

import pytest
import torch
from bias_data import BOX, CASES, POLES, SPHERE, TORUS, contents, inner, make, random_bias

from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ViT
from gridvit.nn.attention import Attention, attention_weights, folded_attention, masked_attention
from gridvit.nn.bias import Radial, make_bias
from gridvit.nn.bias.area import Registered


@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "masked"])
@pytest.mark.parametrize(("kind", "grid"), CASES.values(), ids=CASES)
def test_fast_path_is_the_explicit_one_with_its_gradients(kind: str, grid: Grid, gaps: bool) -> None:
    bias = random_bias(kind, grid, gaps=gaps)
    share = None
    if gaps:
        share = torch.rand(2, grid.size, generator=torch.Generator().manual_seed(2))
        share[:, ::4] = 0
    known = {"share": share} if gaps else {}
    query, key, value = (x.requires_grad_() for x in contents(grid))
    if kind in ("linear", "radial"):
        assert bias.fold(**known) is None
        fast = masked_attention(query, key, value, lambda rows: bias.logits(rows, **known))
    else:
        fast = folded_attention(query, key, value, bias.fold(**known))
    explicit = attention_weights(query, key, bias.logits(**known)) @ value
    torch.testing.assert_close(fast, explicit, atol=1e-5, rtol=1e-5)
    leaves = [
        query,
        key,
        value,
        *(each for each in bias.parameters() if each.numel()),
    ]  # a box has no harmonics
    up = torch.randn(fast.shape, generator=torch.Generator().manual_seed(3)) / fast.numel() ** 0.5
    pairs = [torch.autograd.grad(x, leaves, up, allow_unused=True) for x in (fast, explicit)]
    for one, other in zip(*pairs, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("kind", "grid"), CASES.values(), ids=CASES)
def test_gradients_in_double_precision(kind: str, grid: Grid) -> None:
    small = Grid.latlon(2, 4) if grid.is_sphere else Grid.regular((3, 2), (2.0, 3.0), periodic=grid is TORUS)
    harmonics = 1 if kind in ("fourier", "harmonics") else 2
    bias = make(kind, small, 1, harmonics).double()
    names, start = zip(*bias.named_parameters(), strict=True) if list(bias.parameters()) else ((), ())
    moved = tuple((p.detach() + 0.1).requires_grad_() for p in start)
    content = tuple(x[:1, :1, : small.size, :2].requires_grad_() for x in contents(grid, torch.float64))

    def fast(*given: torch.Tensor) -> torch.Tensor:
        query, key, value, *parameters = given
        how = dict(zip(names, parameters, strict=True))

        class Folded(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.bias = bias

            def forward(self) -> torch.Tensor:
                fold = self.bias.fold()
                if fold is None:
                    return masked_attention(query, key, value, self.bias.logits)
                return folded_attention(query, key, value, fold)

        return torch.func.functional_call(Folded(), {f"bias.{n}": p for n, p in how.items()}, ())

    assert torch.autograd.gradcheck(fast, (*content, *moved))


@pytest.mark.parametrize(("kind", "grid"), CASES.values(), ids=CASES)
def test_rows_are_those_of_the_whole(kind: str, grid: Grid) -> None:
    for registers in (0, 2):
        bias = random_bias(kind, grid, registers=registers)
        whole = bias.logits()
        numbers = torch.tensor([0, 3, grid.size + registers - 1])
        torch.testing.assert_close(bias.logits(numbers), whole[:, numbers])
        torch.testing.assert_close(bias.logits(slice(1, 4)), whole[:, 1:4])


@pytest.mark.parametrize(("kind", "grid"), CASES.values(), ids=CASES)
def test_both_signs(kind: str, grid: Grid) -> None:
    if kind == "none":
        return
    bias = make(kind, grid, 4, 2)
    core = inner(bias)
    if isinstance(core, Radial):  # starts at zero
        core.last.weight.data.fill_(-1.0)
        core.first.weight.data.fill_(1.0)
    points = torch.tensor([0.0, 0.2]) * (1000 if grid.is_sphere else 1)
    for sign in (1, -1):
        lengths, curves = bias.length(), bias.kernel(points).detach()
        local = ~torch.isinf(lengths)
        assert local.sum() == (4 if isinstance(core, Radial) else 3)
        assert (sign * lengths[local] > 0).all()
        assert (sign * (curves[local, 0] - curves[local, 1]) > 0).all()
        for name, parameter in core.named_parameters():
            if not name.startswith("first"):
                parameter.data *= -1


@pytest.mark.parametrize(("kind", "grid"), CASES.values(), ids=CASES)
def test_the_same_everywhere_along_periodic_axes(kind: str, grid: Grid) -> None:
    logits = random_bias(kind, grid).logits().unflatten(1, grid.shape).unflatten(-1, grid.shape)
    for axis in range(grid.ndim):
        moved = logits.roll((1, 1), (1 + axis, 1 + grid.ndim + axis))
        if grid.periodic[axis]:
            torch.testing.assert_close(moved, logits, atol=2e-5, rtol=1e-5)
        elif kind != "none" or grid.is_sphere:
            assert not torch.allclose(moved, logits, atol=1e-2)


@pytest.mark.parametrize(("kind", "grid"), CASES.values(), ids=CASES)
def test_heads_start_on_a_ladder_and_a_quarter_of_them_without_a_bias(kind: str, grid: Grid) -> None:
    if kind.startswith(("none", "radial")):
        return  # no bias at first
    bias = make(kind, grid, 8, 2)
    # from the spacing of tokens (at the equator) to a quarter of the great circle, or of the longest axis
    first = {SPHERE: 2 * math.pi * 6371 / 11, POLES: 2 * math.pi * 6371 / 10, TORUS: 3 / 7, BOX: 2 / 3}
    last = {SPHERE: math.pi / 2 * 6371, POLES: math.pi / 2 * 6371, TORUS: 3 / 4, BOX: 3 / 4}
    ladder = first[grid] * (last[grid] / first[grid]) ** (torch.arange(8) / 7)
    torch.testing.assert_close(inner(bias).lengths, ladder.float(), rtol=1e-4, atol=0)
    quiet = torch.arange(8) % 4 == 3
    assert torch.equal(torch.isinf(bias.length()), quiet)
    logits = inner(bias).logits()
    spread = (logits - logits[:, :, :1]).abs().amax((1, 2))
    assert torch.equal(spread < 1e-6, quiet)
    curve = bias.kernel(torch.tensor([0.0, 0.3 * first[grid]]))
    assert (curve[~quiet, 0] > curve[~quiet, 1]).all()  # near keys first
    assert (curve[quiet, 0] == curve[quiet, 1]).all()


KERNELS = {
    f"{kind} on {name}": (kind, grid)
    for name, grid, kinds in (
        ("sphere", SPHERE, "distance harmonics gaussian linear radial none linear-2 radial-2"),
        ("ring", Grid.regular(9, 4.0), "distance fourier linear radial none linear-2 radial-2"),
        ("interval", Grid.regular(7, 4.0, periodic=False), "distance gaussian linear radial none linear-2"),
    )
    for kind in kinds.split()
}


@pytest.mark.parametrize(("kind", "grid"), KERNELS.values(), ids=KERNELS)
def test_the_kernel_is_the_bias_at_a_distance(kind: str, grid: Grid) -> None:
    bias = inner(random_bias(kind, grid))
    for name, parameter in bias.named_parameters():
        if name in ("drift", "offset"):
            parameter.data.zero_()  # the kernel counts from where a head looks
    logits = bias.logits().detach()
    even = (logits + logits.mT) / 2  # of odd parts the kernel says nothing
    distances = torch.from_numpy(grid.distances()).float()
    curve = bias.kernel(distances.flatten()).detach().unflatten(1, distances.shape)
    torch.testing.assert_close(even, curve, atol=5e-4, rtol=1e-5)


def test_a_radial_bias_starts_flat_and_learns_a_curve() -> None:
    bias = make_bias("radial", TORUS, 2, 1)
    assert bias.logits().abs().max() == 0
    assert torch.isinf(bias.length()).all()
    bias.logits()[:, 0].softmax(-1)[:, 0].sum().backward()
    assert bias.last.weight.grad.abs().max() > 0


def test_layers_share_one_table_of_distances() -> None:
    network = ViT(
        ModelConfig(preset="mini", patch=(1, 1), width=24, depth=3, heads=3, bias="linear"), TORUS, 1, 1
    )
    assert len({id(bias.pairs) for bias in network.biases}) == 1
    assert not any("which" in name for name in network.state_dict())


@pytest.mark.parametrize(
    ("kind", "grid", "harmonics", "sentence"),
    [
        (
            "harmonics",
            Grid.regular((4, 6)),
            2,
            "expected a sphere for model.bias harmonics, got 4 y x 6 x (0..4 1, 0..6 1), periodic in y and x, plane: "
            "take model.bias distance",
        ),
        (
            "fourier",
            Grid.latlon(4, 6),
            2,
            "expected periodic axes for model.bias fourier, got 4 latitude x 6 longitude (-90..90 degrees_north, "
            "-30..330 degrees_east), periodic in longitude, sphere of radius 6371.01 km: take model.bias distance",
        ),
        (
            "gaussian",
            Grid.regular(6),
            2,
            "expected a sphere or bounded axes for model.bias gaussian, got 6 x (0..6 1), periodic in x, plane: "
            "take model.bias distance",
        ),
        (
            "harmonics",
            Grid.latlon(4, 6),
            4,
            "expected model.harmonics of at most 3, which the tokens resolve, got 4: lower it, or lower model.patch",
        ),
        (
            "distance",
            Grid.latlon(1, 6),
            2,
            "expected two or more tokens along each axis for model.bias distance, got one along latitude: "
            "lower model.patch, or take model.bias none",
        ),
        (
            "linear",
            Grid.regular((100, 100)),
            2,
            "expected at most 8192 tokens for a model.bias that is a matrix, got 10000: raise model.patch, set "
            "model.spectral, or take model.bias distance",
        ),
    ],
)
def test_refused_at_construction(kind: str, grid: Grid, harmonics: int, sentence: str) -> None:
    with pytest.raises(InputError) as error:
        make_bias(kind, grid, 2, harmonics)
    assert str(error.value) == sentence


def test_a_head_too_small_for_the_fold_is_refused() -> None:
    with pytest.raises(InputError) as error:
        Attention(32, 2, make_bias("harmonics", SPHERE, 2, 3))
    assert str(error.value) == (
        "expected heads wider than the 16 dimensions of the distance bias, got 16 per head: "
        "raise model.width, or lower model.heads, model.harmonics or model.spectral"
    )


def test_registers_see_and_are_seen_without_a_bias() -> None:
    for kind, grid in CASES.values():
        bias = random_bias(kind, grid, registers=2)
        core = bias if isinstance(bias, Registered) else bias.inner
        logits = core.logits()
        assert logits[:, :2].abs().max() == 0 == logits[:, :, :2].abs().max()
        torch.testing.assert_close(logits[:, 2:, 2:], core.inner.logits())
        fold = core.fold()
        if fold is not None:  # exactly, not up to a constant of the query
            torch.testing.assert_close(fold[0] @ fold[1].mT, logits, atol=2e-5, rtol=1e-5)
