"""The problems of `ode.py`, for torch and for JAX, and the peers that solve them."""

from __future__ import annotations

import os

# one thread for XLA as for torch; read when JAX computes for the first time
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import torch
import torchdiffeq
import torchode
from torch import Tensor

from opnet.solvers.ode.methods.rosenbrock import Rodas5P
from opnet.solvers.ode.solve import solve_ode

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")

Solve = Callable[[], np.ndarray]
"""Solves, and gives (time, batch, n)."""


@dataclass(frozen=True)
class Case:
    """`y' = f(t, y)` from y0 (batch, n) at ts (time,), or (batch, time).

    Attributes:
        f: for a batch of rows; torch.
        g: of one row, with its parameters: g(t, y, parameters); JAX.
        parameters: of each row, (batch, m).
    """

    name: str
    f: Callable[[Tensor, Tensor], Tensor]
    g: Callable[..., Any]
    y0: np.ndarray
    ts: np.ndarray
    parameters: np.ndarray

    @property
    def start(self) -> Tensor:
        return torch.from_numpy(self.y0)

    @property
    def times(self) -> Tensor:
        return torch.from_numpy(self.ts)


def van_der_pol(batch: int) -> Case:
    """mu from 0.1 to 10."""
    parameters = np.geomspace(0.1, 10, batch)[:, None]
    mu = torch.from_numpy(parameters)

    def f(t: Tensor, y: Tensor) -> Tensor:
        x, v = y[:, :1], y[:, 1:]
        return torch.cat([v, mu * (1 - x**2) * v - x], 1)

    def g(t: Any, y: Any, p: Any) -> Any:
        return jnp.array([y[1], p[0] * (1 - y[0] ** 2) * y[1] - y[0]])

    return Case("van_der_pol", f, g, np.tile([2.0, 0.0], (batch, 1)), np.linspace(0, 10, 11), parameters)


def stiff_van_der_pol(batch: int) -> Case:
    """mu from 10 to 1000, each to its own time 2 mu, which is a little more than one slow phase."""
    parameters = np.geomspace(10, 1000, batch)[:, None]
    mu = torch.from_numpy(parameters)

    def f(t: Tensor, y: Tensor) -> Tensor:
        x, v = y[:, :1], y[:, 1:]
        return torch.cat([v, mu * (v - x * x * v) - x], 1)

    def g(t: Any, y: Any, p: Any) -> Any:
        return jnp.array([y[1], p[0] * (y[1] - y[0] * y[0] * y[1]) - y[0]])

    ts = np.concatenate([0 * parameters, 2 * parameters], 1)
    return Case("stiff_van_der_pol", f, g, np.tile([2.0, 0.0], (batch, 1)), ts, parameters)


def lorenz(batch: int, seed: int) -> Case:
    """The classical parameters, from points about one."""

    def f(t: Tensor, y: Tensor) -> Tensor:
        a, b, c = y.unbind(1)
        return torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], 1)

    def g(t: Any, y: Any, p: Any) -> Any:
        return jnp.array([10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]])

    y0 = np.array([1.0, 1.0, 25.0]) + np.random.default_rng(seed).standard_normal((batch, 3))
    return Case("lorenz", f, g, y0, np.linspace(0, 3, 11), np.zeros((batch, 1)))


def stiff_linear(batch: int, seed: int) -> Case:
    """`y' = A y`, A symmetric with eigenvalues from -1 to -2500: stability limits an explicit method's steps."""
    rng, n = np.random.default_rng(seed), 8
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    A = -(Q * np.geomspace(1, 2500, n)) @ Q.T
    matrix, constant = torch.from_numpy(A.T.copy()), jnp.asarray(A)
    y0 = rng.standard_normal((batch, n))
    ts = np.linspace(0, 1, 11)
    return Case("stiff_linear", lambda t, y: y @ matrix, lambda t, y, p: constant @ y, y0, ts, np.zeros((batch, 1)))


