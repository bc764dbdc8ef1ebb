"""Laws of every registered operator model on grids."""

from itertools import pairwise
from math import pi

import pytest
import torch

import opnet.models.deeponet
import opnet.models.fno
import opnet.models.mionet
import opnet.models.multionet
import opnet.models.normalised
import opnet.models.pca_net
import opnet.models.persistence
import opnet.models.pod_deeponet
import opnet.models.reduced_basis
import opnet.models.resnet
import opnet.models.symmetrised
import opnet.models.training_mean
import opnet.models.unet  # noqa: F401  (registers)
from opnet.core.registry import lookup, names
from opnet.models.base import build_model
from opnet.spaces.grid import Grid

FNO = {"class": "FNO", "in_channels": 1, "out_channels": 2, "modes": [4, 4], "width": 6, "layers": 2}
SENSORS = {"in_channels": 1, "out_channels": 2, "sensors": [5, 4]}
DEEPONET = {"class": "DeepONet", **SENSORS, "branch": [6, 4], "trunk": [6, 4]}
STATISTICS = {"inputs": {"shift": [1.0], "scale": [2.0]}, "targets": {"shift": [0.5, 0.0], "scale": [3.0, 1.0]}}
MEAN = {"class": "TrainingMean", "in_channels": 1, "out_channels": 2, "grid": Grid((4, 5)).describe()}
PCA = {"class": "PCANet", "in_channels": 1, "out_channels": 2, "input_rank": 3, "output_rank": 2, "hidden": [4]}
# Small architectures from one input channel to two outputs (or the one they have) on squares; several where options
# matter.
EXAMPLES = {
    "DeepONet": [
        DEEPONET,
        {**DEEPONET, "outputs": "split_branch", "stacked": True, "sensor_nodes": ["vertex", "cell"]},
        {**DEEPONET, "outputs": "split_trunk", "fourier_features": 2, "activation": "tanh"},
        {**DEEPONET, "outputs": "independent", "zero_boundary": True},
    ],
    "MIONet": [{**DEEPONET, "class": "MIONet", "functions": [1]}],
    "MultiONet": [{"class": "MultiONet", **SENSORS, "widths": [6, 8, 4]}],
    "PODDeepONet": [
        {"class": "PODDeepONet", **SENSORS, "rank": 3, "branch": [6], "grid": Grid((4, 5)).describe()},
    ],
    "FNO": [
        FNO,
        {**FNO, "padding": 0.5},
        {**FNO, "basis": "cosine"},
        {**FNO, "basis": "sine"},
        {**FNO, "basis": "cosine", "symmetric": True, "zero_boundary": True},
    ],
    "Normalised": [{"class": "Normalised", "model": FNO, **STATISTICS}],
    "Symmetrised": [{"class": "Symmetrised", "model": {**FNO, "padding": 1.0}}],
    "PCANet": [{**PCA, "grid": Grid((5, 4), nodes="cell").describe()}],
    "TrainingMean": [MEAN],
    "Persistence": [{"class": "Persistence", "in_channels": 1, "out_channels": 2}],
    "ReducedBasis": [
        {"class": "ReducedBasis", "rank": 3, "log_scale": 0.5, "grid": Grid((6, 5), nodes=nodes).describe()}
        for nodes in ("cell", "left")
    ],
    "UNet": [{"class": "UNet", "in_channels": 1, "out_channels": 2, "width": 4, "levels": 2}],
    "ResNet": [
        {"class": "ResNet", "in_channels": 1, "out_channels": 2, "width": 4, "blocks": 2, "dilations": [1]},
        {"class": "ResNet", "in_channels": 1, "out_channels": 2, "width": 4, "blocks": 1, "dilations": [1, 4]},
    ],
}
GRID_MODELS = [name for name in names("model") if lookup("model", name).domain == "grid"]
CASES = [example for name in GRID_MODELS for example in EXAMPLES.get(name, [])]
PLACEMENTS = ["cell", "vertex", "left", "interior"]


