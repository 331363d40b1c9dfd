"""The command `show`: one order, by what people have in hand."""

from __future__ import annotations

from pathlib import Path

import click

from quivo_frames.cli.default_places import (
    TABLES_HELP,
    accepted_option,
    default_archive,
    limits_option,
    tables_or_default,
)
from quivo_frames.cli.options import as_json, print_facts
from quivo_frames.cli.params import FileParam, PlaceParam, WordParam
from quivo_frames.display.text import print_json, print_text
from quivo_frames.errors import ConfigError


@click.command()
@click.argument("wanted", metavar="ORDER", type=WordParam())
@click.option(
    "--from",
    "folder",
    metavar="TABLES",
    type=PlaceParam(),
    callback=tables_or_default,
    help=f"The tables.  [default: {TABLES_HELP}]",
)
@click.option("--history", "with_history", is_flag=True, help="Also what changed from each refetch to the next.")
@click.option(
    "--archive",
    type=FileParam(),
    help="The archive that --history is read from.  [default: orders.sqlite, or what quivo.toml names]",
)
@limits_option
@accepted_option
@as_json
def show(
    wanted: str, folder: str, with_history: bool, archive: Path | None, limits: Path | None, accepted: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Show one order: promised days, findings, events, lines, and how they are packed.

    ORDER is its number, its identifier or reference, the customer's purchase order, a tracking number or an SSCC. If
    several orders have it, they are listed. Personal data are shown with --json only, which prints the whole order.

    Example: quivo-frames show 100017

    Example: quivo-frames show SHOP-4711 --history
    """
    from quivo_frames.analysis.order_page import order_as_json, print_order, read_order
    from quivo_frames.analysis.order_search import explain_nothing_found, find_orders, print_orders
    from quivo_frames.analysis.single_order import order
    from quivo_frames.dataset.dataset import Dataset

    if as_json and with_history:
        raise ConfigError("--json prints the order alone: `quivo-frames history ORDER --json` has its changes.")
    dataset = Dataset.open(folder)
    found = find_orders(dataset, wanted)
    if found.is_empty():
        raise ConfigError(explain_nothing_found(dataset, wanted))
    order_id = found["order_id"][0]
    if found.height > 1:
        print_facts(found.to_dicts()) if as_json else print_orders(found, wanted)
    elif as_json:
        print_json(order_as_json(read_order(dataset, order_id)))
    else:
        shown = order(dataset, order_id, limits=limits, accepted=accepted)
        print_order(shown.tables, shown.findings, shown.carriers)
        if with_history:
            _print_history(archive or default_archive(), order_id)


def _print_history(archive: Path, order_id: int) -> None:
    from quivo_frames.analysis.changes.changes import describe_changes, history

    print_text("\nHistory", bold=True)
    for line in describe_changes(history(archive, order_id, personal=False)):
        print_text(f"  {line}")
