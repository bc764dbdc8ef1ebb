"""`KuramotoSivashinsky`: flame fronts and chaos on a periodic interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.pde.evolution import HORIZON, HORIZON_TEXT
from opnet.solvers.pde.semilinear_periodic import SemilinearPeriodic
from opnet.spaces.fields.base import RandomField
from opnet.spaces.fields.sine_waves import SineWaves


@register("problem", "kuramoto_sivashinsky")
@dataclass(frozen=True)
class KuramotoSivashinsky(SemilinearPeriodic):
    r"""`u_t + u u_x + u_xx + u_xxxx = 0` on (0, L), periodic.

    Long waves, 2 pi / k with k < 1, grow and are carried by advection to short ones, which are damped. L = 22 is the
    smallest well-studied chaotic interval (Cvitanovic, Davidchack and Siminos, SIAM J. Appl. Dyn. Syst. 9 (2010)
    1-33: Lyapunov exponent .048), L = 64 that of learned solvers (Brandstetter, Welling and Worrall, arXiv:2202.07643),
    whose initial states are the default: ten sine waves of modes 1 and 2, which is what their code draws, without their
    random lengths and final times. The mean is conserved and is 0.

    Neighbouring solutions part: numerical errors too. A sample's horizon is the time up to which two solutions agree,
    and beyond it the solution is one of the attractor, not the one of its input. All quantities are dimensionless.

    Args:
        times: a number asks for the map from the initial state to the solution then, a tuple for trajectories.
        length: L.
        initial: of u.
        nodes, step: see `SemilinearPeriodic`.

    Raises:
        ValueError: unless length, nodes and step are positive.

    >>> samples = KuramotoSivashinsky(times=(0.0, 5.0, 10.0), length=22.0).sample(0, [0], 64)
    >>> samples.targets.shape, samples.diagnostics["predictability_horizon"].tolist()
    (torch.Size([1, 3, 1, 64]), [10.0])
    """

    times: float | tuple[float, ...] = 50.0
    length: float = 64.0
    initial: RandomField = field(default_factory=lambda: SineWaves(max_mode=2, waves=10, amplitude=0.5))
    nodes: int = 128
    step: float = 0.02

    equation: ClassVar[str] = "u_t + u u_x + u_xx + u_xxxx = 0 on (0, L), periodic"
    input_names: ClassVar[tuple[str, ...]] = ("u",)
    target_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = dict.fromkeys(("x", "t", "u", "length", "initial", "nodes", "step"), "1")
    diagnostics: ClassVar[dict[str, str]] = {**SemilinearPeriodic.diagnostics, HORIZON: HORIZON_TEXT}

    def __post_init__(self) -> None:
        self.check("length", "nodes", "step")

    @property
    def extent(self) -> tuple[tuple[float, float], ...]:
        return ((0.0, self.length),)

    def symbols(self, k: Sequence[Tensor]) -> list[Tensor]:
        return [k[0] ** 2 - k[0] ** 4]

    def nonlinear(self, u: Tensor) -> Tensor:
        return u * u

    def weight(self, k: Sequence[Tensor]) -> Tensor:
        return -0.5j * k[0]
