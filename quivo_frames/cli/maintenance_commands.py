"""Commands that maintain archives and tables: check, forget, export-raw."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from click.core import ParameterSource

from quivo_frames.cli.default_places import archive_option, default_archive, existing_places, new_archive_option
from quivo_frames.cli.options import as_json, print_result, quiet_option, require_consent
from quivo_frames.cli.params import FileParam, PlaceParam
from quivo_frames.display.text import format_count, terminal_text
from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.storage.path_names import check_path


@click.command()
@click.argument("target", metavar="[DIR|ARCHIVE]", required=False, type=PlaceParam())
@as_json
def check(target: str | None, as_json: bool) -> None:
    """Check that tables, an archive or a raw export are as they were written. Changes nothing.

    By default both the tables and the archive that quivo.toml in this folder names, else tables and orders.sqlite; with
    --json, a line each. Exit status 1 if it finds a flaw.

    Example: quivo-frames check

    Example: quivo-frames check orders.sqlite
    """
    from quivo_frames.maintenance.integrity import check as check_integrity

    flaws = 0
    for place in [target] if target else existing_places() or [str(default_archive())]:
        found = check_integrity(place)
        print_result(found.facts(), found, as_json=as_json)
        flaws += found.flaws.height
    sys.exit(1 if flaws else 0)


@click.command()
@click.argument("ids", nargs=-1, metavar="[ORDER]...")
@click.option("--honour-removed", is_flag=True, help="Orders whose personal data was removed at Quivo, see above.")
@new_archive_option
@click.option(
    "--tables",
    multiple=True,
    metavar="DIR",
    type=PlaceParam(),
    help="Folder of tables; may be given several times.  [default: tables, or what quivo.toml names, if they are there "
    "and --archive is not given]",
)
@click.option(
    "--receipt",
    type=FileParam(),
    help="File to append the receipt to.  [default: ARCHIVE.forgotten.ndjson, or DIR.forgotten.ndjson]",
)
@click.option("--yes", is_flag=True, help="Do not ask before erasing; needed where there is no terminal.")
@as_json
def forget(
    ids: tuple[str, ...], honour_removed: bool, archive: Path, tables: tuple[str, ...], receipt: Path | None,
    yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Erase orders for good: from the archive, from folders of tables, and from the exports of these tables.

    A receipt remains: which orders, when, where, and how much. Exit status 1 if something could not be reached: the
    receipt names it, and the same command again erases it there. It also names files that still hold the orders: those
    that the tables were built from, and reports, findings, changes and raw exports that were saved. Raw exports are
    replaced as a whole: export again to the same place. Tables that were built from files need no archive. `refetch`
    leaves the orders out from then on, unless it is given --again.

    With --honour-removed, personal values are removed from older answers in the archive about orders whose newest
    answer says piiDataRemoved; everything else in these answers stays.

    Example: quivo-frames forget 100017

    Example: quivo-frames forget 100017 --archive orders.sqlite --tables tables --tables other-tables

    Example: quivo-frames forget --honour-removed --yes
    """
    from quivo_frames.fetch.order_ids import validate_ids
    from quivo_frames.maintenance.erasure import forget as forget_orders
    from quivo_frames.maintenance.erasure import honour_removed as honour_removed_orders
    from quivo_frames.maintenance.receipt import ErasureReceipt

    if honour_removed == bool(ids) or (honour_removed and tables):
        raise ConfigError("Give either orders, with --tables where there are any, or --honour-removed.")
    is_given = click.get_current_context().get_parameter_source("archive") is not ParameterSource.DEFAULT
    only_tables = bool(tables) and not is_given and not archive.exists()
    if not (tables or is_given or honour_removed):
        places = existing_places() or [str(archive)]
        tables, only_tables = tuple(place for place in places if place != str(archive)), str(archive) not in places
    erased_from = " and ".join(terminal_text(place) for place in ([] if only_tables else [archive]) + [*tables])
    what = (
        "the personal values of orders removed at Quivo"
        if honour_removed
        else f"{format_count(len(set(ids)), 'order')} for good, from {erased_from}"
    )
    if not yes:
        require_consent(f"This erases {what}", "Nothing was erased.")
    receipt = receipt or _receipt_file_of(tables[0] if only_tables else archive)
    order_ids = validate_ids(ids) if ids else []
    ErasureReceipt.require_writable(receipt)
    done = (
        honour_removed_orders(archive)
        if honour_removed
        else forget_orders(order_ids, None if only_tables else archive, tables)
    )
    done.write(receipt)
    print_result(done.facts(), done, as_json=as_json)
    sys.exit(ExportError.exit_status if done.disk_is_full else 1 if done.left else 0)


def _receipt_file_of(place: str | Path) -> Path:
    """The receipt of an erasure: beside the archive or the folder; in the working folder for an address."""
    path = check_path(place).absolute()
    name = f"{path.name}.forgotten.ndjson"
    return Path(name) if "://" in str(place) else path.with_name(name)


@click.command()
@archive_option
@click.argument("address", metavar="DIR|ADDRESS", type=PlaceParam())
@quiet_option
@as_json
def export_raw(archive: Path, address: str, as_json: bool) -> None:
    """Write all answers of an archive as parquet to a folder, or an address (s3://, gs://, az://, abfss://).

    `build` reads them there as it reads the archive, from any machine. A repeated export replaces what was there, and
    writes only what is new. Headers, runs and the ledger stay in the archive.

    Example: quivo-frames export-raw --archive orders.sqlite s3://lake/quivo/orders
    """
    from quivo_frames.archive.archive import Archive

    with Archive(archive) as opened:
        done = opened.export(address)
    print_result(done.facts(), done, as_json=as_json)
