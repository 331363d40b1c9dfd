"""Commands that write and read tables: build, export."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quivo_frames.cli.default_places import default_archive, default_tables, existing_file, has_tables, read_project
from quivo_frames.cli.options import as_json, print_facts, print_lines, print_result, quiet_option
from quivo_frames.cli.params import DayOrInstantParam, PlaceParam
from quivo_frames.cli.slice_options import open_slice, slice_options
from quivo_frames.display.text import format_count, noun_for, print_text
from quivo_frames.errors import ConfigError

if TYPE_CHECKING:
    from quivo_frames.dataset.dataset import Dataset

# Repeated here, as the export modules load polars.
FORMS = ("parquet", "delta", "duckdb", "excel", "csv", "ocel", "ducklake", "powerbi")
LEVELS = ("full", "pseudonym", "none")
READERS = (
    "powerbi",
    "tableau",
    "excel",
    "snowflake",
    "bigquery",
    "spark",
)  # repeated here likewise; a test compares them


@click.command()
@click.argument("inputs", nargs=-1, type=PlaceParam())
@click.option(
    "--out",
    metavar="DIR|ADDRESS",
    type=PlaceParam(),
    help="Folder or address for the tables.  [default: tables, or what quivo.toml names]",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Threads or processes that share the work.  [default: as many as the machine has cores]",
)
@click.option(
    "--on",
    default="local",
    show_default=True,
    metavar="ENGINE",
    help="Engine that shares the work: local, dask://HOST:PORT, spark://HOST:PORT, or sc://HOST:PORT (Spark Connect).",
)
@click.option(
    "--format",
    "form",
    default="parquet",
    show_default=True,
    type=click.Choice(("parquet", "delta")),
    help="delta: each table is also a Delta table.",
)
@click.option("--full", is_flag=True, help="Rebuild all orders, not only those with a new answer.")
@click.option(
    "--as-of",
    type=DayOrInstantParam(),
    help="Only answers until this day (its end) or instant, UTC, or yesterday, 7d (ago); for archives only.",
)
@click.option(
    "--privacy",
    type=click.Choice(LEVELS),
    help="Personal values.  [default: full; without --out, what quivo.toml says of its tables]",
)
@click.option(
    "--no-derived", is_flag=True, help="Only the 18 tables, without lines, line_rows, overview, milestones and events."
)
@click.option("--strict", is_flag=True, help="Exit with status 1 if anything was noted, not only if orders failed.")
@quiet_option
@as_json
def build(
    inputs: tuple[str, ...], out: str | None, jobs: int | None, on: str, form: str, full: bool, as_of: str | None,
    privacy: str | None, no_derived: bool, strict: bool, as_json: bool,
) -> None:  # fmt: skip
    """Build the tables from archives, their raw exports, files of orders, or folders of such files.

    By default from the archive that quivo.toml in this folder names, else orders.sqlite.

    Files of orders are .ndjson or .json, also as .gz or .zst; raw exports are what `export-raw` wrote, in a folder or
    at an address such as s3://lake/quivo/orders.

    A repeated build from the same archives rebuilds only the orders with a new answer; the tables are the same as
    after a full build. --privacy pseudonym replaces each personal text with a pseudonym under the key
    QUIVO_PSEUDONYM_KEY; none leaves personal values out.

    With --on, a running engine shares the work; it must be able to read the inputs and to write to --out. Tables
    built with an engine, at an address, or as delta, have several files each.

    Example: quivo-frames build

    Example: quivo-frames build orders.sqlite --out tables-in-june --as-of 2026-06-30 --privacy none

    Example: quivo-frames build s3://lake/quivo/orders --out s3://lake/tables --on dask://scheduler:8786
    """
    from quivo_frames.builder.build import build as build_tables
    from quivo_frames.executors.connect import connect_engine
    from quivo_frames.settings.project import BuildSection

    usual = BuildSection() if out else read_project().build
    began = datetime.now(UTC).replace(microsecond=0)
    with nullcontext() if on == "local" else connect_engine(on) as executor:
        dataset = build_tables(
            list(inputs) or [str(default_archive())], out or read_project().tables, full=full, as_of=as_of,
            privacy=privacy or usual.privacy, jobs=jobs, executor=executor, form=form,
            derived=usual.derived and not no_derived,
        )  # fmt: skip
    failed, noted = dataset.manifest["orders"]["failed"], dataset.counts()["notes"]
    if as_json:
        print_facts(dataset.manifest)
    else:
        print_text(repr(dataset))
        if (built_at := datetime.fromisoformat(dataset.manifest["built_at"])) < began:
            print_text(f"Nothing has changed since {built_at:%Y-%m-%d %H:%M} UTC: the tables stay as they are.")
        elif (made := dataset.manifest["made"]) < dataset.manifest["orders"]["in"]:
            rebuilt = f"{format_count(made, 'order')} {noun_for(made, 'was', 'were')} rebuilt"
            print_text(f"{rebuilt}; the answers of the others are the same. --full rebuilds all.")
        if failed:
            missing = f"{format_count(failed, 'order')} {noun_for(failed, 'is', 'are')} in no table"
            print_text(f"{missing}; {dataset.files('failures')[0]} says why:")
            print_lines(dataset.failures["message"].to_list())
        if noted:
            things = f"{format_count(noted, 'thing')} {noun_for(noted, 'was', 'were')} noted"
            print_text(f"{things}; {dataset.files('notes')[0]} has all of it:")
            rows = dataset.notes.select("count", "path", "message").iter_rows()
            print_lines([f"{count:,} x {path}: {message}" for count, path, message in rows])
    sys.exit(1 if failed or (strict and noted) else 0)


@click.command()
@click.argument("folder", metavar="[TABLES]", required=False, type=PlaceParam())
@click.option("--to", type=click.Choice(FORMS), help="What to write to OUT.")
@click.argument("out", metavar="[OUT]", required=False, type=PlaceParam())
@click.option(
    "--check", "reader", type=click.Choice(READERS), help="Write nothing; list what this reader would change."
)
@click.option("--privacy", type=click.Choice(LEVELS), help="Personal values.  [default: as in the tables]")
@click.option("--by-month", is_flag=True, help="parquet: a folder for each month of the order date.")
@slice_options
@as_json
def export(
    folder: str | None, to: str | None, out: str | None, reader: str | None, privacy: str | None, by_month: bool,
    as_json: bool, where: dict[str, Any],
) -> None:  # fmt: skip
    """Write the tables for other tools: a folder of parquet, Delta tables or CSV, a DuckDB or Excel file, and others.

    A single name is OUT, except with --check. An earlier export there is replaced; in Delta and DuckLake, the rows of
    these orders are replaced and other orders stay. For parquet and Delta, OUT may be an address such as
    s3://bucket/orders, with the credentials that the store's own tools use (environment, profile).

    ducklake has all tables in one commit, and each export that changes something is a snapshot that stays readable. OUT
    is a folder, or postgres://user@host/database?data_path=/folder; a password is read from PGPASSWORD or ~/.pgpass.

    A folder of parquet files (not by month) is a folder of tables again, also of some of the orders: it can be audited,
    shown and exported. `build` does not replace it.

    excel has an Excel table for each table, and the findings of an audit and the key figures beside them,
    and sheets for pivot tables.

    ocel is an object-centric event log for process mining (OCEL 2.0), as SQLite if OUT ends in .sqlite, else as JSON.

    powerbi is a folder with a Power BI project: a model of the tables with the key figures as measures, and the data.

    With --check nothing is written: it lists what a reader would change in these tables, or refuse, according to its
    documentation. Exit status 1 if it would refuse anything.

    Example: quivo-frames export --to duckdb orders.duckdb

    Example: quivo-frames export --to excel orders.xlsx --privacy none

    Example: quivo-frames export --to parquet for-alpine --seller 2101 --since 2026-06-01 --privacy none

    Example: quivo-frames export tables --to ocel events.sqlite

    Example: quivo-frames export --to ducklake lake

    Example: quivo-frames export --to powerbi for-power-bi

    Example: quivo-frames export --check powerbi
    """
    from quivo_frames.analysis.workbook import export_with_answers

    if to and folder and not (out or reader or _is_source(folder)):
        folder, out = None, folder
    if reader:
        if to or out or privacy or by_month:
            raise ConfigError("--check writes nothing. Leave out --to, OUT, --privacy and --by-month, or --check.")
        _check_for_reader(open_slice(folder or default_tables(), where), reader, as_json)
    elif to and out:
        tables = open_slice(folder or default_tables(), where)
        audited = read_project()
        exported = export_with_answers(
            tables, to, out, privacy=privacy, by_month=by_month, limits=audited.audit.limits,
            accepted=existing_file(audited.audit.accepted), on_time_against=audited.report.on_time_against,
        )  # fmt: skip
        print_result(exported._asdict(), exported, as_json=as_json)
    else:
        raise ConfigError(
            "Say what to write, and where (--to duckdb orders.duckdb), or for whom to check (--check excel)."
        )


def _is_source(folder: str) -> bool:
    """Whether there are tables in a folder that were not exported there, so that it is no OUT."""
    from quivo_frames.storage.atomic import EXPORT_MARKER

    return has_tables(folder) and not (Path(folder) / EXPORT_MARKER).exists()


def _check_for_reader(tables: Dataset, reader: str, as_json: bool) -> None:
    from quivo_frames.export.compatibility.check import check_for
    from quivo_frames.export.compatibility.limit import Effect
    from quivo_frames.export.compatibility.page import format_findings

    found = check_for(tables, reader)
    print_result(found.to_dicts(), format_findings(found, reader), as_json=as_json)
    sys.exit(1 if (found["effect"] == Effect.REFUSES).any() else 0)
