"""`RosenbrockTableau`: a Rosenbrock method as data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

Weights = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class RosenbrockTableau:
    """With `J = df/dy` and `g = df/dt` at the start (t, y) of a step of `M y' = f(t, y)`, the stages u_i solve

        (M / (gamma h) - J) u_i = f(t + c_i h, y + sum_j a_ij u_j) + M sum_j (coupling_ij / h) u_j + d_i h g

    and `y(t + h) = y + sum_j a_sj u_j + u_s` for the last stage s, which makes the method stiffly accurate. (Hairer and
    Wanner II, eq. IV.7.25: no product with J is formed. Their a_ij and c_ij are `a` and `coupling`.)

    Attributes:
        gamma: diagonal coefficient.
        a: rows of the strictly lower triangle; row i has i entries.
        coupling: likewise.
        c: stage times.
        d: weights of the time derivative.
        order: order of convergence.
        source: where the numbers stand.
        error: weights of the local error estimate `sum_i e_i u_i`.
        dense: rows (i = 1, 2, ...) of H, where with `v_i = sum_j H_ij u_j` the continuous extension is
            `y(t + theta h) = (1 - theta) y + theta (y1 + (1 - theta) (v_1 + theta (v_2 + ...)))`.
        dense_order: its order.
    """

    gamma: float
    a: tuple[tuple[float, ...], ...]
    coupling: tuple[tuple[float, ...], ...]
    c: tuple[float, ...]
    d: tuple[float, ...]
    order: int
    source: str
    error: tuple[float, ...]
    dense: tuple[tuple[float, ...], ...]
    dense_order: int

    @property
    def stages(self) -> int:
        return len(self.c)

    @cached_property
    def rows(self) -> tuple[Weights, ...]:
        """For each stage, weights of (y, u_1, u_2, ...) in the argument of f and in gamma times the coupling."""
        gamma = self.gamma
        return tuple(((1.0, *a), (0.0, *(gamma * c for c in r))) for a, r in zip(self.a, self.coupling, strict=True))

    @cached_property
    def bends(self) -> Weights:
        """Weights of (y, u_1, u_2, ...) in v_1, v_2, ..."""
        return tuple((0.0, *row) for row in self.dense)

    @cached_property
    def middle(self) -> Weights:
        """Weights of (y, u_1, u_2, ...) in y(t + h / 2) and h y'(t + h / 2) of the continuous extension."""
        end = (*self.a[-1], 1.0)
        value = [
            m / 2 + sum(v / 2 ** (i + 2) for i, v in enumerate(column))
            for m, *column in zip(end, *self.dense, strict=True)
        ]
        slope = [
            m + sum(i * v / 2 ** (i + 1) for i, v in enumerate(column))
            for m, *column in zip(end, *self.dense, strict=True)
        ]
        return (1.0, *value), (0.0, *slope)


_RODAS4_A = (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.687886036105895)

RODAS4 = RosenbrockTableau(
    gamma=1 / 4,
    a=(
        (),
        (1.544,),
        (0.9466785280815826, 0.2557011698983284),
        (3.314825187068521, 2.896124015972201, 0.9986419139977817),
        _RODAS4_A,
        (*_RODAS4_A, 1.0),
    ),
    coupling=(
        (),
        (-5.6688,),
        (-2.430093356833875, -0.2063599157091915),
        (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
        (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.7089089320616),
        (8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054),
    ),
    c=(0.0, 0.386, 0.21, 0.63, 1.0, 1.0),
    d=(0.25, -0.1043, 0.1035, -0.0362, 0.0, 0.0),
    order=4,
    source="Hairer and Wanner II, section VI.4 and their code RODAS (first set of coefficients)",
    error=(0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
    dense=(
        (10.12623508344586, -7.487995877610167, -34.80091861555747, -7.992771707568823, 1.025137723295662, 0.0),
        (-0.6762803392801253, 6.087714651680015, 16.43084320892478, 24.76722511418386, -6.594389125716872, 0.0),
    ),
    dense_order=3,
)

_RODAS5P_A = (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946)

RODAS5P = RosenbrockTableau(
    gamma=0.21193756319429014,
    a=(
        (),
        (3.0,),
        (2.849394379747939, 0.45842242204463923),
        (-6.954028509809101, 2.489845061869568, -10.358996098473584),
        (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
        _RODAS5P_A,
        (*_RODAS5P_A, 1.0),
        (*_RODAS5P_A, 1.0, 1.0),
    ),
    coupling=(
        (),
        (-14.155112264123755,),
        (-17.97296035885952, -2.859693295451294),
        (147.12150275711716, -1.41221402718213, 71.68940251302358),
        (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
        (24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125, -0.6610691825249471),
        (
            30.91273214028599,
            -3.1208243349937974,
            77.79954646070892,
            34.28646028294783,
            -19.097331116725623,
            -28.087943162872662,
        ),
        (
            37.80277123390563,
            -3.2571969029072276,
            112.26918849496327,
            66.9347231244047,
            -40.06618937091002,
            -54.66780262877968,
            -9.48861652309627,
        ),
    ),
    c=(0.0, 0.6358126895828704, 0.4095798393397535, 0.9769306725060716, 0.4288403609558664, 1.0, 1.0, 1.0),
    d=(0.21193756319429014, -0.42387512638858027, -0.3384627126235924, 1.8046452872882734, 2.325825639765069, 0, 0, 0),
    order=5,
    source="Steinebach 2023, Construction of Rosenbrock-Wanner method Rodas5P, BIT Numerical Mathematics 63:27",
    error=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
    dense=(
        (
            25.948786856663858,
            -2.5579724845846235,
            10.433815404888879,
            -2.3679251022685204,
            0.524948541321073,
            1.1241088310450404,
            0.4272876194431874,
            -0.17202221070155493,
        ),
        (
            -9.91568850695171,
            -0.9689944594115154,
            3.0438037242978453,
            -24.495224566215796,
            20.176138334709044,
            15.98066361424651,
            -6.789040303419874,
            -6.710236069923372,
        ),
        (
            11.419903575922262,
            2.8879645146136994,
            72.92137995996029,
            80.12511834622643,
            -52.072871366152654,
            -59.78993625266729,
            -0.15582684282751913,
            4.883087185713722,
        ),
    ),
    dense_order=4,
)

RODAS5P_EMBEDDED = (
    0.2606326497975715,
    -0.005158627295444251,
    1.3038988631109731,
    1.235000722062074,
    -0.7931985603795049,
    -1.005448461135913,
    -0.18044626132120234,
    0.17051519239113755,
)
"""Weights of the estimate 5Pe (Steinebach 2024, "Rosenbrock methods within OrdinaryDiffEq.jl")."""
