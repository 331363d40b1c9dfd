"""The tour: the whole way from ids to tables and a report, on the stand-in API, with failures on purpose. Floor 8."""

from __future__ import annotations

from pathlib import Path

import click

from quivo_frames.archive.archive import Archive
from quivo_frames.builder.build import build
from quivo_frames.display.text import format_count, terminal_text
from quivo_frames.errors import ConfigError
from quivo_frames.fetch.client import Client
from quivo_frames.fetch.run import refetch
from quivo_frames.model.tables import TABLES
from quivo_frames.settings import Settings
from quivo_frames.standin.faults import ServerFault
from quivo_frames.standin.order_state import TODAY
from quivo_frames.standin.server import StandIn

_SEED = 7
_MARK = ".quivo-frames-demo"


def run_demo(folder: Path, orders: int) -> None:
    """Works in `folder`: the archive of the answers, the tables and the report stay there."""
    archive_file, tables = folder / "orders.sqlite", folder / "tables"
    _claim_folder(folder)
    for old in folder.glob("orders.sqlite*"):
        old.unlink()
    ids = StandIn(orders).order_ids
    broken, recovering, unknown = ids[10], ids[20], ids[-1] + 1
    faults = {broken: [ServerFault.cut_json(times=None)], recovering: [ServerFault.status(503, times=2)]}

    with StandIn(orders, seed=_SEED, faults=faults) as api:
        _print_step(f"1. A stand-in of the Quivo API runs at {api.base_url}: real HTTP, {orders} made-up orders.")
        settings = Settings.load(
            api_key=api.api_key, username=api.username, password=api.password, base_url=api.base_url
        )
        with Client(settings, backoff=0.1) as client, Archive(archive_file) as archive:
            _print_step("2. Find the orders (quivo-frames find):")
            found = list(client.find())
            click.echo(f"   {len(found)} ids, {found[0]} to {found[-1]}")

            _print_step("3. Refetch them, and keep every answer as received (quivo-frames refetch):")
            click.echo(
                "   three orders have trouble on purpose: one is unknown, one answers broken JSON, one is busy at first"
            )
            done = refetch([*found, unknown], client, archive)
            click.echo(f"   {done}")
            for order_id, message in done.failures.select("order_id", "message").iter_rows():
                click.echo(f"   order {order_id}: {message}")
            recovered = archive.attempts()
            tries = recovered.filter(recovered["order_id"] == recovering)["tries"].item()
            click.echo(f"   order {recovering} was busy, and came at try {tries}")

    _print_step(f"4. Build the tables (quivo-frames build {archive_file} --out {tables}):")
    dataset = build(archive_file, tables)
    for name, count in dataset.counts().items():
        grain = f"one row per {TABLES[name].grain}" if name in TABLES else ""
        click.echo(f"   {name:<24}{count:>7,}  {grain}".rstrip())

    _print_step("5. A look at one table (dataset.shipments):")
    columns = ["order_id", "shipment_key", "provider_name", "ship_date", "expected_delivery_date", "delivery_date"]
    click.echo(str(dataset.scan.shipments.select(columns).head(6).collect()))

    _print_step("6. Go on from here in Python:")
    click.echo(f'   import quivo_frames as qf\n   tables = qf.open("{tables}"); tables.shipments')
    click.echo(f'   (or polars.read_parquet("{tables}/shipments.parquet"), or any tool that reads parquet)')

    from quivo_frames.analysis.report.report import report  # late: charts take their time to load

    page = folder / "report.html"
    as_of = f"{TODAY:%Y-%m-%dT%H:%MZ}"  # up to when the made-up orders tell
    _print_step(f"7. Audit them (quivo-frames audit {tables} --as-of {as_of} --html {page}):")
    findings = report(dataset, page, TODAY, on_time_against="expected_delivery_date")
    click.echo(f"   {findings.headline()}. The most telling:")
    for check, orders, example in findings.by_check().head(3).select("check", "orders", "example").iter_rows():
        click.echo(f"   {check} ({format_count(orders, 'order')}): {terminal_text(example)}")
    click.echo(f"   The report, for any browser: {page}")


def _claim_folder(folder: Path) -> None:
    """Makes the folder, or takes that of an earlier demo: what lies in any other is somebody's own."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / _MARK).exists():
            raise ConfigError(f"{folder} is not empty, and not of an earlier demo. Give a new folder: --out FOLDER.")
        (folder / _MARK).touch()
    except OSError as error:
        reason = error.strerror or "the system refuses"
        raise ConfigError(f"{folder} cannot be worked in: {reason}. Give another folder: --out FOLDER.") from error


def _print_step(text: str) -> None:
    click.echo(f"\n{click.style(text, bold=True)}")
