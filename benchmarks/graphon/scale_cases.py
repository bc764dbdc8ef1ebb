"""The graphs and fields of `scale.py`, and what is measured of one of them in a process of its own."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor

from opnet.graphs.features import FourierFeature
from opnet.graphs.graph import Graph
from opnet.graphs.graphon import Graphon
from opnet.graphs.graphons import arithmetic_mean, hexaflake, hoelder_tent, hsbm, sigmoid_of_squares, tent
from opnet.graphs.sampling import sample_graph
from opnet.linops.base import LinearOperator
from opnet.linops.dense import Dense
from opnet.linops.sparse import CSR
from opnet.models.graph_nde import GraphNDE
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.solution import ODESolution
from opnet.solvers.ode.solve import solve_ode
from opnet.solvers.pde.reaction_diffusion import ReactionDiffusion

RTOL = ATOL = 1e-6
FORMS = ("structured", "dense", "csr")
Field = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """Graphs of any size from one graphon.

    Attributes:
        degree: of random graphs, before the graphon thins them: density = degree / n.
    """

    W: Graphon
    regime: str = "weighted"
    degree: float | None = None

    @property
    def structured(self) -> bool:
        """Whether the shift operator is neither dense nor sparse."""
        return self.degree is None

    def graph(self, n: int) -> Graph:
        return sample_graph(self.W, n, regime=self.regime, density=1.0 if self.degree is None else self.degree / n)


CASES = {
    "tent, prefix sums": Case(tent()),
    "finite rank 2": Case(arithmetic_mean()),
    "finite rank 3, by cell": Case(hsbm(5), "cell"),
    "smooth, low rank": Case(sigmoid_of_squares()),
    "convolution, FFT": Case(hoelder_tent(0.5)),
    "fractal by cell, runs": Case(hexaflake(5), "cell"),
    "random, CSR of degree 20": Case(tent(), "random", degree=30.0),
}


def fields(graph: Graph) -> dict[str, Field]:
    """f(t, X) for X (1, n, 1): the published model with new weights, and heat with a sine coupling."""
    torch.manual_seed(0)
    model = GraphNDE((1, 1, 1), taps=2, activation="softplus").double().requires_grad_(False)
    return {
        "GraphNDE": model.vector_field(graph),
        "sine coupling": ReactionDiffusion("sine").vector_field(graph.shift),
    }


@torch.no_grad()
def solve(f: Field, x0: Tensor) -> ODESolution:
    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    return solve_ode(f, x0, ts, rtol=RTOL, atol=ATOL, control=PID(joint=True))


def in_form(S: LinearOperator, form: str) -> LinearOperator:
    """S in one of `FORMS`; CSR keeps what is not zero."""
    if form == "structured":
        return S
    matrix = columnwise(S)
    if form == "dense":
        return Dense(matrix)
    kept = matrix != 0
    rows = torch.cat([torch.zeros(1, dtype=torch.int64), kept.sum(1).cumsum(0)])
    if bool(kept.all()):  # a full pattern shares the matrix's memory
        columns = torch.arange(len(matrix), dtype=torch.int32).repeat(len(matrix))
        return CSR(rows, columns, matrix.reshape(-1), S.shape)
    columns = torch.cat([row.nonzero()[:, 0].int() for row in kept])
    return CSR(rows, columns, matrix[kept], S.shape)


def columnwise(S: LinearOperator, width: int = 200) -> Tensor:
    """The matrix of S, some columns at a time: all at once, a product would take several times its memory."""
    n = S.shape[1]
    matrix = torch.zeros(n, n, dtype=S.dtype)
    for first in range(0, n, width):
        unit = torch.zeros(n, min(width, n - first), dtype=S.dtype)
        unit[first : first + width].fill_diagonal_(1.0)
        matrix[:, first : first + width] = S.columns(unit)
    return matrix


def process_seconds(run: Callable[[], object], at_most: float = 2.0, repeats: int = 9) -> float:
    """Median process time of `repeats` runs after one to warm up; fewer where they take longer than `at_most`."""
    run()
    times: list[float] = []
    while len(times) < repeats and (len(times) < 3 or sum(times) < at_most):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return statistics.median(times)


def measure(name: str, n: int, form: str = "structured") -> dict[str, float]:
    """Process time of sampling, of a product and of solves, and what memory the process took at most."""
    torch.set_num_threads(1)
    start = time.process_time()
    graph = CASES[name].graph(n)
    found = {"sample_seconds": time.process_time() - start}
    graph = Graph(in_form(graph.shift, form), graph.positions)
    assert graph.positions is not None
    x0 = FourierFeature(0)(graph.positions)
    found["product_seconds"] = process_seconds(lambda: graph.shift.columns(x0[0]))
    for what, f in fields(graph).items():
        run = partial(solve, f, x0)
        solution = run()
        assert solution.steps is not None
        found[f"evaluations, {what}"] = solution.evaluations
        found[f"steps, {what}"] = int(solution.steps)
        found[f"final, {what}"] = float(solution.ys[-1].square().mean().sqrt())
        found[f"solve_seconds, {what}"] = process_seconds(run, at_most=1.0, repeats=5)
    found["peak_mib"] = peak_mib()
    return found


def peak_mib() -> float:
    """The most memory that this process held since it began, in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def apart(name: str, n: int, form: str = "structured") -> dict[str, float]:
    """`measure` in a fresh process, so that its memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, name, n, form).result()
