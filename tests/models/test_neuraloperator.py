"""Against neuraloperator itself, where it is installed; what is refused, anywhere."""

import pytest
import torch

from opnet.models.base import build_model
from opnet.models.blocks.factorised import FactorisedWeight
from opnet.models.neuraloperator import from_neuraloperator
from opnet.spaces.grid import Grid

CONFIG = {"n_modes": (6, 6), "in_channels": 2, "out_channels": 1, "hidden_channels": 6, "n_layers": 2}


def peer(config, name="FNO"):
    models = pytest.importorskip("neuralop.models")
    torch.manual_seed(0)
    model = getattr(models, name)(**config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # its biases and gates all start alike
            parameter.data = parameter.data + 0.1 * torch.randn_like(parameter)
            parameter.data = parameter.data.to(torch.complex128 if parameter.is_complex() else torch.float64)
    return model


def assert_equal(ours, theirs):
    """To single precision: it keeps its spectra in complex64 whatever the dtype of the rest."""
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-6


def answers(model, config, shape, boundary="periodic"):
    inputs = torch.randn(2, 2, *shape, dtype=torch.float64)
    ours = from_neuraloperator(model.state_dict(), config)
    with torch.no_grad():
        return ours(inputs, Grid(shape, nodes="left", boundary=boundary)), model(inputs)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_channel_mlp": False},
        {"fno_skip": "identity", "channel_mlp_skip": "linear"},
        {"fno_skip": "soft-gating", "channel_mlp_skip": None},
        {"fno_skip": None, "channel_mlp_skip": "identity"},
        {"domain_padding": 0.25},
        {"domain_padding": [0.125, 0.0]},
        {"positional_embedding": None},
        {"lifting_channel_ratio": 0, "projection_channel_ratio": 3, "channel_mlp_expansion": 2},
        {"n_modes": (5, 7)},
        {"factorization": "Tucker", "rank": 0.3},
        {"factorization": "CP", "rank": 0.5},
        {"factorization": "TT", "rank": 0.5},
    ],
    ids=lambda options: "-".join(f"{k}={v}" for k, v in options.items()) or "default",
)
def test_outputs_are_those_of_neuraloperator(options):
    config = {**CONFIG, **options}
    ours, theirs = answers(peer(config), config, (16, 20))
    assert_equal(ours, theirs)


@pytest.mark.parametrize("shape", [(16,), (15,), (10, 12, 8), (10, 12, 9)], ids=str)
def test_one_and_three_dimensions_and_an_odd_last_axis(shape):
    config = {**CONFIG, "n_modes": (6,) * len(shape)}
    ours, theirs = answers(peer(config), config, shape)
    assert_equal(ours, theirs)


@pytest.mark.parametrize("options", [{}, {"domain_padding": 0.25}], ids=["plain", "padded"])
def test_left_nodes_of_a_box_that_is_not_periodic_are_taken_alike(options):
    config = {**CONFIG, **options}
    assert_equal(*answers(peer(config), config, (16, 20), boundary="dirichlet"))


def test_arguments_given_by_position_are_read_from_the_weights():
    models = pytest.importorskip("neuralop.models")
    model = models.FNO((6, 6), 2, 1, 6, 2)
    assert from_neuraloperator(model.state_dict()).arguments["width"] == 6


def test_its_frequencies_are_displaced_on_an_odd_axis_before_the_last():
    """Its second shift moves an odd spectrum by one: there, ours is what it gives on even numbers of nodes."""
    ours, theirs = answers(peer(CONFIG), CONFIG, (15, 16))
    assert not torch.allclose(ours, theirs, rtol=0.01)


def test_tfno_keeps_its_factors_and_trains_on():
    model = peer(CONFIG, "TFNO")
    ours = from_neuraloperator(model.state_dict())
    assert ours.n_parameters == sum(p.numel() * (2 if p.is_complex() else 1) for p in model.parameters())
    inputs = torch.randn(2, 2, 16, 16, dtype=torch.float64)
    grid = Grid((16, 16), boundary="periodic")
    answers = ours(inputs, grid), model(inputs)
    assert_equal(*(answer.detach() for answer in answers))
    for answer in answers:
        answer.square().sum().backward()
    core = ours.spectral[0].weight.factorised.factors[0].grad
    assert_equal(torch.view_as_complex(core), model.fno_blocks.convs[0].weight.core.grad)
    again = build_model(ours.config).double()
    again.load_state_dict(ours.state_dict())
    assert torch.equal(again(inputs, grid), ours(inputs, grid))


@pytest.mark.parametrize("share", [0.05, 0.1, 0.4])
@pytest.mark.parametrize("shape", [(64, 64, 16, 9), (32, 32, 12)], ids=str)
def test_a_share_gives_the_ranks_it_gives_there(shape, share):
    tensorly = pytest.importorskip("tensorly")
    expected = {
        "tucker": tensorly.tucker_tensor.validate_tucker_rank(shape, share),
        "cp": (tensorly.cp_tensor.validate_cp_rank(shape, share),),
        "tt": tensorly.tt_tensor.validate_tt_rank(shape, share)[1:-1],
    }
    for name, ranks in expected.items():
        assert FactorisedWeight(shape, name, share).ranks == tuple(ranks)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"norm": "group_norm"}, "config: norm: expected None, all that is known of .*, found 'group_norm'"),
        ({"separable": True}, "config: separable: expected False"),
        ({"non_linearity": torch.nn.functional.relu}, "config: non_linearity: expected 'gelu'"),
        ({"positional_embedding": torch.nn.Identity()}, "config: positional_embedding: expected 'grid' or None"),
        ({"max_n_modes": (8, 8)}, "config: max_n_modes: expected None or n_modes"),
        ({"colour": "blue"}, "config: expected arguments of neuraloperator 2.0's FNO, found colour"),
        ({"args": (0,) * 9}, "config: expected at most n_modes, .* by position, found 9 arguments"),
        ({"fno_skip": "cubic"}, "skip: expected one of linear, identity, soft-gating, None, found 'cubic'"),
        ({}, "state_dict: expected the weights of the model in config, found others"),
    ],
    ids=lambda value: next(iter(value), "no weights") if isinstance(value, dict) else "message",
)
def test_what_is_not_known_is_refused_by_name(config, message):
    with pytest.raises(ValueError, match=message):
        from_neuraloperator({}, {**CONFIG, **config})


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"encoder.weight": torch.zeros(2)}, "state_dict: expected weights of neuraloperator 2.0's FNO .* found 'enc"),
        ({"lifting.fcs.0.bias": 3.0}, "state_dict: lifting.fcs.0.bias: expected a tensor, found 3.0"),
        ({"fno_blocks.convs.0.weight.tensor": torch.zeros(2)}, "expected complex weights, found torch.float32"),
        (
            {"fno_blocks.convs.0.weight.blocks": torch.zeros(2, dtype=torch.complex64)},
            "expected dense or factorised spectral weights, found blocks",
        ),
    ],
    ids=["name", "value", "real", "factorisation"],
)
def test_weights_that_are_not_known_are_refused_by_name(state, message):
    with pytest.raises(ValueError, match=message):
        from_neuraloperator(state, CONFIG)


def test_missing_arguments_are_named():
    with pytest.raises(ValueError, match="config: expected the model's arguments, found None"):
        from_neuraloperator({})
    with pytest.raises(ValueError, match=r"config: expected n_modes, .* found no n_modes, hidden_channels"):
        from_neuraloperator({}, {"in_channels": 1, "out_channels": 1})
