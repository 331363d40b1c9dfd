"""Power BI export: a project of text files (PBIP) with a model of the tables, beside the data as parquet.

    OUT/quivo.pbip              what Power BI Desktop opens
    OUT/quivo.SemanticModel     tables, relationships and measures, in TMDL
    OUT/quivo.Report            a report with an empty page
    OUT/data/<table>.parquet    what the model reads; the parameter DataFolder says where it is
    OUT/export.json             marks the folder as an export

A later export brings new data. Where somebody changed the model or the report, it leaves them as they are: pages and
measures of a user are never lost. What Power BI Desktop keeps of the data (.pbi/cache.abf) is removed, as it has the
earlier orders.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from quivo_frames.errors import ConfigError, DatasetError
from quivo_frames.export.formats import (
    KPI_TABLES,
    LEFT_BY_SYSTEMS,
    ExportFormat,
    ExportJob,
    ExportResult,
    WorkbookSheet,
)
from quivo_frames.export.powerbi_model import PARAMETER, model_files
from quivo_frames.export.powerbi_project import MODEL, PROJECT, REPORT, project_files
from quivo_frames.export.powerbi_star import StarTable, star_tables
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import SCHEMA_VERSION, Column, Table
from quivo_frames.storage.atomic import EXPORT_MARKER, OutputKind, find_target, new_folder
from quivo_frames.storage.own_json import decode_own_json

DATA = "data"
_MARKED = "quivo_frames powerbi"
_LOCAL = ".pbi"
"""The folder in which Power BI Desktop keeps what is of this machine alone, the loaded data among it."""
_CACHE = "cache.abf"
_GIT_IGNORE = ".gitignore"
_ROW_GROUP_ROWS = 122_880
_KINDS = {pl.Int64(): Kind.INT64, pl.Date(): Kind.DAY, pl.Float64(): Kind.MEASURE, pl.String(): Kind.TEXT}
_NO_FIGURES = (
    "The key figures are left out: `quivo-frames export --to powerbi` writes them and the measures that show them."
)


class _Marker(msgspec.Struct):
    export: str
    rows: dict[str, int] = {}
    written: dict[str, str] = {}
    """The hash of model and report, as the export wrote them."""


def write_tables(job: ExportJob, out: str) -> ExportResult:
    """Write the project and its data to a folder, in which what a user changed stays.

    Raises:
        ConfigError: the folder holds something else, or the dataset has no derived tables.
        OSError: the disk refuses.
    """
    earlier = find_target(Path(out), to_folder=True)
    is_erasure = bool(job.erased_order_ids) and not job.sheets
    job = job._replace(sheets=_remaining_facts(job, earlier)) if is_erasure else job
    tables = star_tables(job)
    with new_folder(Path(out), KIND) as folder:
        (folder / DATA).mkdir()
        rows = {star.table.name: _write_data(star, folder / DATA / f"{star.table.name}.parquet") for star in tables}
        files = project_files(model_files(tables, str(earlier.absolute() / DATA)))
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8", newline="\n")
        written = {part: _hash_folder(folder / part) for part in (MODEL, REPORT)}
        kept = _keep_changes(earlier, folder, written, with_model=is_erasure)
        facts: dict[str, Any] = {
            "export": _MARKED, "tables": job.snapshot_name, "version": job.version, "schema_version": SCHEMA_VERSION,
            "rows": rows, "written": written,
        }  # fmt: skip
        (folder / EXPORT_MARKER).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        job.refuse_outdated()
    missing = [] if job.sheets else [_NO_FIGURES]
    way = f"Open {PROJECT} in Power BI Desktop and refresh. On another machine, first set the parameter {PARAMETER}."
    return ExportResult(ExportFormat.POWERBI, out, rows, [way, *missing, *kept])


def _write_data(star: StarTable, file: Path) -> int:
    instants = [column.name for column in star.table.columns if column.kind is Kind.INSTANT]
    rows = star.rows.with_columns(pl.col(instants).dt.replace_time_zone(None))
    rows.sink_parquet(file, compression="snappy", row_group_size=_ROW_GROUP_ROWS)
    return int(pl.scan_parquet(file, glob=False).select(pl.len()).collect().item())


def _keep_changes(earlier: Path, folder: Path, written: dict[str, str], *, with_model: bool) -> list[str]:
    """Copies what a user changed to the new folder, in place of what was written there; returns what was kept.

    The hashes in `written` become those of what the earlier export wrote, so that it counts as changed next time, too.
    """
    marker, sentences = _read_marker(earlier), []
    if (earlier / _GIT_IGNORE).is_file():
        shutil.copyfile(earlier / _GIT_IGNORE, folder / _GIT_IGNORE)
    for part in (MODEL, REPORT):
        before = marker.written.get(part) if marker else None
        if before is None or not (earlier / part).is_dir():
            continue
        is_changed = _hash_folder(earlier / part) != before
        if is_changed or (with_model and part == MODEL):
            shutil.rmtree(folder / part)
            shutil.copytree(earlier / part, folder / part, ignore=shutil.ignore_patterns(_CACHE))
            written[part] = before
        if is_changed:
            sentences.append(
                f"{part} was changed since an export wrote it, and stays as it is; the data is new. For a new one, "
                "move it away and export again."
            )
    return sentences


def _hash_folder(folder: Path) -> str:
    """A hash of the files of a folder, without those that are of one machine alone."""
    digest = hashlib.sha256()
    files = {file.relative_to(folder): file for file in folder.rglob("*") if file.is_file()}
    for name, file in sorted(files.items()):
        if _LOCAL not in name.parts and name.name not in LEFT_BY_SYSTEMS:
            digest.update(f"{name.as_posix()}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _remaining_facts(job: ExportJob, earlier: Path) -> list[WorkbookSheet]:
    """The facts of the key figures of an earlier export, without erased orders: only who exports can work them out."""
    orders = job.tables["overview"].select("order_id") if "overview" in job.tables else None
    found = []
    for name in KPI_TABLES:
        file = earlier / DATA / f"{name}.parquet"
        if orders is None or not file.exists():
            return []
        frame = pl.read_parquet(file, glob=False)
        for label in ("seller", "warehouse", "carrier"):
            if f"{label}_key" in frame.columns:
                frame = frame.drop(f"{label}_key")
        rows = frame.lazy().join(orders, on="order_id", how="semi", maintain_order="left").collect()
        columns = tuple(Column(column, _KINDS[dtype], "") for column, dtype in rows.schema.items())
        found.append(WorkbookSheet(Table(name, name, "", "", None, None, columns), rows))
    return found


def _read_marker(folder: Path) -> _Marker | None:
    try:
        marker = decode_own_json((folder / EXPORT_MARKER).read_bytes(), _Marker, EXPORT_MARKER, "")
    except (OSError, DatasetError):
        return None
    return marker if marker.export == _MARKED else None


def _is_our_project(folder: Path) -> bool:
    """Whether a folder is an earlier export; model and report may hold whatever Power BI Desktop puts there.

    Raises:
        ConfigError: it is one, and holds also files that no export and no Power BI Desktop wrote.
    """
    marker = _read_marker(folder)
    if marker is None:
        return False
    ours = {EXPORT_MARKER, PROJECT, MODEL, REPORT, DATA, _GIT_IGNORE, *LEFT_BY_SYSTEMS}
    data = {*(f"{name}.parquet" for name in marker.rows), *LEFT_BY_SYSTEMS}
    others = [path for path in folder.iterdir() if path.name not in ours]
    others += [path for path in (folder / DATA).glob("*") if path.name not in data]
    if others:
        raise ConfigError(
            f"{folder} holds an export, and also {others[0].relative_to(folder)}, which no export wrote. Nothing was "
            "overwritten. Move it to another place, or give another folder."
        )
    return True


KIND = OutputKind("Power BI project", _is_our_project, is_folder=True)
