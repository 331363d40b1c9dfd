"""The demo: from order ids to tables and a report, on the stand-in API, with failures on purpose."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from quivo_frames.analysis.checks.audit import audit
from quivo_frames.analysis.report.report import report, require_chart_libraries
from quivo_frames.archive.archive import Archive
from quivo_frames.builder.build import build
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.display.text import format_count, print_text, terminal_text
from quivo_frames.errors import ConfigError, ExportError, is_disk_full
from quivo_frames.explorer.explore import require_web_libraries
from quivo_frames.fetch.client import Client
from quivo_frames.fetch.run import refetch
from quivo_frames.model.derived import dataset_tables
from quivo_frames.settings.settings import Settings
from quivo_frames.standin.faults import ServerFault
from quivo_frames.standin.order_state import TODAY
from quivo_frames.standin.server import StandIn
from quivo_frames.storage.atomic import OWNER_ONLY, create_private_folder
from quivo_frames.storage.place import refuse_output_place

_SEED = 7
_MARK = ".quivo-frames-demo"


def run_demo(folder: Path, orders: int) -> None:
    """Runs the demo in `folder`, where the archive, the tables and the report stay."""
    archive_file, tables = folder / "orders.sqlite", folder / "tables"
    _claim_folder(folder)
    _remove_earlier_archive(archive_file)
    _refetch_from_standin(archive_file, orders)
    _print_step(f"4. Build the tables (quivo-frames build {archive_file} --out {tables}):")
    dataset = build(archive_file, tables)
    _show_tables(dataset, tables)
    _audit_tables(dataset, tables, folder / "report.html")


def _refetch_from_standin(archive_file: Path, orders: int) -> None:
    """Steps 1 to 3: a stand-in API with faults, the search for orders, and their refetch."""
    ids = StandIn(orders).order_ids
    broken, recovering, unknown = ids[10], ids[15], ids[-1] + 1
    faults = {broken: [ServerFault.cut_json(times=None)], recovering: [ServerFault.status(503, times=2)]}
    with StandIn(orders, seed=_SEED, faults=faults) as api:
        _print_step(f"1. A stand-in of the Quivo API runs at {api.base_url}: real HTTP, {orders} made-up orders.")
        settings = Settings.load(
            api_key=api.api_key, username=api.username, password=api.password, base_url=api.base_url
        )
        with Client(settings, backoff=0.1) as client, Archive(archive_file) as archive:
            _print_step("2. Find the orders (quivo-frames find):")
            found = list(client.find())
            print_text(f"   {format_count(len(found), 'id')}, {found[0]} to {found[-1]}")

            _print_step("3. Refetch them, and keep every answer as received (quivo-frames refetch):")
            print_text(
                "   three orders fail on purpose: one is unknown, one answer is broken JSON, one is busy at first"
            )
            run = refetch([*found, unknown], client, archive)
            print_text(f"   {run}")
            for order_id, message in run.failures.select("order_id", "message").iter_rows():
                print_text(f"   order {order_id}: {message}")
            tries = archive.attempts().filter(order_id=recovering)["tries"].item()
            print_text(f"   order {recovering} was busy, and was fetched at try {tries}")


def _show_tables(dataset: Dataset, tables: Path) -> None:
    """The rest of step 4, and steps 5 and 6: the tables, a look at one, and how to open them in Python."""
    known = dataset_tables(derived=True)
    for name, count in dataset.counts().items():
        grain = f"one row per {known[name].grain}" if name in known else ""
        print_text(f"   {name:<24}{count:>7,}  {grain}".rstrip())

    _print_step("5. A look at one table (dataset.shipments):")
    columns = ["order_id", "shipment_key", "provider_name", "ship_date", "expected_delivery_date", "delivery_date"]
    with pl.Config(tbl_formatting="ASCII_MARKDOWN"):  # every terminal has these characters
        print_text(dataset.scan.shipments.select(columns).head(6).collect())

    _print_step("6. Continue in Python:")
    print_text(f'   import quivo_frames as qf\n   tables = qf.open("{tables}"); tables.shipments')
    print_text(f'   (or polars.read_parquet("{tables}/shipments.parquet"), or any tool that reads parquet)')


def _audit_tables(dataset: Dataset, tables: Path, page: Path) -> None:
    """Step 7: the audit, and its report if that can be drawn."""
    as_of = f"{TODAY:%Y-%m-%dT%H:%MZ}"  # the made-up orders end here
    command = f"quivo-frames audit {tables} --as-of {as_of}"
    try:
        require_chart_libraries()
    except ConfigError as error:
        _print_step(f"7. Audit them ({command}):")
        findings, outcome = audit(dataset, TODAY), str(error)
    else:
        _print_step(f"7. Audit them ({command} --html {page}):")
        findings = report(dataset, page, TODAY, on_time_against="expected_delivery_date")
        outcome = f"The report, for any browser: {page}"
    print_text(f"   {findings.headline()}. The most telling:")
    for check, orders, example in findings.by_check().head(3).select("check", "orders", "example").iter_rows():
        print_text(f"   {check} ({format_count(orders, 'order')}): {terminal_text(example)}")
    print_text(f"   {outcome}")

    _print_step("8. Explore them in a browser: every figure leads to its orders, until Ctrl-C:")
    print_text(f"   quivo-frames explore {tables}")
    try:
        require_web_libraries()
    except ConfigError as error:
        print_text(f"   {error}")


def _claim_folder(folder: Path) -> None:
    """Creates the folder, or reuses that of an earlier demo; any other folder belongs to the user."""
    refuse_output_place(folder, "folder of the demo")
    try:
        create_private_folder(folder)
        if any(folder.iterdir()) and not (folder / _MARK).exists():
            raise ConfigError(f"{folder} is not empty, and not from an earlier demo. Give a new folder: --out FOLDER.")
        (folder / _MARK).touch(mode=OWNER_ONLY)
    except OSError as error:
        reason = error.strerror or "the system refuses"
        raised_class = ExportError if is_disk_full(error) else ConfigError
        raise raised_class(f"{folder} cannot be used: {reason}. Give another folder: --out FOLDER.") from error


def _remove_earlier_archive(file: Path) -> None:
    """Removes the archive of an earlier demo; one into which the user refetched orders since then stays."""
    if file.exists() and Archive(file).runs().height > 1:
        raise ConfigError(
            f"{file} holds more than an earlier demo wrote. Nothing was overwritten. Give a new folder: --out FOLDER."
        )
    for ending in ("", "-wal", "-shm", ".lock"):
        file.with_name(f"{file.name}{ending}").unlink(missing_ok=True)


def _print_step(text: str) -> None:
    print_text()
    print_text(text, bold=True)
