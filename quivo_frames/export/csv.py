"""CSV export: a folder with one file per table, RFC 4180 in UTF-8, that reads back to the same values.

There is no byte order mark: RFC 3629 advises against it where the encoding is known, and readers that do not expect it
take it for part of the first column's name. A null is an empty field, an empty text is a quoted empty field. Times are
UTC, and say so: 2026-03-05T14:48:12.000000+00:00.

A text that a spreadsheet could run as a formula gets an apostrophe in front, and so does a text that begins with an
apostrophe: to undo it, remove one apostrophe from each text that begins with one. The characters: OWASP, CSV Injection
(https://owasp.org/www-community/attacks/CSV_Injection), and ASVS 5.0, 1.2.10.
"""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from quivo_frames.display.text import noun_for
from quivo_frames.export.formats import ExportFormat, ExportJob, ExportResult, kind_of_folder
from quivo_frames.model.tables import SCHEMA_VERSION
from quivo_frames.storage.atomic import EXPORT_MARKER, new_folder

FORMULA_GUARD = "'"
_MARKED = "quivo_frames csv"
KIND = kind_of_folder("folder of CSV files", _MARKED, ".csv")
_FORMULA_START = r"^['=+\-@\t\r\n\x00]"
_INSTANT_FORMAT = "%Y-%m-%dT%H:%M:%S%.6f+00:00"
"""Always six digits: where some have none, pandas takes the column for text."""


def write_tables(job: ExportJob, out: str) -> ExportResult:
    """Write the tables as OUT/<table>.csv, and OUT/export.json.

    Raises:
        ConfigError: the folder holds something else.
        OSError: the disk refuses.
    """
    rows, guarded = {}, 0
    with new_folder(Path(out), KIND) as folder:
        for name, frame in job.tables.items():
            rows[name], changed = write_csv_file(frame, folder / f"{name}.csv")
            guarded += changed
        facts = {
            "export": _MARKED,
            "tables": job.snapshot_name,
            "version": job.version,
            "schema_version": SCHEMA_VERSION,
            "rows": rows,
        }
        (folder / EXPORT_MARKER).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        job.refuse_outdated()
    encoding = "Excel assumes another encoding of CSV, and reads ids as numbers: for Excel, export to excel."
    return ExportResult(ExportFormat.CSV, out, rows, [encoding, *explain_guarded_texts(guarded)])


def write_csv_file(frame: pl.LazyFrame, file: Path) -> tuple[int, int]:
    """Write a frame as CSV with a header; returns the number of rows, and of texts that got an apostrophe."""
    texts = pl.selectors.string()
    risky = texts.str.contains(_FORMULA_START)
    guarded = frame.with_columns(pl.when(risky).then(FORMULA_GUARD + texts).otherwise(texts).name.keep())
    _, counted = pl.collect_all(
        [
            guarded.sink_csv(file, line_terminator="\r\n", datetime_format=_INSTANT_FORMAT, lazy=True),
            frame.select(pl.len().alias(""), risky.sum().cast(pl.Int64)),
        ]
    )
    count, *changed = counted.row(0)
    return count, sum(changed)


def explain_guarded_texts(count: int) -> list[str]:
    """Sentences that users should read about texts that got an apostrophe; none if there are no such texts."""
    begin, have = noun_for(count, "text that begins", "texts that begin"), noun_for(count, "has", "have")
    guarded = f"{count:,} {begin} with one of = + - @ ' or a control character {have} an apostrophe in front"
    purpose = (
        "so that no spreadsheet runs them as formulas. To undo it, remove one from each text that begins with one."
    )
    return [f"{guarded}, {purpose}"] if count else []
