import json
from pathlib import Path

import pytest

from opnet.cli.app import _exit_code

RECIPE = """
name = "tiny"
[data]
problem = "reaction_diffusion"
graphon = { name = "hsbm", levels = 2 }
regime = "cell"
times = [0.0, 0.5]
n_train = 6
n_test = 2
[model]
class = "GraphNDE"
features = [1, 4, 1]
solver = { method = "RK4", step = 0.5 }
[training]
epochs = 2
batch_size = 3
[evaluation.convergence]
seeds = 2
studies = [
    { graphon = { name = "tent" }, sizes = [20, 40, 80] },
    { graphon = { name = "hsbm", levels = 2 }, regime = "cell", sizes = [20, 40, 80] },
]
[evaluation.transfer]
sizes_train = [10, 20]
sizes_test = [10, 20, 30]
seeds = 2
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(RECIPE)
    return "tiny.toml"


def test_a_graph_run_reports_orders_beside_theory_and_the_transfer_matrix(recipe, capsys):
    assert _exit_code(["run", recipe, "--out", "run"]) == 0
    out = capsys.readouterr().out
    assert out.rstrip().endswith("report: run/report.html")
    records = json.loads(Path("run/results.json").read_text())["records"]
    orders = {(r["graphon"], r["part"]): r for r in records if r["name"] == "order"}
    assert orders["tent", "operator"]["expected"] == -1.0
    assert abs(orders["tent", "operator"]["value"] + 1) < 0.1
    exact = [r for r in records if r["name"] == "largest_error"]
    assert [(r["graphon"], r["part"]) for r in exact] == [("hsbm(2)", "operator")]
    assert exact[0]["value"] < 1e-12
    assert len([r for r in records if r["name"] == "transfer_error"]) == 2 * 2 * 3
    assert Path("run/report.html").read_text().count("<img") == 6
    assert len(Path("run/log.csv").read_text().splitlines()) == 1 + 2 * 2 * 2

    Path("run/results.json").unlink()
    assert _exit_code(["run", recipe, "--out", "run"]) == 0
    assert "training at n = 20, seed 1: reusing the finished run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("evaluation.baselines=[{ class = 'Persistence' }]", "[evaluation] baselines: expected none, since they are"),
        ("data.problem=darcy", "[data] problem: expected one of kuramoto, reaction_diffusion, sir, found 'darcy'"),
        ("data.graphon.name=tnet", "[data] graphon: unknown graphon 'tnet' (did you mean 'tent'?)"),
        ("data.graphon.level=2", "[data] graphon hsbm: level: unknown key (did you mean 'levels'?)"),
        ("data.graphon.levels=0", "hsbm: expected 1 to 12 levels, found 0"),
        (
            "data.regime=cells",
            "[data] regime: expected one of weighted, cell, centre, published, random, found 'cells'",
        ),
        ("data.coupling=cosine", "expected one of sine, linear, consensus, found 'cosine'"),
        ("model.features=[1, 4, 2]", "[model] features: expected at least two positive numbers, first and last equal"),
        ("model.activation=tan", "unknown activation 'tan' (did you mean 'tanh'?)"),
        ("model.solver.method=RK5", "unknown stepper 'RK5' (did you mean 'RK4'?)"),
        ("evaluation.transfer.sizes_train=[]", "[evaluation] transfer.sizes_train: expected"),
        ("evaluation.metrics=['RelativeL2', 'MSE']", "[evaluation] metrics: expected one for graphs, found 2"),
        ("evaluation.metrics=['RelativeH1']", "[evaluation] metrics: "),
        ("training.validation_share=0.5", "[training] validation_share: expected 0.0 for graphs, found 0.5"),
        ("training.augmentation=dihedral", "[training] augmentation: expected 'none' for graphs, found 'dihedral'"),
        ("data.train_resolution=16", "[data] train_resolution: unknown key for graphs"),
        ("model.features=[2, 4, 2]", "[model] x0: expected"),
        ("evaluation.transfer.sizes_test=[0]", "transfer.sizes_test.0: expected greater than or equal to 1, found 0"),
        ("data.times=[0.0]", "[data] times: expected"),
        ("evaluation.convergence.studies=[{graphon={name='tent'}, sizes=[10]}]", "sizes: expected"),
        ("evaluation.convergence.studies=[{graphon={name='hsbm',levels=2}, sizes=[10,20,30]}]", "sizes: expected"),
    ],
)
def test_wrong_tables_are_one_sentence_before_anything_is_computed(recipe, capsys, setting, message):
    assert _exit_code(["run", recipe, "--set", setting]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not Path("runs").exists()
