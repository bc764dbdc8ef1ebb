"""The problems of PDEBench, told apart by keys, axes and names of files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from opnet.core.errors import DataError

BOUNDARIES = ("dirichlet", "neumann", "periodic")


@dataclass(frozen=True)
class Kind:
    """One problem and how its file lays it out.

    Attributes:
        name, equation: what it is.
        dim: axes of space.
        arrays: key -> axes, see `Layout`.
        targets: keys that change in time (or the solution), in the order of the channels.
        constants: keys of fields that do not, inputs besides.
        boundary: as `Grid` has it; None where only the file's name can tell.
        times: key of the times, "" if there are none.
        positioned: whether coordinates are stored.
        attributes: parameters stored as attributes of the file.
        notes: what to know about the published data.
    """

    name: str
    equation: str
    dim: int
    arrays: dict[str, str]
    targets: tuple[str, ...]
    boundary: Any
    constants: tuple[str, ...] = ()
    times: str = "t-coordinate"
    positioned: bool = True
    attributes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


_NOT_QUITE_PERIODIC = (
    "As published, initial values take their wavenumbers from x[-1] - x[0], so they are not quite periodic.",
)
# Start of the file's name -> what its `tensor` is.
_TENSORS = {
    "1D_Advection": ("advection", "u_t + beta u_x = 0, periodic", ("beta",)),
    "1D_Burgers": ("burgers", "u_t + (u^2/2)_x = (Nu / pi) u_xx, periodic", ("Nu",)),
    "ReacDiff": ("reaction_diffusion", "u_t = Nu u_xx + rho u (1 - u), periodic", ("Nu", "rho")),
}
_DARCY = Kind(
    "darcy",
    "-div(nu grad u) = beta on (0,1)^2, u = 0 on the boundary; nu to u",
    2,
    {"tensor": "ntxy", "nu": "nxy"},
    ("tensor",),
    "dirichlet",
    times="",
    attributes=("beta",),
    notes=(
        "u was marched in time from a random state and is not quite steady: up to a third of that state is left at the "
        "smallest forcing.",
    ),
)
_INCOMPRESSIBLE = Kind(
    "incompressible_flow",
    "rho (v_t + v . grad v) = -grad p + eta lap v + force, div v = 0 on (0,1)^2",
    2,
    {"velocity": "ntxyc", "particles": "ntxyc", "force": "nxyc"},
    ("velocity", "particles"),
    "dirichlet",
    constants=("force",),
    times="t",
    positioned=False,
)
_GROUPED = {
    "2D_diff-react": Kind(
        "diffusion_reaction",
        "FitzHugh-Nagumo: u_t = Du lap u + u - u^3 - k - v, v_t = Dv lap v + u - v on (-1,1)^2, no flux",
        2,
        {"data": "txyc"},
        ("data",),
        "neumann",
        notes=("Initial values are drawn for each cell alone, so they are not the same functions at two resolutions.",),
    ),
    "2D_rdb": Kind(
        "shallow_water",
        "shallow water, radial dam break: depth on (-2.5,2.5)^2, open",
        2,
        {"data": "txyc"},
        ("data",),
        "neumann",
    ),
    "1D_diff-sorp": Kind(
        "diffusion_sorption",
        "u_t = D / R(u) u_xx on (0,1), u(0) = 1, u(1) = D u_x(1)",
        1,
        {"data": "txc"},
        ("data",),
        (("dirichlet", "robin"),),
    ),
}


def kind_of(path: Path, keys: set[str], ndims: dict[str, int]) -> Kind:
    """Which problem a file holds, by its name, its keys and the number of axes of its main array.

    Raises:
        DataError: if it is none of those known.
    """
    name = path.name
    if keys == {"grid"}:
        for start, kind in _GROUPED.items():
            if name.startswith(start) and ndims["data"] == len(kind.arrays["data"]):
                return kind
        raise _unknown(path, f"{', '.join(_GROUPED)} with data of so many axes", f"{name!r}, {ndims['data']} axes")
    if {"velocity", "particles", "force", "t"} <= keys:
        return _INCOMPRESSIBLE
    if {"tensor", "nu"} <= keys and ndims["tensor"] == 4:
        return _DARCY
    if "tensor" in keys and ndims["tensor"] == 3:
        for start, (problem, equation, attributes) in _TENSORS.items():
            if name.startswith(start):
                return Kind(
                    problem,
                    equation,
                    1,
                    {"tensor": "ntx"},
                    ("tensor",),
                    "periodic",
                    attributes=attributes,
                    notes=_NOT_QUITE_PERIODIC,
                )
        raise _unknown(path, f"{', '.join(_TENSORS)} for its tensor", f"{name!r}")
    if {"density", "pressure", "Vx"} <= keys and 3 <= ndims["density"] <= 5:
        return _compressible(path, keys, ndims["density"] - 2)
    raise _unknown(path, "tensor; density, pressure, Vx; or velocity, particles, force, t", f"{sorted(keys)!r:.200}")


def _compressible(path: Path, keys: set[str], dim: int) -> Kind:
    fields = ("density", "pressure", *(f"V{letter}" for letter in "xyz"[:dim]))
    if not set(fields) <= keys:
        raise _unknown(path, f"the fields {', '.join(fields)}", f"{sorted(keys)!r:.200}")
    kind = Kind(
        "compressible_flow",
        "compressible Navier-Stokes with shear viscosity eta and bulk viscosity zeta, gamma = 5/3",
        dim,
        dict.fromkeys(fields, "nt" + "xyz"[:dim]),
        fields,
        None,
        attributes=("eta", "zeta", *(("M",) if dim > 1 else ())),
    )
    if "periodic" in path.name:
        return replace(kind, boundary="periodic")
    return replace(kind, boundary="neumann") if "trans" in path.name else kind


def _unknown(path: Path, expected: str, found: str) -> DataError:
    return DataError(f"{path}: expected a file of PDEBench with {expected}, found {found}")
