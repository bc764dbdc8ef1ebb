from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from opnet.core.errors import SolveError
from opnet.solvers.pde.evolution import HORIZON, HORIZON_TEXT, Evolution, Solved, relative_difference
from opnet.spaces.grid import Grid


@dataclass(frozen=True)
class Decay(Evolution):
    """`u' = -u` by Euler's method in steps of .1: an error that is known."""

    times: float | tuple[float, ...] = 1.0
    broken: int | None = None

    equation: ClassVar[str] = "u' = -u"
    input_names: ClassVar[tuple[str, ...]] = ("u",)
    target_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = {"u": "1"}
    solver: ClassVar[str] = "Euler's method"
    error_method: ClassVar[str] = "Richardson"
    order: ClassVar[float] = 1

    def grid(self, resolution):
        return Grid((resolution,), boundary="periodic")

    def solve(self, seed, indices, grid, *, refinement=0, device="cpu"):
        h = 0.1 / 2**refinement
        factors = torch.tensor([(1 - h) ** round(t / h) for t in self.frames], dtype=torch.float64)
        states = torch.tensor(indices, dtype=torch.float64)[:, None, None, None] * factors[:, None, None]
        states = states.expand(-1, -1, -1, *grid.shape).clone()
        if self.broken in indices:
            states[indices.index(self.broken), -1] = torch.nan
        return Solved(states)


@dataclass(frozen=True)
class Forgetful(Decay):
    """A refinement that shares nothing with the solution after t = 1."""

    diagnostics: ClassVar[dict[str, str]] = {HORIZON: HORIZON_TEXT}

    def solve(self, seed, indices, grid, *, refinement=0, device="cpu"):
        solved = super().solve(seed, indices, grid, device=device)
        late = torch.tensor(self.frames)[:, None, None] > 1
        return Solved(solved.states * torch.where(late, 1.0 + refinement, 1.0))


def test_a_number_asks_for_a_map_and_a_tuple_for_trajectories():
    final = Decay(times=2.0).sample(0, [1, 2], 4)
    assert final.inputs.shape == final.targets.shape == (2, 1, 4)
    assert final.times is None
    path = Decay(times=(0, 1, 2)).sample(0, [1, 2], 4)
    assert path.targets.shape == (2, 3, 1, 4)
    assert torch.equal(path.targets[:, 0], path.inputs)
    assert torch.equal(path.targets[:, -1], final.targets)
    assert path.times.tolist() == [0, 1, 2]


def test_the_estimate_is_the_error():
    samples = Decay().sample(0, [3], 4)
    truth = torch.e ** torch.tensor(-1.0)
    error = ((samples.targets / 3 - truth).abs() / truth).max()
    assert float(samples.discretisation_error) == pytest.approx(float(error), rel=0.06)
    assert bool(Decay().sample(0, [3], 4, estimate_error=False).discretisation_error.isnan().all())


def test_beyond_the_horizon_nothing_is_estimated():
    samples = Forgetful(times=(0.0, 1.0, 2.0)).sample(0, [1], 4)
    assert samples.diagnostics[HORIZON].tolist() == [1.0]
    assert bool(samples.discretisation_error.isnan().all())
    within = Forgetful(times=(0.0, 0.5, 1.0)).sample(0, [1], 4)
    assert within.diagnostics[HORIZON].tolist() == [1.0]
    assert within.discretisation_error.tolist() == [0.0]


def test_failures_name_sample_and_time():
    with pytest.raises(SolveError, match=r"Decay sample 7 of seed 0.*by time 2") as failure:
        Decay(times=(0, 1, 2), broken=7).sample(0, [1, 7], 4)
    assert (failure.value.index, failure.value.time) == (7, 2.0)


@pytest.mark.parametrize("times", [0.0, -1.0, (), (0.0,), (1.0, 2.0), (0.0, 2.0, 1.0), torch.inf])
def test_times_are_checked(times):
    with pytest.raises(ValueError, match=r"Decay\.times: expected"):
        _ = Decay(times=times).frames


def test_the_worst_channel_counts_and_an_absent_one_does_not():
    u, v = torch.zeros(1, 1, 3, 4), torch.zeros(1, 1, 3, 4)
    v[:, :, 0], u[:, :, 0] = 1.0, 1.1
    v[:, :, 1], u[:, :, 1] = 1e-3, 1.2e-3
    assert relative_difference(u, v).tolist() == pytest.approx([0.2])
