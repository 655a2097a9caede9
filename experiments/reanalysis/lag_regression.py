"""Phase speed of zonal waves in the data: the regression of each wave on itself one step earlier.

    G(m) = sum_t u_m(t + dt) conj u_m(t) / sum_t |u_m(t)|^2,  c = -arg G R cos(phi) / (m dt)

with u_m the wave of zonal wavenumber m, of anomalies from the mean of each hour of the day, averaged over 15 degrees of
latitude on either side, as the emulator's response is. Usage: python lag_regression.py FILE [FIRST LAST]
"""

from __future__ import annotations

import sys

import numpy as np

from gridvit.analysis.baselines import Climatology
from gridvit.data.fields import load
from gridvit.printing import table

LATITUDES, WAVES, HALF_WIDTH = (-50, -30, 0, 30, 50), (2, 4, 6, 8, 10), 15.0


def main(path: str, first: str = "0", last: str = "270") -> None:
    """Print the table of eastward phase speeds (m/s) and |G|."""
    fields = load(path).select(slice(int(first), int(last)), "time")
    anomalies = fields.values - Climatology.fit(fields.values, fields.times).at(fields.times)
    latitude, grid = fields.grid.centers[0], fields.grid
    rows = []
    for centre in LATITUDES:
        band = anomalies[0, :, 0, np.abs(latitude - centre) <= HALF_WIDTH].mean(axis=0)  # (time, longitude)
        wave = np.fft.rfft(band, axis=-1)
        symbol = (wave[1:] * wave[:-1].conj()).sum(0) / (np.abs(wave[:-1]) ** 2).sum(0)
        metres = 1000 * (grid.radius or 0) * np.cos(np.deg2rad(centre))
        # rfft has e^{-i m lon}: a wave that moves east by delta turns by -m delta
        speeds = [-np.angle(symbol[m]) * metres / (m * fields.step.seconds) for m in WAVES]
        rows.append(
            [f"{centre}", *(f"{c:.1f} [{abs(symbol[m]):.2f}]" for m, c in zip(WAVES, speeds, strict=True))]
        )
    print(table(["latitude", *(f"m = {m}" for m in WAVES)], rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
