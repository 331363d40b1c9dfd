"""The dbt package: its sources, its staging models, and the descriptions and tests of all its models.

The SQL of facts, KPIs, macros and singular tests is written by hand, in `schemas/dbt`. Its descriptions come from the
catalogue and from the docstrings of the KPIs; `dbt_columns` describes the columns that dbt alone has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from typing import Any

import quivo_frames as qf
from quivo_frames.analysis.kpi.groups import GROUPS
from quivo_frames.analysis.kpi.kpis import KPIS
from quivo_frames.analysis.kpi.promises import PROMISES
from quivo_frames.export.sql import Dialect, sql_type
from quivo_frames.model.derived import DERIVED_TABLES, dataset_tables
from quivo_frames.model.order import Kind, Privacy
from quivo_frames.model.tables import SCHEMA_VERSION, Column, Table
from schemas.generator.dbt_columns import (
    GROUP_COLUMNS,
    KPI_COLUMNS,
    KPI_PARTS,
    MODELS,
    ORDER_FACTS,
    SHIPMENT_FACTS,
    SLA_COLUMNS,
)

HAND_WRITTEN = (
    "dbt/README.md", "dbt/dbt_project.yml", "dbt/macros/*.sql", "dbt/tests/*.sql", "dbt/models/marts/*.sql",
    "dbt/models/kpis/*.sql",
)  # fmt: skip
"""Files of `schemas/` that the generator leaves alone."""
SQL_WORDS = ("at", "column", "key", "open", "table", "value")
"""Names of columns that SQL knows as words: dbt quotes them."""
_ALL_TABLES = dataset_tables(derived=True)
_ONE_TO_ONE = {"order_lines": "lines", "milestones": "milestones", "events": "events"}
"""Facts that are a derived table as it is."""
_DERIVED = "derived"


def is_hand_written(name: str) -> bool:
    """Whether a file of `schemas/`, by its relative path, is written by hand."""
    return any(fnmatch(name, pattern) for pattern in HAND_WRITTEN)


def package_files() -> dict[str, Any]:
    """The generated files of the package: SQL as text, YAML as the values in it."""
    return {
        "dbt/models/sources.yml": dbt_sources(),
        "dbt/models/overview.md": _overview_page(),
        **{f"dbt/models/staging/{_staging_name(name)}.sql": _staging_sql(table) for name, table in _ALL_TABLES.items()},
        "dbt/models/staging/staging.yml": _models(
            {
                "name": _staging_name(name),
                "description": _grain(table),
                "columns": [_describe_column(column, table) for column in table.columns],
            }
            for name, table in _ALL_TABLES.items()
        ),
        "dbt/models/marts/marts.yml": _models(_marts()),
        "dbt/models/kpis/kpis.yml": _models(_kpis()),
    }


def _models(models: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"version": 2, "models": list(models)}


def _staging_name(table: str) -> str:
    return f"stg_quivo__{table}"


def _grain(table: Table) -> str:
    return f"One row per {table.grain}."


def _overview_page() -> str:
    return f"""{{% docs __overview__ %}}
# Orders of Quivo

The tables of quivo_frames, schema version {SCHEMA_VERSION}, as sources, and models over them:

- `stg_quivo__*`: one view a table, as it is, with its types
- `fct_quivo__*`: facts, one row an order, an order line, a shipment that counts, an event
- `kpi_quivo__*`: the KPIs, by {", ".join(GROUPS)}, and of all orders
- `mart_quivo__sla`: the key figures of service side by side

