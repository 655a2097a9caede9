"""HDF5 layouts, from files made here to the published descriptions; py-pde's by py-pde itself."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pde
import pytest
import xarray as xr

from gridvit.config import DataConfig
from gridvit.data.fields import load
from gridvit.data.sources import open_dataset
from gridvit.errors import InputError

T, X, Y = 5, 7, 11
RNG = np.random.default_rng(11)


def test_pdebench_tensor_with_one_time_too_many(tmp_path: Path) -> None:
    u = RNG.normal(size=(3, T, X)).astype("f4")
    with h5py.File(tmp_path / "burgers", "w") as file:
        file["tensor"], file["x-coordinate"] = u, np.linspace(0.5, 6.5, X)
        file["t-coordinate"] = 0.25 * np.arange(T + 1)
    fields = load(tmp_path / "burgers", DataConfig(periodic={"x": True}))
    assert (fields.names, fields.grid.names, fields.step.seconds) == (("tensor",), ("x",), 0.25)
    assert fields.grid.periodic == (True,)
    np.testing.assert_array_equal(fields.values[:, :, 0], u)


def test_pdebench_named_fields_in_two_dimensions(tmp_path: Path) -> None:
    fields = {name: RNG.normal(size=(2, T, X, Y)).astype("f4") for name in ("Vx", "density")}
    with h5py.File(tmp_path / "cfd.h5", "w") as file:
        for name, values in fields.items():
            file[name] = values
        file["t-coordinate"] = np.arange(T) / 10
        file["x-coordinate"], file["y-coordinate"] = np.arange(X) + 0.5, np.arange(Y) + 0.5
    with open_dataset(tmp_path / "cfd.h5") as ds:
        assert ds["Vx"].chunks is not None  # lazy
        found = load(ds)
    assert (found.grid.names, found.grid.shape) == (("y", "x"), (Y, X))
    np.testing.assert_array_equal(found.values[:, :, 0], fields["Vx"].swapaxes(2, 3))


@pytest.mark.parametrize("channels", [1, 2])
def test_pdebench_group_for_each_sample(tmp_path: Path, channels: int) -> None:
    u = RNG.normal(size=(3, T, X, Y, channels)).astype("f4")
    with h5py.File(tmp_path / "rd.h5", "w") as file:
        for s in range(3):
            file[f"{s:04d}/data"] = u[s]
            file[f"{s:04d}/grid/x"], file[f"{s:04d}/grid/y"] = np.arange(X) - 3.0, np.arange(Y) - 5.0
            file[f"{s:04d}/grid/t"] = np.arange(T) / 2
    fields = load(tmp_path / "rd.h5")
    assert fields.names == (("data",) if channels == 1 else ("data_0", "data_1"))
    np.testing.assert_array_equal(fields.values, np.moveaxis(u, -1, 2).swapaxes(3, 4))
    with h5py.File(tmp_path / "rd.h5", "a") as file:
        file["0002/grid/t"][0] = 0.1
    with pytest.raises(
        InputError, match="samples on one grid at one set of times, got another in group '0002'"
    ):
        open_dataset(tmp_path / "rd.h5")


def well(path: Path, grid: str = "cartesian") -> tuple[np.ndarray, np.ndarray]:
    """A file of The Well: a scalar, a vector, a coefficient without time, x periodic, y with walls."""
    scalar, vector = RNG.normal(size=(2, T, X, Y)).astype("f4"), RNG.normal(size=(2, T, X, Y, 2)).astype("f4")
    moving = {"dim_varying": [True, True], "sample_varying": True, "time_varying": True}
    with h5py.File(path, "w") as file:
        file.attrs.update(grid_type=grid, n_spatial_dims=2, n_trajectories=2, dataset_name="made")
        file["dimensions/time"], file["dimensions/x"] = np.arange(T) / 4, np.arange(X) / X
        file["dimensions/y"] = np.arange(Y) / Y
        file["dimensions"].attrs["spatial_dims"] = ["x", "y"]
        for axis, kind in (("x", "PERIODIC"), ("y", "WALL")):
            file.create_group(f"boundary_conditions/{axis}_{kind}").attrs.update(
                associated_dims=[axis], bc_type=kind
            )
        file["t0_fields/density"], file["t1_fields/velocity"] = scalar, vector
        file["t0_fields/density"].attrs.update(moving)
        file["t1_fields/velocity"].attrs.update(moving)
        file["t0_fields/mask"] = np.ones((X, Y), dtype="f4")
        file["t0_fields/mask"].attrs.update(
            dim_varying=[True, True], sample_varying=False, time_varying=False
        )
    return scalar, vector


def test_the_well(tmp_path: Path) -> None:
    scalar, vector = well(tmp_path / "w.hdf5")
    fields = load(tmp_path / "w.hdf5")
    assert fields.names == ("density", "velocity_x", "velocity_y")
    assert (fields.grid.names, fields.grid.periodic) == (("y", "x"), (False, True))
    np.testing.assert_array_equal(fields.values[:, :, 0], scalar.swapaxes(2, 3))
    np.testing.assert_array_equal(fields.values[:, :, 2], vector[..., 1].swapaxes(2, 3))
    with open_dataset(tmp_path / "w.hdf5") as ds:
        assert ds["mask"].dims == ("x", "y")
    well(tmp_path / "s.hdf5", "spherical")
    with pytest.raises(InputError, match="expected a Cartesian grid, got the spherical grid of"):
        open_dataset(tmp_path / "s.hdf5")


def pyro(path: Path, time: float, left: str) -> np.ndarray:
    u = RNG.normal(size=(X, Y))
    with h5py.File(path, "w") as file:
        file.attrs.update(time=time, solver="diffusion", nsteps=3)
        file.create_group("grid").attrs.update(nx=X, ny=Y, ng=4, xmin=0.0, xmax=3.5, ymin=-1.0, ymax=1.0)
        file["state/phi/data"] = u
        file["state/phi"].attrs.update(xlb=left, xrb=left, ylb="neumann", yrb="neumann")
    return u


def test_pyro_snapshots_are_joined(tmp_path: Path) -> None:
    late, early = pyro(tmp_path / "a_1.h5", 0.5, "periodic"), pyro(tmp_path / "a_2.h5", 0.25, "periodic")
    fields = load(open_dataset(str(tmp_path / "a_*.h5")))
    assert fields.grid.periodic == (False, True)
    np.testing.assert_allclose(fields.grid.centers[1], 0.25 + 0.5 * np.arange(X))
    np.testing.assert_allclose(fields.values[0, :, 0], np.stack([early.T, late.T]), rtol=1e-6)


@pytest.mark.parametrize("rank", [0, 1])
def test_pypde_reads_what_pypde_wrote(tmp_path: Path, rank: int) -> None:
    grid = pde.CartesianGrid([[0, 2], [-1, 3]], [X, Y], periodic=[True, False])
    kind = pde.VectorField if rank else pde.ScalarField
    states = [kind(grid, RNG.normal(size=(2,) * rank + (X, Y)), label="c") for _ in range(3)]
    storage = pde.FileStorage(tmp_path / "p.h5", write_mode="truncate")
    storage.start_writing(states[0])
    for n, state in enumerate(states):
        storage.append(state, 0.5 * n)
    storage.end_writing()
    storage.close()
    fields = load(tmp_path / "p.h5")
    assert fields.names == (("c_x", "c_y") if rank else ("c",))
    assert (fields.grid.names, fields.grid.periodic) == (("y", "x"), (False, True))
    np.testing.assert_allclose(fields.grid.centers[1], grid.axes_coords[0])
    expected = np.stack([state.data.reshape(-1, X, Y) for state in states]).swapaxes(2, 3)
    np.testing.assert_allclose(fields.values[0], expected, rtol=1e-6)


def test_another_layout_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["mesh"] = np.arange(3)
    with pytest.raises(
        InputError, match="layout of PDEBench, The Well, pyro2, py-pde or NetCDF, got .* holds mesh"
    ):
        open_dataset(tmp_path / "x.h5")
    with h5py.File(tmp_path / "darcy.h5", "w") as file:
        file["tensor"], file["x-coordinate"] = np.zeros((2, T, X)), np.arange(X)
    with pytest.raises(InputError, match="fields that move in time, got .* without t-coordinate"):
        open_dataset(tmp_path / "darcy.h5")


def test_without_h5py_netcdf_opens_and_layouts_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyro(tmp_path / "a.h5", 0.5, "periodic")
    xr.Dataset({"u": ("x", np.arange(3.0))}, {"x": np.arange(3)}).to_netcdf(tmp_path / "a.nc")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    open_dataset(tmp_path / "a.nc").close()
    with pytest.raises(InputError, match=r"the package h5py .* pip install 'gridvit\[hdf5\]'"):
        open_dataset(tmp_path / "a.h5")
