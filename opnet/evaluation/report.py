"""`Report`: one self-contained HTML page of what was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1b2733; max-width: 62rem; margin: 2.5rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
p.lead { font-size: 1.1rem; color: #3b4a58; margin-top: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .8rem 0; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid #d9dee3; vertical-align: top; }
th { font-weight: 600; } td.number { text-align: right; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1rem; }
figure { margin: .6rem 0; } figure img { max-width: 100%; }
figcaption, .note { color: #56646f; font-size: .92rem; }
details pre { background: #f4f6f8; padding: .8rem; overflow-x: auto; font-size: .85rem; }
"""


class Report:
    """A page built from top to bottom: text, tables, figures; no file but itself is needed to read it.

    >>> report = Report("Darcy flow", "An FNO on 500 samples.")
    >>> report.table(["resolution", "error"], [["64", 0.0213]])
    >>> "<td class=number>0.0213</td>" in report.html()
    True
    """

    def __init__(self, title: str, lead: str) -> None:
        self._title = title
        self._parts = [f"<h1>{escape(title)}</h1>", f"<p class=lead>{escape(lead)}</p>"]

    def heading(self, text: str) -> None:
        self._parts.append(f"<h2>{escape(text)}</h2>")

    def text(self, text: str) -> None:
        self._parts.append(f"<p>{escape(text)}</p>")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table; numbers are set to the right, at four significant digits."""
        head = "".join(f"<th>{escape(name)}</th>" for name in header)
        body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        self._parts.append(f"<div class=wide>{table}</div>")

    def figures(self, *figures: tuple[str, str]) -> None:
        """Images given as data URIs, each with what it shows; side by side where there is room."""
        shown = "".join(
            f'<figure><img src="{image}" alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption></figure>'
            for image, caption in figures
        )
        self._parts.append(f"<div class=figures>{shown}</div>")

    def details(self, summary: str, content: Mapping[str, Any] | str) -> None:
        """Folded away: plain data or text."""
        text = content if isinstance(content, str) else json.dumps(content, indent=1)
        self._parts.append(f"<details><summary>{escape(summary)}</summary><pre>{escape(text)}</pre></details>")

    def reproduction(self, recipe: Mapping[str, Any], meta: Mapping[str, Any], records: Sequence[Any]) -> None:
        """What it takes to make the page's numbers again, and the numbers themselves."""
        self.heading("To make this again")
        self.details("recipe", recipe)
        self.details("provenance", meta)
        self.details("records", {"records": list(records)})

    def html(self) -> str:
        return (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(self._title)}</title>"
            f'<meta name=viewport content="width=device-width"><style>{_STYLE}</style>'
            f"<body>{''.join(self._parts)}</body></html>\n"
        )


def flat(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested tables as rows of dotted names.

    >>> flat({"a": 1, "b": {"c": 2, "d": {"e": 3}}})
    [('a', 1), ('b.c', 2), ('b.d.e', 3)]
    """
    rows: list[tuple[str, Any]] = []
    for key, value in content.items():
        name = f"{prefix}{key}"
        rows += flat(value, f"{name}.") if isinstance(value, Mapping) else [(name, value)]
    return rows


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"<td class=number>{value:.4g}</td>"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"<td class=number>{value}</td>"
    return f"<td>{escape(str(value))}</td>"
