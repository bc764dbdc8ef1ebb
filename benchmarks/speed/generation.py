"""Seconds a sample of generated data, against the published scripts' schemes, exponax and PyAMG, on one thread.

    OMP_NUM_THREADS=1 taskset -c 1 python benchmarks/speed/generation.py --quick --out generation.json

Medians of process time, measured in turn. No one may win by solving worse. For evolutions the error asked for is that
of the scripts' first-order scheme at its published step (Navier-Stokes 1e-4 to t = 1) or, where none is published, at
2^-13 (Burgers); every other solver is given the fewest steps among the powers of 2, from 4 on, that meet it. Errors are
relative L2 of the worst sample, from the same initial values, against ETDRK4 in 1024 steps. Runs of many steps are
timed by some of them.

- navier_stokes: 64^2, nu = 1e-3, batches of 16, w_0 of the published measure with the modes that the grid holds;
  against Crank-Nicolson/Euler (`script`), and against exponax without a force: at one step for both (`per_step`), and
  with the fewest steps of each (`equal_error`). Exponax is given the faster of one sample at a time and `vmap`.
- burgers: 8192 nodes, batches of 16, nu = .1 on (0, 2 pi); against split steps (`script`), ETDRK4 in fixed steps on all
  of the nodes, as Chebfun's (`case` "etdrk4"), and exponax. Ours solves on 1024 nodes, which its error says are enough,
  and evaluates.
- darcy: 421^2 cells, set-up and solve against PyAMG's on the same matrix, to the same residual.

`hours_full_set`: the time that the FNO papers' sets take on two cores, one process each, from seconds a sample here;
`part` says whether error bars are made too (a second, finer solution of every sample; flows have none here).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import exponax
import generation_schemes as schemes
import jax
import torch
from generation_schemes import Advance, Exponax, by_opnet
from linear import against_peers, darcy, in_turn
from torch import Tensor

from opnet.evaluation.records import Record, record, write_results
from opnet.solvers.pde.burgers import Burgers
from opnet.solvers.pde.darcy import Darcy
from opnet.solvers.pde.navier_stokes import NavierStokes
from opnet.solvers.pde.problem import Problem
from opnet.spaces.fields.gaussian import GaussianField

CORES = 2
TIMED = 64  # steps, of longer runs
FEWEST = 4  # steps
FINEST = 512  # steps of those that are not first-order


@dataclass(frozen=True)
class Run:
    """A solver with the steps it was given.

    Attributes:
        error: relative L2 of the worst sample.
    """

    advance: Advance
    steps: int
    error: float

    def timed(self, u0: Tensor, end: float) -> tuple[Callable[[], object], float]:
        """What to time, and how many of it make a sample."""
        steps = min(self.steps, TIMED)
        return lambda: self.advance(u0, end * steps / self.steps, steps), self.steps / steps / len(u0)


def error(u: Tensor, truth: Tensor) -> float:
    return float(((u - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)).max())


def fewest_steps(advance: Advance, u0: Tensor, truth: Tensor, end: float, target: float) -> Run:
    """With the fewest steps among the powers of 2 whose error is at most the target."""
    steps = FEWEST
    while not (found := error(advance(u0, end, steps), truth)) <= target:
        steps *= 2
        if steps > FINEST:
            raise ValueError(f"fewest_steps: expected to reach an error of {target:.2g}, found {found:.2g}")
    return Run(advance, steps, found)


def seconds(runs: dict[str, Run], u0: Tensor, end: float, repeats: int) -> dict[str, float]:
    """A sample, of each."""
    timed = {name: run.timed(u0, end) for name, run in runs.items()}
    times = in_turn({name: call for name, (call, _) in timed.items()}, repeats)
    return {name: times[name] * share for name, (_, share) in timed.items()}


def compared(
    name: str, runs: dict[str, Run], u0: Tensor, end: float, repeats: int, **labels: object
) -> tuple[list[Record], dict[str, float]]:
    times = seconds(runs, u0, end, repeats)
    records = []
    for model, run in runs.items():
        per_step = times[model] / run.steps
        print(
            f"{name} {labels or ''} {model}: {1e3 * times[model]:.2f} ms a sample, {run.steps} steps of "
            f"{1e3 * per_step:.3f} ms, error {run.error:.1e}",
            flush=True,
        )
        for what, value, unit in (
            ("seconds_per_sample", times[model], "s"),
            ("seconds_per_step", per_step, "s"),
            ("steps", run.steps, "1"),
            ("RelativeL2", run.error, "1"),
        ):
            records.append(record(what, value, unit=unit, problem=name, model=model, **labels))
    return records, times


def speedups(name: str, times: dict[str, float], peers: dict[str, str], ours: str = "opnet", **labels: object) -> list:
    """Records of peers' times over ours; of several that are one peer the fastest counts."""
    best: dict[str, float] = {}
    for model, peer in peers.items():
        best[peer] = min(best.get(peer, torch.inf), times[model])
    for peer, value in best.items():
        print(f"{name} {labels or ''}: {value / times[ours]:.1f} times {peer}", flush=True)
    return [record(f"speedup_vs_{peer}", v / times[ours], unit="1", problem=name, **labels) for peer, v in best.items()]


def exponaxes(stepper: Callable[[int, float], object]) -> dict[str, Exponax]:
    return {"exponax": Exponax(stepper, batched=False), "exponax vmap": Exponax(stepper, batched=True)}


PEERS = {"exponax": "exponax", "exponax vmap": "exponax"}


