"""Orders of elliptic problems: manufactured solutions put through each problem's own system."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import pi

import torch
from pde_orders.case import OrderCase
from torch import Tensor

from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.pde.darcy import Darcy
from opnet.solvers.pde.darcy_fno_published import DarcyFNOPublished
from opnet.solvers.pde.darcy_lognormal import DarcyLognormal
from opnet.solvers.pde.darcy_multiscale import DarcyMultiscale
from opnet.solvers.pde.elliptic import Elliptic
from opnet.solvers.pde.helmholtz import Helmholtz
from opnet.solvers.pde.poisson import Poisson
from opnet.spaces.interpolation import restrict_cells

Function = Callable[[Tensor, Tensor], Tensor]


def _divergence(a: Function, u: Function, x: Tensor, y: Tensor) -> Tensor:
    """-div(a grad u) at points, by automatic differentiation."""
    x, y = x.clone().requires_grad_(), y.clone().requires_grad_()

    def slope(values: Tensor) -> tuple[Tensor, Tensor]:
        return torch.autograd.grad(values.sum(), (x, y), create_graph=True)

    fluxes = [a(x, y) * slope_of for slope_of in slope(u(x, y))]
    return -(slope(fluxes[0])[0] + slope(fluxes[1])[1]).detach()


def _manufactured(problem: Elliptic, a: Function, u: Function):
    """The coefficient of the problem's kind, but known; u vanishes on the boundary."""

    def error_at(n: int) -> float:
        grid = problem.grid(n)
        x, y = grid.coordinates()
        A = Diffusion(a(x, y), grid)
        found = solve_linear(A, _divergence(a, u, x, y), problem.method, rtol=1e-11).value
        exact = u(x, y)
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


def _plane_wave(n: int) -> float:
    """exp(i k x) in a medium of one speed: it leaves at x = 1, and the low end and the sides are driven."""
    problem = Helmholtz(omega=8.0, contrast=0.0)
    grid, k = problem.grid(n), 8.0
    x, _ = grid.coordinates()
    _, A, _ = problem.system(0, [0], grid, "cpu")
    ends = torch.exp(1j * k * grid.axis(0).to(torch.complex128))
    data = {  # du/dn - i k u of the wave
        (0, 0): -2j * k * torch.ones(n, dtype=torch.complex128),
        (0, 1): torch.zeros(n, dtype=torch.complex128),
        (1, 0): -1j * k * ends,
        (1, 1): -1j * k * ends,
    }
    b = A.right_hand_side(torch.zeros(n, n, dtype=torch.complex128), data)
    found = solve_linear(A, b, problem.method, rtol=1e-10).value[0]
    exact = torch.exp(1j * k * x)
    return float((found - exact).norm() / exact.norm())


def _against_a_fine_grid(problem: Elliptic, reference: Elliptic, fine: int):
    @cache
    def truth() -> Tensor:
        return reference.sample(0, [0, 1, 2], fine, estimate_error=False).targets

    def error_at(n: int) -> float:
        exact = restrict_cells(truth(), reference.grid(fine), fine // n)[0]
        found = problem.sample(0, [0, 1, 2], n, estimate_error=False).targets
        return float((found - exact).norm() / exact.norm())

    return error_at


def _smooth(x: Tensor, y: Tensor) -> Tensor:
    return torch.exp(torch.sin(2 * x + y) + 0.5 * torch.cos(3 * y))


def _waves(x: Tensor, y: Tensor) -> Tensor:
    return (1 + 0.5 * torch.cos(1.3 * pi * (x + y))) * (1 + 0.5 * torch.sin(1.3 * pi * (y - 3 * x)))


def _bubble(x: Tensor, y: Tensor) -> Tensor:
    return torch.sin(pi * x) * torch.sin(2 * pi * y) * torch.exp(x)


SIZES = (16, 32, 64)
CASES = [
    OrderCase("darcy", "manufactured, smooth a", _manufactured(Darcy(), _smooth, _bubble), SIZES, 2),
    OrderCase("darcy_lognormal", "manufactured", _manufactured(DarcyLognormal(), _smooth, _bubble), SIZES, 2),
    OrderCase("darcy_multiscale", "manufactured, a scale", _manufactured(DarcyMultiscale(), _waves, _bubble), SIZES, 2),
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
    OrderCase("helmholtz", "a plane wave that leaves", _plane_wave, (24, 48, 96), 2),
    OrderCase(
        "darcy", "two phases, against 768 x 768", _against_a_fine_grid(Darcy(), Darcy(), 768), (24, 48, 96, 192), None,
        slow=True,
    ),
    OrderCase(
        "darcy_fno_published", "two phases, against the conservative solution at 768 x 768",
        _against_a_fine_grid(DarcyFNOPublished(max_mode=128), Darcy(), 768), (24, 48, 96, 192), None, slow=True,
    ),
]  # fmt: skip
