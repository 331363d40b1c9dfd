"""Which orders a slice has: conditions on seller, warehouse, date, id and status, and the orders that meet them."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Self

import msgspec
import polars as pl

from quivo_frames.display.text import terminal_text
from quivo_frames.errors import ConfigError
from quivo_frames.model.tables import ORDER_ID
from quivo_frames.model.time import InstantLike, parse_beginning, parse_instant

NumberOrName = int | str
ScanTable = Callable[[str], pl.LazyFrame]
_MOST_NAMED = 10
"""How many names a message lists."""
_MOST_DIGITS = 1_000
"""Python refuses to read numbers of many more digits."""


class OrderConditions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an order must meet to be in a slice, all of it; None asks for nothing, an empty tuple for what no order has.

    `since` is included, `until` is not.
    """

    seller: tuple[NumberOrName, ...] | None = None
    warehouse: tuple[NumberOrName, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: tuple[int, ...] | None = None
    status: tuple[str, ...] | None = None

    def __str__(self) -> str:
        several = {"seller": self.seller, "warehouse": self.warehouse, "status": self.status}
        parts = [
            f"{name} {' or '.join(map(str, values)) or '–'}" for name, values in several.items() if values is not None
        ]
        parts += [f"{name} {at:%Y-%m-%d %H:%M}" for name, at in (("since", self.since), ("until", self.until)) if at]
        if self.ids is not None:
            parts.append(f"{len(self.ids):,} given ids" if len(self.ids) != 1 else f"id {self.ids[0]}")
        return ", ".join(parts) or "all orders"

    @property
    def is_about_ids_only(self) -> bool:
        """Whether nothing but ids is asked for, which orders that failed have as well."""
        return self.ids is not None and self == OrderConditions(ids=self.ids)

    def without_orders(self, order_ids: Collection[int]) -> OrderConditions:
        """The same without some of its ids."""
        if self.ids is None:
            return self
        return msgspec.structs.replace(self, ids=tuple(one for one in self.ids if one not in order_ids))


class SelectableOrders(ABC):
    """Tables of orders of which a part can be taken."""

    def where(
        self, *, seller: NumberOrName | Iterable[NumberOrName] | None = None,
        warehouse: NumberOrName | Iterable[NumberOrName] | None = None, since: InstantLike | None = None,
        until: InstantLike | None = None, ids: Iterable[int] | int | None = None,
        status: str | Iterable[str] | None = None,
    ) -> Self:  # fmt: skip
        """The part of the tables that is about some orders: those that meet all conditions.

            june = tables.where(seller=1882, since="2026-06-01", until="2026-06-30")

        `seller` and `warehouse` are one or several, by number or by name; a name stands for all numbers that have it.
        An order is of the warehouses of its fulfillment orders, and of its own where none of these names one. `since`
        and `until` are about the order date: an instant or a day (UTC); the day of `until` is included, an instant is
        not. Orders without a date are in no such part. `ids` are order ids, `status` is one or several order statuses,
        written as in the tables.

        Parts can be divided further, every row that a row refers to is there, and a part may have no orders. Failures
        are there where nothing but ids is asked for: an order that failed has no seller, and no date.

        Raises:
            ConfigError: an id, a day or a name is none; or, when the tables are first read, no order has a seller, a
                warehouse or a status of that name.
        """
        conditions = OrderConditions(
            _list_names(seller, "seller"), _list_names(warehouse, "warehouse"),
            None if since is None else parse_beginning(since), None if until is None else parse_instant(until),
            None if ids is None else _list_ids(ids),
            None if status is None else (status,) if isinstance(status, str) else tuple(status),
        )  # fmt: skip
        return self if conditions == OrderConditions() else self._narrow_to(conditions)

    def only(self, order_ids: Iterable[int] | int) -> Self:
        """The part of the tables that is about some orders, or one, by their ids; with their failures.

        Raises:
            ConfigError: an id is not a whole number.
        """
        return self._narrow_to(OrderConditions(ids=_list_ids(order_ids)))

    @abstractmethod
    def _narrow_to(self, conditions: OrderConditions) -> Self: ...


def _list_ids(given: Iterable[int] | int) -> tuple[int, ...]:
    try:
        ids = [given] if isinstance(given, int) else list(given)
        return tuple(pl.Series(ids, dtype=pl.Int64).drop_nulls().unique(maintain_order=True))
    except (TypeError, OverflowError) as error:
        raise ConfigError("Order ids are whole numbers: give one, or a list of them.") from error


def _list_names(given: NumberOrName | Iterable[NumberOrName] | None, noun: str) -> tuple[NumberOrName, ...] | None:
    if given is None:
        return None
    try:
        several = [given] if isinstance(given, str | int) else list(given)
        return tuple(one if isinstance(one, str) else operator.index(one) for one in several)
    except TypeError as error:
        raise ConfigError(f"A {noun} is a whole number or a name: give one, or a list of them.") from error


def shared_ids(where: Sequence[OrderConditions]) -> pl.Series | None:
    """The ids that all conditions name; None if they ask for more than ids."""
    if not all(conditions.is_about_ids_only for conditions in where):
        return None
    first, *others = (conditions.ids or () for conditions in where)
    kept = set(first).intersection(*others)
    return pl.Series(ORDER_ID.name, [one for one in first if one in kept], dtype=pl.Int64)


def find_order_ids(where: Sequence[OrderConditions], scan: ScanTable) -> pl.Series:
    """The ids of the orders that meet all conditions; of conditions about ids alone, those ids."""
    found = shared_ids(where)
    if found is not None:
        return found
    orders = scan("orders")
    for conditions in where:
        orders = orders.filter(_meets(conditions))
        if conditions.seller is not None:
            orders = orders.filter(_is_one_of("seller", conditions.seller, scan("orders")))
        if conditions.warehouse is not None:
            served = _warehouses_of_orders(scan)
            held = served.filter(_is_one_of("warehouse", conditions.warehouse, served))
            orders = orders.join(held, on=ORDER_ID.name, how="semi", maintain_order="left")
    return orders.select(ORDER_ID.name).collect().to_series()


def _meets(conditions: OrderConditions) -> pl.Expr:
    """Whether a row of `orders` meets the conditions on what stands in the order alone."""
    placed = pl.col("order_date")
    holds = [pl.lit(value=True)]
    if conditions.since is not None:
        holds.append(placed >= conditions.since)
    if conditions.until is not None:
        holds.append(placed < conditions.until)
    if conditions.ids is not None:
        holds.append(pl.col(ORDER_ID.name).is_in(pl.Series(conditions.ids, dtype=pl.Int64).implode()))
    if conditions.status is not None:
        holds.append(pl.col("order_status").is_in(pl.Series(conditions.status, dtype=pl.String).implode()))
    return pl.all_horizontal(holds)


def _is_one_of(noun: str, asked: Sequence[NumberOrName], rows: pl.LazyFrame) -> pl.Expr:
    """Whether a row has one of the names, or a number that is asked for or has one of the names in any of the rows."""
    number, name = pl.col(f"{noun}_id"), pl.col(f"{noun}_name")
    is_named = name.is_in(pl.Series([one for one in asked if isinstance(one, str)], dtype=pl.String).implode())
    named = rows.filter(is_named).select(number.drop_nulls().unique()).collect().to_series()
    numbers = pl.Series([_number_of(one) for one in asked], dtype=pl.Int64).drop_nulls().append(named)
    return number.is_in(numbers.implode()).fill_null(value=False) | is_named.fill_null(value=False)


def _number_of(given: NumberOrName) -> int | None:
    """The number that was given, also as digits; None for a name."""
    is_digits = isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < _MOST_DIGITS
    number = int(given) if is_digits or isinstance(given, int) else None
    return number if number is not None and abs(number) < 2**63 else None


def _warehouses_of_orders(scan: ScanTable) -> pl.LazyFrame:
    """A row per order and warehouse of its fulfillment orders, or its own where none of them names one."""
    columns = ("warehouse_id", "warehouse_name")
    held = scan("fulfillment_orders").select(ORDER_ID.name, *columns)
    held = held.filter(pl.any_horizontal(pl.col(columns).is_not_null()))
    own = scan("orders").select(ORDER_ID.name, "warehouse_id").join(held, on=ORDER_ID.name, how="anti")
    return pl.concat([held, own.with_columns(warehouse_name=pl.lit(None, pl.String))])


def refuse_unknown_names(where: Iterable[OrderConditions], scan: ScanTable) -> None:
    """Refuse conditions that name a seller, a warehouse or a status that no order of all the tables has.

    Raises:
        ConfigError: there is such a name; the message lists some that exist.
    """
    for conditions in where:
        if conditions.seller:
            _refuse_unknown_holder("seller", conditions.seller, scan("orders"))
        if conditions.warehouse:
            _refuse_unknown_holder("warehouse", conditions.warehouse, _warehouses_of_orders(scan))
        if conditions.status:
            known = scan("orders").select(pl.col("order_status").drop_nulls().unique().sort()).collect().to_series()
            for status in (one for one in conditions.status if one not in known):
                raise _unknown_name_error("has the status", status, known.to_list())


def _refuse_unknown_holder(noun: str, asked: Sequence[NumberOrName], rows: pl.LazyFrame) -> None:
    number, name = f"{noun}_id", f"{noun}_name"
    pairs = rows.select(number, name).unique().collect()
    for one in asked:
        if pairs.filter((pl.col(number) == pl.lit(_number_of(one), pl.Int64)) | (pl.col(name) == str(one))).is_empty():
            names = (
                pairs.filter(pl.col(number).is_not_null()).group_by(number).agg(pl.col(name).max()).sort(name, number)
            )
            shown = [f"{called} ({of})" if called is not None else str(of) for of, called in names.iter_rows()]
            unnumbered = pairs.join(names, on=name, how="anti").get_column(name).drop_nulls().unique().sort()
            raise _unknown_name_error(f"is of the {noun}", one, [*shown, *unnumbered])


def _unknown_name_error(verb: str, asked: NumberOrName, known: Sequence[str]) -> ConfigError:
    listed = ", ".join(map(terminal_text, known[:_MOST_NAMED]))
    more = f", and {len(known) - _MOST_NAMED:,} more" if len(known) > _MOST_NAMED else ""
    exist = f"There are: {listed}{more}." if known else "These tables name none."
    return ConfigError(f"No order {verb} {terminal_text(asked)}. {exist}")
