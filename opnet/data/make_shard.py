"""From a shard's plan to its file under a temporary name, in this process or in worker processes."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch

from opnet.core.errors import LostWorkerError
from opnet.data.durable import write_temporary
from opnet.data.recipe import DataRecipe, ShardPlan
from opnet.data.shard import DIAGNOSTICS, FIELDS, ShardEntry, describe_arrays, encode_shard
from opnet.solvers.pde.evolution import HORIZON
from opnet.solvers.pde.threads import one_thread

Made = tuple[Path, ShardEntry]


def make_shard(recipe: DataRecipe, plan: ShardPlan, out: Path, device: str = "cpu") -> Made:
    """Solve the samples of `plan` and write them under a temporary name; returns it with the entry to acknowledge.

    Raises:
        SolveError: naming the sample, if one cannot be solved.
        ValueError: if the problem returns values that are not finite, not on its grid or not what it declares.
    """
    arrays = _solve(recipe, plan, device)
    content = encode_shard(arrays)
    entry = ShardEntry(
        plan.file,
        plan.split,
        plan.resolution,
        plan.start,
        plan.stop,
        **describe_arrays(arrays),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    return write_temporary(out / plan.file, content), entry


def _solve(recipe: DataRecipe, plan: ShardPlan, device: str) -> dict[str, np.ndarray]:
    estimated = np.array([recipe.estimates_error(i) for i in range(plan.start, plan.stop)])
    arrays: dict[str, np.ndarray] = {}
    for estimate in (True, False):
        rows = np.flatnonzero(estimated == estimate)
        if not len(rows):
            continue
        for name, values in _solve_rows(recipe, plan, rows, estimate, device).items():
            whole = arrays.setdefault(name, np.empty((len(plan.indices), *values.shape[1:]), values.dtype))
            whole[rows] = values
    return {**arrays, "index": np.array(plan.indices, dtype=np.int64)}


def _solve_rows(
    recipe: DataRecipe, plan: ShardPlan, rows: np.ndarray, estimate: bool, device: str
) -> dict[str, np.ndarray]:
    """The arrays of some samples of a shard, checked against what the problem declares."""
    problem, indices = recipe.problem, [plan.indices[row] for row in rows]
    with torch.no_grad():
        samples = problem.sample(recipe.seed, indices, plan.resolution, estimate_error=estimate, device=device)

    def refuse(what: str, expected: object, found: object) -> ValueError:
        return ValueError(
            f"{type(problem).__name__}.sample: {what}: expected {expected}, found {found} "
            f"(samples {indices[0]} to {indices[-1]} at {plan.resolution})"
        )

    times = () if samples.times is None else tuple(samples.times.tolist())
    if times != tuple(map(float, problem.trajectory_times)):
        raise refuse("times", f"{problem.trajectory_times} as in trajectory_times", times)
    if samples.diagnostics.keys() != problem.diagnostics.keys():
        raise refuse("diagnostics", f"those declared, {sorted(problem.diagnostics)}", sorted(samples.diagnostics))
    if not estimate:
        samples = replace(samples, discretisation_error=torch.full_like(samples.discretisation_error, torch.nan))

    frames, grid = [len(times)] if times else [], problem.grid(plan.resolution).shape
    fields = {
        "inputs": (len(rows), len(problem.input_names), *grid),
        "targets": (len(rows), *frames, len(problem.target_names), *grid),
    }
    may_be_nan = {"residual", *(DIAGNOSTICS + name for name in problem.diagnostics)}
    if not estimate or HORIZON in problem.diagnostics:
        may_be_nan.add("discretisation_error")
    given = {name: getattr(samples, name) for name in (*FIELDS, "residual", "discretisation_error")}
    given |= {DIAGNOSTICS + name: samples.diagnostics[name] for name in problem.diagnostics}
    arrays = {}
    for name, tensor in given.items():
        with np.errstate(over="ignore"):  # what overflows is found by the check below
            values = tensor.cpu().numpy().astype(recipe.dtype if name in fields else np.float64)
        shape = fields.get(name, (len(rows),))
        odd = np.isinf(values) if name in may_be_nan else ~np.isfinite(values)
        if values.shape != shape or odd.any():
            raise refuse(
                name.removeprefix(DIAGNOSTICS),
                f"{'numbers' if name in may_be_nan else 'finite values'} of shape {shape} in {values.dtype}",
                f"shape {values.shape} with {odd.sum()} {'infinite' if name in may_be_nan else 'not finite'}",
            )
        arrays[name] = values
    return arrays


@contextmanager
def made_shards(
    recipe: DataRecipe, plans: Sequence[ShardPlan], out: Path, workers: int, device: str = "cpu"
) -> Iterator[Iterable[Made]]:
    """Make the shards of `plans`, as they are finished; leaving the block early stops the work at once.

    Each process uses one thread: sums differ in the last bits with the number of threads, and stores must not.
    """
    if workers == 1:
        with one_thread():
            yield (make_shard(recipe, plan, out, device) for plan in plans)
    else:
        with _processes(recipe, plans, out, min(workers, len(plans))) as shards:
            yield shards


@contextmanager
def _processes(recipe: DataRecipe, plans: Sequence[ShardPlan], out: Path, workers: int) -> Iterator[Iterable[Made]]:
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    context = get_context("spawn")
    # Workers live while the writing end is open: it closes when this block is left, or when this process is killed.
    leash, alive = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(leash,))
    try:
        futures = [pool.submit(make_shard, recipe, plan, out) for plan in plans]
        yield (future.result() for future in as_completed(futures))
        pool.shutdown(wait=True)
    except BrokenProcessPool as error:
        raise LostWorkerError(
            "generate: a worker process ended unexpectedly (out of memory, or a script that starts workers outside "
            "`if __name__ == '__main__':`); run again to resume"
        ) from error
    finally:
        alive.close()
        pool.shutdown(wait=True, cancel_futures=True)
        leash.close()


def _start_worker(leash: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides; the leash tells
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, args=(leash,), daemon=True).start()


def _end_with_parent(leash: Connection) -> None:
    try:
        leash.recv()
    except (EOFError, OSError):
        os._exit(1)
