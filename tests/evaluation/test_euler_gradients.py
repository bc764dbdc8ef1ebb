from dataclasses import replace

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from opnet.evaluation.euler_gradients import dto_otd_differences, euler_gradients, study_dto_otd
from opnet.evaluation.graphon_study import UntrainedGNDE
from opnet.graphs.graphons import hsbm, tent
from opnet.graphs.sampling import sample_graph
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.methods.explicit import Euler
from opnet.solvers.ode.solve import solve_ode


def euler(gnde, graph, x0, times):
    return solve_ode(gnde.vector_field(graph), x0, times, Euler(), control=PID(joint=True)).ys


def problem(seed=0, n=12, steps=10):
    gnde, x0, _ = UntrainedGNDE().draw(seed)
    graph = sample_graph(tent(), n)
    times = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    return gnde, graph, x0(graph.positions), replace(x0, sample=1)(graph.positions), times


def test_orders_in_the_number_of_steps():
    study = study_dto_otd(hsbm(2), [16, 32, 64, 128], range(2), n=20)
    assert study["hidden state"].order == pytest.approx(-1, abs=0.02)
    assert study["per-step parameters"].order == pytest.approx(-2, abs=0.03)
    assert study["shared parameters"].order == pytest.approx(-1, abs=0.02)


def test_discretised_first_is_the_gradient_of_the_steps_taken():
    gnde, graph, x0, target, times = problem()
    start = x0.clone().requires_grad_()
    xs = euler(gnde, graph, start, times)
    loss = 0.5 * (xs[-1] - target).square().sum() / graph.n
    of_x, *of_weights = torch.autograd.grad(loss, [start, *gnde.parameters()])
    dto = euler_gradients(
        gnde.vector_field(graph),
        list(gnde.parameters()),
        times,
        xs.detach(),
        (xs[-1].detach() - target) / graph.n,
        discretised_first=True,
    )
    assert torch.allclose(dto.states[0], of_x, rtol=1e-13, atol=1e-15)
    assert torch.allclose(dto.parameters.sum(0), parameters_to_vector(of_weights), rtol=1e-13, atol=1e-15)


def test_discretised_first_gives_the_gradient_of_a_single_step():
    # Weights of step 3 alone moved: a central difference.
    gnde, graph, x0, target, times = problem()
    f = gnde.vector_field(graph)
    bias = gnde.layers[0].bias
    h = 1e-5

    def loss(move):
        x = x0
        for k, t in enumerate(times[:-1]):
            shift = move if k == 3 else 0.0
            with torch.no_grad():
                bias[1] += shift
                x = x + (times[k + 1] - t) * f(t, x)
                bias[1] -= shift
        return float(0.5 * (x - target).square().sum() / graph.n)

    with torch.no_grad():
        xs = euler(gnde, graph, x0, times)
    terminal = (xs[-1] - target) / graph.n
    dto = euler_gradients(f, [bias], times, xs, terminal, discretised_first=True)
    assert float(dto.parameters[3, 1]) == pytest.approx((loss(h) - loss(-h)) / (2 * h), rel=1e-6)


def test_optimised_first_with_the_field_at_the_left_end_is_discretised_first():
    # Against steps of the adjoint equation by `solve_ode`, of t from its end: the field at t_{k+1} is OTD, at t_k DTO.
    gnde, graph, x0, target, times = problem()
    f, parameters = gnde.vector_field(graph), list(gnde.parameters())
    with torch.no_grad():
        xs = euler(gnde, graph, x0, times)
    terminal = (xs[-1] - target) / graph.n
    last = len(times) - 1

    def adjoint(field_at):
        def slope(t, p):
            k = round(float(t) * last)
            j = k if field_at == "right" else k - 1
            x = xs[j].clone().requires_grad_()
            with torch.enable_grad():
                (product,) = torch.autograd.grad(f(times[j], x), x, p)
            return -product

        return solve_ode(slope, terminal, times.flip(0), Euler(), control=PID(joint=True)).ys.flip(0)

    with torch.no_grad():
        right, left = adjoint("right"), adjoint("left")
    otd, dto = (euler_gradients(f, parameters, times, xs, terminal, discretised_first=first) for first in (False, True))
    assert torch.allclose(otd.states, right, rtol=1e-12, atol=1e-15)
    assert torch.allclose(dto.states, left, rtol=1e-12, atol=1e-15)
    assert float((right - left).abs().max()) > 1e-4


def test_nothing_differs_where_the_field_is_linear_and_constant_in_time():
    # f = A x: f_x is the same at both ends, so the hidden states agree; the parameters see x at another end.
    models = UntrainedGNDE(features=(2, 2), time_basis=None)
    gnde, x0, ts = models.draw(0)
    graph = sample_graph(tent(), 9)
    u = graph.positions
    differences = dto_otd_differences(gnde, graph, x0(u), replace(x0, sample=1)(u), ts, 8)
    assert differences["hidden state"] < 1e-14
    assert differences["shared parameters"] > 1e-4


def test_parameters_that_the_field_does_not_use_have_no_gradient():
    spare = torch.zeros(3, requires_grad=True)
    ts, xs = torch.tensor([0.0, 1.0]), torch.ones(2, 4)
    gradients = euler_gradients(lambda t, x: -x, [spare], ts, xs, torch.ones(4), discretised_first=False)
    assert torch.equal(gradients.parameters, torch.zeros(1, 3))
    assert torch.equal(gradients.states[0], torch.zeros(4))


def test_bad_arguments_are_refused():
    gnde, graph, x0, target, times = problem()
    with pytest.raises(ValueError, match="steps: expected at least 1, found 0"):
        dto_otd_differences(gnde, graph, x0, target, times, 0)
    with pytest.raises(ValueError, match="dto_otd_differences: expected float64"):
        dto_otd_differences(gnde.float(), graph, x0, target, times, 4)
