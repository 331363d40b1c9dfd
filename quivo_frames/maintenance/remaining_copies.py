"""What still holds orders that were erased: files that tables were built from, and files that were saved from them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from quivo_frames.archive.raw_export.export import RAW_EXPORT
from quivo_frames.builder.inputs import SourceKind, open_sources
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import QuivoError
from quivo_frames.export.order_traces import OrderTraces, find_order_traces
from quivo_frames.storage.leftovers import remove_leftovers
from quivo_frames.storage.output_register import OutputRegister
from quivo_frames.storage.urls import is_remote

_REMEDIES = {
    SourceKind.FILE: "Remove them from the file, or the file.",
    SourceKind.ARCHIVE: "Forget them there as well, with --archive.",
    SourceKind.RAW_EXPORT: "Export the archive there again, after they are erased in it.",
}
_MOST_NAMED = 5
"""Orders that a sentence names."""


def explain_copies_of_tables(dataset: Dataset, order_ids: Collection[int], archive: str) -> Iterator[str]:
    """As `explain_saved_files`, also for what tables were built from; not about `archive`."""
    yield from explain_saved_files(dataset.outputs, order_ids)
    for name in dict.fromkeys(entry["name"] for entry in dataset.manifest["inputs"]):
        if archive and not is_remote(name) and Path(name).resolve() == Path(archive).resolve():
            continue
        traces, remedy = _find_in_input(name, order_ids)
        if traces.may_hold_orders:
            yield (
                f"{name}, from which {dataset.address} was built, {_say_which(traces)}. {remedy} Else the next build "
                "brings them back."
            )


def explain_saved_files(outputs: OutputRegister[Any], order_ids: Collection[int]) -> Iterator[str]:
    """A sentence for each saved file that may still hold orders, with what to do.

    Also removes what killed processes left beside saved files, and drops saved files that are gone from the register.
    """
    gone = []
    for saved in outputs.read().saved:
        if not is_remote(saved.path):
            try:
                remove_leftovers(Path(saved.path))
            except (OSError, QuivoError) as error:
                yield f"{saved}: {error}"
            if not Path(saved.path).exists():
                gone.append(saved)
                continue
        if saved.form == RAW_EXPORT:
            traces, remedy = _find_in_input(saved.path, order_ids)
        else:
            traces, remedy = find_order_traces(Path(saved.path), order_ids), "Delete it, or save it again."
        if traces.may_hold_orders:
            yield f"{saved} {_say_which(traces)}. {remedy}"
    if gone:
        with suppress(QuivoError):  # they are looked for again next time
            outputs.drop_saved_files(gone)


def _find_in_input(name: str, order_ids: Collection[int]) -> tuple[OrderTraces, str]:
    """Which of some orders an input of a build holds now, and what to do about it; none if it is gone."""
    if not is_remote(name) and Path(name).is_absolute() and not Path(name).exists():
        return OrderTraces(frozenset(), is_certain=True), ""
    wanted = pl.Series(list(order_ids), dtype=pl.Int64).implode()
    found: set[int] = set()
    remedy = "Look whether it does."
    try:
        for source in open_sources([name]):
            remedy = _REMEDIES[source.kind]
            for indexed in source.index_orders(exact=False):
                found.update(indexed.orders.filter(pl.col("order_id").is_in(wanted))["order_id"])
    except (OSError, QuivoError):
        return OrderTraces(frozenset(found), is_certain=False), remedy
    return OrderTraces(frozenset(found), is_certain=True), remedy


def _say_which(traces: OrderTraces) -> str:
    if not traces.found:
        return "cannot be searched, and may still hold these orders"
    named = ", ".join(map(str, sorted(traces.found)[:_MOST_NAMED]))
    more = len(traces.found) - _MOST_NAMED
    return f"still holds order{'s' * (len(traces.found) > 1)} {named}" + (f" and {more:,} more" if more > 0 else "")