def navier_stokes(seed: int, repeats: int) -> list[Record]:
    n, batch, end, published = 64, 16, 1.0, 10_000
    field = GaussianField(7.0, 2.5, 7.0**1.5, boundary="periodic", max_mode=20)
    forced = NavierStokes(end, initial=field, nodes=n)
    free = replace(forced, forcing=0.0)
    u0 = field.sample(seed, range(batch), forced.grid(n))

    truth = by_opnet(forced, n)(u0, end, 2 * FINEST)
    script = schemes.crank_nicolson_euler(forced)
    target = error(script(u0, end, published), truth)
    runs = {
        "opnet": fewest_steps(by_opnet(forced, n), u0, truth, end, target),
        "script": Run(script, published, target),
    }
    records, times = compared("navier_stokes", runs, u0, end, repeats, n=n, mode="equal_error")
    records += speedups("navier_stokes", times, {"script": "script"}, n=n)
    truth = by_opnet(free, n)(u0, end, 2 * FINEST)
    others = exponaxes(schemes.exponax_navier_stokes(free))
    contestants: dict[str, Advance] = {"opnet": by_opnet(free, n), **others}
    return records + _against_exponax("navier_stokes", contestants, u0, truth, end, target, repeats, n)


def burgers(seed: int, repeats: int) -> list[Record]:
    n, batch, end, published = 8192, 16, 1.0, 2**13
    problem = Burgers(end)
    u0 = problem.initial_fields[0].sample(seed, range(batch), problem.grid(n))

    ours = by_opnet(problem, problem.nodes)
    truth = by_opnet(problem, n)(u0, end, 2 * FINEST)
    split = schemes.split_step(problem)
    target = error(split(u0, end, published), truth)
    every = schemes.etdrk4_on_every_node(problem)
    runs = {
        "opnet": fewest_steps(ours, u0, truth, end, target),
        "script": Run(split, published, target),
        "script etdrk4": fewest_steps(every, u0, truth, end, target),
    }
    records, times = compared("burgers", runs, u0, end, repeats, n=n, mode="equal_error")
    records += speedups("burgers", times, {"script": "script"}, n=n)
    records += speedups("burgers", times, {"script etdrk4": "script"}, n=n, case="etdrk4")
    contestants: dict[str, Advance] = {"opnet": ours, **exponaxes(schemes.exponax_burgers(problem))}
    return records + _against_exponax("burgers", contestants, u0, truth, end, target, repeats, n)


def _against_exponax(
    name: str,
    contestants: dict[str, Advance],
    u0: Tensor,
    truth: Tensor,
    end: float,
    target: float,
    repeats: int,
    n: int,
) -> list[Record]:
    records: list[Record] = []
    equal = {model: fewest_steps(advance, u0, truth, end, target) for model, advance in contestants.items()}
    same = {model: Run(a, TIMED, error(a(u0, end, TIMED), truth)) for model, a in contestants.items()}
    for mode, runs in (("equal_error", equal), ("per_step", same)):
        made, times = compared(name, runs, u0, end, repeats, n=n, mode=mode, case="exponax")
        records += made + speedups(name, times, PEERS, n=n, mode=mode)
    return records


def of_pyamg(seed: int, repeats: int) -> list[Record]:
    make, b = darcy(421, seed)
    return against_peers(make, b, repeats, direct=False, n=421, problem="darcy")


def full_sets(seed: int, quick: bool) -> list[Record]:
    """Whole samples, as many as `tried`."""
    sets: dict[str, tuple[Problem, int, int, int]] = {  # problem, samples, resolution, tried
        "burgers": (Burgers(), 2048, 8192, 64),
        "darcy": (Darcy(), 1024, 421, 4),
        "navier_stokes nu=1e-3 T=50": (NavierStokes(_frames(50)), 5000, 64, 1 if quick else 4),
    }
    if not quick:
        sets["navier_stokes nu=1e-5 T=20"] = (NavierStokes(_frames(20), nu=1e-5), 1200, 64, 1)
    records = []
    for name, (problem, samples, resolution, tried) in sets.items():
        for bars in (False, True):
            if bars and isinstance(problem, NavierStokes):
                continue
            start = time.process_time()
            problem.sample(seed, range(tried), resolution, estimate_error=bars)
            each = (time.process_time() - start) / tried
            hours = each * samples / CORES / 3600
            labels = {"problem": name, "part": "with error bars" if bars else "without error bars", "of": samples}
            print(f"{name}, {labels['part']}: {each:.3f} s a sample, {hours:.2f} hours", flush=True)
            records.append(record("seconds_per_sample", each, unit="s", resolution=[resolution], **labels))
            records.append(record("hours_full_set", hours, unit="h", resolution=[resolution], **labels))
    return records


def _frames(end: int) -> tuple[float, ...]:
    return tuple(map(float, range(end + 1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 repeats instead of 9, and no set of turbulence")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="names of problems, or full_sets")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    import pyamg

    seed, repeats = arguments.seed, 3 if arguments.quick else 9
    parts: dict[str, Callable[[], list[Record]]] = {
        "navier_stokes": lambda: navier_stokes(seed, repeats),
        "burgers": lambda: burgers(seed, repeats),
        "darcy": lambda: of_pyamg(seed, repeats),
        "full_sets": lambda: full_sets(seed, arguments.quick),
    }
    records: list[Record] = []
    for name, part in parts.items():
        if not arguments.only or name in arguments.only:
            records += part()
    versions = {"exponax": exponax.__version__, "jax": jax.__version__, "pyamg": pyamg.__version__}
    write_results(arguments.out, records, seed=seed, peers=versions)


if __name__ == "__main__":
    main()
