"""`keep_freed_memory`: no new pages for every array."""

from __future__ import annotations

from functools import lru_cache

import torch

BYTES = 30 * 2**20  # glibc lets its thresholds follow freed blocks of up to 32 MiB


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Let the allocator keep what is freed, up to 60 MiB, so that the next array of its size needs no new pages.

    glibc maps each block of more than 128 KiB anew and returns it when freed, and the kernel fills every page of it
    with zeros: half of the time of a Fourier transform on 64 x 64 x 8 nodes. It raises the threshold to the size of
    the largest mapped block that was freed (mallopt(3), M_MMAP_THRESHOLD), which is done here, once in a process and
    without touching the block. Other allocators are not changed by it.
    """
    torch.empty(BYTES, dtype=torch.uint8)
