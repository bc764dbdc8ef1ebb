"""Give every method of time integration problems that must fail, and count the failures that pass in silence.

    python benchmarks/reliability/ode_failures.py --quick --out results.json

Ten problems, each alone and as one element of a batch whose others are healthy (the eleventh), and a stiff control that
may be solved or refused: `tests/failing_odes.py` says which, and what a fault is. Every registered method, by its error
estimate and with equal steps where it has both, with a step for each element and with one for the batch, in both
precisions and forward and backward in time. A method of equal steps sees what it evaluates: its steps meet the poles
(1/64 of a unit), and Rosenbrock methods of equal steps, which pass the poles of a solution at finite values, are not
asked about those two problems. A solve of over 10 s of processor time is a fault.

The same is asked of torchdiffeq, SciPy and diffrax, with what they do by default: each problem in a process of its own
that has 10 s after its imports. `flagged` counts an exception, or a result that says it failed; `silent` an answer that
does not; `hangs` those that were stopped.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from opnet.evaluation.records import Record, record, write_results

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from failing_odes import (
    BAD,
    CONTROL,
    MEMBER,
    PROBLEMS,
    STEP,
    STIFF,
    TIMES,
    Failing,
    fault_alone,
    fault_in_batch,
    fault_of_control,
    not_posed,
    unseen,
)
from ode_forms import METHODS

LIMIT = 10  # seconds: of processor time for ours, which other work on the machine does not lengthen
DTYPES = (torch.float64, torch.float32)


# Ours.


class TimeLimit(Exception):
    """A solve that took too long."""


def cases(name: str, quick: bool) -> Iterator[tuple[str, Callable[[], str | None]]]:
    """What is asked of a method: a description, and the question, which is answered by what is wrong."""
    method = METHODS[name]
    for dtype, joint, backward in product(DTYPES, (False, True), (False, True)):
        if quick and (dtype == torch.float32 or joint != backward):
            continue
        setting = (dtype, joint, backward)
        words = f"{dtype}, {'joint' if joint else 'per sample'}, {'backward' if backward else 'forward'}"
        for problem in PROBLEMS:
            if unseen(method, problem):
                continue
            if not not_posed(method, problem, joint, backward, in_batch=False):
                yield f"{problem}, {words}", partial(fault_alone, method, problem, *setting)
            if not not_posed(method, problem, joint, backward, in_batch=True):
                yield f"{MEMBER}: {problem}, {words}", partial(fault_in_batch, method, problem, *setting)
        if not not_posed(method, CONTROL, joint, backward, in_batch=False):
            yield f"{CONTROL}, {words}", partial(fault_of_control, method, *setting)


def fault(ask: Callable[[], str | None]) -> str | None:
    start = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    try:
        found = ask()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    taken = time.process_time() - start
    return f"{taken:.1f} s" if taken > LIMIT else found


# Theirs.


def posed(name: str) -> Failing:
    return STIFF if name == CONTROL else PROBLEMS[name if name != MEMBER else "blow-up"]


def batch(name: str) -> tuple[Any, Any]:
    """Starts, and which of them fail: two numbers of one state, or three of which one fails."""
    problem = posed(name)
    y0 = np.full(3 if name == MEMBER else 2, problem.y0)
    bad = np.full(len(y0), name != MEMBER)
    bad[BAD] = True
    return np.where(bad, y0, 1.0), bad


def mixed(xp: Any, name: str, t: Any, y: Any) -> Any:
    problem, (_, bad) = posed(name), batch(name)
    if bad.all():
        return problem.f(xp, t, y)
    flags = xp.asarray(bad)
    return xp.where(flags, problem.f(xp, t, xp.where(flags, y, 1.0)), -y)


def by_torchdiffeq(method: str, name: str) -> tuple[bool, Any]:
    from torchdiffeq import odeint

    y0, ts = torch.tensor(batch(name)[0]), torch.linspace(*posed(name).span, TIMES, dtype=torch.float64)
    options = {"step_size": STEP} if method == "rk4" else {}
    ys = odeint(lambda t, y: mixed(torch, name, t, y), y0, ts, method=method, rtol=1e-5, atol=1e-7, options=options)
    return True, ys.numpy()


def by_scipy(method: str, name: str) -> tuple[bool, Any]:
    from scipy.integrate import solve_ivp

    span = posed(name).span
    out = solve_ivp(
        lambda t, y: mixed(np, name, np.asarray(t), y), span, batch(name)[0], method, rtol=1e-5, atol=1e-7,
        t_eval=np.linspace(*span, TIMES),
    )  # fmt: skip
    return out.success, out.y.T


def by_diffrax(method: str, name: str) -> tuple[bool, Any]:
    import diffrax
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    t0, t1 = map(float, posed(name).span)
    out = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: mixed(jnp, name, t, y)), getattr(diffrax, method)(), t0, t1, None,
        jnp.asarray(batch(name)[0]), stepsize_controller=diffrax.PIDController(rtol=1e-5, atol=1e-7),
        saveat=diffrax.SaveAt(ts=jnp.linspace(t0, t1, TIMES)), max_steps=2000,
    )  # fmt: skip
    return True, np.asarray(out.ys)


PEERS: dict[str, Callable[[str], tuple[bool, Any]]] = {
    **{f"torchdiffeq {m}": partial(by_torchdiffeq, m) for m in ("dopri5", "rk4")},
    **{f"scipy {m}": partial(by_scipy, m) for m in ("RK45", "Radau", "LSODA")},
    **{f"diffrax {m}": partial(by_diffrax, m) for m in ("Tsit5", "Kvaerno5")},
}
SUITE = [*PROBLEMS, MEMBER, CONTROL]


def outcome_here(peer: str, name: str) -> str:
    """What a peer says of a problem: flagged, silent, or, of the control, solved."""
    import diffrax  # noqa: F401  (imports are no part of the time)
    import scipy.integrate  # noqa: F401
    import torchdiffeq  # noqa: F401

    print("ready", flush=True)
    warnings.simplefilter("ignore")
    try:
        good, ys = PEERS[peer](name)
    except Exception as error:
        return f"flagged: {type(error).__name__}"
    if not good:
        return "flagged: by its result"
    if name == CONTROL:
        ts = np.linspace(*STIFF.span, TIMES)[1:, None]
        right = ys.shape[0] == TIMES and np.abs(ys[1:] - np.cos(ts)).max() < 1e-2
        return "solved" if right else "silent"
    return "silent"


def outcome(peer: str, name: str) -> str:
    """The same, from a process that may be stopped."""
    command = [sys.executable, __file__, "--peer", peer, "--problem", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # ready
        stopped = threading.Event()

        def stop() -> None:
            stopped.set()
            process.kill()

        timer = threading.Timer(LIMIT, stop)
        timer.start()
        said = process.stdout.read().strip()
        timer.cancel()
    if stopped.is_set():
        return "hangs"
    return said or f"flagged: exit status {process.returncode}"


def compare(peer: str, suite: list[str]) -> list[Record]:
    said = {name: outcome(peer, name) for name in suite}
    print(f"{peer}: " + "; ".join(f"{name}: {how}" for name, how in said.items()), flush=True)
    must_fail = [name for name in suite if name != CONTROL]
    counts = Counter(said[name].split(":")[0] for name in must_fail)
    labels = {"test": "ode_failures", "case": peer, "of": len(must_fail)}
    found = [record(kind, counts[kind], **labels) for kind in ("flagged", "silent", "hangs")]
    return [
        *found,
        record("control_silent", said[CONTROL] in ("silent", "hangs"), test="ode_failures", case=peer, of=1),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="float64, forward per sample and backward jointly")
    parser.add_argument("--out", type=Path, help="results file (JSON)")
    parser.add_argument("--only", help="methods whose name contains this, and no peers")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--problem", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.peer:
        print(outcome_here(arguments.peer, arguments.problem), flush=True)
        return 0

    def late(*_: Any) -> None:
        raise TimeLimit(f"over {LIMIT} s")

    signal.signal(signal.SIGPROF, late)
    records, slowest = [], 0.0
    for name in METHODS:
        if arguments.only and arguments.only not in name:
            continue
        faults = tried = 0
        for words, ask in cases(name, arguments.quick):
            start = time.process_time()
            if found := fault(ask):
                print(f"{name}: {words}: {found}", flush=True)
                faults += 1
            slowest, tried = max(slowest, time.process_time() - start), tried + 1
        print(f"{name}: {faults} faults of {tried}", file=sys.stderr, flush=True)
        records.append(record("failures", faults, test="ode_failures", case=name, of=tried))
    failed, of = (int(sum(row[key] for row in records)) for key in ("value", "of"))
    print(f"ode_failures: {failed} faults of {of}; the slowest took {slowest:.1f} s")
    records = [record("failures", failed, test="ode_failures", case="opnet", of=of), *records]
    records.append(record("slowest", slowest, test="ode_failures", unit="s"))
    for peer in PEERS if not arguments.only else ():
        records += compare(peer, SUITE)
    if arguments.out:
        peers = {name: version(name) for name in ("torchdiffeq", "scipy", "diffrax")}
        write_results(arguments.out, records, seed=0, peers=peers)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
