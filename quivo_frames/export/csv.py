"""Noun: a folder of CSV files, one a table: RFC 4180 in UTF-8, which others read back to the same values.

No byte order mark: RFC 3629 advises against it where the encoding is settled, and readers that do not know it take it
for a part of the first column's name. A null is an empty field and an empty text a quoted one.

A text that a spreadsheet could take for a formula gets an apostrophe in front, and so does one that has an apostrophe
there: to undo it, take one apostrophe away from each text that begins with one. The signs: OWASP, CSV Injection
(https://owasp.org/www-community/attacks/CSV_Injection), and ASVS 5.0, 1.2.10.
"""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from quivo_frames.export.formats import ExportFormat, ExportJob, ExportResult
from quivo_frames.model.tables import SCHEMA_VERSION
from quivo_frames.storage.atomic import new_folder

MARK = "export.json"
"""The file by which a folder is known to be an export."""
GUARD = "'"
_KIND = "quivo_frames csv"
_FORMULA_START = r"^['=+\-@\t\r\n\x00]"
_INSTANT_FORMAT = "%Y-%m-%dT%H:%M:%S%.fZ"


def write_tables(outgoing: ExportJob, out: str) -> ExportResult:
    """The tables as OUT/<table>.csv, with OUT/export.json beside them.

    Raises:
        ConfigError: the folder holds something else.
        OSError: the disk refused.
    """
    rows, guarded = {}, 0
    with new_folder(Path(out), _is_ours) as folder:
        for name, frame in outgoing.tables.items():
            rows[name], changed = _write_csv_file(frame, folder / f"{name}.csv")
            guarded += changed
        facts = {
            "export": _KIND,
            "tables": outgoing.snapshot_name,
            "version": outgoing.version,
            "schema_version": SCHEMA_VERSION,
            "rows": rows,
        }
        (folder / MARK).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return ExportResult(ExportFormat.CSV, out, rows, _explain_changes(guarded))


def _write_csv_file(frame: pl.LazyFrame, file: Path) -> tuple[int, int]:
    """Writes a table; returns its rows, and how many texts got an apostrophe."""
    texts = pl.selectors.string()
    risky = texts.str.contains(_FORMULA_START)
    guarded = frame.with_columns(pl.when(risky).then(GUARD + texts).otherwise(texts).name.keep())
    _, counted = pl.collect_all(
        [
            guarded.sink_csv(file, line_terminator="\r\n", datetime_format=_INSTANT_FORMAT, lazy=True),
            frame.select(pl.len().alias(""), risky.sum().cast(pl.Int64)),
        ]
    )
    count, *changed = counted.row(0)
    return count, sum(changed)


def _explain_changes(guarded: int) -> list[str]:
    told = ["Excel takes CSV for another encoding, and ids for numbers: for Excel, export to excel."]
    if guarded:
        told.append(
            f"{guarded:,} texts that begin with one of = + - @ ' or a control character have an apostrophe in front, "
            "so that no spreadsheet takes them for formulas. To undo it, take one from each text that begins with one."
        )
    return told


def _is_ours(folder: Path) -> bool:
    try:
        facts = json.loads((folder / MARK).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(facts, dict) and facts.get("export") == _KIND
