"""Check a dataset, an archive or a raw export for anything that is not as it was written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import polars as pl

from quivo_frames.analysis.checks.memory import FindingsMemory
from quivo_frames.archive.archive import Archive
from quivo_frames.archive.raw_export.index import INDEX_FILE, explain_read_errors
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.dataset.exports import KnownOutputs
from quivo_frames.dataset.manifest import BUILDING, FOUND, LOCK, find_unnamed_files
from quivo_frames.display.html import html_table
from quivo_frames.display.text import format_count, terminal_lines, terminal_text
from quivo_frames.errors import ArchiveError, DatasetError, QuivoError
from quivo_frames.maintenance.row_checks import BrokenRows, find_broken_rows
from quivo_frames.model.derived import dataset_tables
from quivo_frames.model.privacy import PrivacyFilter
from quivo_frames.model.tables import ORDER_ID, REPORT_TABLES, TABLES, Table, table_of_named_tuple
from quivo_frames.storage.leftovers import find_leftovers, is_locked
from quivo_frames.storage.output_register import OutputRegister
from quivo_frames.storage.path_names import check_path
from quivo_frames.storage.place import Place, open_place
from quivo_frames.storage.urls import is_remote

_UNFINISHED_PREFIXES = (BUILDING, ".new-")
"""How the names begin of files and folders that a process has not finished."""
_REBUILD = "Build the tables again with --full."
_CURES = {"clock": "The response that was recorded last counts. Set the clock of the machine that fetches right."}
"""What to do about a kind of flaw that no backup mends."""
_RESTORE = "Take the archive from a backup, or fetch the order again with `quivo-frames refetch {}`."


class Flaw(NamedTuple):
    """One thing that is not as it was written."""

    what: Annotated[str, "What is wrong, a fixed word to count by."]
    place: Annotated[str, "The file or the table."]
    order_id: Annotated[int | None, "The order, or one of them as an example; null where it is about none."]
    count: Annotated[int, "How many rows, orders or files."]  # type: ignore[assignment]  # hides tuple.count
    message: Annotated[str, "What happened and what to do, in plain words."]


FLAWS: Table = table_of_named_tuple("flaws", "thing that is not as it was written", Flaw)


@dataclass(frozen=True)
class Checkup:
    """The result of a check."""

    place: str
    looked: Mapping[str, int]
    """How many things of each kind were checked, such as orders."""
    flaws: pl.DataFrame
    """A row per flaw; empty if there is none."""

    def __str__(self) -> str:
        singular = {name: name.removesuffix("s") for name in self.looked}
        seen = ", ".join(format_count(count, singular[name], name) for name, count in self.looked.items())
        if self.flaws.is_empty():
            return terminal_text(f"{self.place}: {seen}. All is as it was written.")
        lines = [f"  {message}" for message in self.flaws["message"]]
        head = f"{self.place}: {seen}. {format_count(self.flaws.height, 'flaw')}:"
        return terminal_lines([head, *lines])

    def _repr_html_(self) -> str:
        rows = self.flaws.select("what", "place", "count", "message").iter_rows()
        return html_table(str(self).partition("\n")[0], rows, ("what", "place", "count", "message"))

    def facts(self) -> dict[str, Any]:
        """What was checked and the flaws, as plain values for JSON."""
        return {"place": self.place, "looked": dict(self.looked), "flaws": self.flaws.to_dicts()}


def check(place: str | os.PathLike[str]) -> Checkup:
    """What in a dataset, in an archive or in a raw export is not as it was written. Changes nothing.

    Of a dataset: the sha256 of each file, the version of the schema, columns and types, numbers of rows, nulls, unique
    keys, references between tables, and whether orders in = out + failed. Of an archive: SQLite's own check, the sha256
    of each answer, whether it is about its order, whether times and ledger fit the answers. Of a raw export: the sha256
    of each file, and what its index says of it.

    Raises:
        ConfigError: there is none of these.
    """
    where = os.fspath(place)
    looked: Mapping[str, int]
    if not (is_remote(where) or check_path(where).is_dir()):
        looked, flaws = _check_archive(Path(where))
    elif _holds_raw_export(opened := open_place(where)):
        looked, flaws = _check_raw_export(opened)
    else:
        looked, flaws = _check_dataset(where)
    return Checkup(where, looked, pl.DataFrame(flaws, schema=FLAWS.schema, orient="row"))


def _check_archive(path: Path) -> tuple[dict[str, int], list[Flaw]]:
    flaws = []
    looked: dict[str, int] = {}
    try:
        archive = Archive(path)
        for what, order_id, explanation in archive.find_flaws():
            cure = _CURES.get(what, "Take the archive from a backup.")
            if order_id is not None and what not in _CURES:
                cure = _RESTORE.format(order_id)
            who = "" if order_id is None else f"Order {order_id}: "
            flaws.append(Flaw(what, path.name, order_id, 1, f"{who}{explanation} {cure}"))
        looked = archive.counts()
        flaws += _check_register(archive.outputs)
    except ArchiveError as error:
        if str(error) not in (flaw.message for flaw in flaws):
            flaws.append(Flaw("file", path.name, None, 1, str(error)))
    return looked, flaws


def _holds_raw_export(where: Place) -> bool:
    with suppress(QuivoError), explain_read_errors(where.address):
        return where.read(INDEX_FILE) is not None
    return False


def _check_raw_export(where: Place) -> tuple[Mapping[str, int], list[Flaw]]:
    from quivo_frames.archive.raw_export.verification import check_raw_export

    try:
        looked, flaws = check_raw_export(where)
    except QuivoError as error:
        return {}, [Flaw("file", INDEX_FILE, None, 1, str(error))]
    return looked, [
        Flaw("file", name, None, 1, f"{name} in {where.address} {problem}. Export the archive there again.")
        for name, problem in flaws.items()
    ]


def _check_dataset(folder: str) -> tuple[dict[str, int], list[Flaw]]:
    try:
        dataset = Dataset.open(folder)
    except DatasetError as error:
        return {}, [Flaw("dataset", Path(folder).name, None, 1, str(error))]
    damaged = [
        Flaw("file", Path(file).name, None, 1, f"{file} is no longer what was written. {_REBUILD}")
        for file in dataset.damaged_files()
    ]
    looked = {
        "tables": len(TABLES) + len(dataset.derived),
        "orders": dataset.counts()["orders"],
        "rows": sum(dataset.counts().values()),
    }
    flaws = damaged or list(_check_rows(dataset))  # a damaged file may not even be readable
    return looked, [*flaws, *_check_leftovers(dataset), *_check_outputs(dataset)]


def _check_leftovers(dataset: Dataset) -> Iterator[Flaw]:
    """Unfinished files in the folder of the tables that a killed build left; none while one is running."""
    if is_remote(dataset.address) or is_locked(dataset.folder / LOCK):
        return
    unnamed = find_unnamed_files(dataset.place, dataset.manifest)
    unfinished = [name for name in unnamed if any(part.startswith(_UNFINISHED_PREFIXES) for part in name.split("/"))]
    if unfinished:
        message = (
            f"{dataset.address} has {format_count(len(unfinished), 'file')} of a build or an erasure that was cut off, "
            f"which may hold orders: {unfinished[0]}. Build again, or run `quivo-frames forget`: both remove them."
        )
        yield Flaw("leftover", Path(unfinished[0]).name, None, len(unfinished), message)


def _check_outputs(dataset: Dataset) -> Iterator[Flaw]:
    """Exports and saved files that were cut off, and damage to the list of them, or to what audits remember."""
    yield from _check_register(dataset.outputs)
    try:
        if not is_remote(dataset.address):
            FindingsMemory(dataset.place).read()
    except DatasetError as error:
        yield Flaw("file", FOUND, None, 1, str(error))
    with suppress(DatasetError):
        yield from _check_exports(dataset.outputs.read())


def _check_register(outputs: OutputRegister[Any]) -> Iterator[Flaw]:
    """What was left beside saved files, and damage to the list of them."""
    name = outputs.file.rpartition("/")[2]
    try:
        known = outputs.read()
    except QuivoError as error:
        yield Flaw("file", name, None, 1, str(error))
        return
    if not outputs.is_intact():
        message = (
            f"{outputs.file} is no longer what was written: look whether it lists all that was exported or saved, so "
            "that orders can be erased there. The next export accepts it as it is."
        )
        yield Flaw("file", name, None, 1, message)
    for file in (leftover for path in known.local_paths() for leftover in find_leftovers(path)):
        message = (
            f"{file} was left by a command that was cut off while it wrote, and may hold orders. Run it again, or "
            "`quivo-frames forget`: both remove it."
        )
        yield Flaw("leftover", file.name, None, 1, message)


def _check_exports(known: KnownOutputs) -> Iterator[Flaw]:
    for export in known.targets():
        if export.begun and not export.is_replaced_as_a_whole:
            message = f"The export to {export} has not ended: it is running, or was cut off. Export again then."
            yield Flaw("export", export.out, None, 1, message)


def _check_rows(dataset: Dataset) -> Iterator[Flaw]:
    """Flaws of the rows: of each table alone first, then between tables."""
    privacy_filter = PrivacyFilter(dataset.level)
    readable: dict[str, Table] = {}
    for name, table in (dataset_tables(derived=bool(dataset.derived)) | REPORT_TABLES).items():
        rows = dataset.lazy(name)
        if list(rows.collect_schema().items()) != list(table.schema.items()):
            yield Flaw("columns", name, None, 1, f"{name} has other columns or types than it must have. {_REBUILD}")
            continue
        readable[name] = privacy_filter.filtered_table(table)
        found, expected = rows.select(pl.len()).collect().item(), dataset.counts()[name]
        if found != expected:
            message = f"{name} has {format_count(found, 'row')} instead of {expected:,}. {_REBUILD}"
            yield Flaw("rows", name, None, abs(found - expected), message)
    for defect, broken in find_broken_rows(dataset, readable):
        yield _flaw_of_rows(defect.what, defect.table, broken, defect.words)
    yield from _check_balance(dataset)


def _flaw_of_rows(what: str, place: str, broken: BrokenRows, defect: str) -> Flaw:
    """One flaw for all rows that have a defect, with one of their orders as an example."""
    message = f"{format_count(broken.number, 'row')} {defect}, such as of order {broken.order_id}. {_REBUILD}"
    return Flaw(what, place, broken.order_id, broken.number, message)


def _check_balance(dataset: Dataset) -> Iterator[Flaw]:
    orders, counts = dataset.manifest["orders"], dataset.counts()
    found = {"out": counts["orders"], "failed": counts["failures"]}
    if orders["in"] != sum(found.values()) or any(orders[name] != count for name, count in found.items()):
        message = (
            f"{format_count(orders['in'], 'order')} went in, the tables hold {found['out']:,} and the failures "
            f"{found['failed']:,}: that does not add up. {_REBUILD}"
        )
        yield Flaw("balance", "manifest.json", None, abs(orders["in"] - sum(found.values())), message)
    both = dataset.lazy("failures").join(dataset.lazy("orders"), on=ORDER_ID.name, how="semi")
    count, order_id = both.select(pl.len(), pl.col(ORDER_ID.name).first().alias("of")).collect().row(0)
    if count:
        defect = "of failures about orders that are in the tables as well"
        yield _flaw_of_rows("balance", "failures", BrokenRows(count, order_id), defect)
