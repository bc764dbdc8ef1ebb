"""Orders of elliptic problems: manufactured solutions put through each problem's own system."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import pi

import torch
from pde_orders.case import OrderCase
from torch import Tensor

from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.pde.darcy import Darcy
from opnet.solvers.pde.darcy_fno_published import DarcyFNOPublished
from opnet.solvers.pde.darcy_lognormal import DarcyLognormal
from opnet.solvers.pde.darcy_multiscale import DarcyMultiscale
from opnet.solvers.pde.elliptic import Elliptic
from opnet.solvers.pde.helmholtz import Helmholtz
from opnet.solvers.pde.poisson import Poisson
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import restrict_cells

Function = Callable[[Tensor, Tensor], Tensor]


def _drawn_medium(problem: Darcy | DarcyLognormal | DarcyMultiscale, u: Function):
    """A known u, 0 on the boundary, in a medium as drawn; f is the flux of a grad u out of a cell, by Boole's rule."""
    boole = torch.tensor([7.0, 32.0, 12.0, 32.0, 7.0], dtype=torch.float64) / 90

    def error_at(n: int) -> float:
        grid, faces = problem.grid(n), Grid((4 * n + 1, 4 * n + 1), nodes="vertex")
        _, A, _ = problem.system(0, [0], grid, "cpu")
        x, y = (axis.clone().requires_grad_() for axis in torch.broadcast_tensors(*faces.coordinates()))
        slopes = torch.autograd.grad(u(x, y).sum(), (x, y))
        along_x, along_y = (problem.coefficient(0, [0], faces)[0] * slope for slope in slopes)
        f = -n * (along_x[::4].unfold(1, 5, 4) @ boole).diff(dim=0)
        f -= n * (along_y[:, ::4].unfold(0, 5, 4) @ boole).diff(dim=1)
        found = solve_linear(A, f, problem.method, rtol=1e-11).value
        exact = u(*grid.coordinates())
        return float((found - exact).norm() / exact.norm())

    return error_at


def _poisson(boundary: str, u: Function, f: Function):
    def error_at(n: int) -> float:
        problem = Poisson(boundary)
        grid = problem.grid(n)
        x, y = grid.coordinates()
        _, A, _ = problem.system(0, [0], grid, "cpu")
        found = solve_linear(A, f(x, y), problem.method, rtol=1e-11).value
        exact = u(x, y)
        return float((found - exact).norm() / exact.norm())

    return error_at


def _plane_wave(p: float, q: float, contrast: float):
    """exp(i (p x + q y)) in the problem's medium, with the forcing and the boundary data that make it the solution."""
    k = 8.0
    problem = Helmholtz(omega=k, contrast=contrast)

    def error_at(n: int) -> float:
        grid = problem.grid(n)
        x, y = grid.coordinates()
        c, A, _ = problem.system(0, [0], grid, "cpu")
        exact = torch.exp(1j * (p * x + q * y))
        along_x, along_y = torch.exp(1j * p * grid.axis(0)), torch.exp(1j * q * grid.axis(1))
        end_x, end_y = torch.exp(torch.tensor([1j * p, 1j * q], dtype=torch.complex128))
        data = {  # du/dn - i k u of the wave
            (0, 0): -1j * (p + k) * along_y,
            (0, 1): 1j * (p - k) * end_x * along_y,
            (1, 0): -1j * (q + k) * along_x,
            (1, 1): 1j * (q - k) * end_y * along_x,
        }
        b = A.right_hand_side((p**2 + q**2 - (k / c[0, 0]) ** 2) * exact, data)
        found = solve_linear(A, b, problem.method, rtol=1e-10).value[0]
        return float((found - exact).norm() / exact.norm())

    return error_at


def _against_a_fine_grid(problem: Elliptic, reference: Elliptic, fine: int):
    @cache
    def truth() -> Tensor:
        return reference.sample(0, [0, 1, 2], fine, estimate_error=False).targets

    def error_at(n: int) -> float:
        exact = restrict_cells(truth(), reference.grid(fine), fine // n)[0]
        found = problem.sample(0, [0, 1, 2], n, estimate_error=False).targets
        return float((found - exact).norm() / exact.norm())

    return error_at


def _bubble(x: Tensor, y: Tensor) -> Tensor:
    return torch.sin(pi * x) * torch.sin(2 * pi * y) * torch.exp(x)


SIZES = (16, 32, 64)
CASES = [
    OrderCase("darcy", "manufactured, one phase", _drawn_medium(Darcy(a_high=3.0), _bubble), SIZES, 2),
    OrderCase("darcy_lognormal", "manufactured", _drawn_medium(DarcyLognormal(max_mode=8), _bubble), SIZES, 2),
    OrderCase("darcy_multiscale", "manufactured, two scales", _drawn_medium(DarcyMultiscale(2), _bubble), SIZES, 2),
    OrderCase(
        "poisson", "a mode, u = 0 at the sides",
        _poisson("dirichlet", lambda x, y: torch.sin(pi * x) * torch.sin(2 * pi * y),
                 lambda x, y: 5 * pi**2 * torch.sin(pi * x) * torch.sin(2 * pi * y)), SIZES, 2,
    ),
    OrderCase(
        "poisson", "a mode, no flux",
        _poisson("neumann", lambda x, y: torch.cos(pi * x) * torch.cos(2 * pi * y),
                 lambda x, y: 5 * pi**2 * torch.cos(pi * x) * torch.cos(2 * pi * y)), SIZES, 2,
    ),
    OrderCase(
        "poisson", "a mode, periodic",
        _poisson("periodic", lambda x, y: torch.cos(2 * pi * x + 1) * torch.sin(4 * pi * y),
                 lambda x, y: 20 * pi**2 * torch.cos(2 * pi * x + 1) * torch.sin(4 * pi * y)), SIZES, 2,
    ),
    OrderCase("helmholtz", "a plane wave that leaves", _plane_wave(8.0, 0.0, 0.0), (24, 48, 96), 2),
    OrderCase("helmholtz", "manufactured, variable speed", _plane_wave(3.0, 5.0, 0.25), (24, 48, 96), 2),
    OrderCase(
        "darcy", "two phases, against 768 x 768", _against_a_fine_grid(Darcy(), Darcy(), 768), (24, 48, 96, 192), None,
        slow=True,
    ),
    OrderCase(
        "darcy_fno_published", "two phases, against the conservative solution at 768 x 768",
        _against_a_fine_grid(DarcyFNOPublished(max_mode=128), Darcy(), 768), (24, 48, 96, 192), None, slow=True,
    ),
]  # fmt: skip
