"""On a GPU, in bfloat16: what a folded bias costs, what a large grid takes, how fast a base-size model trains.

1. Attention of 12 heads of 64, forward and backward, the fold's dimensions among the 64, flash kernels only: medians of
   9 alternating runs against attention without a bias. 2. A training step on a 721 x 1440 grid with patch 4 at batch 1:
   peak memory and seconds. 3. Training a base-size model on 8192 tokens: floating-point operations a second,
   6 x parameters x tokens and 12 x tokens^2 x width x depth of attention (nothing that is computed twice counts twice),
   as a share of the measured rate of a matrix product. 4. Training loss in bfloat16 over that in float32.

Usage: ``python experiments/benchmarks/attention/gpu.py [--compile]``; ``--device cpu --toy`` runs the same code at a
size at which its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from gridvit.config import ModelConfig
from gridvit.grid import Grid
from gridvit.nn import ViT
from gridvit.nn.attention import folded_attention
from gridvit.nn.bias import make_bias
from gridvit.nn.bias.precision import COPIES, logit_error

VARIABLES = 20
BIASES = {  # name: kind, metric, degree of a series
    "chordal, areas": ("distance", "sphere", 0),
    "Gaussian": ("gaussian", "box", 0),
    "Fourier, 2 harmonics": ("fourier", "torus", 0),
}


@dataclass(frozen=True)
class Sizes:
    """How large everything is."""

    tokens: tuple[int, ...] = (8192, 16384, 32768, 65536)
    heads: int = 12
    runs: int = 9
    large: tuple[int, int] = (721, 1440)
    base: tuple[int, int] = (256, 512)
    presets: tuple[str, ...] = ("mini", "small", "base")
    product: int = 8192
    learning: tuple[int, int] = (64, 128)
    steps: int = 300


TOY = Sizes((64,), 2, 1, (17, 32), (16, 32), ("mini",), 64, (8, 16), 8)


def clock(device: str) -> float:
    """Seconds, after all that was asked for is done."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def timed(run: Callable[[], object], device: str, runs: int) -> float:
    """Median seconds of ``runs``, after two that are not counted."""
    spent = []
    for _ in range(runs + 2):
        start = clock(device)
        run()
        spent.append(clock(device) - start)
    return statistics.median(spent[2:])


def peak_gib(device: str) -> float:
    """Of GPU memory since the last call."""
    if device != "cuda":
        return float("nan")
    peak = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.reset_peak_memory_stats()
    return peak


