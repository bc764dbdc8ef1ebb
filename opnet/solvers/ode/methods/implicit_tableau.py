"""`ImplicitTableau`: a Runge-Kutta method with one implicit diagonal, alone or beside an explicit one, as data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ImplicitTableau:
    """`Y_i = y + h sum_j<i (e_ij E_j + a_ij k_j) + h gamma k_i`, `y(t + h) = y + h sum_i b_i (E_i + k_i)`.

    k_i is the implicit part at (t + c_i h, Y_i) and E_i the explicit one, where there is one. The first stage is y
    itself (an ESDIRK method), and all others have the same gamma, so that one factorisation serves a step.

    Attributes:
        a: rows of the strictly lower triangle; row i has i entries.
        gamma: the diagonal, but for the first stage.
        b: weights of the step, of order `order`.
        c: stage times.
        order: order of convergence.
        source: where the numbers stand.
        error: weights of the local error estimate `h sum_i e_i (E_i + k_i)`.
        explicit: rows of the strictly lower triangle of the explicit part; empty for a method without one.
    """

    a: Rows
    gamma: float
    b: tuple[float, ...]
    c: tuple[float, ...]
    order: int
    source: str
    error: tuple[float, ...]
    explicit: Rows = ()

    @property
    def stages(self) -> int:
        return len(self.b)

    @property
    def pair_at_end(self) -> bool:
        """Whether the last two stages are the solution and the embedded one, both at the end of the step."""
        return self.c[-2] == self.c[-1] and self.error[:-1] == _difference(self.b[:-1], (*self.a[-2], self.gamma))

    @cached_property
    def predictors(self) -> Rows:
        """Weights of `k_i = sum_j<i w_ij k_j`, where the iteration for k_i starts; row i has i entries.

        An earlier stage at the same time, or else the polynomial through the three earlier stages nearest in time.
        """
        return tuple(self._predictor(i) for i in range(self.stages))

    def _predictor(self, i: int) -> tuple[float, ...]:
        time = self.c[i]
        nodes = sorted(range(i), key=lambda j: (abs(self.c[j] - time), -j))[:3]
        if nodes and self.c[nodes[0]] == time:
            nodes = nodes[:1]
        weights = [0.0] * i
        for j in nodes:
            weights[j] = 1.0
            for other in nodes:
                if other != j:
                    weights[j] *= (time - self.c[other]) / (self.c[j] - self.c[other])
        return tuple(weights)


def _difference(b: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(x - y for x, y in zip(b, other, strict=True))


def _kvaerno3() -> ImplicitTableau:
    """All numbers follow from gamma, the root of `g^3 - 3 g^2 + 3/2 g - 1/6` that makes the method L-stable."""
    g = 0.43586652150845899942
    third = ((-4 * g**2 + 6 * g - 1) / (4 * g), (1 - 2 * g) / (4 * g))
    last = ((6 * g - 1) / (12 * g), -1 / ((24 * g - 12) * g), (-6 * g**2 + 6 * g - 1) / (6 * g - 3))
    return ImplicitTableau(
        a=((), (g,), third, last),
        gamma=g,
        b=(*last, g),
        c=(0.0, 2 * g, 1.0, 1.0),
        order=3,
        source="A. Kvaerno, BIT Numer. Math. 44 (2004) 489-502, the method of order 3/2",
        error=_difference((*last, g), (*third, g, 0.0)),
    )


KVAERNO3 = _kvaerno3()

_KVAERNO5_A = (
    (),
    (0.26,),
    (0.13, 0.84033320996790809),
    (0.22371961478320505, 0.47675532319799699, -0.06470895363112615),
    (0.16648564323248321, 0.10450018841591720, 0.03631482272098715, -0.13090704451073998),
    (0.13855640231268224, 0.0, -0.04245337201752043, 0.02446657898003141, 0.61943039072480676),
    (
        0.13659751177640291,
        0.0,
        -0.05496908796538376,
        -0.04118626728321046,
        0.62993304899016403,
        0.06962479448202728,
    ),
)

KVAERNO5 = ImplicitTableau(
    a=_KVAERNO5_A,
    gamma=0.26,
    b=(*_KVAERNO5_A[6], 0.26),
    c=(0.0, 0.52, *(sum(row) + 0.26 for row in _KVAERNO5_A[2:5]), 1.0, 1.0),
    order=5,
    source="A. Kvaerno, BIT Numer. Math. 44 (2004) 489-502, the method of order 5/4",
    error=_difference((*_KVAERNO5_A[6], 0.26), (*_KVAERNO5_A[5], 0.26, 0.0)),
)

_ARK3_GAMMA = 1767732205903 / 4055673282236
_ARK3_B = (
    1471266399579 / 7840856788654,
    -4482444167858 / 7529755066697,
    11266239266428 / 11593286722821,
    _ARK3_GAMMA,
)

ARK3 = ImplicitTableau(
    a=((), (_ARK3_GAMMA,), (2746238789719 / 10658868560708, -640167445237 / 6845629431997), _ARK3_B[:3]),
    gamma=_ARK3_GAMMA,
    b=_ARK3_B,
    c=(0.0, 2 * _ARK3_GAMMA, 3 / 5, 1.0),
    order=3,
    source="C. A. Kennedy and M. H. Carpenter, Appl. Numer. Math. 44 (2003) 139-181, ARK3(2)4L[2]SA",
    error=_difference(
        _ARK3_B,
        (
            2756255671327 / 12835298489170,
            -10771552573575 / 22201958757719,
            9247589265047 / 10645013368117,
            2193209047091 / 5459859503100,
        ),
    ),
    explicit=(
        (),
        (2 * _ARK3_GAMMA,),
        (5535828885825 / 10492691773637, 788022342437 / 10882634858940),
        (6485989280629 / 16251701735622, -4246266847089 / 9704473918619, 10755448449292 / 10357097424841),
    ),
)

_ARK4_B = (82889 / 524892, 0.0, 15625 / 83664, 69875 / 102672, -2260 / 8211, 1 / 4)

ARK4 = ImplicitTableau(
    a=(
        (),
        (1 / 4,),
        (8611 / 62500, -1743 / 31250),
        (5012029 / 34652500, -654441 / 2922500, 174375 / 388108),
        (15267082809 / 155376265600, -71443401 / 120774400, 730878875 / 902184768, 2285395 / 8070912),
        _ARK4_B[:5],
    ),
    gamma=1 / 4,
    b=_ARK4_B,
    c=(0.0, 1 / 2, 83 / 250, 31 / 50, 17 / 20, 1.0),
    order=4,
    source="C. A. Kennedy and M. H. Carpenter, Appl. Numer. Math. 44 (2003) 139-181, ARK4(3)6L[2]SA",
    error=_difference(
        _ARK4_B,
        (
            4586570599 / 29645900160,
            0.0,
            178811875 / 945068544,
            814220225 / 1159782912,
            -3700637 / 11593932,
            61727 / 225920,
        ),
    ),
    explicit=(
        (),
        (1 / 2,),
        (13861 / 62500, 6889 / 62500),
        (-116923316275 / 2393684061468, -2731218467317 / 15368042101831, 9408046702089 / 11113171139209),
        (
            -451086348788 / 2902428689909,
            -2682348792572 / 7519795681897,
            12662868775082 / 11960479115383,
            3355817975965 / 11060851509271,
        ),
        (
            647845179188 / 3216320057751,
            73281519250 / 8382639484533,
            552539513391 / 3454668386233,
            3354512671639 / 8306763924573,
            4040 / 17871,
        ),
    ),
)
