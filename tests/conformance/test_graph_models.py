"""Laws of every registered model on graphs."""

import numpy as np
import pytest
import scipy.sparse
import torch

import opnet  # noqa: F401  (registers)
from opnet.core.registry import lookup, names
from opnet.graphs.graph import Graph
from opnet.graphs.graphons import hsbm
from opnet.graphs.sampling import sample_graph
from opnet.linops.dense import Dense
from opnet.linops.sparse import CSR
from opnet.models.base import build_model
from opnet.training.model_file import load_model, save_model

TIMES = torch.linspace(0, 1, 3, dtype=torch.float64)
EXAMPLES = {
    "GraphNDE": [
        {"features": [2, 6, 2], "taps": 3},
        {"features": [2, 6, 2], "taps": 2, "time_basis": {"kind": "fourier", "terms": 3}, "activation": "softplus"},
        {"features": [2, 5, 4, 2], "solver": {"method": "RK4", "step": 0.1}},
    ],
    "GraphDiffusion": [
        {"features": 2, "source": 0.3},
        {"features": 2, "attention": "linear", "heads": 2},
        {"features": 2, "attention": "nonlinear", "heads": 2, "source": 0.1},
    ],
    "GraphReactionDiffusion": [
        *(
            {"features": 2, "reaction": reaction}
            for reaction in ("fisher", "allen_cahn", "zeldovich", "blurring_sharpening", "source", "relaxation")
        ),
        {"features": 2, "reaction": "blurring_sharpening", "attention": "nonlinear"},
    ],
    "GraphKuramoto": [{"features": 2, "coupling": 2.0, "frequency": 0.5}],
}
GRAPH_MODELS = [name for name in names("model") if lookup("model", name).domain == "graph"]
# The default tests run the first of each class.
CASES = [
    pytest.param(name, arguments, id=f"{name}-{number}", marks=[pytest.mark.slow] if number else [])
    for name in GRAPH_MODELS
    for number, arguments in enumerate(EXAMPLES.get(name, []))
]


def make(name, arguments):
    torch.manual_seed(0)
    return build_model({"class": name, **arguments}).double()


def signal(n, seed=0):
    return torch.randn(3, n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_edges(graph):
    """The same graph as a matrix, whose edges every model sees."""
    return Graph(Dense(graph.shift.to_dense()), graph.positions)


def sample(n):
    return with_edges(sample_graph(hsbm(2), n))


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
            x0 = 0.3 * signal(n)  # the quadratic reactions run away from larger ones
            out = model(with_edges(sample_graph(hsbm(2), n, regime="cell")), x0, TIMES)
            assert out.shape == (3, 3, n, 2)
            assert torch.equal(out[:, 0], x0)
            assert torch.isfinite(out).all()

    def test_gradient_reaches_every_parameter(self, name, arguments):
        model = make(name, arguments)
        graph, x0 = sample(12), signal(12)
        model(graph, x0, TIMES).square().sum().backward()
        for parameter_name, parameter in model.named_parameters():
            assert parameter.grad is not None, parameter_name
            # A key's bias adds the same to all the scores of a query, which the softmax does not see.
            if not parameter_name.endswith("query.bias"):
                assert parameter.grad.abs().sum() > 0, parameter_name

    def test_gradient_is_that_of_finite_differences(self, name, arguments):
        model = make(name, {**arguments, "solver": {"method": "RK4", "step": 0.25}})
        graph, x0 = sample(6), 0.5 * signal(6)
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
            difference = (values[0] - values[1]) / (2 * small)
            assert float(parameter.grad.view(-1)[0]) == pytest.approx(difference, rel=1e-5, abs=1e-8)

    def test_gradient_reaches_the_start(self, name, arguments):
        model = make(name, {**arguments, "solver": {"method": "RK4", "step": 0.5}})
        graph, x0 = sample(4), 0.5 * signal(4)[:1]
        assert torch.autograd.gradcheck(lambda x: model(graph, x, TIMES), x0.requires_grad_())

    def test_the_form_of_the_shift_does_not_matter(self, name, arguments):
        model, n = make(name, arguments), 20
        low_rank = sample_graph(hsbm(3), n, regime="cell")
        S = low_rank.shift.to_dense()
        S[S.abs() < 1e-12] = 0
        csr = CSR.from_scipy(scipy.sparse.csr_matrix(np.asarray(S)))
        assert 0 < len(csr.values) < n * n
        x0 = 0.5 * signal(n)
        expected = model(Graph(Dense(S)), x0, TIMES)
        torch.testing.assert_close(model(Graph(csr), x0, TIMES), expected)
        if arguments.get("attention", "none") == "none":
            torch.testing.assert_close(model(low_rank, x0, TIMES), expected)
        else:
            with pytest.raises(ValueError, match="attention: expected a graph whose edges are known, a CSR or Dense"):
                model(low_rank, x0, TIMES)

    def test_the_answer_to_a_sample_does_not_depend_on_its_batch(self, name, arguments):
        model = make(name, {**arguments, "solver": {"method": "RK4", "step": 0.1}})
        graph, x0 = sample(9), 0.5 * signal(9)
        torch.testing.assert_close(model(graph, x0[1:2], TIMES), model(graph, x0, TIMES)[1:2])

    def test_single_precision_agrees_with_double(self, name, arguments):
        model, graph, x0 = make(name, arguments), sample(9), 0.5 * signal(9)
        expected = model(graph, x0, TIMES)
        found = model.float()(graph.to(dtype=torch.float32), x0.float(), TIMES.float())
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-4)

    def test_a_saved_model_answers_the_same(self, name, arguments, tmp_path):
        model = make(name, arguments)
        save_model(model, tmp_path / "model.safetensors")
        again = load_model(tmp_path / "model.safetensors")
        graph, x0 = sample(9), signal(9)
        assert torch.equal(again(graph, x0, TIMES), model(graph, x0, TIMES))
        assert again.config == model.config
