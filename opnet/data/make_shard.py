"""From a shard's plan to its file under a temporary name, in this process or in worker processes."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch

from opnet.data.durable import write_temporary
from opnet.data.recipe import DataRecipe, ShardPlan
from opnet.data.shard import FIELDS, ShardEntry, describe_arrays, encode_shard
from opnet.solvers.pde.threads import one_thread

Made = tuple[Path, ShardEntry]


def make_shard(recipe: DataRecipe, plan: ShardPlan, out: Path) -> Made:
    """Solve the samples of `plan` and write them under a temporary name; returns it with the entry to acknowledge.

    Raises:
        SolveError: naming the sample, if one cannot be solved.
        ValueError: if the problem returns values that are not finite or not on its grid.
    """
    arrays = _solve(recipe, plan)
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


def _solve(recipe: DataRecipe, plan: ShardPlan) -> dict[str, np.ndarray]:
    indices, grid = plan.indices, recipe.problem.grid(plan.resolution)
    estimated = np.array([recipe.estimates_error(i) for i in range(plan.start, plan.stop)])
    arrays: dict[str, np.ndarray] = {"index": np.array(indices, dtype=np.int64)}
    for estimate in (True, False):
        rows = np.flatnonzero(estimated == estimate)
        if not len(rows):
            continue
        with torch.no_grad():
            chosen = [indices[row] for row in rows]
            samples = recipe.problem.sample(recipe.seed, chosen, plan.resolution, estimate_error=estimate)
        for name in (*FIELDS, "residual", "discretisation_error"):
            with np.errstate(over="ignore"):  # what overflows is found by the check below
                values = getattr(samples, name).cpu().numpy().astype(recipe.dtype if name in FIELDS else np.float64)
            expected = (len(rows), *values.shape[1:2], *grid.shape) if name in FIELDS else (len(rows),)
            known = name != "discretisation_error" or estimate
            if values.shape != expected or (known and not np.isfinite(values).all()):
                raise ValueError(
                    f"{type(recipe.problem).__name__}.sample: {name}: expected finite values of shape {expected} in "
                    f"{values.dtype}, found shape {values.shape} with {np.sum(~np.isfinite(values))} not finite "
                    f"(samples {chosen[0]} to {chosen[-1]} at {plan.resolution})"
                )
            whole = arrays.setdefault(name, np.empty((len(indices), *values.shape[1:]), values.dtype))
            whole[rows] = values if known else np.nan
    return arrays


@contextmanager
def made_shards(recipe: DataRecipe, plans: Sequence[ShardPlan], out: Path, workers: int) -> Iterator[Iterable[Made]]:
    """Make the shards of `plans`, as they are finished; leaving the block early stops the work at once.

    Each process uses one thread: sums differ in the last bits with the number of threads, and stores must not.
    """
    if workers == 1:
        with one_thread():
            yield (make_shard(recipe, plan, out) for plan in plans)
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
        raise RuntimeError(
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
