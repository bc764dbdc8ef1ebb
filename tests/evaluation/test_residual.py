from dataclasses import replace

import pytest
import torch

from opnet.data.batch import ArrayDataset, Batch
from opnet.evaluation.evaluate import evaluate
from opnet.evaluation.residual import PDEResidual
from opnet.graphs.graph import Graph
from opnet.linops.dense import Dense
from opnet.models.fno import FNO
from opnet.solvers.pde.burgers import Burgers
from opnet.solvers.pde.darcy import Darcy
from opnet.solvers.pde.darcy_fno_published import DarcyFNOPublished
from opnet.solvers.pde.darcy_lognormal import DarcyLognormal
from opnet.solvers.pde.fitzhugh_nagumo import FitzHughNagumo
from opnet.solvers.pde.heat import Heat
from opnet.solvers.pde.helmholtz import Helmholtz
from opnet.solvers.pde.kuramoto_sivashinsky import KuramotoSivashinsky
from opnet.solvers.pde.navier_stokes import NavierStokes
from opnet.solvers.pde.poisson import Poisson
from opnet.spaces.grid import Grid
from opnet.training.config import FitConfig
from opnet.training.fit import fit

STEADY = [Darcy(), DarcyLognormal(), Poisson("neumann"), Helmholtz(omega=2.0)]


def steady(problem, n=8):
    samples = problem.sample(0, [0, 3], n, estimate_error=False)
    return Batch(samples.inputs, samples.targets, samples.grid)


def frames(problem, n, dt, steps=2):
    """Inputs at 0.1, targets in steps of dt after it, as channels."""
    problem = replace(problem, times=(0.0, *(0.1 + i * dt for i in range(steps + 1))))
    samples = problem.sample(0, [0, 3], n, estimate_error=False)
    late = samples.targets[:, 1:]
    return Batch(late[:, 0], late[:, 1:].flatten(1, 2), samples.grid)


@pytest.mark.parametrize("problem", STEADY, ids=lambda problem: type(problem).__name__)
def test_it_is_small_for_solutions_and_one_for_nothing(problem):
    batch, loss = steady(problem), PDEResidual(problem)
    assert loss.of(batch.targets, batch).shape == (2, 1)
    assert float(loss.of(batch.targets, batch).max()) < 1e-9
    torch.testing.assert_close(loss.of(0 * batch.targets, batch), torch.ones(2, 1).double())
    torch.testing.assert_close(loss.of(1.25 * batch.targets, batch), torch.full((2, 1), 0.25).double())


@pytest.mark.parametrize("problem", STEADY, ids=lambda problem: type(problem).__name__)
def test_steady_gradients_are_those_of_finite_differences(problem):
    batch = steady(problem, 4)
    guess = torch.randn_like(batch.targets).requires_grad_()
    assert torch.autograd.gradcheck(lambda u: PDEResidual(problem).of(u, batch), guess)


def test_in_time_the_residual_of_solutions_falls_with_the_square_of_the_step():
    problem = KuramotoSivashinsky()
    sizes = [
        PDEResidual(problem, dt).of(batch.targets, batch) for dt in (0.02, 0.01) for batch in [frames(problem, 64, dt)]
    ]
    assert float(sizes[0].max()) < 1e-4
    torch.testing.assert_close(sizes[0] / sizes[1], torch.full((2, 1), 4.0).double(), rtol=0.05, atol=0)


def test_each_frame_counts_and_the_inputs_last_frame_is_the_first():
    problem, dt = KuramotoSivashinsky(), 0.01
    batch, loss = frames(problem, 64, dt, steps=3), PDEResidual(KuramotoSivashinsky(), dt)
    for frame in range(3):
        wrong = batch.targets.clone()
        wrong[:, frame] *= 1.1
        assert (loss.of(wrong, batch) > 1000 * loss.of(batch.targets, batch)).all()
    older = replace(batch, inputs=torch.cat([torch.randn_like(batch.inputs), batch.inputs], 1))
    torch.testing.assert_close(loss.of(batch.targets, older), loss.of(batch.targets, batch))


