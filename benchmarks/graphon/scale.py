"""Time and memory of graph differential equations up to 10^6 nodes, on one core.

    OMP_NUM_THREADS=1 python benchmarks/graphon/scale.py --quick --out scale.json

Up to 10^6 nodes: process time of a product with the shift operator and of solves to T = 1 (Dormand and Prince, rtol =
atol = 1e-6, float64, one feature), and the largest memory of the process, each case in a fresh one. `problem` is the
vector field: "GraphNDE" of widths (1, 1, 1) with softplus, or "sine coupling", u_i' = sum_j S_ij sin(u_j - u_i).

At 10^4 nodes: the same against the same graph with its matrix stored, densely and in CSR form (what is not zero: of
most graphons everything, 1.2 GiB).

Beside torchdiffeq with torch's CSR: a random graph of 4000 nodes and 20 neighbours, 64 features, float32, rtol 1e-5 and
atol 1e-7, to T = 5: process times in turn, errors against a solve in float64 at 1e-10. `problem` is "diffusion", S X -
X, "layer", one filter layer of 64 features, or "two layers", with tanh between.

Exit status 1 where a solve at 10^6 nodes takes over three minutes or 8 GiB, structure gains less than 10 times at 10^4
nodes, or torchdiffeq is faster.
"""

import argparse
import statistics
import sys
import time
from typing import Any

import torch
import torchdiffeq
from scale_cases import ATOL, CASES, FORMS, RTOL, Field, apart
from torch import Tensor

from opnet.evaluation.records import Record, record, write_results
from opnet.graphs.graphons import tent
from opnet.graphs.sampling import sample_graph
from opnet.linops.base import LinearOperator
from opnet.linops.sparse import CSR
from opnet.models.blocks.graph_filter import GraphFilter
from opnet.models.graph_diffusion import GraphDiffusion
from opnet.models.graph_nde import GraphNDE
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.solve import solve_ode

SIZES, QUICK_SIZES = [10_000, 100_000, 1_000_000], [10_000, 100_000]
COMPARED_AT = 10_000
PROBLEMS = ("GraphNDE", "sine coupling")
MINUTES, MEMORY, GAIN = 3, 8 * 1024, 10.0

UNITS = {"sample_seconds": "s", "product_seconds": "s", "peak_mib": "MiB"}


def labelled(found: dict[str, float], **labels: Any) -> list[Record]:
    """What `measure` found as records; "final" alone is for comparison."""
    rows = []
    for key, value in found.items():
        name, _, problem = key.partition(", ")
        unit = UNITS.get(name, "s" if name == "solve_seconds" else "1")
        if name != "final":
            rows.append(record(name, value, unit=unit, problem=problem or None, **labels))
    return rows


def growth(sizes: list[int]) -> tuple[list[Record], int]:
    """Time and memory against n."""
    rows, missed = [], 0
    print(f"{'':26s} {'n':>8s} {'sample':>8s} {'product':>9s} {'solve: NDE':>11s} {'sine':>8s} {'peak MiB':>9s}")
    for name, case in CASES.items():
        for n in sizes:
            found = apart(name, n)
            rows += labelled(found, n=n, case=name, graphon=case.W.name)
            solves = [found[f"solve_seconds, {problem}"] for problem in PROBLEMS]
            over = max(solves) > 60 * MINUTES or found["peak_mib"] > MEMORY
            missed += over
            print(
                f"{name:26s} {n:8d} {found['sample_seconds']:8.2f} {found['product_seconds']:9.5f} {solves[0]:11.3f} "
                f"{solves[1]:8.3f} {found['peak_mib']:9.0f} {'MISSED' if over else ''}",
                flush=True,
            )
    return rows, missed


def structure(cases: list[str], n: int) -> tuple[list[Record], int]:
    """What structure gains over the stored matrix, dense and CSR."""
    rows, missed = [], 0
    print(f"\nat {n} nodes: times {'faster than ':24s} {'product':>9s} {'solve: NDE':>11s} {'sine':>8s}")
    for name in cases:
        case = CASES[name]
        ours = apart(name, n)
        for form in FORMS[1:] if case.structured else ("dense",):
            theirs = apart(name, n, form)
            rows += labelled(theirs, n=n, case=name, mode=form, graphon=case.W.name)
            gains = {}
            for key in ("product_seconds", *(f"solve_seconds, {problem}" for problem in PROBLEMS)):
                gains[key] = theirs[key] / ours[key]
                part, _, problem = key.partition("_seconds")
                labels: dict[str, Any] = {"part": part, "problem": problem.removeprefix(", ") or None, "case": name}
                labels |= {"graphon": case.W.name, "n": n, "unit": "1"}
                rows.append(record(f"speedup_vs_{form}", gains[key], **labels))
            for problem in PROBLEMS:
                if abs(theirs[f"final, {problem}"] / ours[f"final, {problem}"] - 1) > 1e-6:
                    raise ValueError(f"{name}: expected one solution in every form, found another as {form}")
            low = case.structured and min(gains.values()) < GAIN
            missed += low
            values = "{:9.1f} {:11.1f} {:8.1f}".format(*gains.values())
            print(f"{name:26s} {form:>15s} {values} {'MISSED' if low else ''}", flush=True)
    return rows, missed


