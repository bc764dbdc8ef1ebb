"""Initial states and forcings that are known functions, so that solutions are known too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from opnet.spaces.fields.base import RandomField

Function = Callable[[float, Tensor], Tensor]  # (t, coordinates (dim, *grid)) -> (*grid)


@dataclass(frozen=True)
class Given(RandomField):
    """The function `f` of the coordinates, whatever the sample."""

    f: Callable[[Tensor], Tensor]

    def sample(self, seed, indices, grid, *, key=()):
        return self.f(grid.coordinates()).expand(len(indices), *grid.shape).clone()


def at_start(f: Function) -> Given:
    return Given(lambda x: f(0.0, x))


@lru_cache
def forced(problem_class):
    """The problem with `forcing`, a function of each channel, added to its right-hand side."""

    @dataclass(frozen=True)
    class Forced(problem_class):
        forcing: tuple[Function, ...] = ()

        def tendency(self, box, device="cpu"):
            x, axes, inner = box.coordinates(device=device), tuple(range(-box.dim, 0)), super().tendency(box, device)
            return lambda t, modes: inner(t, modes) + torch.fft.rfftn(self.at(t, x), dim=axes)[..., : modes.shape[-1]]

        def at(self, t, x):
            return torch.stack([f(t, x).expand(x.shape[1:]) for f in self.forcing])

    return Forced


def error_of(problem, exact: tuple[Function, ...], resolution: int) -> float:
    """Relative L2 error at the last time, over the channels that `exact` gives."""
    samples = problem.sample(0, [0], resolution, estimate_error=False)
    x = samples.grid.coordinates()
    truth = torch.stack([f(float(problem.frames[-1]), x).expand(x.shape[1:]) for f in exact])
    return float((samples.targets[0, : len(exact)] - truth).norm() / truth.norm())
