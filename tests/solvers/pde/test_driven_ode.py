from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from opnet.core.errors import SolveError
from opnet.solvers.pde.antiderivative import Antiderivative
from opnet.solvers.pde.pendulum import Pendulum
from opnet.solvers.pde.riccati import Riccati
from opnet.spaces.fields.base import RandomField


@dataclass(frozen=True)
class Known(RandomField):
    """One function for all samples."""

    name: str

    def sample(self, seed, indices, grid, *, key=()):
        x = grid.axis(0)
        u = {
            "cos": torch.cos(3 * x),
            "one": torch.ones_like(x),
            "sinking": -9 * torch.ones_like(x),
            # of the angle sin^2 x, with k = 2
            "pendulum": 2 * torch.cos(2 * x) + 2 * torch.sin(torch.sin(x) ** 2),
        }[self.name]
        return u.expand(len(indices), -1).clone()


EXACT = [
    (Antiderivative(2.0, Known("cos"), steps=100), lambda x: [np.sin(3 * x) / 3]),
    (Riccati(2.0, Known("one"), steps=100), lambda x: [np.tanh(x)]),
    (Pendulum(2.0, 2.0, Known("pendulum"), steps=100), lambda x: [np.sin(x) ** 2, np.sin(2 * x)]),
]


@pytest.mark.parametrize(("problem", "exact"), EXACT, ids=["antiderivative", "riccati", "pendulum"])
def test_solutions_are_exact(problem, exact):
    samples = problem.sample(0, [0], 21)
    x = samples.grid.axis(0).numpy()
    np.testing.assert_allclose(samples.targets[0], np.stack(exact(x)), atol=1e-6)
    assert float(samples.discretisation_error) < 1e-6


def test_sensors_are_the_nodes():
    samples = Antiderivative(2.0, Known("cos"), steps=100).sample(0, [0], 11)
    torch.testing.assert_close(samples.inputs[0, 0], torch.cos(3 * samples.grid.axis(0)))


def test_a_pole_is_said_where_it_is():
    with pytest.raises(SolveError, match=r"Riccati sample 4 of seed 1.*at x = ") as failure:
        Riccati(1.0, Known("sinking"), steps=100).sample(1, [4], 11)
    assert failure.value.index == 4
    assert failure.value.time == pytest.approx(np.pi / 6, abs=0.05)  # s = -3 tan 3x


@pytest.mark.parametrize(
    ("problem", "wrong"),
    [(Antiderivative(), {"length": 0.0}), (Pendulum(), {"k": -1.0}), (Riccati(), {"length": torch.inf})],
    ids=str,
)
def test_arguments_are_checked(problem, wrong):
    with pytest.raises(ValueError, match=rf"{next(iter(wrong))}: expected a positive"):
        replace(problem, **wrong)
