"""Laws of every registered model on graphs."""

import numpy as np
import pytest
import scipy.sparse
import torch

import opnet.models.graph_nde  # noqa: F401  (registers)
from opnet.core.registry import lookup, names
from opnet.graphs.graph import Graph
from opnet.graphs.graphons import hsbm
from opnet.graphs.sampling import sample_graph
from opnet.linops.dense import Dense
from opnet.linops.sparse import CSR
from opnet.models.base import build_model

TIMES = torch.linspace(0, 1, 3, dtype=torch.float64)
EXAMPLES = {
    "GraphNDE": [
        {"features": [2, 6, 2], "taps": 3},
        {"features": [2, 6, 2], "taps": 2, "time_basis": {"kind": "fourier", "terms": 3}, "activation": "softplus"},
        {"features": [2, 5, 4, 2], "solver": {"method": "RK4", "step": 0.1}},
    ]
}
GRAPH_MODELS = [name for name in names("model") if lookup("model", name).domain == "graph"]
CASES = [(name, arguments) for name in GRAPH_MODELS for arguments in EXAMPLES.get(name, [])]


def make(name, arguments):
    torch.manual_seed(0)
    return build_model({"class": name, **arguments}).double()


def signal(n, seed=0):
    return torch.randn(3, n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_every_graph_model_has_examples():
    assert "GraphNDE" in GRAPH_MODELS
    assert set(GRAPH_MODELS) == set(EXAMPLES)


@pytest.mark.parametrize(("name", "arguments"), CASES)
class TestGraphModel:
    def test_relabelling_nodes_relabels_the_answer(self, name, arguments):
        model, n = make(name, arguments), 17
        S = sample_graph(hsbm(2), n, regime="random", seed=1).shift.to_dense()
        p = torch.randperm(n, generator=torch.Generator().manual_seed(2))
        x0 = signal(n)
        plain = model(Graph(Dense(S)), x0, TIMES)
        relabelled = model(Graph(Dense(S[p][:, p])), x0[:, p], TIMES)
        torch.testing.assert_close(relabelled, plain[:, :, p])
        assert (plain - plain[:, :, p]).abs().max() > 0.1  # the law is not empty

    def test_runs_at_three_sizes_from_the_start_on(self, name, arguments):
        model = make(name, arguments)
        for n in (4, 33, 300):
            x0 = signal(n)
            out = model(sample_graph(hsbm(2), n, regime="cell"), x0, TIMES)
            assert out.shape == (3, 3, n, 2)
            assert torch.equal(out[:, 0], x0)
            assert torch.isfinite(out).all()

    def test_gradient_reaches_every_parameter(self, name, arguments):
        model = make(name, arguments)
        graph, x0 = sample_graph(hsbm(2), 12), signal(12)
        model(graph, x0, TIMES).square().sum().backward()
        for parameter_name, parameter in model.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.abs().sum() > 0, parameter_name

    def test_gradient_is_that_of_finite_differences(self, name, arguments):
        model = make(name, {**arguments, "solver": {"method": "RK4", "step": 0.25}})
        graph, x0 = sample_graph(hsbm(2), 6), signal(6)
        model(graph, x0, TIMES).square().sum().backward()
        for parameter in model.parameters():
            with torch.no_grad():
                entry, small = parameter.view(-1), 1e-6
                start = float(entry[0])
                values = []
                for shifted in (start + small, start - small):
                    entry[0] = shifted
                    values.append(float(model(graph, x0, TIMES).square().sum()))
                entry[0] = start
            assert float(parameter.grad.view(-1)[0]) == pytest.approx((values[0] - values[1]) / (2 * small), rel=1e-5)

    def test_the_form_of_the_shift_does_not_matter(self, name, arguments):
        model, n = make(name, arguments), 20
        low_rank = sample_graph(hsbm(3), n, regime="cell")
        S = low_rank.shift.to_dense()
        csr = CSR.from_scipy(scipy.sparse.csr_matrix(np.asarray(S)))
        answers = [model(Graph(shift), signal(n), TIMES) for shift in (low_rank.shift, Dense(S), csr)]
        torch.testing.assert_close(answers[1], answers[0])
        torch.testing.assert_close(answers[2], answers[0])

    def test_the_answer_to_a_sample_does_not_depend_on_its_batch(self, name, arguments):
        model = make(name, {**arguments, "solver": {"method": "RK4", "step": 0.1}})
        graph, x0 = sample_graph(hsbm(2), 9), signal(9)
        torch.testing.assert_close(model(graph, x0[1:2], TIMES), model(graph, x0, TIMES)[1:2])

    def test_is_rebuilt_from_its_config(self, name, arguments):
        model = make(name, arguments)
        again = build_model(model.config).double()
        again.load_state_dict(model.state_dict())
        graph, x0 = sample_graph(hsbm(2), 9), signal(9)
        assert torch.equal(again(graph, x0, TIMES), model(graph, x0, TIMES))