Which row belongs to which line is worked out by quivo_frames alone: the models read its derived tables.
{{% enddocs %}}
"""


def dbt_sources() -> dict[str, Any]:
    """The tables as sources of dbt 1.10 or later, with tests of keys, nulls and references."""
    about = (
        f"Orders that were refetched from Quivo, as the {len(_ALL_TABLES) - len(DERIVED_TABLES)} tables of "
        f"quivo_frames, and {len(DERIVED_TABLES)} derived tables, which were worked out from these. Instants are UTC."
    )
    return {
        "version": 2,
        "sources": [
            {
                "name": "quivo",
                "description": about,
                "database": "{{ var('quivo_database', target.database) }}",
                "schema": "{{ var('quivo_schema', 'quivo_files' if var('quivo_folder', '') else 'main') }}",
                "config": {"meta": {"schema_version": SCHEMA_VERSION}},
                "tables": [
                    {
                        "name": name,
                        "description": _grain(table),
                        **({"config": {"meta": {_DERIVED: True}}} if name in DERIVED_TABLES else {}),
                        "columns": [_describe_column(column, table, tested=True) for column in table.columns],
                    }
                    for name, table in _ALL_TABLES.items()
                ],
            }
        ],
    }


def _describe_column(column: Column, table: Table, *, tested: bool = False) -> dict[str, Any]:
    private = None if column.privacy is Privacy.NONE else str(column.privacy)
    meta = {name: fact for name, fact in (("unit", column.unit), ("privacy", private)) if fact}
    return _described(column.name, column.sentence, meta, list(_source_tests(column, table)) if tested else [])


def _described(name: str, sentence: str, meta: Mapping[str, str], tests: list[Any]) -> dict[str, Any]:
    facts = {
        "name": name,
        "quote": name in SQL_WORDS,
        "description": sentence,
        "config": {"meta": dict(meta)} if meta else None,
        "data_tests": tests,
    }
    return {fact: value for fact, value in facts.items() if value}


def _source_tests(column: Column, table: Table) -> Iterator[Any]:
    """The tests of a source's column. Personal values may be null: an export with `--privacy none` has none."""
    is_key = column.name == table.key
    if is_key:
        yield "unique"
    if (column.required or is_key) and column.privacy is Privacy.NONE:
        yield "not_null"
    for name, to, to_column in table.references:
        if name == column.name:
            yield _relationship(f"source('quivo', '{to}')", to_column)


def _relationship(to: str, field: str) -> dict[str, Any]:
    return {"relationships": {"arguments": {"to": to, "field": field}}}


def _staging_sql(table: Table) -> str:
    columns = ",\n    ".join(_staging_describe_column(column) for column in table.columns)
    return f"select\n    {columns}\nfrom {{{{ source('quivo', '{table.name}') }}}}\n"


def _staging_describe_column(column: Column) -> str:
    name = f"{{{{ adapter.quote('{column.name}') }}}}" if column.name in SQL_WORDS else column.name
    kind = Kind.TEXT if column.kind is Kind.JSON else column.kind
    return f"cast({name} as {sql_type(kind, Dialect.DUCKDB).lower()}) as {name}"


def _marts() -> Iterator[dict[str, Any]]:
    for name, of in _ONE_TO_ONE.items():
        table = DERIVED_TABLES[of]
        columns = [_with_tests(_describe_column(column, table), table.key, of) for column in table.columns]
        yield {"name": f"fct_quivo__{name}", "description": f"{_grain(table)} {MODELS[name]}", "columns": columns}
    overview = DERIVED_TABLES["overview"]
    yield {
        "name": "fct_quivo__orders",
        "description": f"{_grain(overview)} {MODELS['orders']}",
        "columns": [
            *(_with_tests(_describe_column(column, overview), overview.key, "overview") for column in overview.columns),
            *_own_columns(ORDER_FACTS | _promise_columns("all its shipments")),
        ],
    }
    yield {
        "name": "fct_quivo__shipments",
        "description": MODELS["shipments"],
        "columns": list(_own_columns(SHIPMENT_FACTS | _promise_columns("the shipment"), "shipment_key")),
    }
    for name in ("clock", "placed", "sent", "line_totals", "seller_names", "warehouse_names"):
        yield {"name": f"int_quivo__{name}", "description": MODELS[name]}


