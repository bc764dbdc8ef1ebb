"""Exact solutions of diffusion with and without sorption."""

from __future__ import annotations

import numpy as np


def similarity(x, problem):
    """u(x / sqrt(t)) on a half line: `D U'' + (eta / 2) R(U) U' = 0`, U(0) = 1, U(inf) = c, by collocation.

    R is written out once more, and the equation is another one than the solver's.
    """
    from scipy.integrate import solve_bvp

    D, c, far = problem.D, problem.initial_value(0, 0), 0.2  # far: where 1 - erf is below 1e-15

    def retardation(u):
        held = (1 - problem.porosity) / problem.porosity * problem.rho_s * problem.k_f * problem.n_f
        return 1 + held * u ** (problem.n_f - 1)

    def f(eta, y):
        return np.stack([y[1], -eta / (2 * D) * retardation(np.maximum(y[0], c / 2)) * y[1]])

    eta = np.linspace(0, far, 400)
    guess = c + (1 - c) * np.exp(-((eta / 0.03) ** 2))
    sol = solve_bvp(
        f,
        lambda a, b: np.array([a[0] - problem.boundary_value, b[0] - c]),
        eta,
        np.stack([guess, np.gradient(guess, eta)]),
        tol=1e-9,
        max_nodes=100_000,
    )
    assert sol.success, sol.message
    return sol.sol(np.minimum(x / problem.frames[-1] ** 0.5, far))[0]


def plain_diffusion(x, problem, terms=400):
    """R = 1: the steady state and a series of sin(mu x) with tan(mu) = -D mu."""
    from scipy.optimize import brentq

    D, c, t = problem.D, problem.initial_value(0, 0), problem.frames[-1]
    steady = 1 - x / (1 + D)
    u = steady.copy()
    for k in range(1, terms + 1):
        mu = brentq(lambda m: np.sin(m) + D * m * np.cos(m), (k - 0.5) * np.pi, (k + 0.5) * np.pi, xtol=1e-14)
        # integrals of sin(mu x) times c - 1 + x / (1 + D), and of its square
        once = (1 - np.cos(mu)) / mu
        first = np.sin(mu) / mu**2 - np.cos(mu) / mu
        square = 0.5 - np.sin(2 * mu) / (4 * mu)
        u += ((c - 1) * once + first / (1 + D)) / square * np.exp(-D * mu**2 * t) * np.sin(mu * x)
    return u
