import torch
from pde_orders.states import Given

from opnet.solvers.pde.fisher_kpp import FisherKPP


def test_uniform_states_grow_logistically():
    samples = FisherKPP(times=1.0, rho=3.0, initial=Given(lambda x: 0.2 + 0 * x[0])).sample(0, [0], 8)
    exact = 1 / (1 + 4 * torch.exp(torch.tensor(-3.0, dtype=torch.float64)))
    torch.testing.assert_close(samples.targets[0, 0, 0], exact, rtol=1e-8, atol=0)


def test_values_stay_in_the_range_of_their_start():
    samples = FisherKPP(times=(0.0, 0.1, 1.0), rho=10.0).sample(0, range(6), 64)
    assert float(samples.diagnostics["least"].min()) >= 0
    assert float(samples.diagnostics["largest"].max()) <= 1
    assert float(samples.targets[:, 0].amax(-1).min()) > 0.95
