"""The published scripts' schemes, written again from their descriptions, and exponax's steppers, for `generation.py`.

Every one advances a batch from u0 (sample, *grid) by equal steps, and gives the values at the end.
"""

from __future__ import annotations

import os

# one thread for XLA as for torch; read when JAX computes for the first time
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

from collections.abc import Callable
from typing import Any

import exponax
import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import Tensor

from opnet.solvers.pde.burgers import Burgers
from opnet.solvers.pde.memory import keep_freed_memory
from opnet.solvers.pde.navier_stokes import NavierStokes
from opnet.solvers.pde.periodic_box import beyond, evaluate, squared, wave_numbers
from opnet.solvers.pde.schemes.etdrk4 import etdrk4
from opnet.solvers.pde.schemes.kept_modes import KeptModes

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")

Advance = Callable[[Tensor, float, int], Tensor]
"""(u0, time, steps) -> u at that time."""


def crank_nicolson_euler(problem: NavierStokes) -> Advance:
    """The FNO papers' script: diffusion by Crank-Nicolson, `v . grad w` and f by Euler, in double precision.

    Z. Li et al., arXiv:2010.08895, appendix A.3.3: pseudo-spectral, four transforms back and one forth a step, products
    dealiased by the 2/3 rule.
    """

    def advance(u0: Tensor, time: float, steps: int) -> Tensor:
        box, h = problem.box(u0.shape[-1]), time / steps
        kx, ky = wave_numbers(box)
        norm = squared((kx, ky))
        inverse = torch.where(norm == 0, 0.0, 1 / norm)
        keep = torch.ones_like(norm)
        for cut in beyond(box, 2 / 3):
            keep = keep * ~cut
        x, y = box.axis(0), box.axis(1)
        force = h * torch.fft.rfft2(problem.force(x[:, None], y[None, :]))
        explicit, implicit = 1 - h / 2 * problem.nu * norm, 1 / (1 + h / 2 * problem.nu * norm)
        by_x, by_y, v_1, v_2 = (
            m.to(torch.complex128) for m in (1j * kx, 1j * ky, 1j * ky * inverse, -1j * kx * inverse)
        )
        w = torch.fft.rfft2(u0)
        for _ in range(steps):
            first, second = torch.fft.irfft2(w * v_1, box.shape), torch.fft.irfft2(w * v_2, box.shape)
            advection = first * torch.fft.irfft2(w * by_x, box.shape)
            advection.addcmul_(second, torch.fft.irfft2(w * by_y, box.shape))
            change = torch.fft.rfft2(advection).mul_(keep)
            w = (w * explicit).sub_(change, alpha=h).add_(force).mul_(implicit)
        return torch.fft.irfft2(w, box.shape)

    return advance


def split_step(problem: Burgers) -> Advance:
    """The FNO papers' scheme: heat exactly in Fourier space, then advection there by Euler, on every node.

    Z. Li et al., arXiv:2010.08895, appendix A.3.1.
    """

    def advance(u0: Tensor, time: float, steps: int) -> Tensor:
        n, h = u0.shape[-1], time / steps
        k = wave_numbers(problem.box(n))[0]
        heat = torch.exp(-problem.nu * h * k**2)
        change = -0.5j * h * k
        u = torch.fft.rfft(u0)
        for _ in range(steps):
            u = u * heat
            u = u.addcmul_(change, torch.fft.rfft(torch.fft.irfft(u, n).square_()))
        return torch.fft.irfft(u, n)

    return advance


def etdrk4_on_every_node(problem: Burgers) -> Advance:
    """Chebfun's `spin`, which the script calls: ETDRK4 in fixed steps with as many modes as the data have nodes."""

    def advance(u0: Tensor, time: float, steps: int) -> Tensor:
        n = u0.shape[-1]
        k = wave_numbers(problem.box(n))[0]
        symbol, by_x = -problem.nu * k**2, -0.5j * k

        def tendency(t: float, modes: Tensor) -> Tensor:
            return torch.fft.rfft(torch.fft.irfft(modes, n).square_()).mul_(by_x)

        return torch.fft.irfft(etdrk4(symbol, tendency, torch.fft.rfft(u0), (0.0, time), time / steps)[-1], n)

    return advance


class Exponax:
    """A stepper of exponax of fourth order, its loop over steps compiled, one sample after another or as a batch.

    Args:
        stepper: (nodes, step) -> stepper.
        batched: whether `vmap` takes the batch through each step.
    """

    def __init__(self, stepper: Callable[[int, float], Any], batched: bool) -> None:
        self.stepper, self.batched = stepper, batched
        self.compiled: dict[tuple[Any, ...], Callable[[Any], Any]] = {}

    def __call__(self, u0: Tensor, time: float, steps: int) -> Tensor:
        values = jnp.asarray(u0.numpy()[:, None])
        key = (u0.shape, time, steps)
        if key not in self.compiled:
            whole = exponax.repeat(self.stepper(u0.shape[-1], time / steps), steps)
            self.compiled[key] = jax.jit(jax.vmap(whole) if self.batched else whole)
        run = self.compiled[key]
        ends = run(values) if self.batched else jnp.stack([run(value) for value in values])
        return torch.from_numpy(np.array(ends.block_until_ready()))[:, 0]


def exponax_burgers(problem: Burgers) -> Callable[[int, float], Any]:
    return lambda n, step: exponax.stepper.Burgers(
        1, problem.length, n, step, diffusivity=problem.nu, conservative=True, single_channel=True, order=4
    )


def exponax_navier_stokes(problem: NavierStokes) -> Callable[[int, float], Any]:
    """Without a force, which exponax's stepper does not have; its w is minus the curl of its velocity."""
    return lambda n, step: exponax.stepper.NavierStokesVorticity(
        2, 1.0, n, step, diffusivity=problem.nu, order=4, vorticity_convection_scale=-1.0
    )


def by_opnet(problem: Burgers | NavierStokes, nodes: int) -> Advance:
    """What the problem's samples are made by, on `nodes` nodes an axis, and evaluated on those of u0."""

    def advance(u0: Tensor, time: float, steps: int) -> Tensor:
        keep_freed_memory()
        grid, box = problem.box(u0.shape[-1]), problem.box(nodes)
        kept = KeptModes(box)
        start = kept.of(evaluate(u0.unsqueeze(1), grid, box))
        symbol = kept.laid_out(torch.stack(problem.symbols(kept.k)))
        end = etdrk4(symbol, problem.tendency(box), start, (0.0, time), time / steps)[-1]
        return evaluate(kept.values(end), box, grid)[:, 0]

    return advance
