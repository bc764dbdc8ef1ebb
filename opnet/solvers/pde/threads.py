"""`one_thread`: batches too small to share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread(when: bool = True) -> Iterator[None]:
    """Run torch on one thread while the block lasts, if `when`.

    Operations on a megabyte gain little from OpenMP's threads, and where the processors have other work the barriers
    between them cost far more than they save. Generation runs whole batches side by side instead.
    """
    before = torch.get_num_threads()
    if when:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if when:
            torch.set_num_threads(before)
