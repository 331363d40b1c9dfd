"""The HTML that Jupyter shows for an object."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def html_table(title: str, rows: Iterable[Sequence[object]], head: Sequence[str] = ()) -> str:
    """An HTML table below its title: numbers right-aligned with thousands separators, text left-aligned and escaped."""
    header = f"<thead><tr>{''.join(_cell('th', name, 'left') for name in head)}</tr></thead>" if head else ""
    body = "".join(f"<tr>{''.join(map(_value_cell, row))}</tr>" for row in rows)
    return f"<p><b>{html.escape(title)}</b></p><table>{header}<tbody>{body}</tbody></table>"


def _value_cell(value: object) -> str:
    if value is None:
        return _cell("td", "–", "right")
    if isinstance(value, int | float):
        return _cell("td", f"{value:,}" if isinstance(value, int) else f"{value:,.3g}", "right")
    return _cell("td", str(value), "left")


def _cell(tag: str, text: str, side: str) -> str:
    return f"<{tag} style='text-align:{side}'>{html.escape(text)}</{tag}>"
