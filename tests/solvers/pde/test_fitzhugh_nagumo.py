import torch
from pde_orders.states import Given

from opnet.solvers.ode.methods.dop853 import DOP853
from opnet.solvers.ode.solve import solve_ode
from opnet.solvers.pde.fitzhugh_nagumo import FitzHughNagumo
from opnet.spaces.fields.fourier import FourierField
from opnet.spaces.fields.node_noise import NodeNoise

SMOOTH = FourierField(2, boundary="neumann")


def test_uniform_states_follow_the_kinetics():
    def kinetics(t, y):
        u, v = y[:, 0], y[:, 1]
        return torch.stack([u - u**3 - 5e-3 - v, u - v], 1)

    start = torch.tensor([[0.7, -0.3]], dtype=torch.float64)
    end = solve_ode(kinetics, start, torch.tensor([0.0, 5.0]).double(), DOP853(), rtol=1e-10, atol=1e-12).ys[-1, 0]
    fields = (Given(lambda x, c=c: c + 0 * x[0]) for c in (0.7, -0.3))
    samples = FitzHughNagumo(5.0, 1e-3, 5e-3, 5e-3, *fields, nodes=8).sample(0, [0], 4)
    torch.testing.assert_close(samples.targets[0, :, 2, 3], end, rtol=1e-5, atol=0)


def test_against_finite_volumes_between_walls():
    """Forward Euler in small steps on cells, whose walls let nothing through."""
    problem = FitzHughNagumo(times=0.5, du=0.02, dv=0.05, initial=SMOOTH, initial_v=SMOOTH, nodes=16)
    samples = problem.sample(0, [1], 64)

    def laplacian(w):
        padded = torch.nn.functional.pad(w[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
        return (padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2] - 4 * w) * 32**2

    u, v = samples.inputs[0]
    for _ in range(500):
        u, v = (
            u + 1e-3 * (0.02 * laplacian(u) + u - u**3 - 5e-3 - v),
            v + 1e-3 * (0.05 * laplacian(v) + u - v),
        )
    marched = torch.stack([u, v])
    assert float((samples.targets[0] - marched).norm() / marched.norm()) < 2e-3
    assert float(samples.discretisation_error) < 1e-4


def test_published_noise_belongs_to_its_cells():
    problem = FitzHughNagumo(times=0.2, initial=NodeNoise(), initial_v=NodeNoise(), nodes=16)
    samples = problem.sample(0, [0], 16, estimate_error=False)
    torch.testing.assert_close(samples.inputs[:, 0], NodeNoise().sample(0, [0], samples.grid), rtol=0, atol=1e-12)
    finer = problem.sample(0, [0], 48, estimate_error=False)
    assert not torch.allclose(finer.inputs[..., 1::3, 1::3], samples.inputs, atol=0.1)
