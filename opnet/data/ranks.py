"""`Ranks`: the processes that `torchrun` started, which share the shards of one store."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed as dist

from opnet.core.errors import LostWorkerError
from opnet.data.make_shard import Made, make_shard
from opnet.data.recipe import DataRecipe, ShardPlan
from opnet.solvers.pde.threads import one_thread

_PATIENCE = timedelta(days=30)  # ranks that died are noticed at once by their connections; slow ones are waited for


class Ranks:
    """This process among those of a launch; rank 0 alone writes the manifest.

    Attributes:
        rank, size: this process's number, from 0, and how many there are.
        failing: whether all ranks know that one of them failed.
    """

    def __init__(self, rank: int, size: int, group: Any = None) -> None:
        self.rank, self.size, self._group = rank, size, group
        self.failing = False

    def share(self, value: Any, error: BaseException | None = None) -> list[Any]:
        """What every rank gives, in their order; each rank has to call this equally often.

        Raises:
            LostWorkerError: if another rank gave an error, or ended.
        """
        self.failing = self.failing or error is not None
        given: list[Any] = [None] * self.size
        said = None if error is None else f"{type(error).__name__}: {error}"
        try:
            dist.all_gather_object(given, (value, said), group=self._group)
        except RuntimeError as lost:
            self.failing = True
            raise LostWorkerError("generate: another rank ended unexpectedly; run again to resume") from lost
        for rank, (_, failed) in enumerate(given):
            if failed is not None and rank != self.rank:
                self.failing = True
                raise LostWorkerError(f"generate: rank {rank} failed: {failed}")
        return [value for value, _ in given]

    def made(self, recipe: DataRecipe, plans: Sequence[ShardPlan], out: Path, device: str) -> Iterator[Made]:
        """Make this rank's share of the shards, round by round; yields those of all ranks."""
        for first in range(0, len(plans), self.size):
            mine = plans[first + self.rank : first + self.rank + 1]
            try:
                with one_thread():
                    result = make_shard(recipe, mine[0], out, device) if mine else None
            except Exception as error:
                self.share(None, error)
                raise
            yield from (made for made in self.share(result) if made is not None)


def launched_size() -> int:
    """How many processes `torchrun` started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def launched_rank() -> int:
    """This process's number among them."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """The ranks of this launch, connected while the block lasts."""
    if launched_size() == 1:
        yield Ranks(0, 1)
        return
    own = not dist.is_initialized()
    if own:
        dist.init_process_group("gloo", timeout=_PATIENCE)
    group = dist.new_group(backend="gloo", timeout=_PATIENCE)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), group)
    finally:
        dist.destroy_process_group(None if own else group)
