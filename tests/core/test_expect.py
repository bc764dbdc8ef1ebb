"""Errors that newcomers meet: each answered by one sentence that says what was expected and what was found.

The mistakes are made in a process of its own, as users make them: under the tests, the checks of annotated types would
answer first.
"""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from opnet.core.expect import found, integer, integers

SETTING = """
import numpy, torch, opnet
from opnet import *
grid = Grid((8, 8), nodes="cell")
fields = torch.ones(4, 1, 8, 8)
data = ArrayDataset(fields, fields, grid)
model = FNO(1, 1, modes=(2, 2), width=4, layers=1)
A, b = Diffusion(torch.ones(2, 8, 8), grid), torch.ones(8, 8)
f, ts = (lambda t, y: -y), torch.tensor([0.0, 1.0])
DATA = dict(n_train=1, n_test=1, train_resolution=32)
"""

MISTAKES = {
    "Grid((64.7, 32))": r"Grid.shape: expected integers, one for each axis, .* found \(64.7, 32\)",
    "Grid((64, True))": r"Grid.shape: expected integers, .* found \(64, True\)",
    "Grid(64)": r"Grid.shape: expected integers, .* found 64",
    "FNO(1, 1, modes=8)": r"FNO: modes: expected integers, one for each axis, .* found 8",
    "FNO(1, 1, modes=(8.0, 8))": r"FNO: modes: expected integers, .* found \(8.0, 8\)",
    "FNO(1, 1, width=16.0)": r"FNO: width: expected an integer, found 16.0",
    "Diffusion(numpy.ones((8, 8)), grid)": r"Diffusion.a: expected a Tensor, found a float64 ndarray of shape \(8, 8\)",
    "Diffusion(torch.ones(8, 8), (8, 8))": r"Diffusion.grid: expected a Grid .*, found \(8, 8\)",
    "solve_linear(A, torch.ones(3, 8, 8), CG())": r"b: expected a batch that broadcasts with \(2,\), found \(3,\)",
    "solve_linear(A, b, CG(), x0=torch.ones(3, 8, 8))": r"x0: expected a batch .* \(2,\), found \(3,\)",
    "solve_linear(A, b, 'cg')": r"solver: expected a solver such as CG\(\), .* found 'cg'",
    "solve_linear(A, b, CG)": r"solver: expected .*, found the class CG \(did you mean CG\(...\)\?\)",
    "solve_linear(torch.eye(8), b, CG())": r"A: expected a LinearOperator .*, found a torch.float32 Tensor of shape",
    "solve_linear(A, numpy.ones((8, 8)), CG())": r"b: expected a Tensor, found a float64 ndarray",
    "CG(preconditioner=Multigrid)": r"CG.preconditioner: expected .*, found the class Multigrid",
    "solve_ode(f, [1.0], ts)": r"y0: expected a floating Tensor, or a tuple or dict of them, found \[1.0\]",
    "solve_ode(f, b, [0.0, 1.0])": r"ts: expected a floating Tensor of shape \(time,\), found \[0.0, 1.0\]",
    "solve_ode(f, b, ts, control=.5)": r"control: expected PID\(\), found 0.5",
    "solve_ode(f, b, ts, adjoint='direct')": r"adjoint: expected an adjoint such as Direct\(\), found 'direct'",
    "solve_ode(f, b, ts, RK4)": r"method: expected a stepper .*, found the class RK4",
    "fit(model, data, loss=RelativeL2)": r"fit: loss: expected a metric .*, found the class RelativeL2 \(did you mean",
    "fit(model, data, loss='RelativeL2')": r"fit: loss: expected a metric .*, found 'RelativeL2'",
    "fit(model, fields)": r"fit: dataset: expected a Dataset .*, found a torch.float32 Tensor of shape \(4, 1, 8, 8\)",
    "fit(model, data, validation=fields)": r"fit: validation: expected a Dataset .*, found a torch.float32 Tensor",
    "fit(FNO, data)": r"fit: model: expected a model, found the class FNO",
    "fit(model, data, config={'epochs': 3})": r"fit: config: expected a FitConfig, found \{'epochs': 3\}",
    "evaluate(model, data, ('RelativeL2',))": r"metrics: expected metrics such as RelativeL2\(\), found 'RelativeL2'",
    "evaluate(model, data, RelativeL2)": r"metrics: expected .*, found the class RelativeL2",
    "evaluate(model, data, metrics=())": r"metrics: expected at least one, found none",
    "evaluate(model, fields)": r"evaluate: dataset: expected a Dataset .*, found a torch.float32 Tensor",
    "DataRecipe(problem=Darcy(), test_resolutions=32, **DATA)": r"test_resolutions: expected integers .*, found 32",
    "DataRecipe(problem=Darcy(), test_resolutions=(32.5,), **DATA)": r"test_resolutions: .* found \(32.5,\)",
    "DataRecipe(problem=Darcy, **DATA)": r"DataRecipe.problem: expected a problem .*, found the class Darcy",
    "sample_graph(graphons.tent(), 5.0)": r"sample_graph: n: expected an integer, found 5.0",
    "sample_graph(graphons.tent, 5)": r"sample_graph: W: expected a graphon .*, found the \w+ \w+ \(did you mean",
    "data.subset([99])": r"subset: expected positions from 0 to 3, found 99 to 99",
    "data.subset([0.5])": r"subset: expected a sequence of integers, found \[0.5\]",
    "data.subset([True, False, True, False])": r"subset: expected a sequence of integers, found \[True, False",
    "ArrayDataset(fields[:0], fields[:0], grid).statistics()": r"expected at least one sample, found none",
    "ArrayDataset(fields.long(), fields, grid)": r"inputs: expected a floating Tensor, found a torch.int64 Tensor",
    "ArrayDataset(fields, fields.numpy(), grid)": r"targets: expected a floating Tensor, found a float32 ndarray",
    "FitConfig(device='cuda')": r"FitConfig.device: expected a device of this machine, found 'cuda' without CUDA",
    "fixed_point(torch.cos, b, Anderson)": r"method: expected a method such as .*, found the class Anderson",
    "fixed_point(torch.cos, b, Anderson(), batch_dims=1.0)": r"batch_dims: expected an integer, found 1.0",
    "Anderson(memory=2.5)": r"Anderson.memory: expected an integer, found 2.5",
    "NewtonKrylov(linear='gmres')": r"NewtonKrylov.linear: expected a linear solver .*, found 'gmres'",
    "AlgebraicMultigrid('ruge_stuben')": r"AlgebraicMultigrid.coarsening: expected RugeStuben\(\) or .*, found 'ruge_",
    "FitConfig(epochs=2.0)": r"FitConfig.epochs: expected an integer of at least 1, found 2.0",
}

