"""`Vorticity`: incompressible flow in a periodic box of two dimensions, by its vorticity."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from math import pi
from typing import ClassVar

import torch
from torch import Tensor

from opnet.solvers.pde.evolution import HORIZON, HORIZON_TEXT
from opnet.solvers.pde.periodic_box import squared
from opnet.solvers.pde.schemes.kept_modes import KEPT, KeptModes
from opnet.solvers.pde.semilinear_periodic import SemilinearPeriodic
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
    follows_spectrum: ClassVar[bool] = True
    resolved: ClassVar[dict[int, float]] = {2: 1e-6}
    solver: ClassVar[str] = (
        "Fourier modes of the vorticity, the lower two thirds kept (2/3 rule), at any time as many as it takes for "
        "their highest third to hold at most 1e-6 of the energy (up to 512 nodes an axis); ETDRK4 in steps of at most "
        "1.5 over speed and largest wave number (order 4)"
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
        if u.requires_grad:  # what is written into memory that is there has no gradient
            return torch.stack([first * second, second * second - first * first], 1)
        products = torch.empty_like(u)
        torch.mul(first, second, out=products[:, 0])
        torch.mul(second, second, out=products[:, 1])
        products[:, 1].addcmul_(first, first, value=-1)
        return products

    def tendency(self, box: Grid, device: torch.device | str = "cpu") -> Callable[[float, Tensor], Tensor]:
        kept = KeptModes(box, device)
        kx, ky = kept.k
        velocity = _velocity(kept)
        stress = kept.laid_out(torch.stack(torch.broadcast_tensors(kx**2 - ky**2, kx * ky)) * (kept.mask + 0j))
        force = kept.of(self.force(*box.coordinates(device=device))) * kept.mask

        def advection(t: float, modes: Tensor) -> Tensor:
            products = kept.of(self.nonlinear(kept.values(modes * velocity)))
            n = torch.addcmul(force, products[:, :1], stress[0])
            return n.addcmul_(products[:, 1:], stress[1])

        return advection

    def stability_rate(self, box: Grid, device: torch.device | str = "cpu") -> Callable[[Tensor], Tensor]:
        kept = KeptModes(box, device)
        velocity = _velocity(kept)
        largest = [pi * KEPT * n / length for n, length in zip(box.shape, box.lengths, strict=True)]

        def of(modes: Tensor) -> Tensor:
            speeds = kept.values(modes * velocity).abs()
            passed = largest[0] * speeds[:, 0] + largest[1] * speeds[:, 1]
            return passed.flatten(1).amax(1) / COURANT

        return of

    def monitored(self, states: Tensor) -> dict[str, Tensor]:
        return {"mean_vorticity": states.mean((-2, -1)).abs().flatten(1).amax(1)}


def _velocity(kept: KeptModes) -> Tensor:
    """What multiplies the modes of w to give those of v."""
    kx, ky = kept.k
    norm = squared((kx, ky))
    inverse = torch.where(norm == 0, 0.0, 1 / norm)
    return kept.laid_out(torch.stack([1j * ky * inverse, -1j * kx * inverse]))
