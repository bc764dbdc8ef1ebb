from dataclasses import dataclass, replace
from math import pi

import pytest
import torch

from opnet.solvers.pde.forced_reaction_diffusion import ForcedReactionDiffusion
from opnet.spaces.fields.base import RandomField


@dataclass(frozen=True)
class Sine(RandomField):
    def sample(self, seed, indices, grid, *, key=()):
        return torch.sin(pi * grid.axis(0)).expand(len(indices), -1).clone()


def test_without_reaction_a_mode_grows_to_its_balance():
    problem = ForcedReactionDiffusion(times=(0.0, 0.3, 1.0), diffusion=0.1, reaction=0.0, input=Sine())
    samples = problem.sample(0, [0, 1], 17)
    rate = 0.1 * pi**2
    growth = (1 - torch.exp(-rate * samples.times)) / rate
    exact = growth[:, None, None] * torch.sin(pi * samples.grid.axis(0))
    error = (samples.targets[1] - exact).norm() / exact.norm()
    assert float(error) < 1e-5
    assert float(samples.discretisation_error[1]) == pytest.approx(float(error), rel=0.05)
    torch.testing.assert_close(samples.inputs[0, 0], torch.sin(pi * samples.grid.axis(0)))


def test_the_ends_stay_at_zero_and_reaction_adds():
    plain, reacting = (
        ForcedReactionDiffusion(times=1.0, reaction=k, input=Sine()).sample(0, [0], 33, estimate_error=False).targets
        for k in (0.0, 1.0)
    )
    assert not plain[..., [0, -1]].any()
    assert bool((reacting[..., 1:-1] > plain[..., 1:-1]).all())


@pytest.mark.parametrize("wrong", [{"diffusion": 0.0}, {"step": -1.0}, {"reaction": torch.inf}], ids=str)
def test_arguments_are_checked(wrong):
    with pytest.raises(ValueError, match=rf"{next(iter(wrong))}: expected"):
        replace(ForcedReactionDiffusion(), **wrong)
