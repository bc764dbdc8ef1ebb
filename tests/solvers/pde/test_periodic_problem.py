import pytest
import torch

from opnet.solvers.pde.advection import Advection
from opnet.solvers.pde.fisher_kpp import FisherKPP
from opnet.solvers.pde.fitzhugh_nagumo import FitzHughNagumo
from opnet.solvers.pde.gray_scott import GrayScott
from opnet.solvers.pde.heat import Heat
from opnet.solvers.pde.korteweg_de_vries import KortewegDeVries
from opnet.solvers.pde.swift_hohenberg import SwiftHohenberg
from opnet.solvers.pde.wave import Wave
from opnet.spaces.fields.node_noise import NodeNoise
from opnet.spaces.fields.pdebench_waves import PDEBenchWaves
from opnet.spaces.fields.unit_range import UnitRange


@pytest.mark.parametrize(
    ("problem", "wrong"),
    [
        (Heat, {"nu": 0.0}),
        (Heat, {"dim": 3}),
        (Wave, {"c": -1.0}),
        (Advection, {"beta": float("inf")}),
        (KortewegDeVries, {"length": 0.0}),
        (KortewegDeVries, {"step": 0.0}),
        (KortewegDeVries, {"nodes": 0}),
        (SwiftHohenberg, {"r": float("nan")}),
        (SwiftHohenberg, {"dim": 0}),
        (FisherKPP, {"rho": -1.0}),
        (FitzHughNagumo, {"k": float("inf")}),
        (GrayScott, {"pattern": "stripes"}),
        (GrayScott, {"rates": (0.1, -0.1)}),
    ],
)
def test_arguments_are_checked(problem, wrong):
    with pytest.raises(ValueError, match=rf"{problem.__name__}\.{next(iter(wrong))}: expected"):
        problem(**wrong)


def test_resolutions_are_checked():
    for problem in (Heat(), FitzHughNagumo()):
        with pytest.raises(ValueError, match="resolution of at least 2"):
            problem.grid(1)


@pytest.mark.parametrize(
    ("problem", "fields"),
    [
        (Advection(initial=PDEBenchWaves()), [PDEBenchWaves()]),
        (
            FisherKPP(times=0.01, initial=UnitRange(PDEBenchWaves(), nodes=None)),
            [UnitRange(PDEBenchWaves(), nodes=None)],
        ),
        (FitzHughNagumo(times=0.01, initial=NodeNoise(), initial_v=NodeNoise(), nodes=16), [NodeNoise(), NodeNoise()]),
    ],
)
def test_states_published_for_a_grid_pass_through_its_nodes(problem, fields):
    assert problem.depends_on_grid
    inputs = problem.sample(0, [2], 16, estimate_error=False).inputs
    grid = problem.grid(16)
    values = [field.sample(0, [2], grid, key=[i] if i else []) for i, field in enumerate(fields)]
    highest = 1e-12 if len(fields) == 2 or grid.dim == 2 else 0.2  # mode n / 2 is kept only by what is linear
    torch.testing.assert_close(inputs, torch.stack(values, 1), rtol=0, atol=highest)
