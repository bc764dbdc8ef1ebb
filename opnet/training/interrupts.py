"""Stopping between steps when the process is asked to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While entered, SIGINT and SIGTERM only set `pending`; a second one, or one inside `at_once`, leaves directly.

    Entering does nothing outside the main thread, where Python delivers no signals. The handlers that were there come
    back on leaving.
    """

    def __init__(self) -> None:
        self.pending: int | None = None
        self.immediate = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._flag) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Around what is long and changes nothing: a signal, also one that is pending, leaves without waiting."""
        self.immediate = True
        try:
            if self.pending is not None:
                self.leave()
            yield
        finally:
            self.immediate = False

    def leave(self) -> NoReturn:
        """KeyboardInterrupt for SIGINT, exit status 143 for SIGTERM, as the shell knows them."""
        if self.pending == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + signal.SIGTERM)

    def _flag(self, number: int, frame: FrameType | None) -> None:
        again, self.pending = self.pending is not None, number
        if again or self.immediate:
            self.leave()
