"""Options of commands that work on all orders of the tables, or on some of them."""

from __future__ import annotations

import functools
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from quivo_frames.cli.params import DayOrInstantParam, FileParam, InstantParam, WordParam
from quivo_frames.display.text import print_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from quivo_frames.dataset.dataset import Dataset

_ID_LIST = re.compile(r"\d+(?:[\s,]+\d+)*,?", re.ASCII)
_AGAIN = "may be given several times"


class OrderIdsParam(FileParam):
    """Order ids separated by commas, or a file of ids."""

    name = "ids"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The ids as text, or the path of the file."""
        if isinstance(value, str) and _ID_LIST.fullmatch(value.strip()):
            return value
        return super().convert(value, param, ctx)


def slice_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options that choose orders; the command gets them as `where`, for `open_slice`."""
    several: dict[str, Any] = {"multiple": True, "type": WordParam()}
    who: dict[str, Any] = {"metavar": "NAME|NUMBER", **several}
    ids: dict[str, Any] = {"metavar": "FILE|ID,ID", "type": OrderIdsParam(allow_dash=True)}
    ago = "or instant, UTC, or yesterday, 7d (ago)."
    options = (
        click.option("--seller", "sellers", help=f"Only orders of this seller; {_AGAIN}.", **who),
        click.option("--warehouse", "warehouses", help=f"Only orders of this warehouse; {_AGAIN}.", **who),
        click.option(
            "--status", "statuses", metavar="STATUS", help=f"Only orders in this status; {_AGAIN}.", **several
        ),
        click.option("--since", type=InstantParam(), help=f"Only orders since this day {ago}"),
        click.option("--until", type=DayOrInstantParam(), help=f"Only orders until this day (its end) {ago}"),
        click.option("--ids", "chosen_ids", help="Only these orders: ids, or a file of them; - is stdin.", **ids),
    )

    @functools.wraps(command)
    def with_conditions(
        *, sellers: tuple[str, ...], warehouses: tuple[str, ...], statuses: tuple[str, ...], since: datetime | None,
        until: str | None, chosen_ids: object, **others: Any,
    ) -> None:  # fmt: skip
        given = {
            "seller": sellers or None, "warehouse": warehouses or None, "status": statuses or None, "since": since,
            "until": until, "ids": None if chosen_ids is None else list(_read_chosen_ids(chosen_ids)),
        }  # fmt: skip
        command(where={name: value for name, value in given.items() if value is not None}, **others)

    return functools.reduce(lambda decorated, option: option(decorated), reversed(options), with_conditions)


def open_slice(folder: str, where: Mapping[str, Any]) -> Dataset:
    """The dataset of a folder, or the slice of it that was asked for, whose size is printed on stderr."""
    from quivo_frames.dataset.dataset import Dataset

    tables = Dataset.open(folder).where(**where)
    if tables.conditions:
        print_text(tables.summary_line(), to_stderr=True)
    return tables


def _read_chosen_ids(given: object) -> Iterable[int]:
    from quivo_frames.fetch.order_ids import read_ids, validate_ids

    if isinstance(given, str):
        return validate_ids(re.findall(r"\d+", given))
    return read_ids(sys.stdin.buffer if str(given) == "-" else given)  # type: ignore[arg-type]
