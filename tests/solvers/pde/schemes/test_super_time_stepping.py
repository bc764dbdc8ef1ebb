import pytest
import torch

from opnet.solvers.pde.schemes.super_time_stepping import longest, rkl2, stages_for


@pytest.mark.parametrize("stages", [3, 5, 9])
def test_second_order(stages):
    def error(count):
        y = torch.ones(1, dtype=torch.float64)
        for _ in range(count):
            y = rkl2(lambda v: -v, y, 1 / count, stages)
        return abs(float(y) - 0.36787944117144233)

    assert error(20) / error(40) == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("stages", [3, 5, 9, 21])
def test_stable_up_to_the_longest_step_and_not_far_beyond(stages):
    rates = torch.linspace(0, 2, 2001, dtype=torch.float64)  # of which Euler's limit is 1
    y = torch.ones_like(rates)
    assert float(rkl2(lambda v: -rates * v, y, longest(stages), stages).abs().max()) <= 1 + 1e-12
    assert float(rkl2(lambda v: -rates * v, y, 1.2 * longest(stages), stages).abs().max()) > 1


@pytest.mark.parametrize("ratio", [0.0, 1.0, 2.5, 2.6, 33.0, 1000.0])
def test_the_least_odd_number_of_stages(ratio):
    stages = stages_for(ratio)
    assert stages % 2 == 1
    assert longest(stages) >= ratio
    assert stages == 3 or longest(stages - 2) < ratio
