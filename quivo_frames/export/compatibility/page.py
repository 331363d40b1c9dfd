"""Findings as lines for a terminal, and all limits as the page `schemas/readers.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from quivo_frames.display.text import format_count
from quivo_frames.export.compatibility.limit import Effect, ReaderLimit

_MAX_PLACES = 5
_ABOUT = """What `quivo-frames export DIR --check READER` and `qf.check_for(tables, reader)` look for: what a reader
would change in these tables, or refuse. Each limit comes from the documentation of the reader, or of a library that
writes for it; that a limit is not here does not say that there is none."""
_UNDOCUMENTED_ABOUT = "No document was found that says:"
UNDOCUMENTED = (
    "which types the parquet connector of Power Query gives to DECIMAL and to instants in UTC",
    "whether Tableau takes texts that differ in case, or in spaces at the end, for the same",
    "whether Tableau keeps microseconds, and the digits of whole numbers above 2^53",
    "what Excel shows of control characters in texts",
    "what Snowflake makes of parquet's DECIMAL without USE_LOGICAL_TYPE",
    "what BigQuery does with NUL characters in texts",
)
"""What the documents of the readers do not say."""


def format_findings(found: pl.DataFrame, reader: str) -> str:
    """The result of `check_for` for a terminal: a paragraph per limit, with a line per column."""
    if found.is_empty():
        return f"{reader} takes these tables as they are, as far as its documents tell."
    limits = found.partition_by("limit", "effect", maintain_order=True)
    effects = [part["effect"][0] for part in limits]
    refused, changed = (format_count(effects.count(effect), "thing") for effect in (Effect.REFUSES, Effect.CHANGES))
    lines = [f"{reader}: {refused} would be refused, {changed} would be changed."]
    for part in limits:
        first = part.row(0, named=True)
        lines += ["", f"{first['effect']}: {first['happens']}", *_format_places(part)]
        lines += [f"  Do: {first['cure']}", f"  See: {first['source']}, {first['url']}"]
    return "\n".join(lines)


def _format_places(part: pl.DataFrame) -> list[str]:
    named = [(_format_place(row), row) for row in part.iter_rows(named=True)]
    shown, more = named[:_MAX_PLACES], len(named) - _MAX_PLACES
    rest = f"and {more:,} more" if more > 0 else ""
    if part["rows"].null_count():
        return [f"  {', '.join(place for place, _ in shown)}{rest and f', … {rest}'}"]
    lines = [f"  {place}: {format_count(row['rows'], 'row')} ({row['key']}, for example)" for place, row in shown]
    return [*lines, f"  … {rest}"] if rest else lines


def _format_place(row: Mapping[str, str | None]) -> str:
    return ".".join(part for part in (row["table"], row["column"]) if part)


def render_limits_page(limits: Mapping[str, Sequence[ReaderLimit]]) -> str:
    """All limits with their sources, in Markdown."""
    lines = ["# Readers", "", _ABOUT]
    for reader, of_reader in limits.items():
        lines += ["", f"## {reader}", "", "| limit | effect | what happens | what to do | source |"]
        lines += ["|---|---|---|---|---|", *map(_limit_row, of_reader)]
    return "\n".join(
        [*lines, "", "## Not documented", "", _UNDOCUMENTED_ABOUT, "", *(f"- {what}" for what in UNDOCUMENTED), ""]
    )


def _limit_row(limit: ReaderLimit) -> str:
    cells = (limit.name, limit.effect, limit.happens, limit.cure, f"[{limit.source.title}]({limit.source.url})")
    return f"| {' | '.join(cells)} |"
