"""The tables of a Power BI model: facts with numbers as keys, and the dimensions that these lead to.

Instants are written in UTC without a zone, as the model keeps none and a reader could shift them. Dates that Power BI
refuses, those before 1900, are left empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

import polars as pl

from quivo_frames.errors import ConfigError
from quivo_frames.export.bi_measures import TABLE_MEASURES, Measure
from quivo_frames.export.formats import KPI_TABLES, ExportJob
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import Column, Table

FACT_TABLES = ("overview", "lines", "milestones", "events")
"""The facts that every export has."""
LABELS = {"seller": "the seller", "warehouse": "the warehouse", "carrier": "the carrier", "sku": "the SKU"}
"""Columns that are dimensions of their own, and what their number means."""
DIMENSIONS_OF = {
    "overview": ("seller",), "lines": tuple(LABELS), "milestones": ("seller",), "events": ("seller",),
    "kpi_orders": ("seller",), "kpi_shipments": ("seller", "warehouse", "carrier"),
    "kpi_groups": ("warehouse", "carrier"),
}  # fmt: skip
DAYS_OF = {
    "overview": (
        "placed_day", "shipped_day", "delivered_day", "completed_day", "latest_ship_date", "latest_delivery_date",
    ),
    "lines": ("placed_day",), "milestones": ("placed_day",), "events": ("at_day",), "kpi_orders": ("placed_day",),
    "kpi_shipments": ("placed_day", "ship_day", "delivery_day"), "kpi_groups": (),
}  # fmt: skip
"""The days of each fact: the first is related to the calendar by default, the others where a measure says so."""
_FIRST_DAY, _FIRST_YEAR, _LAST_YEAR = date(1900, 1, 1), 2000, 2100
_PLACED = Column("placed_day", Kind.DAY, "The day on which the order was placed.")
_DAY_COLUMNS: dict[str, dict[Column, str | None]] = {
    "overview": {
        _PLACED: None,
        Column("shipped_day", Kind.DAY, "The day of shipped_last."): "shipped_last",
        Column("delivered_day", Kind.DAY, "The day of delivered_last."): "delivered_last",
        Column("completed_day", Kind.DAY, "The day of completed_at."): "completed_at",
    },
    "lines": {_PLACED: None}, "milestones": {_PLACED: None},
    "events": {Column("at_day", Kind.DAY, "The day on which it happened."): "at"},
}  # fmt: skip
"""Columns with days that facts get, and the instants that these are of; None: the day of the order."""
_ORDER_COLUMNS = ("order_id", "order_identifier", "order_status", "stage", "country", "currency")
_CALENDAR = Table(
    "date", "day", "", "", None, None,
    (
        Column("date", Kind.DAY, "The day.", required=True),
        Column("year", Kind.INT64, "The year."),
        Column("quarter", Kind.TEXT, "The quarter, as 2026-Q1."),
        Column("month", Kind.TEXT, "The month, as 2026-02."),
        Column("week", Kind.TEXT, "The week of ISO 8601, as 2026-W07, with the year that its Thursday is in."),
        Column("weekday", Kind.INT64, "The day of the week: 1 is Monday."),
        Column("weekday_name", Kind.TEXT, "The name of the day of the week."),
    ),
)  # fmt: skip


class StarTable(NamedTuple):
    """A table of the model: its columns, its rows, which columns are hidden, and its measures."""

    table: Table
    rows: pl.LazyFrame
    hidden: frozenset[str]
    measures: Mapping[str, Measure]


def star_tables(job: ExportJob) -> list[StarTable]:
    """The tables of the model, facts first.

    Raises:
        ConfigError: the dataset has no derived tables.
    """
    if missing := [name for name in FACT_TABLES if name not in job.tables]:
        raise ConfigError(
            f"A Power BI export needs the table {missing[0]}, which the dataset does not have. Build it again, without "
            "--no-derived."
        )
    given = {sheet.table.name: sheet for sheet in job.sheets}
    definitions = {name: job.definitions[name] for name in FACT_TABLES}
    definitions |= {name: given[name].table for name in KPI_TABLES if name in given}
    rows = {name: job.tables[name] for name in FACT_TABLES}
    rows |= {name: given[name].rows.lazy() for name in KPI_TABLES if name in given}
    rows = _with_orders(rows)
    labels = {name: _dimension_rows(name, rows) for name in LABELS}
    facts = []
    for name, frame in rows.items():
        described = _fact_definition(definitions[name])
        for label in DIMENSIONS_OF[name]:
            keys = labels[label].select(label, f"{label}_key").lazy()
            frame = frame.join(keys, on=label, how="left", maintain_order="left")
        measures = given[name].measures if name in given else TABLE_MEASURES[name]
        typed = _as_read(frame.select(list(described.schema)), described)
        facts.append(StarTable(described, typed, _hidden_columns(described), measures))
    return [*facts, *_dimensions(labels, rows, facts)]


def _with_orders(rows: dict[str, pl.LazyFrame]) -> dict[str, pl.LazyFrame]:
    """The facts with the seller and the day of their order, and with the days of their instants."""
    overview = rows["overview"].select("order_id", "seller", placed_day=pl.col("placed").dt.date())
    known = rows.get("kpi_orders", overview)
    orders = known.select("order_id", "seller", "placed_day")
    found = dict(rows)
    for name, days in _DAY_COLUMNS.items():
        frame = rows[name].drop("seller", strict=False).join(orders, on="order_id", how="left", maintain_order="left")
        own = {column.name: pl.col(instant).dt.date() for column, instant in days.items() if instant}
        found[name] = frame.with_columns(**own)
    return found


def _fact_definition(table: Table) -> Table:
    """A fact with its own columns, the days, and the numbers of its dimensions."""
    own = {column.name: column for column in table.columns}
    more = [column for column in _DAY_COLUMNS.get(table.name, {}) if column.name not in own]
    if "seller" in DIMENSIONS_OF[table.name] and "seller" not in own:
        more.append(Column("seller", Kind.TEXT, "Name of the seller, else the number."))
    keys = [
        Column(f"{label}_key", Kind.INT64, f"The number of {LABELS[label]} in the table {label}.")
        for label in DIMENSIONS_OF[table.name]
    ]
    return Table(table.name, table.grain, "", "", None, None, (*own.values(), *more, *keys))


def _hidden_columns(table: Table) -> frozenset[str]:
    """Keys, what a dimension shows, and the facts of key figures: measures show these."""
    names = {column.name for column in table.columns}
    hidden = {name for name in names if name.endswith("_key")} | {"order_id", "key", *DIMENSIONS_OF[table.name]}
    hidden |= {*DAYS_OF[table.name]} - {"latest_ship_date", "latest_delivery_date"}
    if table.name == "overview":
        hidden |= set(_ORDER_COLUMNS)
    if table.name in KPI_TABLES:
        hidden |= names - {"backlog_age"}
    return frozenset(hidden & names)


def _dimension_rows(label: str, rows: Mapping[str, pl.LazyFrame]) -> pl.DataFrame:
    """The values of a dimension in alphabetical order, numbered; numbers relate better than texts."""
    frames = [frame for name, frame in rows.items() if label in DIMENSIONS_OF[name]]
    values = pl.concat([frame.select(pl.col(label).cast(pl.String)) for frame in frames]).drop_nulls().unique()
    numbered = values.sort(label).collect().with_row_index(f"{label}_key", offset=1)
    numbered = numbered.with_columns(pl.col(f"{label}_key").cast(pl.Int64))
    if label != "sku":
        return numbered
    names = rows["lines"].group_by("sku").agg(pl.col("name").drop_nulls().min())
    return numbered.lazy().join(names, on="sku", how="left", maintain_order="left").collect()


def _dimensions(
    labels: Mapping[str, pl.DataFrame], rows: Mapping[str, pl.LazyFrame], facts: list[StarTable]
) -> list[StarTable]:
    order = DERIVED_TABLES["overview"]
    known = rows["overview"].collect_schema().names()
    columns = tuple(column for column in order.columns if column.name in _ORDER_COLUMNS and column.name in known)
    orders = Table("order", "order", "", "", None, None, columns)
    found = [StarTable(orders, rows["overview"].select(list(orders.schema)), frozenset(), {})]
    for label, frame in labels.items():
        texts = [Column(label, Kind.TEXT, f"The name of {LABELS[label]}.")]
        if label == "sku":
            texts = [Column("sku", Kind.TEXT, "The SKU."), Column("name", Kind.TEXT, "A name of the article.")]
        key = Column(f"{label}_key", Kind.INT64, f"The number of {LABELS[label]}, another one in each export.")
        table = Table(label, label, "", "", None, None, (key, *texts))
        found.append(StarTable(table, frame.lazy().select(list(table.schema)), frozenset({key.name}), {}))
    return [*found, StarTable(_CALENDAR, _calendar(facts).lazy(), frozenset(), {})]


def _calendar(facts: list[StarTable]) -> pl.DataFrame:
    """Every day of the years that the facts have days of, of those from 2000 to 2100."""
    bounds = []
    for fact in facts:
        days = pl.col(DAYS_OF[fact.table.name])
        known = days.filter(days.dt.year().is_between(_FIRST_YEAR, _LAST_YEAR))
        if DAYS_OF[fact.table.name]:
            ends = (known.min().name.prefix("first_"), known.max().name.prefix("last_"))
            bounds += [day for day in fact.rows.select(*ends).collect().row(0) if day]
    day = pl.col("date")
    first, last = (min(bounds).year, max(bounds).year) if bounds else (_FIRST_YEAR, _FIRST_YEAR)
    every = pl.date_range(date(first, 1, 1), date(last, 12, 31), eager=True).alias("date").to_frame()
    quarter = pl.concat_str(day.dt.year().cast(pl.String), pl.lit("-Q"), day.dt.quarter().cast(pl.String))
    return every.select(
        "date", year=day.dt.year().cast(pl.Int64), quarter=quarter, month=day.dt.strftime("%Y-%m"),
        week=day.dt.strftime("%G-W%V"), weekday=day.dt.weekday().cast(pl.Int64), weekday_name=day.dt.strftime("%A"),
    )  # fmt: skip


def _as_read(rows: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """The rows without dates that Power BI refuses."""
    dated = [column.name for column in table.columns if column.kind in (Kind.INSTANT, Kind.DAY)]
    values = pl.col(dated)
    return rows.with_columns(pl.when(values.dt.date() >= _FIRST_DAY).then(values).name.keep()) if dated else rows
