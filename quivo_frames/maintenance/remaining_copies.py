"""What still holds orders that were erased: files that tables were built from, and files that were saved from them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import polars as pl

from quivo_frames.builder.inputs import SourceKind, open_sources
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import QuivoError
from quivo_frames.export.order_traces import OrderTraces, find_order_traces
from quivo_frames.flattening.decode import scan_identity
from quivo_frames.storage.leftovers import remove_leftovers
from quivo_frames.storage.urls import is_remote

_REMEDIES = {
    SourceKind.FILE: "Remove them from the file, or the file.",
    SourceKind.ARCHIVE: "Forget them there as well, with --archive.",
    SourceKind.RAW_EXPORT: "Export the archive there again, after they are erased in it.",
}
_MOST_NAMED = 5
"""Orders that a sentence names."""


def explain_remaining_copies(dataset: Dataset, order_ids: Collection[int], archive: str) -> Iterator[str]:
    """A sentence for each file that may still hold orders, with what to do; not about `archive`.

    Also removes what killed processes left beside saved files, and forgets saved files that are gone.
    """
    yield from _explain_saved_files(dataset, order_ids)
    for name in dict.fromkeys(entry["name"] for entry in dataset.manifest["inputs"]):
        if archive and not is_remote(name) and Path(name).resolve() == Path(archive).resolve():
            continue
        traces, remedy = _find_in_input(name, order_ids)
        if traces.may_hold_orders:
            yield (
                f"{name}, from which {dataset.address} was built, {_say_which(traces)}. {remedy} Else the next build "
                "brings them back."
            )


def _explain_saved_files(dataset: Dataset, order_ids: Collection[int]) -> Iterator[str]:
    gone = []
    for saved in dataset.outputs.read().saved:
        path = Path(saved.path)
        try:
            remove_leftovers(path)
        except (OSError, QuivoError) as error:
            yield f"{saved}: {error}"
        if not path.exists():
            gone.append(saved)
            continue
        traces = find_order_traces(path, order_ids)
        if traces.may_hold_orders:
            yield f"{saved} {_say_which(traces)}. Delete it, or save it again."
    if gone:
        with suppress(QuivoError):  # they are looked for again next time
            dataset.outputs.drop_saved_files(gone)


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
            for indexed in source.index_orders(scan_identity):
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