MAKE = """
import json, sys
setting, mistakes = json.load(sys.stdin)
names, answers = {}, {}
exec(setting, names)
for mistake in mistakes:
    try:
        answers[mistake] = ["nothing", repr(eval(mistake, names))]
    except Exception as error:
        answers[mistake] = [type(error).__name__, str(error)]
json.dump(answers, sys.stdout)
"""


@pytest.fixture(scope="module")
def answers():
    # Hidden from torch, a device cannot make one of the mistakes right.
    done = subprocess.run(
        [sys.executable, "-c", MAKE],
        input=json.dumps([SETTING, list(MISTAKES)]),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_by_one_sentence(answers, mistake):
    kind, message = answers[mistake]
    assert kind == "ValueError", message
    assert message.count("expected") == message.count("found") == 1
    assert "\n" not in message
    assert re.search(MISTAKES[mistake], message), message


def test_integers_are_taken_from_anything_that_holds_them():
    assert integers("n", (np.int64(3), 4), "integers") == (3, 4)
    assert integers("n", torch.Size([3, 4]), "integers") == (3, 4)
    assert integers("n", np.array([3, 4]), "integers") == (3, 4)
    assert integers("n", (), "integers") == ()
    assert type(integer("n", np.int32(3))) is int


@pytest.mark.parametrize("value", [3.0, True, "3", None, int, np.float64(3), np.ones(1, dtype=int)])
def test_what_is_not_an_integer_is_refused(value):
    with pytest.raises(ValueError, match="n: expected an integer, found"):
        integer("n", value)
    with pytest.raises(ValueError, match="n: expected integers, found"):
        integers("n", [value], "integers")


def test_long_values_are_named_by_their_type():
    assert found(list(range(1000))) == "an object of type list"
