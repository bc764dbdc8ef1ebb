"""`PDEBenchWaves`: the one-dimensional initial states of PDEBench as its code draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

import numpy as np
import torch

from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.spaces.fields.base import RandomField, stacked
from opnet.spaces.fields.sine_waves import check_interval
from opnet.spaces.grid import Grid
from opnet.spaces.streams import stream

SLOTS, DRAWS = 4, 2
WIDTH = 0.01  # of the window's flanks
LEFT, RIGHT = (0.1, 0.45), (0.55, 0.9)  # where they are


@register("field", "PDEBenchWaves")
@dataclass(frozen=True)
class PDEBenchWaves(RandomField):
    r"""The one-dimensional initial states of PDEBench (Takamoto et al., arXiv:2210.07182), as published in code.

    .. math:: g(x) = \sum_{n=1}^{4} A_n \sin\left(\frac{2 \pi n s_n x}{x_{N-1} - x_0} + \varphi_n\right)

    with A from U(0, 1), phi from U(0, 2 pi), and s_n how often n is drawn in two draws from 1, ..., 4. So

    - slots that are not drawn (s_n = 0) add constants A_n sin(phi_n): the mean is random;
    - a number drawn twice doubles its wave number, up to 8;
    - wave numbers refer to the first and last node, one spacing short of the box: the function is not quite periodic,
      and **it is another function on every grid**. `SineWaves` is the clean form.

    Then g becomes |g| with probability `absolute`, changes sign with probability 1/2, and with probability `window` is
    multiplied by (tanh((x - a) / .01) - tanh((x - b) / .01)) / 2, a from U(.1, .45) and b from U(.55, .9). The
    published code draws several of these numbers with one key, which correlates them; here all are independent.

    Args:
        absolute, window: probabilities.

    Raises:
        ValueError: unless both are probabilities, or for a grid of more than one axis.

    >>> g = PDEBenchWaves().sample(0, range(4), Grid((64,), boundary="periodic", nodes="cell"))
    >>> g.shape, bool((g.mean(1).abs() > 1e-3).any())
    (torch.Size([4, 64]), True)
    """

    absolute: float = 0.1
    window: float = 0.1

    def __post_init__(self) -> None:
        for name in ("absolute", "window"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"PDEBenchWaves.{name}: expected a probability, found {getattr(self, name)}")

    @property
    def depends_on_grid(self) -> bool:
        return True

    def sample(
        self, seed: int, indices: Sequence[int], grid: Grid, *, key: Sequence[int] = ()
    ) -> Float[torch.Tensor, "sample *shape"]:
        check_interval("PDEBenchWaves", grid)
        x = grid.axis(0).numpy()
        return stacked([torch.from_numpy(self._draw(stream(seed, index, *key), x)) for index in indices], grid)

    def _draw(self, random: np.random.Generator, x: np.ndarray) -> np.ndarray:
        times_drawn = np.bincount(random.integers(SLOTS, size=DRAWS), minlength=SLOTS)
        k = 2 * pi * np.arange(1, SLOTS + 1) * times_drawn / (x[-1] - x[0])
        amplitudes, phases = (random.uniform(0, high, SLOTS) for high in (1.0, 2 * pi))
        g = amplitudes @ np.sin(np.outer(k, x) + phases[:, None])
        absolute, sign, window = random.uniform(size=3)
        left, right = random.uniform(*LEFT), random.uniform(*RIGHT)
        g = np.abs(g) if absolute < self.absolute else g
        g = -g if sign < 0.5 else g
        if window < self.window:
            g = g * (np.tanh((x - left) / WIDTH) - np.tanh((x - right) / WIDTH)) / 2
        return g
