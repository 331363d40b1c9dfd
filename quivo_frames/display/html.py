"""The HTML that Jupyter shows for an object."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def html_table(
    title: str, rows: Iterable[Sequence[object]], head: Sequence[str] = (), remarks: Iterable[str] = ()
) -> str:  # fmt: skip
    """An HTML table between its title and remarks: numbers right-aligned with thousands separators, text escaped."""
    header = f"<thead><tr>{''.join(_cell('th', name, 'left') for name in head)}</tr></thead>" if head else ""
    body = "".join(f"<tr>{''.join(map(_value_cell, row))}</tr>" for row in rows)
    below = "".join(f"<p>{html.escape(remark)}</p>" for remark in remarks)
    return f"<p><b>{html.escape(title)}</b></p><table>{header}<tbody>{body}</tbody></table>{below}"


def _value_cell(value: object) -> str:
    if value is None:
        return _cell("td", "–", "right")
    if isinstance(value, int | float):
        return _cell("td", f"{value:,}" if isinstance(value, int) else f"{value:,.3g}", "right")
    return _cell("td", str(value), "left")


def _cell(tag: str, text: str, side: str) -> str:
    return f"<{tag} style='text-align:{side}'>{html.escape(text)}</{tag}>"
