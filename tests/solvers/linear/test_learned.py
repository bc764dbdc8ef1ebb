import pytest
import torch

from opnet.linops.dense import Dense
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.flexible_cg import FlexibleCG
from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.linear.learned import Learned
from opnet.solvers.linear.solve import solve_linear
from opnet.spaces.grid import Grid


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class Probe(torch.nn.Module):
    """The identity, which remembers what it was given."""

    def __init__(self, dtype):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones((), dtype=dtype))

    def forward(self, r):
        self.seen = r, self.training, torch.is_grad_enabled()
        return self.weight * r


def test_the_network_sees_unit_residuals_in_its_own_dtype():
    probe = Probe(torch.float32)
    A = Diffusion(torch.ones(4, 6, dtype=torch.float64), Grid((4, 6), nodes="cell"))
    r = random(2, 3, 4, 6) * 1e-50
    z = Learned(probe).setup(A).apply(r)
    seen, training, gradients = probe.seen
    assert (seen.dtype, tuple(seen.shape)) == (torch.float32, (2, 3, 4, 6))
    torch.testing.assert_close(seen.flatten(2).norm(dim=2), torch.ones(2, 3))
    torch.testing.assert_close(z, r, rtol=1e-6, atol=0)
    assert (z.dtype, z.requires_grad, training, gradients) == (torch.float64, False, True, False)
    probe.eval()
    Learned(probe).setup(A).apply(r)
    assert probe.seen[1] is False


def test_grid_models_get_one_batch_dimension_and_a_channel():
    probe = Probe(torch.float64)
    A = Diffusion(torch.ones(4, 6, dtype=torch.float64), Grid((4, 6), nodes="cell"))
    state = Learned(probe, channel=True).setup(A)
    for batch in ((2, 3), (5,), ()):
        r = random(*batch, 4, 6)
        torch.testing.assert_close(state.apply(r), r)
        assert probe.seen[0].shape[1:] == (1, 4, 6)


def test_a_real_network_serves_a_complex_system():
    matrix = random(5, 5, dtype=torch.complex128) / 9 + torch.eye(5)
    b = random(5, dtype=torch.complex128)
    solution = solve_linear(Dense(matrix), b, GMRES(Learned(Probe(torch.float32))))
    torch.testing.assert_close(matrix @ solution.value, b, rtol=0, atol=1e-7)


def test_parameters_of_the_network_get_no_gradient():
    probe = Probe(torch.float64)
    b = random(3).requires_grad_()
    solve_linear(Dense(2 * torch.eye(3).double()), b, FlexibleCG(Learned(probe))).value.sum().backward()
    torch.testing.assert_close(b.grad, torch.full((3,), 0.5).double())
    assert probe.weight.grad is None


def test_corrections_of_another_shape_are_refused():
    A = Dense(torch.eye(3))
    with pytest.raises(ValueError, match=r"Learned.module: expected corrections of shape \(2, 3\), found shape \(2,\)"):
        Learned(lambda r: r.sum(-1)).setup(A).apply(torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"Learned.module: expected .*, found an object of type tuple"):
        Learned(lambda r: (r, r)).setup(A).apply(torch.ones(2, 3))
