"""Small genuine files of other people's formats, one function a format; each writes a folder that reads without options
but those `OPTIONS` names."""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import scipy.sparse

from opnet.data.formats.the_well_write import WellArrays, write_the_well
from opnet.spaces.grid import Grid


def smooth(chance: np.random.Generator, *shape: int) -> np.ndarray:
    return chance.random(shape, dtype=np.float32)


def write_sums(folder: Path) -> None:
    """The list `SHA256SUMS` of every file below `folder`, as the command sha256sum writes it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def burgers_mat(folder: Path, *, compressed: bool = True) -> dict[str, np.ndarray]:
    """FNO's Burgers in version 5, with an array that is not read."""
    chance = np.random.default_rng(0)
    arrays = {"a": chance.random((6, 16)), "u": chance.random((6, 16)), "a_x": chance.random((6, 16))}
    scipy.io.savemat(folder / "burgers_data_R10.mat", arrays, do_compression=compressed)
    return arrays


def matlab73(path: Path, arrays: dict[str, np.ndarray], **options) -> None:
    """A -v7.3 file: HDF5 with reversed axes behind MATLAB's header of 512 bytes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values.T, **(options if values.ndim > 3 else {}))
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")


def navier_stokes_mat(folder: Path) -> dict[str, np.ndarray]:
    """FNO's Navier-Stokes in -v7.3."""
    chance = np.random.default_rng(0)
    arrays = {"a": smooth(chance, 6, 4, 5), "u": smooth(chance, 6, 4, 5, 3), "t": np.arange(1.0, 4.0)[:, None]}
    matlab73(folder / "ns_V1e-3_N6_T3.mat", arrays, chunks=(1, 5, 4, 6), compression="gzip", shuffle=True)
    return arrays


def pdebench_burgers(folder: Path) -> np.ndarray:
    """PDEBench's flat form, with one time more than there are frames."""
    tensor = smooth(np.random.default_rng(0), 6, 4, 8)
    with h5py.File(folder / "1D_Burgers_Sols_Nu0.01.hdf5", "w") as file:
        file["tensor"] = tensor
        file["x-coordinate"] = ((np.arange(8) + 0.5) / 8).astype("f4")
        file["t-coordinate"] = np.linspace(0, 2, 5, dtype="f4")
        file.attrs["Nu"] = 0.01
    return tensor


def pdebench_grouped(folder: Path, groups: int = 5) -> np.ndarray:
    """PDEBench's grouped form: diffusion-reaction."""
    data = smooth(np.random.default_rng(0), groups, 3, 4, 4, 2)
    with h5py.File(folder / "2D_diff-react_NA_NA.h5", "w") as file:
        for i in range(groups):
            group = file.create_group(f"{i:04d}")
            group["data"] = data[i]
            for letter in "xy":
                group[f"grid/{letter}"] = ((np.arange(4) + 0.5) / 2 - 1).astype("f4")
            group["grid/t"] = np.linspace(0, 1, 3, dtype="f4")
            group.attrs["config"] = "sim: {}"
    return data


def well_arrays(samples: int, seed: int) -> WellArrays:
    chance = np.random.default_rng(seed)
    return WellArrays(
        Grid((4, 6), boundary=("periodic", ("dirichlet", "neumann"))),
        (0.0, 0.5, 1.0),
        {
            "pressure": smooth(chance, samples, 3, 4, 6),
            "velocity": smooth(chance, samples, 3, 4, 6, 2),
            "stress": 1e-6 * smooth(chance, samples, 3, 4, 6, 2, 2),
        },
        {"density": smooth(chance, samples, 4, 6)},
        {"viscosity": smooth(chance, samples)},
    )


def well_folder(folder: Path) -> dict[str, WellArrays]:
    """A folder of The Well without the sums that opnet adds."""
    arrays = {"train": well_arrays(5, 0), "test": well_arrays(3, 1)}
    write_the_well(arrays, folder, name="toy", samples_per_file=2)
    (folder / "SHA256SUMS").unlink()
    return arrays


def deeponet_aligned(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """DeepXDE's aligned form: an array of objects, which numpy pickles."""
    chance = np.random.default_rng(0)
    X = np.empty(2, dtype=object)
    X[0], X[1] = chance.random((6, 5)), np.linspace(0, 1, 5)[:, None]
    y = chance.random((6, 5))
    np.savez(folder / "antiderivative_aligned.npz", X=X, y=y)
    return X[0], y


def deeponet_unaligned(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """DeepXDE's unaligned form, a file to train on and one to test on."""
    chance, files = np.random.default_rng(0), {}
    for split in ("train", "test"):
        shapes = {f"X_{split}0": (6, 5), f"X_{split}1": (6, 2), f"y_{split}": (6, 1)}
        files[split] = {name: chance.random(shape) for name, shape in shapes.items()}
        np.savez(folder / f"reaction_unaligned_{split}.npz", **files[split])
    return files


def geo_pipe(folder: Path) -> dict[str, np.ndarray]:
    """Geo-FNO's pipes."""
    chance = np.random.default_rng(0)
    arrays = {"X": chance.random((6, 4, 5)), "Y": chance.random((6, 4, 5)), "Q": chance.random((6, 3, 4, 5))}
    for name, values in arrays.items():
        np.save(folder / f"Pipe_{name}.npy", values)
    return arrays


def geo_elasticity(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Geo-FNO's elasticity, points that differ from sample to sample."""
    chance = np.random.default_rng(0)
    positions, stress = chance.random((7, 2, 6)), chance.random((7, 6))
    np.save(folder / "Random_UnitCell_XY_10.npy", positions)
    np.save(folder / "Random_UnitCell_sigma_10.npy", stress)
    return positions, stress


def planetoid(folder: Path) -> dict[str, np.ndarray]:
    """A citation graph of 12 nodes: 2 train, 6 of the others are known, 3 of the last 4 test; node 9 stands nowhere."""
    import pickle
    from collections import defaultdict

    chance = np.random.default_rng(0)
    features = (chance.random((12, 5)) < 0.5).astype("f4")
    classes = np.eye(3, dtype="i4")[chance.integers(0, 3, 12)]
    test = np.array([11, 8, 10])
    graph = defaultdict(list, {i: sorted({(i + 1) % 12, (i - 1) % 12}) for i in range(12)})
    parts = {
        **{name: scipy.sparse.csr_matrix(features[rows]) for name, rows in (("x", [0, 1]), ("allx", range(8)))},
        "tx": scipy.sparse.csr_matrix(features[test]),
        **{name: classes[rows] for name, rows in (("y", [0, 1]), ("ally", range(8)), ("ty", test))},
        "graph": graph,
    }
    for name, value in parts.items():
        (folder / f"ind.toy.{name}").write_bytes(pickle.dumps(value, protocol=2))
    (folder / "ind.toy.test.index").write_text("".join(f"{i}\n" for i in test))
    features[9] = 0
    return {"features": features, "classes": classes, "test": test}
