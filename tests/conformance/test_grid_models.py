"""Laws of every registered operator model on grids."""

import json
import subprocess
import sys
from itertools import pairwise
from math import pi

import pytest
import torch
from grid_model_examples import EXAMPLES, SHOWN

import opnet  # noqa: F401  (registers)
from opnet.core.errors import SolveError
from opnet.core.registry import lookup, names
from opnet.models.base import build_model
from opnet.models.grid_model import GridModel
from opnet.spaces.grid import Grid
from opnet.training.model_file import load_model, model_bytes, save_model

GRID_MODELS = [name for name in names("model") if lookup("model", name).domain == "grid"]
PLACEMENTS = ["cell", "vertex", "left", "interior"]


def title(config):
    shown = {key: value for key, value in config.items() if key in SHOWN}
    return f"{config['class']}{shown or ''}"


def each(**wanted):
    """Every example that has the attributes wanted; of each class the first by default, the others with `-m slow`."""
    chosen = []
    for name in GRID_MODELS:
        for place, example in enumerate(EXAMPLES.get(name, [])):
            model = build_model(example)
            if all(getattr(model, key, getattr(GridModel, key)) == value for key, value in wanted.items()):
                chosen.append(pytest.param(example, marks=pytest.mark.slow) if place else example)
    return pytest.mark.parametrize("config", chosen, ids=title)


each_model, each_trainable_model = each(), each(trainable=True)


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


@each(discretisation_invariant=True)
@pytest.mark.parametrize(
    "nodes", ["cell", "vertex", *(pytest.param(n, marks=pytest.mark.slow) for n in PLACEMENTS[2:])]
)
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


@each(needs_data=True)
def test_a_model_that_needs_data_answers_once_it_has_seen_some(config):
    model, grid = build_model({key: value for key, value in config.items() if key != "grid"}), Grid((7, 6))
    inputs, targets = torch.rand(8, 1, 7, 6) + 1, torch.randn(8, channels_out(model), 7, 6)
    with pytest.raises(ValueError, match="call adapt"):
        model(inputs, grid)
    model.adapt(inputs, targets, grid)
    assert torch.isfinite(model(inputs, grid)).all()
    again = build_model(model.config)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(inputs, grid), model(inputs, grid))


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


@pytest.mark.parametrize("name", GRID_MODELS)
def test_unknown_arguments_are_refused(name):
    with pytest.raises(ValueError, match=name):
        build_model({**EXAMPLES[name][0], "colour": "blue"})


@each_model
def test_a_model_file_brings_back_every_byte(config, tmp_path):
    model, grid, path = make(config), Grid((12, 12), nodes="cell"), tmp_path / "model.safetensors"
    save_model(model, path)
    loaded = load_model(path).eval()
    assert model_bytes(loaded) == path.read_bytes() == model_bytes(model)
    assert torch.equal(loaded(smooth(grid), grid), model(smooth(grid), grid))


@each_model
def test_nan_is_refused_or_comes_out_in_its_sample_alone(config):
    model, grid = make(config), Grid((12, 12), nodes="cell")
    inputs = smooth(grid)
    clean = model(inputs, grid)
    if torch.equal(model(3 * inputs, grid), clean):
        pytest.skip("does not look at its inputs")
    # All of it: a model may read sensors alone.
    spoilt = torch.stack([torch.full_like(inputs[0], torch.nan), inputs[1]])
    try:
        outputs = model(spoilt, grid)
    except (ValueError, SolveError):
        return
    assert torch.isnan(outputs[0]).flatten(1).any(1).all()
    torch.testing.assert_close(outputs[1], clean[1], rtol=1e-12, atol=1e-12)


@each(half_precision=True)
def test_half_precision_is_close_where_a_model_says_so(config):
    """Outputs and gradients under autocast to bfloat16, whose numbers have three digits."""
    model, grid = make(config, torch.float32), Grid((16, 16), nodes="cell")
    inputs, results = smooth(grid).float(), []
    for enabled in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            outputs = model(inputs, grid).float()
        outputs.square().mean().backward()
        results.append((outputs.detach(), torch.cat([p.grad.flatten().float() for p in model.parameters()])))
    for exact, half in zip(*results, strict=True):
        assert 0 < float((half - exact).norm() / exact.norm()) < 0.05


TRACED = """
import json, sys
import torch
import opnet
from opnet.models.base import build_model
from opnet.models.grid_model import GridModel

grid = opnet.Grid((16, 16), nodes="cell")
x, y = grid.coordinates()
inputs = torch.stack([torch.cos(3 * x) * torch.exp(y), torch.sin(5 * x * y)])[:, None].float()

def new():
    torch.manual_seed(0)
    return build_model(json.loads(sys.argv[1])).eval()

def answers(model, call):
    given = inputs.clone().requires_grad_()
    outputs = call(given, grid)
    if not outputs.requires_grad:
        return [outputs]
    wanted = [given, *model.parameters()]
    gradients = torch.autograd.grad(outputs.square().mean(), wanted, allow_unused=True)
    return [outputs.detach(), *(g for g in gradients if g is not None)]

class OnGrid(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, inputs):
        return self.model(inputs, grid)

eager, compiled, exported = new(), new(), new()
expected = answers(eager, eager)
# What it generates code with is the compiler's affair.
traced = torch.compile(compiled, fullgraph=True, backend="aot_eager")
for found in (answers(compiled, traced), answers(compiled, compiled)):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
with torch.no_grad():
    program = torch.export.export(OnGrid(exported), (inputs,), strict=False)
    torch.testing.assert_close(program.module()(inputs), expected[0])
    torch.testing.assert_close(exported(inputs, grid), expected[0])
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EXAMPLES if getattr(lookup("model", name), "traceable", True)])
def test_compiled_as_one_graph_and_exported_it_is_the_same_model(name):
    """Traced before it was ever called, and afterwards usable untraced. In a process without the hook that checks
    shapes, which breaks graphs."""
    command = [sys.executable, "-c", TRACED, json.dumps(EXAMPLES[name][0])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
