"""Whether files that were exported or saved hold some orders: looked up by the ids of the orders."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

import polars as pl

from quivo_frames.errors import QuivoError
from quivo_frames.export.formats import ExportFormat, load_writer_module
from quivo_frames.model.tables import ORDER_ID

_CHUNK_BYTES = 2**20
_NUMBER = re.compile(rb"\d+")
_LONGEST_NUMBER = 1_000
"""Digits of a number that are kept until the next chunk is read: far more than an order id has."""
_TEXT_SUFFIXES = (
    ".csv", ".ndjson", ".json", ".html", ".htm", ".txt",
    ".tmdl", ".pbip", ".pbism", ".pbir", ".platform",  # of a Power BI project
)  # fmt: skip
_DELTA_LOG = "_delta_log"


class OrderTraces(NamedTuple):
    """The orders that a file or folder holds, of those that were looked for.

    Not `is_certain`: it could not be read in full, and may hold others of them.
    """

    found: frozenset[int]
    is_certain: bool

    @property
    def may_hold_orders(self) -> bool:
        """Whether it holds any of them, or nobody can tell."""
        return bool(self.found) or not self.is_certain


_UNKNOWN = OrderTraces(frozenset(), is_certain=False)


def find_order_traces(path: Path, order_ids: Collection[int]) -> OrderTraces:
    """Which of some orders a file holds, or the files of a folder."""
    if not path.is_dir():
        return _search_file(path, order_ids)
    files = (file for file in path.rglob("*") if file.is_file() and _DELTA_LOG not in file.relative_to(path).parts)
    traces = [_search_file(file, order_ids) for file in files]
    found = frozenset[int]().union(*(one.found for one in traces))
    return OrderTraces(found, all(one.is_certain for one in traces))


def _search_file(file: Path, order_ids: Collection[int]) -> OrderTraces:
    suffix = file.suffix.lower() or file.name.lower()
    search: Callable[[Path, Collection[int]], Iterator[int]] | None = {
        ".parquet": _search_parquet, ".xlsx": _search_workbook, **dict.fromkeys(_TEXT_SUFFIXES, _search_text_file),
    }.get(suffix)  # fmt: skip
    try:
        if search is None:
            search = _database_search(file)
        return _UNKNOWN if search is None else OrderTraces(frozenset(search(file, order_ids)), is_certain=True)
    except (OSError, QuivoError, pl.exceptions.PolarsError, zipfile.BadZipFile, pl.exceptions.PanicException):
        return _UNKNOWN


def _search_parquet(file: Path, order_ids: Collection[int]) -> Iterator[int]:
    rows = pl.scan_parquet(file, glob=False)
    if ORDER_ID.name in rows.collect_schema():
        wanted = pl.Series(list(order_ids), dtype=pl.Int64).implode()
        held = rows.select(pl.col(ORDER_ID.name).cast(pl.Int64)).filter(pl.col(ORDER_ID.name).is_in(wanted))
        yield from held.unique().collect().to_series()


def _search_text_file(file: Path, order_ids: Collection[int]) -> Iterator[int]:
    with file.open("rb") as stream:
        yield from _search_text(stream, order_ids)


def _search_workbook(file: Path, order_ids: Collection[int]) -> Iterator[int]:
    with zipfile.ZipFile(file) as workbook:
        for name in workbook.namelist():
            if name.endswith(".xml"):
                with workbook.open(name) as stream:
                    yield from _search_text(stream, order_ids)


def _search_text(stream: IO[bytes], order_ids: Collection[int]) -> Iterator[int]:
    """The ids that occur in a text as whole numbers, in flat memory."""
    wanted = {str(abs(order_id)).encode(): order_id for order_id in order_ids}
    rest = b""
    for chunk in iter(partial(stream.read, _CHUNK_BYTES), b""):
        text = rest + chunk
        rest = text[len(text.rstrip(b"0123456789")) :][:_LONGEST_NUMBER]  # it may go on in the next chunk
        numbers = _NUMBER.findall(text.removesuffix(rest))
        yield from (wanted[number] for number in set(numbers) & wanted.keys())
    if rest in wanted:
        yield wanted[rest]


def _database_search(file: Path) -> Callable[[Path, Collection[int]], Iterator[int]] | None:
    """How to search a DuckDB file or an event log in SQLite; None for others."""
    with file.open("rb") as stream:
        head = stream.read(12)
    form = ExportFormat.DUCKDB if head[8:] == b"DUCK" else ExportFormat.OCEL if head[:6] == b"SQLite" else None
    search: Callable[[Path, Collection[int]], Iterator[int]] | None = None
    if form is not None:
        search = load_writer_module(form).find_orders
    return search