def by_torchdiffeq(case: Case, rtol: float, atol: float) -> Solve:
    y0, ts = case.start, case.times
    return lambda: torchdiffeq.odeint(case.f, y0, ts, rtol=rtol, atol=atol, method="dopri5").numpy()


def by_torchode(case: Case, rtol: float, atol: float) -> Solve:
    y0, ts = case.start, case.times.expand(len(case.y0), -1)
    term = torchode.ODETerm(case.f)
    control = torchode.IntegralController(atol, rtol, term=term)
    adjoint = torchode.AutoDiffAdjoint(torchode.Dopri5(term), control)
    return lambda: adjoint.solve(torchode.InitialValueProblem(y0=y0, t_eval=ts)).ys.transpose(0, 1).numpy()


def by_diffrax(
    case: Case, rtol: float, atol: float, solver: Any = None, *, joint: bool = False, **gains: float
) -> Solve:
    """With a step for each sample, or one for the batch; `gains` of its step control, if not its own choice."""
    y0, ts, parameters = jnp.asarray(case.y0), jnp.asarray(case.ts), jnp.asarray(case.parameters)
    assert y0.dtype == jnp.float64
    solver = diffrax.Dopri5() if solver is None else solver
    control = diffrax.PIDController(rtol, atol, **gains)

    def solve(g: Any, y: Any, p: Any, ts: Any) -> Any:
        term, saved = diffrax.ODETerm(g), diffrax.SaveAt(ts=ts)
        return diffrax.diffeqsolve(
            term, solver, ts[0], ts[-1], None, y, p, saveat=saved, stepsize_controller=control, max_steps=10**6
        ).ys

    if joint:
        run = jax.jit(lambda y, p: solve(jax.vmap(case.g, (None, 0, 0)), y, p, ts))
        return lambda: np.asarray(run(y0, parameters).block_until_ready())
    own = None if ts.ndim == 1 else 0
    run = jax.jit(jax.vmap(lambda y, p, ts: solve(case.g, y, p, ts), (0, 0, own)))
    return lambda: np.asarray(run(y0, parameters, ts).block_until_ready()).swapaxes(0, 1)


def reference(case: Case) -> np.ndarray:
    """The solution to about 1e-10: by SciPy's DOP853 at a tolerance of 1e-12.

    For the stiff problem by opnet's Rodas5P at 1e-12, of which five samples are checked against SciPy's Radau.
    """
    from scipy.integrate import solve_ivp

    if case.name == "stiff_linear":
        A = case.f(torch.zeros(()), torch.eye(case.y0.shape[1], dtype=torch.float64)).T
        return np.stack([case.y0 @ torch.linalg.matrix_exp(A * t).T.numpy() for t in case.ts])
    if case.name == "stiff_van_der_pol":
        fine = solve_ode(case.f, case.start, case.times, Rodas5P(), rtol=1e-12, atol=1e-12, max_steps=10**6).ys.numpy()
        for i in np.linspace(0, len(case.y0) - 1, 5).astype(int):
            other = _one(solve_ivp, case.name, case.y0[i], case.parameters[i], case.ts[i], "Radau")
            assert np.abs(fine[:, i] - other).max() < 1e-9, (i, fine[:, i], other)
        return fine
    pairs = zip(case.y0, case.parameters, strict=True)
    return np.stack([_one(solve_ivp, case.name, y0, p, case.ts, "DOP853") for y0, p in pairs], 1)


def _one(solve_ivp: Any, name: str, y0: np.ndarray, p: np.ndarray, ts: np.ndarray, method: str) -> np.ndarray:
    mu = p[0]
    functions: dict[str, Callable[[float, np.ndarray], list[float]]] = {
        "van_der_pol": lambda t, y: [y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]],
        "stiff_van_der_pol": lambda t, y: [y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]],
        "lorenz": lambda t, y: [10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]],
    }
    solved = solve_ivp(functions[name], ts[[0, -1]], y0, method, ts, rtol=1e-12, atol=1e-13)
    assert solved.success, solved.message
    return solved.y.T