def grid_of(metric: str, tokens: int) -> Grid:
    """A power of two of tokens, as many columns as rows or twice as many."""
    rows = 2 ** ((tokens.bit_length() - 1) // 2)
    if metric == "sphere":
        return Grid.latlon(rows, tokens // rows)
    return Grid.regular((rows, tokens // rows), periodic=metric == "torus")


def backward(attend: Callable[[], Tensor], up: Tensor) -> Callable[[], None]:
    """Forward and backward in flash kernels, or an error where they do not take it."""

    def run() -> None:
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            attend().backward(up)

    return run


def attentions(tokens: int, sizes: Sizes, device: str) -> dict[str, Callable[[], None]]:
    """No bias, and each folded one with two or three parts, as its spacing needs."""

    def contents(dim: int) -> list[Tensor]:
        shape = (1, sizes.heads, tokens)
        sizes_of = (dim, dim, 64)
        made = [torch.randn(*shape, d, device=device, dtype=torch.bfloat16) for d in sizes_of]
        return [x.requires_grad_() for x in made]

    up = torch.randn(1, sizes.heads, tokens, 64, device=device, dtype=torch.bfloat16)
    plain = contents(64)
    found = {"no bias": backward(lambda: scaled_dot_product_attention(*plain), up)}
    for name, (kind, metric, series) in BIASES.items():
        bias = make_bias(kind, grid_of(metric, tokens), sizes.heads, 2, spectral=series)
        parts = 2 if logit_error(bias, torch.bfloat16) <= 0.01 else 3
        bias = bias.to(device)
        qkv = contents(64 - COPIES[parts] * bias.dims)

        def attend(bias=bias, qkv=qkv, parts=parts) -> Tensor:  # type: ignore[no-untyped-def]
            fold = bias.fold()
            assert fold is not None
            return folded_attention(*qkv, fold, None, parts)

        found[f"{name}, {parts} parts"] = backward(attend, up)
    return found


def attention_table(sizes: Sizes, device: str) -> None:
    """Milliseconds and ratios to no bias, of runs that alternate."""
    print("\n| tokens | bias | milliseconds | of no bias |\n|---|---|---|---|")
    for tokens in sizes.tokens:
        found = attentions(tokens, sizes, device)
        times: dict[str, list[float]] = {name: [] for name in found}
        for run in range(sizes.runs + 2):
            for name, attend in found.items():
                start = clock(device)
                attend()
                if run > 1:
                    times[name].append(clock(device) - start)
        plain = statistics.median(times["no bias"])
        for name, spent in times.items():
            middle = statistics.median(spent)
            print(f"| {tokens} | {name} | {1000 * middle:.2f} | {middle / plain:.2f} |", flush=True)


def training_step(network: ViT, grid: Grid, device: str, compiled: bool = False) -> Callable[[], None]:
    """Forward, backward and AdamW at batch 1 under autocast."""
    x, target = (torch.randn(1, VARIABLES, *grid.shape, device=device) for _ in range(2))
    optimizer = torch.optim.AdamW(network.parameters())
    forward = torch.compile(network) if compiled else network

    def step() -> None:
        with torch.autocast(device, torch.bfloat16):
            loss = (forward(x).float() - target).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def large_grid(sizes: Sizes, device: str) -> None:
    """Peak memory of training on a 0.25 degree grid."""
    grid = Grid.latlon(*sizes.large, poles=True)
    shape = " x ".join(map(str, grid.shape))
    print(f"\n| {shape}, patch 4 | checkpointing | peak GiB | seconds a step |\n|---|---|---|---|")
    for preset in sizes.presets:
        for checkpointing in (False, True):
            config = ModelConfig(preset=preset, half=3, checkpointing=checkpointing)  # type: ignore[arg-type]
            network = ViT(config, grid, VARIABLES, VARIABLES).to(device)
            peak_gib(device)
            spent = timed(training_step(network, grid, device), device, min(sizes.runs, 3))
            print(f"| {preset} | {checkpointing} | {peak_gib(device):.1f} | {spent:.2f} |", flush=True)
            del network


def matrix_rate(size: int, device: str, runs: int) -> float:
    """Operations a second of a square product in bfloat16."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / timed(lambda: a @ b, device, 2 * runs)


def operations(network: ViT) -> float:
    """6 x parameters x tokens + 12 x tokens^2 x width x depth, of a training step at batch 1."""
    tokens, config = network.patches.tokens.size, network.config
    parameters = sum(p.numel() for p in network.parameters())
    return 6 * parameters * tokens + 12 * tokens**2 * config.width * config.depth


def training_rate(sizes: Sizes, device: str, compiled: bool) -> None:
    """Share of the measured rate of matrix products that training reaches."""
    grid = Grid.latlon(*sizes.base)
    config = ModelConfig(preset=sizes.presets[-1], half=2)  # type: ignore[arg-type]
    network = ViT(config, grid, VARIABLES, VARIABLES).to(device)
    rate = matrix_rate(sizes.product, device, sizes.runs)
    spent = timed(training_step(network, grid, device, compiled), device, sizes.runs)
    reached = operations(network) / spent
    print(
        f"\n{network.patches.tokens.size} tokens, {sizes.presets[-1]}{', compiled' if compiled else ''}: "
        f"{spent:.3f} s a step, {reached / 1e12:.3g} of {rate / 1e12:.3g} Tflop/s ({reached / rate:.0%})",
        flush=True,
    )


def final_loss(sizes: Sizes, device: str, half: bool) -> float:
    """Mean loss of the last quarter of a training on drifting smooth fields."""
    torch.manual_seed(0)
    grid = Grid.latlon(*sizes.learning)
    network = ViT(ModelConfig(preset="mini"), grid, 1, 1).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    generator, losses = torch.Generator().manual_seed(1), []
    for _ in range(sizes.steps):
        wave = torch.randn(8, 1, *(n // 4 for n in grid.shape), generator=generator)
        x = torch.nn.functional.interpolate(wave, grid.shape, mode="bilinear").to(device)
        with torch.autocast(device, torch.bfloat16, enabled=half):
            loss = (network(x).float() - (x.roll(2, 3) - x)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return statistics.mean(losses[-len(losses) // 4 :])


def losses(sizes: Sizes, device: str) -> None:
    """bfloat16 against float32."""
    single, half = (final_loss(sizes, device, half) for half in (False, True))
    print(
        f"\ntraining loss: float32 {single:.4f}, bfloat16 {half:.4f}, ratio {half / single:.3f}", flush=True
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args(arguments)
    if given.device == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA device here: nothing is measured (--device cpu --toy tries the script out).")
        return
    device, sizes = given.device, TOY if given.toy else Sizes()
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    print(f"torch {torch.__version__}, {name}")
    attention_table(sizes, device)
    large_grid(sizes, device)
    training_rate(sizes, device, given.compile)
    losses(sizes, device)


if __name__ == "__main__":
    main()
