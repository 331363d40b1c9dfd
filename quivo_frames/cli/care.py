"""Commands that look after archives and tables: check, forget, export-raw."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from quivo_frames.cli.options import archive_option, as_json
from quivo_frames.errors import ConfigError


@click.command()
@click.argument("place", metavar="DIR|ARCHIVE")
@as_json
def check(place: str, as_json: bool) -> None:
    """Check that tables or an archive are as they were written. Exit status 1 if they are not. Changes nothing.

    Example: quivo-frames check tables

    Example: quivo-frames check orders.sqlite
    """
    from quivo_frames.maintenance.integrity import check as check_of

    found = check_of(place)
    click.echo(json.dumps(found.facts()) if as_json else str(found))
    sys.exit(1 if found.flaws.height else 0)


@click.command()
@click.argument("ids", nargs=-1, metavar="[ORDER]...")
@click.option("--honour-removed", is_flag=True, help="Orders whose personal data was removed at Quivo, see above.")
@archive_option
@click.option("--tables", multiple=True, metavar="DIR", help="Folder of tables; as many as are.")
@click.option(
    "--receipt",
    type=click.Path(path_type=Path),
    help="File that the receipt is added to.  [default: ARCHIVE.forgotten.ndjson]",
)
@click.option("--yes", is_flag=True, help="Do not ask before erasing.")
@as_json
def forget(
    ids: tuple[str, ...], honour_removed: bool, archive: Path, tables: tuple[str, ...], receipt: Path | None,
    yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Erase orders for good: from the archive, from folders of tables, and from what these were exported to.

    What is left is a receipt: which orders, when, where, and how much. Exit status 1 if something could not be
    reached: the receipt names it, and the same command again erases it there. What was written by export-raw is not
    reached: export there again, which replaces it.

    With --honour-removed, orders whose newest answer says piiDataRemoved lose their personal values in the older
    answers of the archive; all else in these stays.

    Example: quivo-frames forget 100017 --tables tables

    Example: quivo-frames forget --honour-removed --yes
    """
    from quivo_frames.fetch.order_ids import validate_ids
    from quivo_frames.maintenance.erasure import ErasureReceipt
    from quivo_frames.maintenance.erasure import forget as forget_of
    from quivo_frames.maintenance.erasure import honour_removed as honour

    if honour_removed == bool(ids) or (honour_removed and tables):
        raise ConfigError("Give either orders, with --tables where there are any, or --honour-removed.")
    what = "the personal values of orders removed at Quivo" if honour_removed else f"{len(set(ids)):,} orders for good"
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"This erases {what}: say --yes where nobody can be asked.")
        if not click.confirm(f"This erases {what}. Go on?", err=True):
            raise ConfigError("Nothing was erased.")
    receipt = receipt or archive.with_name(f"{archive.name}.forgotten.ndjson")
    order_ids = validate_ids(ids) if ids else []
    ErasureReceipt.require_writable(receipt)
    done = honour(archive) if honour_removed else forget_of(order_ids, archive, tables)
    done.write(receipt)
    click.echo(json.dumps(done.facts()) if as_json else str(done))
    sys.exit(1 if done.left else 0)


@click.command()
@archive_option
@click.argument("address", metavar="DIR|ADDRESS")
@as_json
def export_raw(archive: Path, address: str, as_json: bool) -> None:
    """Write all answers of an archive as parquet to a folder, or an address (s3://, gs://, az://).

    There `build` reads them as it reads the archive, from any machine. Done again, it replaces what was there, and
    writes only what is new. Headers, runs and the ledger stay in the archive.

    Example: quivo-frames export-raw --archive orders.sqlite s3://lake/quivo/orders
    """
    from quivo_frames.archive.archive import Archive

    with Archive(archive) as opened:
        done = opened.export(address)
    click.echo(json.dumps(done.facts()) if as_json else str(done))