def title(config):
    shown = ("basis", "padding", "symmetric", "dilations", "outputs")
    options = {k: v for k, v in config.items() if k in shown}
    return f"{config['class']}{options or ''}"


each_model = pytest.mark.parametrize("config", CASES, ids=title)
each_trainable_model = pytest.mark.parametrize(
    "config", [case for case in CASES if getattr(lookup("model", case["class"]), "trainable", True)], ids=title
)
each_invariant_model = pytest.mark.parametrize(
    "config",
    [case for case in CASES if getattr(lookup("model", case["class"]), "discretisation_invariant", True)],
    ids=title,
)


def make(config, dtype=torch.float64):
    torch.manual_seed(0)
    return build_model(config).to(dtype).eval()


def channels_out(model):
    return getattr(model, "out_channels", 2)


def smooth(grid, n_samples=2):
    """Smooth functions, one channel."""
    x, y = grid.coordinates()
    waves = [torch.cos(pi * (i + 1) * x) * torch.exp(y) + torch.sin(2 * pi * y + i) for i in range(n_samples)]
    return torch.stack(waves)[:, None]


def test_every_grid_model_has_examples():
    assert set(GRID_MODELS) == set(EXAMPLES)
    assert {"FNO", "Normalised", "Symmetrised"} <= set(GRID_MODELS)


@each_model
@pytest.mark.parametrize("nodes", PLACEMENTS)
def test_the_same_weights_run_at_every_resolution_and_placement(config, nodes):
    model = make(config)
    for n in (10, 16, 27):
        grid = Grid((n, n), nodes=nodes)
        outputs = model(smooth(grid), grid)
        assert outputs.shape == (2, channels_out(model), n, n)
        assert outputs.dtype == torch.float64
        assert outputs.is_contiguous()
        assert torch.isfinite(outputs).all()


