"""Orders of the periodic problems: in time where modes leave no error in space, in space where time is exact."""

from __future__ import annotations

from math import cos, pi, sin, sqrt

import torch
from pde_orders.case import OrderCase
from pde_orders.states import Given, at_start, error_of, forced

from opnet.solvers.pde.advection import Advection
from opnet.solvers.pde.allen_cahn import AllenCahn
from opnet.solvers.pde.fisher_kpp import FisherKPP
from opnet.solvers.pde.fitzhugh_nagumo import FitzHughNagumo
from opnet.solvers.pde.gray_scott import GrayScott
from opnet.solvers.pde.heat import Heat
from opnet.solvers.pde.korteweg_de_vries import KortewegDeVries
from opnet.solvers.pde.kuramoto_sivashinsky import KuramotoSivashinsky
from opnet.solvers.pde.swift_hohenberg import SwiftHohenberg
from opnet.solvers.pde.wave import Wave

# Time is exact for linear problems. Of |sin(pi x)|^3, whose third derivative jumps, the modes fall as k^-4:
# interpolants through n nodes err by n^-3.5 in L2, and in the modes that heat leaves, by what is aliased, n^-4.


def hump(x):
    return torch.sin(pi * x[0]).abs() ** 3


def advection(n):
    problem = Advection(times=1.0, beta=1 / 3, initial=Given(hump))
    return error_of(problem, (lambda t, x: hump(x - problem.beta * t),), n)


def wave(n):
    problem = Wave(times=1 / 3, initial=Given(hump), initial_velocity=Given(torch.zeros_like))
    return error_of(problem, (lambda t, x: (hump(x - t) + hump(x + t)) / 2,), n)


def heat(n):
    def exact(t, x):
        k = torch.arange(40, dtype=torch.float64)
        amplitudes = 3 / pi * (1 / (1 - 4 * k**2) - 1 / (9 - 4 * k**2)) * torch.where(k == 0, 0.5, 1.0)
        decay = torch.exp(-problem.nu * (2 * pi * k) ** 2 * t)
        return (amplitudes * decay) @ torch.cos(2 * pi * k[:, None] * x[0])

    problem = Heat(initial=Given(hump))
    return error_of(problem, (exact,), n)


def korteweg_de_vries(steps):
    """The soliton, which is below rounding at the ends of the interval."""

    def exact(t, x):
        return 3 / torch.cosh((x[0] - 30 - t) / 2) ** 2

    problem = KortewegDeVries(times=4.0, length=80.0, initial=at_start(exact), nodes=256, step=4 / steps)
    return error_of(problem, (exact,), 128)


def fisher_kpp(steps):
    """Two fronts of Ablowitz and Zeppetella, Bull. Math. Biol. 41 (1979), that move apart, 160 widths of each other."""

    def exact(t, x):
        fronts = [(1 + torch.exp((s * (x[0] - 140) - 80 - 5 / sqrt(6) * t) / sqrt(6))) ** -2 for s in (-1, 1)]
        return fronts[0] * fronts[1]

    problem = FisherKPP(times=2.0, nu=1.0, length=280.0, initial=at_start(exact), nodes=512, step=2 / steps)
    return error_of(problem, (exact,), 128)


def kuramoto_sivashinsky(steps):
    q = 2 * 2 * pi / 22

    def exact(t, x):
        return torch.cos(q * x[0] - t)

    def forcing(t, x):  # u_t + u u_x + u_xx + u_xxxx
        c, s = torch.cos(q * x[0] - t), torch.sin(q * x[0] - t)
        return s - q * c * s + (q**4 - q**2) * c

    problem = forced(KuramotoSivashinsky)(
        times=2.0, length=22.0, initial=at_start(exact), nodes=32, step=2 / steps, forcing=(forcing,)
    )
    return error_of(problem, (exact,), 32)


def swift_hohenberg(steps):
    q = 0.9

    def exact(t, x):
        return torch.cos(q * x[0] - t)

    def forcing(t, x):  # u_t - r u + (1 + d_xx)^2 u - g u^2 + u^3
        c, s = torch.cos(q * x[0] - t), torch.sin(q * x[0] - t)
        return s + ((1 - q**2) ** 2 - 0.3) * c - 0.5 * c**2 + c**3

    problem = forced(SwiftHohenberg)(
        times=2.0, g=0.5, length=4 * pi / q, initial=at_start(exact), nodes=32, step=2 / steps, forcing=(forcing,)
    )
    return error_of(problem, (exact,), 32)