def _with_tests(column: dict[str, Any], key: str | None, table: str) -> dict[str, Any]:
    """A column of a fact that is a derived table, with the tests that make sense there."""
    name = column["name"]
    tests: list[Any] = ["unique", "not_null"] if name == key else []
    if name == "order_id" and name != key:
        tests += ["not_null", _relationship("ref('fct_quivo__orders')", "order_id")]
    if (table == "milestones" and name.startswith("days_")) or name in ("days_late", "lines", "shipments", "open"):
        tests.append(_range(0))
    return {**column, **({"data_tests": tests} if tests else {})}


def _range(at_least: float, at_most: float | None = None) -> dict[str, Any]:
    most = {} if at_most is None else {"at_most": at_most}
    return {"within_range": {"arguments": {"at_least": at_least, **most}}}


def _promise_columns(who: str) -> dict[str, str]:
    return {
        f"on_time_{name}": f"Whether {who} kept {name}; null if that is not known (yet), or nothing was promised."
        for name in PROMISES
    }


def _own_columns(sentences: Mapping[str, str], key: str | None = None) -> Iterator[dict[str, Any]]:
    for name, sentence in sentences.items():
        tests: list[Any] = ["unique", "not_null"] if name == key else []
        if key and name == "order_id":
            tests += ["not_null", _relationship("ref('fct_quivo__orders')", "order_id")]
        if name == "delivery_window":
            tests.append({"accepted_values": {"arguments": {"values": ["early", "within", "late"]}}})
        if name in ("transit_days", "pod_days", "hours_to_ship"):
            tests.append(_range(0))
        yield _described(name, sentence, {}, tests)


def _kpis() -> Iterator[dict[str, Any]]:
    frames = qf.kpis(qf.flatten([]))
    for name, kpi in KPIS.items():
        definition = kpi.definition
        text = f"{definition.title}. {definition.text}\n\nLimits: {definition.limits}"
        more = KPI_PARTS.get(name)
        columns = [*_group_columns(unique=more is None)]
        columns += [_kpi_describe_column(name, column, is_part=column == more) for column in frames[name].columns]
        yield {
            "name": f"kpi_quivo__{name}",
            "description": f"{text}\n\n{MODELS['order_to_ship']}" if name == "order_to_ship" else text,
            "columns": columns,
            **({"data_tests": [_unique_together("group_key", more)]} if more else {}),
        }
    yield {
        "name": "mart_quivo__sla",
        "description": MODELS["sla"],
        "columns": [*_group_columns(unique=True), *(_sla_describe_column(*item) for item in SLA_COLUMNS.items())],
    }
    for name in ("groups_of_orders", "groups_of_shipments"):
        yield {"name": f"int_quivo__{name}", "description": MODELS[name]}


def _unique_together(*columns: str) -> dict[str, Any]:
    return {"unique_together": {"arguments": {"columns": list(columns)}}}


def _group_columns(*, unique: bool) -> Iterator[dict[str, Any]]:
    tests: dict[str, list[Any]] = {
        "grouped_by": ["not_null", {"accepted_values": {"arguments": {"values": ["all", *GROUPS]}}}],
        "group_key": [*(["unique"] if unique else []), "not_null"],
    }
    for name, sentence in GROUP_COLUMNS.items():
        yield _described(name, sentence, {}, tests.get(name, []))


def _kpi_describe_column(kpi: str, column: str, *, is_part: bool) -> dict[str, Any]:
    sentence = KPI_COLUMNS.get(f"{kpi}.{column}") or KPI_COLUMNS[column]
    return _described(column, sentence, {}, ["not_null"] if is_part else _range_of(column))


def _sla_describe_column(column: str, sentence: str) -> dict[str, Any]:
    return _described(column, sentence, {}, _range_of(column))


def _range_of(column: str) -> list[Any]:
    if column.endswith("rate"):
        return [_range(0, 1)]
    return [_range(0)] if column in ("mean", "p50", "max") or column.endswith("_p50") else []
