"""Faults done to stores on purpose: processes killed at chosen calls or instants, bits flipped, files cut."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WRITING_CALLS = ("open", "write", "fsync", "replace", "unlink", "mkdir")


class Outcome:
    """How a forked child ended: what it last reported, whether it was killed, seconds and memory it took."""

    def __init__(self, reports: list[Any], status: int, seconds: float, timed_out: bool) -> None:
        self.reports, self.seconds, self.timed_out = reports, seconds, timed_out
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def run_in_fork(
    work: Callable[[Callable[[Any], None]], None],
    *,
    kill_after: float | None = None,
    kill_at: Callable[[Any], bool] = lambda report: False,
    timeout: float = 60.0,
    while_running: Callable[[], None] = lambda: None,
) -> Outcome:
    """Run `work(report)` in a forked child and collect what it reports.

    It is killed by SIGKILL after `kill_after` seconds, at the first report for which `kill_at` holds, or at `timeout`.
    """
    reader, writer = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        write = os.write
        try:
            work(lambda value: write(writer, json.dumps(value).encode() + b"\n") and None)
        except BaseException as error:
            write(writer, json.dumps({"error": type(error).__name__, "message": str(error)}).encode() + b"\n")
        finally:
            os._exit(0)
    os.close(writer)
    received, timed_out = b"", False
    deadline = start + (timeout if kill_after is None else kill_after)
    while True:
        while_running()
        ready, _, _ = select.select([reader], [], [], max(0.0, min(0.05, deadline - time.monotonic())))
        if ready:
            block = os.read(reader, 65536)
            if not block:
                break
            received += block
            if any(kill_at(json.loads(line)) for line in received.split(b"\n")[:-1]):
                os.kill(child, signal.SIGKILL)
        elif time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            timed_out, deadline = kill_after is None, float("inf")
    status = os.waitpid(child, 0)[1]
    os.close(reader)
    lines = received.split(b"\n")[:-1]
    return Outcome([json.loads(line) for line in lines], status, time.monotonic() - start, timed_out)


def die_at_call(number: int) -> Callable[[], int]:
    """Kill this process at its `number`-th call that changes files (a write is done by half first); returns a count."""
    count = 0

    def wrap(name: str) -> None:
        original = getattr(os, name)

        def counted(*arguments: Any, **keywords: Any) -> Any:
            nonlocal count
            if name != "open" or arguments[1] & os.O_CREAT:
                count += 1
                if count == number:
                    if name == "write":
                        original(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **keywords)

        setattr(os, name, counted)

    for name in WRITING_CALLS:
        wrap(name)
    return lambda: count


def flip_bit(path: Path, position: int) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[position // 8] ^= 1 << position % 8
    path.write_bytes(content)


def fingerprint(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def peak_memory() -> int:
    """Bytes this process held at its greatest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
