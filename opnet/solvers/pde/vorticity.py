"""`Vorticity`: incompressible flow in a periodic box of two dimensions, by its vorticity."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from math import pi
from typing import ClassVar

import torch
from torch import Tensor

from opnet.solvers.pde.evolution import HORIZON, HORIZON_TEXT
from opnet.solvers.pde.periodic_box import beyond, squared, wave_numbers
from opnet.solvers.pde.semilinear_periodic import KEPT, SemilinearPeriodic
from opnet.solvers.pde.start_fields import chosen, largest_mode
from opnet.spaces.fields.base import RandomField
from opnet.spaces.grid import Grid

COURANT = 1.5  # largest step times speed times wave number; the method's limit on the imaginary axis is about 2.8


class Vorticity(SemilinearPeriodic):
    r"""`w_t + v . grad w = nu Lap w + f`, with `v = (psi_y, -psi_x)` and `-Lap psi = w`, periodic.

    As div v = 0, the advection term is `(d_xx - d_yy)(v_1 v_2) + d_xy(v_2^2 - v_1^2)` (C. Basdevant, J. Comput. Phys.
    50 (1983) 209-214): two transforms each way, where `v . grad w` takes four back and one forth. Products are free of
    aliases (2/3 rule). The mean of w is conserved; it is 0. Steps are halved
    until the fastest parcel passes the shortest wave by at most 1.5 radians in each, anew every 20 steps.
    """

    initial: RandomField | str  # type: ignore[assignment]
    published: ClassVar[Mapping[str, RandomField]]

    input_names: ClassVar[tuple[str, ...]] = ("w",)
    target_names: ClassVar[tuple[str, ...]] = ("w",)
    resolved: ClassVar[dict[int, float]] = {2: 1e-6}
    solver: ClassVar[str] = (
        "Fourier modes of the vorticity, the lower two thirds kept (2/3 rule), as many as it takes for their highest "
        "third to hold at most 1e-6 of the energy (up to 512 nodes an axis); ETDRK4 in equal steps (order 4)"
    )
    diagnostics: ClassVar[dict[str, str]] = {
        **SemilinearPeriodic.diagnostics,
        "mean_vorticity": "largest |mean of w| over all frames; conserved, 0",
        HORIZON: HORIZON_TEXT,
    }

    @property
    @abstractmethod
    def viscosity(self) -> float:
        """nu."""

    @abstractmethod
    def force(self, x: Tensor, y: Tensor) -> Tensor:
        """f at nodes that broadcast; its mean is 0."""

    @property
    def initial_fields(self) -> tuple[RandomField, ...]:
        return (chosen(f"{type(self).__name__}.initial", self.initial, self.published),)

    @property
    def start_modes(self) -> int:
        return largest_mode(self.initial_fields)

    def symbols(self, k: Sequence[Tensor]) -> list[Tensor]:
        return [-self.viscosity * squared(k)]

    def nonlinear(self, u: Tensor) -> Tensor:
        """(v_1 v_2, v_2^2 - v_1^2) of the velocity.  # shape: (sample, 2, *box) -> (sample, 2, *box)"""
        first, second = u.unbind(1)
        return torch.stack([first * second, (second - first) * (second + first)], 1)

    def tendency(self, box: Grid, device: torch.device | str = "cpu") -> Callable[[float, Tensor], Tensor]:
        k, velocity = wave_numbers(box, device), self._velocity(box, device)
        stress = torch.stack(torch.broadcast_tensors(k[0] ** 2 - k[1] ** 2, k[0] * k[1])).to(torch.complex128)
        x, y = (box.axis(axis).to(device) for axis in (0, 1))
        force = torch.fft.rfftn(self.force(x[:, None], y[None, :]).expand(box.shape))
        for cut in beyond(box, KEPT, device):
            stress, force = stress * ~cut, force * ~cut

        def advection(t: float, modes: Tensor) -> Tensor:
            v = torch.fft.irfftn(modes * velocity, box.shape, (-2, -1))
            products = torch.fft.rfftn(self.nonlinear(v), dim=(-2, -1))
            n = torch.addcmul(force, products[:, :1], stress[0])
            return n.addcmul_(products[:, 1:], stress[1])

        return advection

    def rate(self, box: Grid, device: torch.device | str = "cpu") -> Callable[[Tensor], Tensor]:
        velocity = self._velocity(box, device)
        largest = [pi * KEPT * n / length for n, length in zip(box.shape, box.lengths, strict=True)]

        def of(modes: Tensor) -> Tensor:
            speeds = torch.fft.irfftn(modes * velocity, box.shape, (-2, -1)).abs()
            passed = largest[0] * speeds[:, 0] + largest[1] * speeds[:, 1]
            return passed.flatten(1).amax(1) / COURANT

        return of

    @staticmethod
    def _velocity(box: Grid, device: torch.device | str) -> Tensor:
        """What multiplies the modes of w to give those of v."""
        k = wave_numbers(box, device)
        norm = squared(k)
        inverse = torch.where(norm == 0, 0.0, 1 / norm)
        return torch.stack([1j * k[1] * inverse, -1j * k[0] * inverse])

    def monitored(self, states: Tensor) -> dict[str, Tensor]:
        return {"mean_vorticity": states.mean((-2, -1)).abs().flatten(1).amax(1)}
