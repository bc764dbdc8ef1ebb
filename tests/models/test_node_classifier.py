import pytest
import scipy.sparse
import torch

from opnet.graphs.graph import Graph
from opnet.graphs.graphons import hsbm
from opnet.graphs.sampling import sample_graph
from opnet.linops.dense import Dense
from opnet.linops.sparse import CSR
from opnet.models.base import build_model
from opnet.models.gcn import GCN
from opnet.models.graph_diffusion import GraphDiffusion
from opnet.models.graph_kuramoto import GraphKuramoto
from opnet.models.node_classifier import NodeClassifier
from opnet.training.model_file import load_model, save_model

MODELS = {
    "diffusion": lambda: NodeClassifier(GraphDiffusion(6, "linear", 2), 5, 3, horizon=2.0),
    "two layers": lambda: NodeClassifier(GraphKuramoto(4), 5, 3, hidden=7, activation="tanh", dropout=0.2),
    "GCN": lambda: GCN(5, 3, width=6),
}


def make(case):
    torch.manual_seed(0)
    return MODELS[case]().double().eval()


def graph(n=9):
    return Graph(Dense(sample_graph(hsbm(2), n, regime="random", seed=1).shift.to_dense()))


def features(n=9):
    return CSR.from_scipy(scipy.sparse.random(n, 5, density=0.5, random_state=0))


@pytest.mark.parametrize("case", MODELS)
class TestNodeModel:
    def test_relabelling_nodes_relabels_the_answer(self, case):
        model, S, x = make(case), graph().shift.matrix, features().to_dense()[None]
        p = torch.randperm(9, generator=torch.Generator().manual_seed(2))
        plain = model(Graph(Dense(S)), x)
        assert plain.shape == (1, 9, 3)
        torch.testing.assert_close(model(Graph(Dense(S[p][:, p])), x[:, p]), plain[:, p])
        assert (plain - plain[:, p]).abs().max() > 1e-3  # the law is not empty

    def test_sparse_features_are_those_of_a_tensor(self, case):
        model, x = make(case), features()
        torch.testing.assert_close(model(graph(), x), model(graph(), x.to_dense()[None]))

    def test_drops_only_while_training(self, case):
        model, x = make(case), features()
        assert torch.equal(model(graph(), x), model(graph(), x))
        model.train()
        assert not torch.equal(model(graph(), x), model(graph(), x))

    def test_gradient_reaches_every_parameter(self, case):
        model = make(case)
        model(graph(), features()).square().sum().backward()
        for name, parameter in model.named_parameters():
            if not name.endswith("query.bias"):
                assert parameter.grad.abs().sum() > 0, name

    def test_a_saved_model_answers_the_same(self, case, tmp_path):
        model = make(case)
        save_model(model, tmp_path / "model.safetensors")
        again = load_model(tmp_path / "model.safetensors").eval()
        assert torch.equal(again(graph(), features()), model(graph(), features()))
        assert build_model(model.config).config == model.config


def test_a_classifier_is_encoder_flow_and_decoder():
    model, x = make("two layers"), features().to_dense()[None]
    x0 = torch.tanh(x @ model.encoder.weight + model.encoder.bias) @ model.second.weight + model.second.bias
    end = model.dynamics(graph(), x0, torch.tensor([0.0, 1.0], dtype=torch.float64))[:, -1]
    torch.testing.assert_close(model(graph(), x), model.decoder(torch.tanh(end)))


def test_a_gcn_is_its_formula():
    model, x, S = make("GCN"), features().to_dense(), graph().shift.matrix
    hidden = torch.relu(S @ x @ model.first.weight + model.biases[0])
    torch.testing.assert_close(model(graph(), x[None])[0], S @ hidden @ model.second.weight + model.biases[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon": 0.0}, "horizon: expected a positive number, found 0.0"),
        ({"classes": 0}, "classes: expected at least 1, found 0"),
        ({"dropout": 1.0}, "dropout: expected a number from 0"),
        ({"hidden": 0}, "expected at least one feature, found 5 and 0"),
        ({"activation": "rleu"}, "did you mean 'relu'"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        NodeClassifier(**{"dynamics": GraphDiffusion(4), "features": 5, "classes": 3, **arguments})


def test_features_are_checked():
    with pytest.raises(ValueError, match=r"x: expected a tensor of shape \(batch, 8, 5\)"):
        make("diffusion")(graph(8), features())
