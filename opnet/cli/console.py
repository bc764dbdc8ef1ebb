"""What a person sees: tables on stdout, progress bars and messages on stderr, errors in one sentence."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from opnet.core.progress import Progress as Report
from opnet.core.progress import silent


class Console:
    """Output of one command.

    Args:
        quiet: no progress, no messages.
        as_json: records as JSON on stdout instead of tables.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet, self.as_json = quiet, as_json
        self._err = RichConsole(stderr=True, highlight=False, soft_wrap=True)
        width = None if sys.stdout.isatty() else 160
        self._out = RichConsole(highlight=False, width=width)

    def message(self, text: str) -> None:
        if not self.quiet:
            self._err.print(text, markup=False)

    def error(self, text: str) -> None:
        self._err.print(f"error: {text}", markup=False)

    @contextmanager
    def progress(self, title: str) -> Iterator[Report]:
        """A bar on stderr while the block runs; the block calls what it is given with (done, total, message)."""
        if self.quiet:
            yield silent
            return
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[message]}"),
        ]
        with Progress(*columns, console=self._err) as bar:
            task = bar.add_task(title, total=None, message="")

            def report(done: int, total: int, message: str = "") -> None:
                bar.update(task, completed=done, total=total, message=message)

            yield report

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        if self.as_json:
            return
        # As text, since square brackets in a name or interval are no markup.
        table = Table(title=Text(title), title_justify="left", title_style="bold")
        numeric = [bool(rows) and all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(header))]
        for name, right in zip(header, numeric, strict=True):
            table.add_column(Text(name), justify="right" if right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(f"{v:.4g}" if isinstance(v, float) else str(v)) for v in row))
        self._out.print(table)

    def answer(self, text: str) -> None:
        """A closing line of the answer, such as where the report stands; with `--json` a message."""
        if self.as_json:
            self.message(text)
        else:
            self._out.print(text, markup=False, soft_wrap=True)

    def records(self, records: Sequence[dict[str, Any]]) -> None:
        """With `--json`: the records, one JSON array."""
        if self.as_json:
            print(json.dumps(list(records), indent=1))
