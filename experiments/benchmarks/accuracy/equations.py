"""The data of the accuracy benchmark: equations, their trajectories made from seeds, and how bad persistence is."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from sources import TURN, Carried, Solved, Source

from gridvit.config import SimulateConfig
from gridvit.data.simulate import prepared
from gridvit.data.simulate_files import write
from gridvit.data.simulate_steps import conditions, good_for, grid_of
from gridvit.physics import Coarse, Solver, equation_from

FOLDER = Path("runs/accuracy/data")
LEADS = 20  # steps of the geometric mean


@dataclass(frozen=True)
class Split:
    """Trajectories of so many frames after the first; ``other`` ones of unseen coefficients or of more cells."""

    samples: int
    steps: int
    other: str = ""


SPLITS = {
    "train": Split(64, 20),
    "valid": Split(8, 40),
    "test": Split(16, 40),
    "long": Split(8, 200),
    "unseen": Split(16, 40, "parameters"),
    "fine": Split(16, 40, "shape"),
}
LINE = {  # APEBench's numbers
    "train": Split(50, 50),
    "valid": Split(10, 50),
    "test": Split(30, 200),
    "fine": Split(30, 200, "shape"),
}


@dataclass(frozen=True)
class Case:
    """An equation of the benchmark.

    Args:
        source: of its trajectories.
        unseen: coefficients of the split of that name.
        fine: cells of the split of that name.
        chaotic: whether errors grow from the smallest, so that the time of valid predictions says more.
        splits: what is made.
    """

    source: Source
    unseen: Mapping[str, Any]
    fine: tuple[int, ...]
    chaotic: bool = False
    splits: Mapping[str, Split] = field(default_factory=lambda: SPLITS)

    @property
    def boundary(self) -> str | tuple[str, ...]:
        """Condition of all axes, or of each."""
        return self.source.config.boundary

    def make(self, split: str, seed: int = 0) -> xr.Dataset:
        """The dataset of a split; the splits of one seed share no initial state."""
        chosen, config = self.splits[split], self.source.config
        if chosen.other == "parameters":
            config = replace(config, parameters={**config.parameters, **self.unseen})
        if chosen.other == "shape":
            config = replace(config, shape=self.fine)
        number = 100 * seed + list(self.splits).index(split)
        return self.source.frames(replace(config, samples=chosen.samples, steps=chosen.steps, seed=number))

    def coarse(self, cells: tuple[int, ...]) -> Coarse:
        """A step of second-order differences on fewer cells, with as few substeps as are stable there.

        Raises:
            InputError: cells too wide for the equation.
        """
        config, method = self.source.config, good_for(self.source.config).method
        config = replace(config, shape=cells, scheme=method, accuracy=2, substeps=0, cutoff=1.0)
        found, grid = prepared(config), grid_of(config)
        equation, walls = equation_from(config.equation, config.parameters), conditions(config.boundary, grid)
        solver = Solver(equation, grid, config.dt, method, found.substeps, boundary=walls)
        return Coarse(solver, grid_of(self.source.config))


def _plane(equation: str, **settings: Any) -> SimulateConfig:
    """64 x 64 cells; spectral and by a fourth-order splitting where nothing else is said."""
    return SimulateConfig(
        **{
            "equation": equation,
            "shape": (64, 64),
            "lengths": (TURN, TURN),
            "accuracy": "spectral",
            **settings,
        }
    )


def _carried(cells: float) -> Case:
    config = SimulateConfig(
        equation="advection",
        parameters={"velocity": cells},
        shape=(160,),
        lengths=(160.0,),
        dt=1.0,
        scheme="exact",
    )
    return Case(Carried(config), {}, (240,), splits=LINE)


BURGERS = _plane(
    "burgers",
    parameters={"viscosity": 0.05, "flux": "central"},
    dt=0.08,
    substeps=4,
    cutoff=5.0,
    scheme="etdrk4",
    accuracy=6,
)
FORCED = {"viscosity": 0.01, "drag": 0.1, "forcing": 1.0, "wavenumber": 4}
CHANNEL = _plane(
    "shallow-water",
    parameters={"coriolis": 0.5, "viscosity": 0.05},
    lengths=(20.0, 20.0),
    boundary=("wall", "periodic"),
    dt=0.3,
    substeps=3,
    spinup=4,
    cutoff=5.0,
    scheme="rk4",
    accuracy=4,
)
EQUATIONS: dict[str, Case] = {
    "advection-diffusion": Case(
        Solved(
            _plane(
                "advection-diffusion",
                parameters={"velocity": [2.2, 1.2], "diffusivity": [[0.24, 0.08], [0.08, 0.12]]},
                lengths=(64.0, 64.0),
                dt=1.0,
                cutoff=6.0,
                accuracy=2,
            )
        ),
        {"diffusivity": [[0.36, 0.12], [0.12, 0.18]]},
        (96, 96),
    ),
    "burgers": Case(Solved(BURGERS, (96, 96)), {"viscosity": 0.075}, (96, 96)),
    "forced-vorticity": Case(
        Solved(_plane("vorticity", parameters=FORCED, dt=0.2, substeps=8, cutoff=6.0, spinup=30)),
        {"viscosity": 0.015},
        (96, 96),
        chaotic=True,
    ),
    "decaying-vorticity": Case(
        Solved(_plane("vorticity", parameters={"viscosity": 0.005}, dt=0.15, substeps=6, cutoff=6.0)),
        {"viscosity": 0.0075},
        (96, 96),
    ),
    "kuramoto-sivashinsky": Case(
        Solved(_plane("kuramoto-sivashinsky", lengths=(48.0, 48.0), dt=1.0, substeps=6, spinup=60)),
        {"damping": 1.2},
        (96, 96),
        chaotic=True,
    ),
    "gray-scott": Case(
        Solved(
            _plane(
                "gray-scott",
                parameters={"feed": 0.02, "kill": 0.051},
                lengths=(64.0, 64.0),
                dt=30.0,
                substeps=8,
                spinup=15,
            )
        ),
        {"feed": 0.022},
        (96, 96),
    ),
    "shallow-water": Case(Solved(CHANNEL), {"coriolis": 0.75}, (96, 96)),
    "kuramoto-sivashinsky-1d": Case(
        Solved(
            SimulateConfig(
                equation="kuramoto-sivashinsky",
                parameters={"form": "slope"},
                shape=(128,),
                lengths=(64.0,),
                dt=0.5,
                substeps=5,
                spinup=120,
                cutoff=6.0,
                accuracy="spectral",
            )
        ),
        {"damping": 1.2},
        (192,),
        chaotic=True,
        splits={**LINE, "unseen": Split(30, 200, "parameters")},
    ),
    "advection-4": _carried(4.0),
    "advection-4.37": _carried(4.37),
}


def persistence(ds: xr.Dataset) -> tuple[float, float]:
    """nRMSE of no change in one step, and its geometric mean over ``LEADS`` steps from the first frame.

    nRMSE = mean over trajectories and variables of |u - u'| / |u|; that of one step is of all frames.
    """
    moving = [ds[name].values for name in ds.data_vars if "time" in ds[name].dims]
    once = np.mean([_error(u[:, :-1], u[:, 1:]) for u in moving])
    leads = range(1, 1 + min(LEADS, ds.sizes["time"] - 1))
    along = [np.mean([_error(u[:, :1], u[:, n : n + 1]) for u in moving]) for n in leads]
    return float(once), float(np.exp(np.mean(np.log(along))))


def _error(
    guess: Float[np.ndarray, "sample time *space"], truth: Float[np.ndarray, "sample time *space"]
) -> np.floating:
    space = tuple(range(2, truth.ndim))
    squares = ((guess - truth) ** 2).sum(space, dtype=float) / (truth**2).sum(space, dtype=float)
    return np.sqrt(squares).mean()


def load(name: str, split: str, folder: Path = FOLDER) -> xr.Dataset:
    """The dataset of a case and split in memory, from its file, which is made where there is none."""
    path = folder / name / f"{split}.nc"
    if not path.exists():
        write(EQUATIONS[name].make(split), path)
    return xr.load_dataset(path)


def main() -> None:
    """Make all that is missing, and print a row of the table of persistence for each equation."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", nargs="*", choices=EQUATIONS, default=list(EQUATIONS))
    options.add_argument("--out", type=Path, default=FOLDER)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    print("| equation | persistence, one step | geometric mean of 20 | CPU seconds |\n|---|---|---|---|")
    for name in chosen.only:
        start = time.process_time()
        found = {split: load(name, split, chosen.out) for split in EQUATIONS[name].splits}
        errors = " | ".join(f"{error:.3f}" for error in persistence(found["test"]))
        print(f"| {name} | {errors} | {time.process_time() - start:.0f} |", flush=True)


if __name__ == "__main__":
    main()