def allen_cahn(steps):
    def exact(t, x):
        return 0.8 * torch.cos(pi * x[0] - t)

    def forcing(t, x):  # u_t - D u_xx - r (u - u^3)
        u = exact(t, x)
        return 0.8 * torch.sin(pi * x[0] - t) + 0.01 * pi**2 * u - 5 * (u - u**3)

    problem = forced(AllenCahn)(
        times=1.0, diffusivity=0.01, initial=at_start(exact), nodes=32, step=1 / steps, forcing=(forcing,)
    )
    return error_of(problem, (exact,), 32)


def gray_scott(steps):
    feed, kill, du, dv = 0.4, 0.6, 0.02, 0.01  # larger than any pattern's, for the error to be seen above rounding

    def phi(t, x):
        return torch.cos(pi * x[0] - t) * torch.cos(pi * x[1])

    def phi_t(t, x):
        return torch.sin(pi * x[0] - t) * torch.cos(pi * x[1])

    def u(t, x):
        return 1 - g(t, x) / 2

    def v(t, x):
        return g(t, x) / 4

    def g(t, x):
        return 1 + phi(t, x) / 2

    def of_u(t, x):  # u_t - D_u Lap u + u v^2 - F (1 - u)
        eaten = u(t, x) * v(t, x) ** 2
        return -phi_t(t, x) / 4 - du * 2 * pi**2 * phi(t, x) / 4 + eaten - feed * (1 - u(t, x))

    def of_v(t, x):  # v_t - D_v Lap v - u v^2 + (F + k) v
        eaten = u(t, x) * v(t, x) ** 2
        return phi_t(t, x) / 8 + dv * 2 * pi**2 * phi(t, x) / 8 - eaten + (feed + kill) * v(t, x)

    problem = forced(GrayScott)(
        times=1.0,
        rates=(feed, kill),
        du=du,
        dv=dv,
        initial=at_start(g),
        nodes=16,
        step=1 / steps,
        forcing=(of_u, of_v),
    )
    return error_of(problem, (u, v), 16)


def fitzhugh_nagumo(steps):
    du, dv, k = 0.02, 0.05, 5e-3

    def phi(x):
        return torch.cos(pi * (x[0] + 1)) * torch.cos(pi * (x[1] + 1) / 2)

    def u(t, x):
        return 0.5 * phi(x) * cos(t)

    def v(t, x):
        return 0.5 * phi(x) * sin(t + 1)

    def of_u(t, x):  # u_t - D_u Lap u - u + u^3 + k + v
        rate = -0.5 * phi(x) * sin(t)
        return rate + (du * 1.25 * pi**2 - 1) * u(t, x) + u(t, x) ** 3 + k + v(t, x)

    def of_v(t, x):  # v_t - D_v Lap v - u + v
        rate = 0.5 * phi(x) * cos(t + 1)
        return rate + (dv * 1.25 * pi**2 + 1) * v(t, x) - u(t, x)

    problem = forced(FitzHughNagumo)(
        times=1.0,
        du=du,
        dv=dv,
        initial=at_start(u),
        initial_v=at_start(v),
        nodes=32,
        step=1 / steps,
        forcing=(of_u, of_v),
    )
    return error_of(problem, (u, v), 16)


CASES = [
    OrderCase("advection", "a hump carried round, in space", advection, (512, 1024, 2048), 3.5),
    OrderCase("wave", "d'Alembert's solution from a hump, in space", wave, (512, 1024, 2048), 3.5),
    OrderCase("heat", "the series from a hump, in space", heat, (512, 1024, 2048), 4),
    OrderCase("korteweg_de_vries", "soliton, in time", korteweg_de_vries, (160, 320, 640), 4),
    OrderCase("fisher_kpp", "travelling fronts, in time", fisher_kpp, (8, 16, 32), 4),
    OrderCase("kuramoto_sivashinsky", "manufactured, in time", kuramoto_sivashinsky, (8, 16, 32), 4),
    OrderCase("swift_hohenberg", "manufactured, in time", swift_hohenberg, (16, 32, 64), 4),
    OrderCase("allen_cahn", "manufactured, in time", allen_cahn, (20, 40, 80), 4),
    OrderCase("gray_scott", "manufactured, in time", gray_scott, (4, 8, 16), 4),
    OrderCase("fitzhugh_nagumo", "manufactured, in time", fitzhugh_nagumo, (8, 16, 32), 4),
]
