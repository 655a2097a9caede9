"""Time and memory of distance-biased attention against attention without a bias and against a learned mask.

Forward and backward of one attention, into queries, keys, values and what the bias learns; one state, 4 heads of 32
dimensions in all, in which a fold has its own. Runs of the variants alternate, medians of 9 are compared in one
process. Linux: the peak of memory is read from /proc.

Usage: ``python experiments/benchmarks/attention/benchmark.py [--threads 2] [--runs 9] [--sizes 512 2048 8192]``
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from gridvit.grid import Grid
from gridvit.nn.attention import folded_attention, masked_attention
from gridvit.nn.bias import Bias, make_bias, nearest_distance
from gridvit.nn.window import Window

HEADS, DIMENSION = 4, 32
LARGEST_MASK = 2048
FOLDED = {  # name: kind, metric, degree of a series
    "chordal, areas": ("distance", "sphere", 0),
    "Gaussian": ("gaussian", "box", 0),
    "Fourier, 2 harmonics": ("fourier", "torus", 0),
    "spherical harmonics to 2, areas": ("harmonics", "sphere", 0),
    "linear, Legendre series to 2, areas": ("linear", "sphere", 2),
    "linear, Fourier series to 2": ("linear", "torus", 2),
    "radial network, Fourier series to 2": ("radial", "torus", 2),
}
MASKED = {"linear": ("linear", "torus"), "radial network": ("radial", "torus")}


def grid_of(metric: str, tokens: int) -> Grid:
    """A power of two of tokens, as many columns as rows or twice as many."""
    rows = 2 ** ((tokens.bit_length() - 1) // 2)
    if metric == "sphere":
        return Grid.latlon(rows, tokens // rows)
    return Grid.regular((rows, tokens // rows), periodic=metric == "torus")


def contents(tokens: int, content: int, heads: int = HEADS) -> list[Tensor]:
    """Queries, keys and values."""
    generator = torch.Generator().manual_seed(0)
    sizes = (content, content, DIMENSION)
    return [torch.randn(1, heads, tokens, d, generator=generator).requires_grad_() for d in sizes]


def unbiased(tokens: int) -> Callable[[], Tensor]:
    """Plain attention: what the others are measured against."""
    q, k, v = contents(tokens, DIMENSION)
    return lambda: scaled_dot_product_attention(q, k, v)


def folded(bias: Bias, tokens: int) -> Callable[[], Tensor]:
    """The bias inside queries and keys."""
    q, k, v = contents(tokens, DIMENSION - bias.dims)

    def attend() -> Tensor:
        fold = bias.fold()
        assert fold is not None
        return folded_attention(q, k, v, fold)

    return attend


def masked(bias: Bias, tokens: int) -> Callable[[], Tensor]:
    """The families that do not fold, as the model runs them."""
    q, k, v = contents(tokens, DIMENSION)
    return lambda: masked_attention(q, k, v, bias.logits)


def learned_mask(tokens: int) -> Callable[[], Tensor]:
    """The chordal bias the usual way: a strength per head times a matrix of squared chords, as a mask."""
    q, k, v = contents(tokens, DIMENSION)
    points = torch.tensor(grid_of("sphere", tokens).positions).float()
    chords = torch.cdist(points, points).square()
    strength = torch.ones(HEADS, 1, 1, requires_grad=True)
    return lambda: scaled_dot_product_attention(q, k, v, -strength * chords)


def variants(tokens: int) -> dict[str, Callable[[], Tensor]]:
    """What is timed at this size."""
    found = {"no bias": unbiased(tokens)}
    for name, (kind, metric, series) in FOLDED.items():
        found[name] = folded(make_bias(kind, grid_of(metric, tokens), HEADS, 2, spectral=series), tokens)
    if tokens <= LARGEST_MASK:
        found["learned mask"] = learned_mask(tokens)
        for name, (kind, metric) in MASKED.items():
            found[name] = masked(make_bias(kind, grid_of(metric, tokens), HEADS, 2), tokens)
    return found


def seconds(attend: Callable[[], Tensor], repeats: int) -> float:
    """Of one forward and backward, the mean of ``repeats``."""
    start = time.perf_counter()
    for _ in range(repeats):
        attend().sum().backward()
    return (time.perf_counter() - start) / repeats


def medians(tokens: int, runs: int) -> dict[str, float]:
    """Median seconds of each variant, of runs that alternate, after one that is not counted."""
    found, repeats = variants(tokens), max(1, 4096 // tokens)
    times: dict[str, list[float]] = {name: [] for name in found}
    for run in range(runs + 1):
        for name, attend in found.items():
            spent = seconds(attend, repeats)
            if run:
                times[name].append(spent)
    return {name: statistics.median(spent) for name, spent in times.items()}


def peak_memory(windowed: bool, tokens: int) -> float:
    """MiB that forward and backward of one chordal head take beyond what was held before; run in its own process."""
    torch.set_num_threads(2)
    grid = grid_of("sphere", tokens)
    bias = make_bias("distance", grid, 1, 2)
    window = Window(grid, 2.5 * nearest_distance(grid)) if windowed else None
    q, k, v = contents(tokens, DIMENSION - bias.dims, heads=1)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = resident("VmRSS")
    fold = bias.fold()
    assert fold is not None
    folded_attention(q, k, v, fold, window).sum().backward()
    return (resident("VmHWM") - before) / 1024


def resident(which: str) -> int:
    """KiB of this process, now (VmRSS) or at most (VmHWM)."""
    return int(re.search(rf"{which}:\s+(\d+)", Path("/proc/self/status").read_text())[1])  # type: ignore[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--sizes", type=int, nargs="*", default=[512, 2048, 8192])
    parser.add_argument("--memory", type=int, nargs="*", default=[8192, 16384, 32768, 65536])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"torch {torch.__version__}, {given.threads} threads, {given.runs} runs")
    for tokens in given.sizes:
        found = medians(tokens, given.runs)
        print(f"\n| {tokens} tokens | milliseconds | of no bias |\n|---|---|---|")
        for name, spent in found.items():
            print(f"| {name} | {1000 * spent:.1f} | {spent / found['no bias']:.2f} |", flush=True)
    if given.memory:
        print("\n| tokens | chordal fold, MiB | in a window of 2.5 tokens, MiB |\n|---|---|---|")
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for tokens in given.memory:
            used = pool.starmap(peak_memory, [(False, tokens), (True, tokens)], chunksize=1)
            print(f"| {tokens} | {used[0]:.0f} | {used[1]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
