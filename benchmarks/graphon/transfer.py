"""Reaction-diffusion learned on small graphs and carried, with the same weights, to graphs of up to 100,000 nodes.

    python benchmarks/graphon/transfer.py --quick --out transfer.json

After the protocol of arXiv 2510.03923 (50 pairs of first and final state, four layers of width 16, two taps, tanh, RK4,
T = 5, Adam at 1e-3, 100 epochs, mean squared error; evaluated on 10 other initial states in relative L2). Errors are
held to two truths: the solution on the same graph, which leaves the learning error, and that of the graphon limit at
the nodes, which adds what the graph itself is off by; the distance between the truths is the graphon error. `C (n1^-r +
n2^-r) + tau(n1)` is fitted to each where errors fall with the sizes. Exit status 1 where, on the tent, a learning error
at the largest graph is more than 1.5 times that at the size trained at; on blocks finer than the graph trained on, more
is lost than that.
"""

import argparse
import sys
import time
from functools import cache

import torch

from opnet.data.batch import ArrayDataset
from opnet.data.graph_trajectories import graph_trajectories
from opnet.data.recipe import TEST_OFFSET
from opnet.evaluation.evaluate import evaluate
from opnet.evaluation.metrics import MSE, RelativeL2
from opnet.evaluation.records import record, write_results
from opnet.evaluation.transfer import measure_transfer
from opnet.graphs.graphon import Graphon
from opnet.graphs.graphons import hsbm, tent
from opnet.models.graph_nde import GraphNDE
from opnet.solvers.pde.reaction_diffusion import ReactionDiffusion
from opnet.training.config import FitConfig
from opnet.training.fit import fit

SINE, ALLEN_CAHN = ReactionDiffusion("sine"), ReactionDiffusion("linear", "allen_cahn")
TRAIN, TEST = [25, 50, 100, 200, 300], [25, 50, 100, 300, 2_000, 10_000, 100_000]
# case: dynamics, graphon, regime, the largest graph (consensus costs all pairs of nodes, and has no limit to be had)
CASES = {
    "heat, D = sin": (SINE, tent(), "weighted", 100_000),
    "heat, D = sin, hsbm(5)": (SINE, hsbm(5), "cell", 100_000),
    "Allen-Cahn": (ALLEN_CAHN, tent(), "weighted", 100_000),
    "consensus": (ReactionDiffusion("consensus"), tent(), "weighted", 2_000),
}


class Case:
    """Data and models of one case."""

    def __init__(self, dynamics: ReactionDiffusion, W: Graphon, regime: str, epochs: int) -> None:
        self.dynamics, self.W, self.regime, self.epochs = dynamics, W, regime, epochs
        self.data = cache(self.make)

    def make(self, n: int, split: str, truth: str) -> ArrayDataset:
        first, count = (0, 50) if split == "train" else (TEST_OFFSET, 10)
        samples = range(first, first + count)
        return graph_trajectories(self.dynamics, self.W, n, samples, (0.0, 5.0), truth=truth, regime=self.regime)

    def train_at(self, n: int, seed: int) -> GraphNDE:
        torch.manual_seed(seed)
        model = GraphNDE((1, 16, 16, 16, 1), taps=2, solver={"method": "RK4", "step": 0.5})
        config = FitConfig(epochs=self.epochs, batch_size=10, learning_rate=1e-3, schedule="constant", seed=seed)
        return fit(model, self.data(n, "train", "graph"), loss=MSE(), config=config).model

    def error_of(self, model: GraphNDE, n: int, seed: int) -> dict[str, float]:
        truths = {"learning error": "graph"} | ({"total error": "limit"} if self.dynamics.has_limit else {})
        return {
            part: evaluate(model, self.data(n, "test", truth), (RelativeL2(),), batch_size=2)[0].mean
            for part, truth in truths.items()
        }

    def graphon_error(self, n: int) -> float:
        graph, limit = (self.data(n, "test", truth) for truth in ("graph", "limit"))
        return float(RelativeL2()(graph.targets[:, 1:], limit.targets[:, 1:], graph.domain).mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two training sizes, one seed, up to 10,000 nodes")
    parser.add_argument("--out", help="results file (JSON)")
    arguments = parser.parse_args()
    quick = arguments.quick
    rows, lost = [], 0
    for name in ["heat, D = sin"] if quick else CASES:
        dynamics, W, regime, largest = CASES[name]
        case, start = Case(dynamics, W, regime, 30 if quick else 100), time.perf_counter()
        test = [n for n in TEST if n <= (10_000 if quick else largest)]
        train, seeds = ([25, 50], 1) if quick else (TRAIN, 3)
        result = measure_transfer(case.train_at, case.error_of, train, test, range(seeds))
        print(f"{name}  ({time.perf_counter() - start:.0f} s)")
        labels = {"graphon": W.name, "problem": name, "model": "GraphNDE", "unit": "1"}
        rows += result.records(**labels)
        if dynamics.has_limit:
            apart = {n: case.graphon_error(n) for n in test}
            rows += [record("graphon_error", error, n=n, **labels) for n, error in apart.items()]
            print("  graphon error    " + " ".join(f"{error:9.2e}" for error in apart.values()))
        for part in result.errors:
            matrix = result.matrix(part)
            print(f"  {part:16s} " + " ".join(f"{n:>9d}" for n in test))
            for n1, errors in zip(result.sizes_train, matrix, strict=True):
                print(f"  trained at {n1:4d}  " + " ".join(f"{e:9.2e}" for e in errors))
            law = result.fit(part, floor_of_each=True)
            if law is not None:
                floors = ", ".join(f"{tau:.2e} ({n})" for n, tau in law.floors.items())
                print(f"  {law.C:.3g} (n1^-{law.rate:.2f} + n2^-{law.rate:.2f}) + tau(n1): tau {floors}")
                for name in ("C", "rate", "misfit"):
                    value = getattr(law, name)
                    rows.append(record(f"transfer_{name}", value, part=part, case="tau(n1)", **labels))
                rows += [
                    record("transfer_floor", tau, part=part, case=f"tau({n1})", **labels)
                    for n1, tau in law.floors.items()
                ]
        learning = result.matrix("learning error")
        for i, n1 in enumerate(result.sizes_train):
            if n1 in test:
                kept = float(learning[i, -1] / learning[i, test.index(n1)])
                rows.append(record("largest_over_own_size", kept, n=test[-1], case=f"n_train={n1}", **labels))
                lost += kept > 1.5 and not W.zero_one
    if arguments.out:
        write_results(arguments.out, rows, seed=0)
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
