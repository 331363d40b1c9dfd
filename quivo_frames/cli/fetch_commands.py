"""Commands around the API: refetch, find, status, and serve for the stand-in."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quivo_frames.cli.default_places import archive_option, new_archive_option
from quivo_frames.cli.options import (
    as_json,
    connection_options,
    print_facts,
    print_lines,
    print_result,
    quiet_option,
    require_consent,
)  # fmt: skip
from quivo_frames.cli.params import DurationParam, FileParam, InstantParam
from quivo_frames.display.progress import is_progress_hidden
from quivo_frames.display.text import format_count, print_text
from quivo_frames.errors import ConfigError
from quivo_frames.settings.durations import DURATION_FORMS, INSTANT_FORMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from quivo_frames.archive.archive import Archive
    from quivo_frames.display.progress import Progress
    from quivo_frames.fetch.order_ids import Ids
    from quivo_frames.fetch.run import Run

CONFIRM_FROM = 100
"""This many requests need consent, at the terminal or by --yes, as each refetch makes Quivo read the shop again."""


@click.command()
@click.argument("ids", nargs=-1)
@click.option(
    "--ids",
    "ids_file",
    type=FileParam(allow_dash=True),
    help="File with ids: text, .csv, .xlsx, .parquet, or .json of webhook events (or a folder of them), also as .gz "
    "or .zst; - is stdin.",
)
@click.option("--column", help="Column of the ids.  [default: a name such as order_id, orderId, Order ID, id]")
@click.option("--failed-of", type=click.IntRange(1), metavar="RUN", help="Only the failed orders of this run.")
@new_archive_option
@click.option(
    "--workers", default=4, show_default=True, type=click.IntRange(1, 64), help="Maximum number of concurrent requests."
)
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Maximum number of requests per second.")
@click.option("--max-age", type=DurationParam(), help=f"Skip orders fetched within this time: {DURATION_FORMS}.")
@click.option("--new-run", is_flag=True, help="Start over instead of resuming an unfinished run of these ids.")
@click.option("--again", is_flag=True, help="Also fetch orders that `forget` erased; else they are left out.")
@click.option("--service-moved", is_flag=True, help="The service of the archive has a new address; record it.")
@click.option("--dry-run", is_flag=True, help="Only show what would be requested.")
@click.option(
    "--yes", is_flag=True, help=f"Do not ask before {CONFIRM_FROM} or more requests; needed where there is no terminal."
)
@connection_options
@quiet_option
@as_json
def refetch(
    ids: tuple[str, ...], ids_file: Path | None, column: str | None, failed_of: int | None, archive: Path, workers: int,
    rate: float | None, max_age: timedelta | None, new_run: bool, again: bool, dry_run: bool, yes: bool, as_json: bool,
    service_moved: bool, connection: dict[str, Any],
) -> None:  # fmt: skip
    """Refetch orders and keep every answer in the archive. Safe to repeat: it resumes where it stopped.

    Example: quivo-frames refetch 100017 100018

    Example: quivo-frames refetch --ids export.csv --column 'Order ID' --dry-run

    Example: quivo-frames find --since 24h | quivo-frames refetch --ids -

    Example: quivo-frames refetch --failed-of 3
    """
    from quivo_frames.archive.archive import Archive
    from quivo_frames.fetch.client import Client
    from quivo_frames.fetch.run import plan as plan_run
    from quivo_frames.fetch.run import refetch as refetch_orders

    with Archive(archive) as opened:
        given = _chosen_order_ids(ids, ids_file, column, failed_of, opened)
        if not given:
            facts = {"event": "finished", "run": None, "asked": 0}
            print_result(facts, f"{given}: nothing to refetch.", as_json=as_json)
            return
        plan = plan_run(given, opened, max_age=max_age, new_run=new_run, again=again, rate=rate)
        if dry_run:
            print_result(plan.facts(), plan, as_json=as_json)
            return
        if plan.requests >= CONFIRM_FROM and not yes:
            require_consent(str(plan), "Nothing was requested.")
        with Client.from_env(rate=rate, **connection) as client:
            on_progress = _print_progress if as_json and not is_progress_hidden() else None
            run = refetch_orders(
                given, client, opened, workers=workers, max_age=max_age, new_run=new_run, again=again,
                service_moved=service_moved, progress=on_progress,
            )  # fmt: skip
        failures = run.failures
    _print_result(run, failures, archive, as_json=as_json)
    sys.exit(1 if failures.height else 0)


def _print_result(run: Run, failures: pl.DataFrame, archive: Path, *, as_json: bool) -> None:
    if as_json:
        _print_event("finished", run.facts())
        return
    print_text(str(run))
    rows = failures.select("order_id", "message").iter_rows()
    print_lines([f"Order {order_id}: {message}" for order_id, message in rows])
    if failures.height:
        print_text(
            f"`quivo-frames refetch --failed-of {run.run} --archive {archive}` fetches these again; "
            f"`quivo-frames status --archive {archive}` lists them."
        )


def _print_event(name: str, facts: Mapping[str, Any]) -> None:
    print_facts({"event": name, **facts})


def _print_progress(now: Progress) -> None:
    _print_event("progress", now._asdict())


def _chosen_order_ids(
    ids: tuple[str, ...], file: Path | None, column: str | None, failed_of: int | None, archive: Archive
) -> Ids:  # fmt: skip
    from quivo_frames.fetch.order_ids import Ids, read_failed_ids, read_ids, validate_ids

    if failed_of is not None:
        if ids or file or column:
            raise ConfigError("--failed-of names the orders by itself: leave out other ids, --ids and --column.")
        return read_failed_ids(archive, failed_of)
    if column and not file:
        raise ConfigError("--column belongs to a file of ids: give one with --ids FILE.")
    if not (ids or file):
        raise ConfigError("No order ids were given. Name them, or give a file of them: --ids FILE.")
    named = validate_ids(ids)
    if file is None:
        return Ids(named, "the command line")
    read = read_ids(sys.stdin.buffer if str(file) == "-" else file, column)
    if read.left_out or read.notes:
        print_text(str(read), to_stderr=True)
    return Ids(chain(named, read), f"{read.source} and the command line") if ids else read


@click.command()
@click.argument("query", default="")
@click.option(
    "--sort", default="orderId:asc", show_default=True, help="Field and direction, such as lastModified:desc."
)
@click.option("--limit", type=click.IntRange(1), help="Maximum number of ids.")
@click.option(
    "--since",
    type=InstantParam(),
    help=f"Only orders changed since then: {INSTANT_FORMS}. Days, and times without a zone, are UTC.",
)
@connection_options
def find(query: str, sort: str, limit: int | None, since: datetime | None, connection: dict[str, Any]) -> None:
    """Print the ids of the orders that match a query, one per line. QUERY is in Quivo's own query syntax.

    The search index lags a little behind the orders, so the latest changes may be missing. Let --since overlap with
    the previous search; repeated ids cost little with `refetch --max-age`.

    Sorted by orderId, no order is missed. With another sort, an order that changes during the search may move to a
    page that was read already, and many orders with the same value cannot be paged reliably: then a message says so.

    Example: quivo-frames find 'sellerId:2101 AND orderStatus:PROCESSING' --limit 500

    Example: quivo-frames find 'sellerId:2101 OR sellerId:2102' --since yesterday > ids.txt
    """
    from quivo_frames.fetch.client import Client

    found = False
    with Client.from_env(**connection) as client:
        for order_id in client.find(query, sort=sort, limit=limit, since=since):
            found = True
            if not print_text(order_id):
                break  # nobody reads any more
    if not found:
        matching = " matches the query" if query else ""
        changed = f"{' and' if query else ''} has changed since {since:%Y-%m-%d %H:%M} UTC" if since else ""
        print_text(f"No order{matching}{changed}." if matching or changed else "There are no orders.", to_stderr=True)


@click.command()
@archive_option
@as_json
def status(archive: Path, as_json: bool) -> None:
    """Show what was requested, what was fetched, what failed and why.

    Example: quivo-frames status
    """
    from quivo_frames.archive.archive import Archive
    from quivo_frames.archive.ledger import PERCENTILES

    with Archive(archive) as opened:
        runs, failures, counts = opened.runs(), opened.failures(), opened.counts()
    if as_json:
        facts = {"counts": counts, "runs": runs.to_dicts(), "failures": failures.to_dicts()}
        print_facts(facts)
        return
    nouns = {"orders": "order", "responses": "good answer", "runs": "run"}
    print_text(f"{archive}: {', '.join(format_count(counts[name], noun) for name, noun in nouns.items())}")
    for run in runs.iter_rows(named=True):
        state = f"finished {run['finished_at']:%Y-%m-%d %H:%M}" if run["finished_at"] else "not finished"
        print_text(
            f"  run {run['run']}, {run['started_at']:%Y-%m-%d %H:%M} UTC, {state}: {run['asked']:,} asked, "
            f"{run['fetched']:,} fetched, {run['skipped']:,} skipped, {run['failed']:,} failed, {run['left']:,} left"
        )
        if run["requests"]:
            times = ", ".join(
                f"{share} % within {run[f'latency_p{share}']:.2g} s"
                for share in PERCENTILES
                if run[f"latency_p{share}"] is not None
            )
            print_text(
                f"    {format_count(run['requests'], 'request')}, {run['rate'] or 0:.3g} a second, "
                f"{run['throttled'] / run['requests']:.1%} too many for Quivo (429); answered: {times or 'none'}"
            )
    if failures.height:
        print_text(f"Orders without a good answer: {failures.height:,}")
        rows = failures.select("order_id", "outcome", "message").iter_rows()
        print_lines([f"Order {order_id}: {outcome}. {message}" for order_id, outcome, message in rows])


@click.command()
@click.option(
    "--port", default=0, show_default="a free one", type=click.IntRange(0, 65535), help="Port on this machine."
)
@click.option("--orders", default=300, show_default=True, type=click.IntRange(1), help="Number of orders.")
@click.option("--seed", default=0, show_default=True, help="Another seed gives other orders.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Refuse more requests per second than this.")
@click.option("--latency", default=0.0, show_default=True, type=click.FloatRange(0), help="Seconds before each answer.")
def serve(port: int, orders: int, seed: int, rate: float | None, latency: float) -> None:
    """Serve the stand-in Quivo API on this machine, to try things without an account.

    Example: quivo-frames serve --port 8080 --orders 1000
    """
    from quivo_frames.standin.server import StandIn

    with StandIn(orders, seed=seed, port=port, rate=rate, latency=latency) as api, suppress(KeyboardInterrupt):
        print_text(f"Serving orders {api.order_ids[0]} to {api.order_ids[-1]}. Ctrl-C ends it.", to_stderr=True)
        print_text(f"export QUIVO_BASE_URL={api.base_url}")
        print_text(f"export QUIVO_API_KEY={api.api_key} QUIVO_USERNAME={api.username} QUIVO_PASSWORD={api.password}")
        api.wait()