# -- beside torchdiffeq


def beside_torchdiffeq(repeats: int, n: int = 4000, features: int = 64) -> tuple[list[Record], int]:
    """Both with fields of their own kind: opnet's models, and what one writes with a torch CSR matrix."""
    torch.manual_seed(0)
    graph = sample_graph(tent(), n, regime="random", density=30 / n, dtype=torch.float32)
    fine = graph.to(dtype=torch.float64)
    x0, ts = torch.randn(1, n, features), torch.tensor([0.0, 5.0])
    models: dict[str, GraphDiffusion | GraphNDE] = {
        "diffusion": GraphDiffusion(features, learnable=False),
        "layer": GraphNDE((features, features)),
        "two layers": GraphNDE((features, features, features)),
    }
    tolerances: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-7}
    joint = PID(joint=True)
    rows, missed = [], 0
    print(
        f"\n{n} nodes, {features} features: {'ms':>8s} {'evaluations':>12s} {'error':>9s}, torchdiffeq's, times faster"
    )
    for problem, model in models.items():
        model.requires_grad_(False)
        f, plain = model.vector_field(graph, x0), by_hand(model, graph.shift)
        g = Counted(plain)

        def ours(f: Field = f) -> Tensor:
            return solve_ode(f, x0, ts, control=joint, **tolerances).ys[-1]

        def theirs(plain: Field = plain) -> Tensor:
            return torchdiffeq.odeint(plain, x0[0], ts, method="dopri5", **tolerances)[-1:]

        counts = {"opnet": solve_ode(f, x0, ts, control=joint, **tolerances).evaluations}
        theirs(g)
        counts["torchdiffeq"] = g.calls
        double = model.double().vector_field(fine, x0.double())
        truth = solve_ode(double, x0.double(), ts, rtol=1e-10, atol=1e-10, control=joint).ys[-1]
        model.float()
        seconds: dict[str, list[float]] = {"opnet": [], "torchdiffeq": []}
        errors = {}
        for repeat in range(repeats + 1):
            for who, run in (("opnet", ours), ("torchdiffeq", theirs)):
                start = time.process_time()
                value = run()
                if repeat:
                    seconds[who].append(time.process_time() - start)
                errors[who] = float((value - truth).abs().max())
        medians = {who: statistics.median(times) for who, times in seconds.items()}
        labels = {"problem": problem, "n": n, "case": "random, CSR of degree 20", "graphon": "tent"}
        for who in seconds:
            rows.append(record("solve_seconds", medians[who], unit="s", model=who, **labels))
            rows.append(record("evaluations", counts[who], unit="1", model=who, **labels))
            rows.append(record("max_error", errors[who], unit="1", model=who, **labels))
        ratio = medians["torchdiffeq"] / medians["opnet"]
        ratios = sorted(b / a for a, b in zip(seconds["opnet"], seconds["torchdiffeq"], strict=True))
        rows.append(record("speedup_vs_torchdiffeq", ratio, low=ratios[0], high=ratios[-1], unit="1", **labels))
        # A solve that is faster for being worse does not count.
        bad = ratio < 1 or errors["opnet"] > 2 * errors["torchdiffeq"]
        missed += bad
        both = " ".join(f"{1e3 * medians[w]:8.1f} {counts[w]:5d} {errors[w]:9.1e}" for w in ("opnet", "torchdiffeq"))
        print(f"  {problem:26s} {both} {ratio:6.2f} {'MISSED' if bad else ''}", flush=True)
    return rows, missed


class Counted:
    """A field that counts its calls."""

    def __init__(self, f: Field) -> None:
        self.f, self.calls = f, 0

    def __call__(self, t: Tensor, X: Tensor) -> Tensor:
        self.calls += 1
        return self.f(t, X)


def by_hand(model: GraphDiffusion | GraphNDE, shift: LinearOperator) -> Field:
    """The model's field in plain torch, for X (node, feature)."""
    assert isinstance(shift, CSR)
    S = shift.matrix
    if isinstance(model, GraphDiffusion):
        return lambda t, X: S @ X - X
    layers = [layer for layer in model.layers if isinstance(layer, GraphFilter)]
    parts = [(layer.weight[0, 0], layer.weight[0, 1], layer.bias) for layer in layers]

    def field(t: Tensor, X: Tensor) -> Tensor:
        for i, (own, others, bias) in enumerate(parts):
            X = X @ own + S @ (X @ others) + bias
            X = torch.tanh(X) if i < len(parts) - 1 else X
        return X

    return field


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="up to 10^5 nodes, fewer forms and repeats")
    parser.add_argument("--out", help="results file (JSON)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    quick = arguments.quick
    compared = ["tent, prefix sums"] if quick else list(CASES)
    parts = (
        lambda: growth(QUICK_SIZES if quick else SIZES),
        lambda: structure(compared, COMPARED_AT),
        lambda: beside_torchdiffeq(5 if quick else 11),
    )
    rows, missed = [], 0
    for part in parts:
        found, failures = part()
        rows += found
        missed += failures
    if arguments.out:
        peers = {"torchdiffeq": torchdiffeq.__version__}
        write_results(arguments.out, rows, seed=0, rtol=RTOL, atol=ATOL, peers=peers)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
