import pytest
import torch
from pde_orders.states import Given

from opnet.solvers.ode.methods.dop853 import DOP853
from opnet.solvers.ode.solve import solve_ode
from opnet.solvers.pde.gray_scott import PATTERNS, GrayScott


def test_uniform_states_follow_the_kinetics():
    feed, kill = PATTERNS["spots"]

    def kinetics(t, y):
        u, v = y[:, 0], y[:, 1]
        return torch.stack([feed * (1 - u) - u * v**2, u * v**2 - (feed + kill) * v], 1)

    start = torch.tensor([[0.5, 0.25]], dtype=torch.float64)
    end = solve_ode(kinetics, start, torch.tensor([0.0, 50.0]).double(), DOP853(), rtol=1e-10, atol=1e-12).ys[-1, 0]
    samples = GrayScott(times=50.0, pattern="spots", initial=Given(lambda x: torch.ones_like(x[0])), nodes=8).sample(
        0, [0], 4
    )
    torch.testing.assert_close(samples.targets[0, :, 0, 0], end, rtol=1e-6, atol=0)
    assert samples.inputs[0, :, 0, 0].tolist() == [0.5, 0.25]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_by_name_and_by_rates_are_the_same(pattern):
    named = GrayScott(times=2.0, pattern=pattern, nodes=32).sample(0, [0], 8, estimate_error=False)
    given = GrayScott(times=2.0, rates=PATTERNS[pattern], nodes=32).sample(0, [0], 8, estimate_error=False)
    assert torch.equal(named.targets, given.targets)


@pytest.mark.slow
def test_concentrations_stay_positive_while_patterns_form():
    samples = GrayScott(times=(0.0, 200.0, 600.0), pattern="maze").sample(0, [0], 64, estimate_error=False)
    assert float(samples.diagnostics["least"]) > -1e-6
    assert float(samples.diagnostics["largest"]) < 1 + 1e-6
    assert float(samples.targets[0, -1, 1].std()) > 0.03