@each_invariant_model
@pytest.mark.parametrize("nodes", PLACEMENTS)
def test_outputs_converge_as_the_grid_is_refined(config, nodes):
    """One input function at h, h/2, h/4, compared at the nodes the grids share: the changes fall, at first order or
    faster, and end below 3 % of the output."""
    model = make(config)
    # Grids of 32, 64, 128 intervals; a third of a cell is a cell's midpoint again.
    sizes = {"cell": (16, 48, 144), "vertex": (33, 65, 129), "left": (32, 64, 128), "interior": (31, 63, 127)}[nodes]
    outputs = []
    with torch.no_grad():
        for n in sizes:
            grid = Grid((n, n), nodes=nodes)
            ratio = round(Grid((sizes[0],), nodes=nodes).spacing[0] / grid.spacing[0])
            first = {"cell": ratio // 2, "interior": ratio - 1}.get(nodes, 0)
            outputs.append(model(smooth(grid), grid)[..., first::ratio, first::ratio])
    # At nodes on the boundary a jump of the extended function is met by half: leave them out.
    inner = [u[..., 1:-1, 1:-1] for u in outputs]
    changes = [float((b - a).norm() / inner[-1].norm()) for a, b in pairwise(inner)]
    assert changes[1] < 0.03
    assert changes[1] < max(0.6 * changes[0], 1e-9)


@each_model
def test_without_a_grid_the_nodes_are_cells_of_the_unit_box(config):
    model, grid = make(config), Grid((12, 12), nodes="cell")
    assert torch.equal(model(smooth(grid)), model(smooth(grid), grid))


@each_model
def test_the_box_is_only_scaled(config):
    model = make(config)
    if getattr(model, "sees_lengths", False):
        pytest.skip("depends on the box's lengths")
    unit, box = Grid((12, 12)), Grid((12, 12), extent=((-1, 1), (3, 5)))
    assert torch.allclose(model(smooth(unit), unit), model(smooth(unit), box))


@each_trainable_model
def test_every_parameter_feels_the_output(config):
    for training in (True, False):
        model, grid = make(config).train(training), Grid((12, 12), nodes="cell")
        model(smooth(grid), grid).square().sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert float(parameter.grad.abs().sum()) > 0, name


@each_model
def test_gradients_are_those_of_finite_differences(config):
    model, grid = make(config), Grid((9, 9))
    inputs = smooth(grid, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: model(a, grid)[..., ::3, ::4], (inputs,), fast_mode=True)


@each_model
def test_samples_do_not_feel_each_other(config):
    model, grid = make(config), Grid((12, 12), nodes="left")
    inputs = smooth(grid, 3)
    alone = torch.cat([model(sample[None], grid) for sample in inputs])
    assert torch.allclose(model(inputs, grid), alone, rtol=1e-12, atol=1e-12)


@each_model
def test_the_config_makes_the_same_architecture_again(config):
    model = make(config)
    again = build_model(model.config).double().eval()
    assert again.config == model.config
    assert again.n_parameters == model.n_parameters
    assert (model.n_parameters > 0) == getattr(model, "trainable", True)
    again.load_state_dict(model.state_dict())
    grid = Grid((12, 12))
    assert torch.equal(again(smooth(grid), grid), model(smooth(grid), grid))


@each_model
def test_single_precision_is_close_to_double(config):
    grid = Grid((16, 16))
    double, single = make(config), make(config, torch.float32)
    single.load_state_dict(double.state_dict())
    single.float()
    expected = double(smooth(grid), grid)
    found = single(smooth(grid).float(), grid)
    assert found.dtype == torch.float32
    assert float((found - expected).detach().norm() / expected.detach().norm()) < 1e-4


@each_trainable_model
def test_training_after_inference_mode(config):
    model, grid = make(config), Grid((12, 12))
    with torch.inference_mode():
        model(smooth(grid), grid)
    model.train()
    model(smooth(grid), grid).square().sum().backward()


@each_model
def test_grids_need_not_be_square(config):
    if config["class"] == "Symmetrised" or config.get("symmetric"):
        pytest.skip("of squares alone")
    model, grid = make(config), Grid((13, 20), nodes="cell")
    assert model(smooth(grid), grid).shape == (2, channels_out(model), 13, 20)


@each_model
def test_the_same_seed_makes_the_same_model(config):
    grid = Grid((12, 12))
    assert torch.equal(make(config)(smooth(grid), grid), make(config)(smooth(grid), grid))


@each_model
@pytest.mark.parametrize(
    ("inputs", "grid", "message"),
    [
        (torch.zeros(2, 3, 12, 12, dtype=torch.float64), None, "expected"),
        (torch.zeros(2, 12, 12, dtype=torch.float64), None, "expected"),
        (torch.zeros(0, 1, 12, 12, dtype=torch.float64), None, "expected"),
        (torch.zeros(2, 1, 12, 12), None, "expected torch.float64.* found torch.float32"),
        (torch.zeros(2, 1, 12, 12, dtype=torch.int64), None, "expected .* found torch.int64"),
        (torch.zeros(2, 1, 12, 12, dtype=torch.float64), Grid((13, 13)), r"expected .*13, 13"),
    ],
    ids=["channels", "axes", "no samples", "single precision", "integers", "another grid"],
)
def test_inputs_that_do_not_fit_are_refused(config, inputs, grid, message):
    model = make(config)
    if inputs.is_floating_point() and inputs.dtype != torch.float64 and not model.state_dict():
        pytest.skip("without weights there is no dtype to expect")
    with pytest.raises(ValueError, match=message):
        model(inputs, grid)


@pytest.mark.parametrize("name", sorted({case["class"] for case in CASES}))
def test_unknown_arguments_are_refused(name):
    with pytest.raises(ValueError, match=name):
        build_model({**EXAMPLES[name][0], "colour": "blue"})