@pytest.mark.parametrize(
    ("problem", "dim"), [(Burgers(), 1), (NavierStokes(), 2), (FitzHughNagumo(), 2)], ids=["1d", "flow", "two fields"]
)
def test_gradients_in_time_are_those_of_finite_differences(problem, dim):
    fields, grid = len(problem.target_names), problem.grid(6)
    assert grid.dim == dim
    batch = Batch(torch.randn(1, fields, *grid.shape).double(), torch.zeros(0), grid)
    guess = torch.randn(1, 2 * fields, *grid.shape).double().requires_grad_()
    loss = PDEResidual(problem, 0.1)
    assert loss.of(guess, batch).shape == (1, fields)
    assert torch.autograd.gradcheck(lambda u: loss.of(u, batch), guess, fast_mode=True)


def test_it_trains_without_targets_and_is_reported(tmp_path):
    batch, loss = steady(Poisson()), PDEResidual(Poisson())
    data = ArrayDataset(batch.inputs, torch.zeros_like(batch.targets), batch.domain)
    model = FNO(1, 1, modes=(4, 4), width=4, layers=1, basis="sine", zero_boundary=True)
    run = fit(model, data, loss=loss, config=FitConfig(epochs=25, learning_rate=1e-2), folder=tmp_path, validation=data)
    assert run.history[-1]["loss"] < 0.5 * run.history[0]["loss"]
    (row,) = evaluate(model, data, loss)
    assert row.metric == "PDEResidual(problem=Poisson)"
    assert row.mean == pytest.approx(run.history[-1]["validation"], rel=1e-5)
    with pytest.raises(ValueError, match=r"loss.problem.class: expected 'DarcyLognormal', found 'Poisson'"):
        fit(model, data, loss=PDEResidual(DarcyLognormal()), config=FitConfig(epochs=25), folder=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Heat(),), r"PDEResidual.problem: expected a steady elliptic problem .* found"),
        ((Darcy(), 0.1), "PDEResidual.dt: expected None for a steady problem, found 0.1"),
        ((Burgers(),), "PDEResidual.dt: expected the positive time between frames, found None"),
        ((Burgers(), -1.0), "PDEResidual.dt: expected the positive time between frames, found -1.0"),
    ],
)
def test_what_has_no_residual_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PDEResidual(*arguments)


def test_predictions_that_do_not_fit_are_refused():
    batch, loss = steady(Darcy()), PDEResidual(Darcy())
    u = batch.targets
    for guess, message in (
        (u[:, :, :4], r"prediction: expected floating \(batch, 1, \*\(8, 8\)\), found torch.float64 \(2, 1, 4, 8\)"),
        (u.long(), "prediction: expected floating .* found torch.int64"),
        (torch.cat([u, u], 1), "prediction: expected 1 channels, found 2"),
        (u[:1], "expected as many predictions as inputs, found 1 and 2"),
    ):
        with pytest.raises(ValueError, match=message):
            loss.of(guess, batch)
    for domain in (Grid((8, 8)), Graph(Dense(torch.eye(8)))):
        with pytest.raises(ValueError, match="expected data on the problem's grid, found"):
            loss.of(u, replace(batch, domain=domain))
    with pytest.raises(
        ValueError, match=r"expected a problem whose system is on the nodes of its grid, .* found one on"
    ):
        PDEResidual(DarcyFNOPublished(max_mode=8)).of(u, batch)
    wave = frames(FitzHughNagumo(), 8, 0.1)
    with pytest.raises(ValueError, match=r"prediction: expected floating \(batch, frames of 2, \*\(8, 8\)\)"):
        PDEResidual(FitzHughNagumo(), 0.1).of(wave.targets[:, :3], wave)
    rest = replace(wave, inputs=torch.zeros_like(wave.inputs))
    with pytest.raises(
        ValueError, match="expected initial rates of non-zero norm, found zero in channel 1 of sample 0"
    ):
        PDEResidual(FitzHughNagumo(), 0.1).of(wave.targets, rest)
