import pytest
import torch

from opnet.solvers.pde.schemes.euler import Euler
from opnet.solvers.pde.schemes.finite_volume import FiniteVolume
from opnet.solvers.pde.schemes.limiters import LIMITERS
from opnet.solvers.pde.schemes.newtonian import Newtonian
from opnet.solvers.pde.schemes.saint_venant import SaintVenant


def random_flow(samples, n, dim, law=None):
    law = law or Euler(1.4)
    channels = dim + (2 if isinstance(law, Euler) else 1)
    w = 1 + 0.5 * torch.rand(channels, samples, *[n] * dim, dtype=torch.float64)
    return law.conserved(w).movedim(0, 1)


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("law", [Euler(1.4), SaintVenant(1.0)])
@pytest.mark.parametrize(("viscosity", "stages"), [(None, 1), (Newtonian(0.01, 0.02), 1), (Newtonian(0.2, 0.1), 5)])
def test_what_is_conserved_stays_to_rounding(dim, law, viscosity, stages):
    if viscosity is not None and isinstance(law, SaintVenant):
        pytest.skip("the stresses are those of a gas")
    u = random_flow(2, 16, dim, law)
    scheme = FiniteVolume(law, (1 / 16,) * dim, viscosity=viscosity, stages=stages)
    marched = scheme.march(u, (0.0, 0.1))
    before, after = (marched.states[:, time].flatten(2).sum(2) for time in (0, 1))
    torch.testing.assert_close(after, before, rtol=1e-13, atol=0)
    assert int(marched.steps.min()) > 2


def test_walls_keep_mass_and_energy_and_outflow_does_not():
    law, u = Euler(1.4), random_flow(1, 16, 2)
    for sides, kept in (("wall", True), ("outflow", False)):
        states = FiniteVolume(law, (1 / 16, 1 / 16), sides).march(u, (0.0, 0.2)).states[0]
        for channel in (0, -1):
            change = float((states[1, channel].sum() / states[0, channel].sum() - 1).abs())
            assert (change < 1e-13) == kept


@pytest.mark.parametrize("sides", ["periodic", "outflow", "wall"])
def test_symmetric_states_stay_symmetric(sides):
    x = (torch.arange(16, dtype=torch.float64) + 0.5) / 16 - 0.5
    r2 = x[:, None] ** 2 + x**2
    high = torch.where(r2 < 0.05, 2.0, 1.0)
    w = torch.stack([high, 0 * r2, 0 * r2, 3 * high])[:, None]
    law = Euler(1.4)
    scheme = FiniteVolume(law, (1 / 16, 1 / 16), sides, viscosity=Newtonian(0.01, 0.0))
    u = scheme.march(law.conserved(w).movedim(0, 1), (0.0, 0.2)).states[0, -1]
    torch.testing.assert_close(u.flip(1), u * torch.tensor([1.0, -1, 1, 1])[:, None, None], rtol=0, atol=1e-12)
    torch.testing.assert_close(u.transpose(1, 2), u[[0, 2, 1, 3]], rtol=0, atol=1e-12)
    assert float(u[1].abs().max()) > 0.05


def test_samples_have_steps_of_their_own():
    law = Euler(1.4)
    u = random_flow(3, 16, 2)
    u[1, -1] *= 50  # faster sound, shorter steps
    scheme = FiniteVolume(law, (1 / 16, 1 / 16), viscosity=Newtonian(0.1, 0.1), stages=3)
    together = scheme.march(u, (0.0, 0.05, 0.1))
    assert int(together.steps[1]) > 2 * int(together.steps[0])
    for i in range(3):
        alone = scheme.march(u[i : i + 1], (0.0, 0.05, 0.1))
        torch.testing.assert_close(alone.states[0], together.states[i], rtol=1e-12, atol=1e-12)
        assert int(alone.steps) == int(together.steps[i])


@pytest.mark.parametrize("limiter", sorted(LIMITERS))
@pytest.mark.parametrize(
    ("left", "right", "time"),
    [((1.0, -2.0, 0.4), (1.0, 2.0, 0.4), 0.15), ((1.0, 0.0, 1000.0), (1.0, 0.0, 0.01), 0.012)],
    ids=["near vacuum", "blast"],
)
def test_strong_waves_leave_density_and_pressure_positive(limiter, left, right, time):
    law, x = Euler(1.4), torch.arange(64)
    w = torch.where(x < 32, torch.tensor(left)[:, None], torch.tensor(right)[:, None]).double()[:, None]
    marched = FiniteVolume(law, (1 / 64,), "outflow", LIMITERS[limiter]).march(
        law.conserved(w).movedim(0, 1), (0.0, time)
    )
    assert bool(torch.isfinite(marched.states).all())
    assert min(float(least) for least in marched.least) > 0


def test_an_inadmissible_sample_fails_alone():
    u = random_flow(2, 16, 1)
    u[0, -1, 3] = -1.0
    states = FiniteVolume(Euler(1.4), (1 / 16,)).march(u, (0.0, 0.1)).states
    assert bool(states[0, -1].isnan().any())
    assert bool(torch.isfinite(states[1]).all())


def test_single_precision():
    u = random_flow(1, 16, 1)
    scheme = FiniteVolume(Euler(1.4), (1 / 16,))
    double, single = (scheme.march(v, (0.0, 0.1)).states for v in (u, u.float()))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-4)


def test_many_stages_and_few_solve_the_same_viscous_flow():
    u = random_flow(1, 32, 1)
    law, viscosity = Euler(1.4), Newtonian(0.05, 0.05)
    explicit, split = (
        FiniteVolume(law, (1 / 32,), viscosity=viscosity, stages=stages, cfl=0.1).march(u, (0.0, 0.2)).states[:, -1]
        for stages in (1, 5)
    )
    torch.testing.assert_close(split, explicit, rtol=2e-3, atol=0)


@pytest.mark.parametrize("wrong", [{"sides": "open"}, {"order": 4}, {"cfl": 0.0}])
def test_arguments_are_checked(wrong):
    with pytest.raises(ValueError, match=rf"FiniteVolume\.{next(iter(wrong))}: expected"):
        FiniteVolume(Euler(), (0.1,), **wrong)
