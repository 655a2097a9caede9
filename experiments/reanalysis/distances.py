"""Attention distance in km of each head before, during and after training, over runs of several seeds, as a table.

python experiments/reanalysis/distances.py runs/reanalysis_0 runs/reanalysis_1 runs/reanalysis_2
"""

from __future__ import annotations

import sys

import numpy as np
import xarray as xr

from gridvit.run.over import attention_over_runs


def main(runs: list[str]) -> None:
    """Print D per layer and head, mean and standard deviation over the runs, by epoch; then what else changed."""
    table = attention_over_runs(runs)
    first, last = (table.isel(epoch=n) for n in (0, -1))
    epochs = [int(epoch) for epoch in table["epoch"]]
    print(f"| layer, head | {' | '.join(f'epoch {epoch}' for epoch in epochs)} | bias alone | change |")
    print(f"|---|{'---|' * (len(epochs) + 2)}")
    for layer in range(table.sizes["layer"]):
        for head in range(table.sizes["head"]):
            here = table.isel(layer=layer, head=head)
            cells = [spread(here["attention_distance"].sel(epoch=epoch)) for epoch in epochs]
            alone = spread(here["bias_distance"].isel(epoch=-1))
            moved = (
                here["attention_distance"].isel(epoch=-1) - here["attention_distance"].isel(epoch=0)
            ).values
            sign = f"{moved.mean():+.0f}" + (" *" if len(set(np.sign(moved))) == 1 else "")
            print(f"| {layer}, {head} | {' | '.join(cells)} | {alone} | {sign} |")
    for name in ("attention_ratio", "effective_area_fraction", "attention_over_bias", "sink_mass"):
        print(f"{name}: {mean(first[name])} before, {mean(last[name])} after")
    for part in ("latitude", "longitude"):
        share = [(t["attention_rms_along"].sel(axis=part) / t["attention_rms"]) ** 2 for t in (first, last)]
        print(f"share along {part}: {mean(share[0])} before, {mean(share[1])} after")
    print(
        "quantiles of the last, km:",
        last["attention_quantile"].mean(("run", "layer", "head")).round(0).values,
    )


def spread(values: xr.DataArray) -> str:
    """Mean and standard deviation over runs, km."""
    return f"{float(values.mean()):.0f} ± {float(values.std(ddof=1)):.0f}"


def mean(values: xr.DataArray) -> str:
    """Over layers and heads, with the spread over runs."""
    each = values.mean(("layer", "head"))
    return f"{float(each.mean()):.3f} ± {float(each.std(ddof=1)):.3f}"


if __name__ == "__main__":
    main(sys.argv[1:])
