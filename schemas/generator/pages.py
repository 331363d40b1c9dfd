"""Markdown pages: data dictionary, diagram, checks, KPIs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from quivo_frames.analysis.calendar import describe_calendar
from quivo_frames.analysis.checks.audit import CHECK_MODULES, CHECKS, FINDINGS, Finding
from quivo_frames.analysis.checks.limits import describe_limits
from quivo_frames.analysis.kpi.groups import GROUPS
from quivo_frames.analysis.kpi.kpis import KPIS
from quivo_frames.analysis.kpi.promises import PROMISES
from quivo_frames.analysis.kpi.result import UNTOLD
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.order import Kind, Privacy
from quivo_frames.model.tables import REPORT_TABLES, SCHEMA_VERSION, TABLES, Column, Table
from schemas.generator.order_schema import SOURCE

_ABOUT = """Every table and column of quivo_frames, schema version {version}. Source of the fields: <{source}>.
Instants are UTC.

Keys are addresses: `1001/0/2` is order 1001, fulfillment order 0, shipment 2, by their positions in the API's lists,
counted from 0. Join tables on the key columns that they share. Privacy: *personal* may identify a person, *secret*
opens a document."""
_ABOUT_DERIVED = """They say what belongs to what in an order, and when it happened, worked out from its rows of the
tables above. A build writes them beside these, in the folder `derived`, unless it is given `--no-derived`."""
_ABOUT_CHECKS = """What `quivo-frames audit DIR` and `qf.audit(tables)` look for. A check whose columns
(`Needs`) are filled in no order is skipped, and the audit says so. Due dates are judged as of the latest answer, or as
of the given date, and never
later than an order's own answer. Reversed shipments do not count, unless a check says otherwise. Planned, shipped and
packed lines are matched to ordered lines by `position_identifier`, else by SKU, else by SKU and lot; where several
lines remain, the lines of an SKU are taken together."""
_ABOUT_KPIS = """The frames of `qf.kpis(tables)`, and figures of the report of `quivo-frames audit DIR --html FILE`.
Rates are from 0 to 1, and null where there is nothing to judge; durations are in days."""
_ABOUT_CALENDAR = """When the warehouses work: the section `[calendar]` of a limits file, as in `cut_off = "14:00"`, for
`qf.kpis(tables, limits=FILE)`. `[calendar.warehouses."Name"]` sets what differs in one of them. Public holidays need
`pip install 'quivo-frames[calendar]'`, and are known from 2000 to 2050."""
_ABOUT_LIMITS = """To change some, write them to a TOML file, as in `pod_days = 3`, for `quivo-frames audit DIR
--limits FILE`. None of the defaults comes from Quivo or from a standard."""


def render_table_overview() -> str:
    """The tables, their grain and their source, as a Markdown table."""
    rows = [f"| {t.name} | {t.grain} | {_inline_code(t.source)} |" for t in TABLES.values()]
    return "\n".join(["| table | one row per | from |", "|---|---|---|", *rows])


def render_derived_overview() -> str:
    """The derived tables and their grain, as a Markdown table."""
    rows = [f"| {t.name} | {t.grain} |" for t in DERIVED_TABLES.values()]
    return "\n".join(["| derived table | one row per |", "|---|---|", *rows])


def render_dictionary() -> str:
    """The data dictionary: every table and column, in Markdown."""
    tables = TABLES | REPORT_TABLES | DERIVED_TABLES
    lines = [
        "# Data dictionary",
        "",
        _ABOUT.format(version=SCHEMA_VERSION, source=SOURCE),
        "",
        "| table | one row per | from |",
        "|---|---|---|",
        *(f"| [{t.name}](#{t.name}) | {t.grain} | {_inline_code(t.source)} |" for t in tables.values()),
    ]
    for table in tables.values():
        if table.name == next(iter(DERIVED_TABLES)):
            lines += ["", "# Derived tables", "", _ABOUT_DERIVED]
        lines += ["", f"## {table.name}", "", f"One row per {table.grain}."]
        if table.key:
            lines[-1] += f" Primary key: `{table.key}`."
        lines += [""] if table.references else []
        lines += [f"- `{column}` refers to `{to}.{to_column}`" for column, to, to_column in table.references]
        lines += ["", "| column | type | meaning | unit | privacy | never null |", "|---|---|---|---|---|---|"]
        lines += [_column_row(column) for column in table.columns]
    return "\n".join(lines) + "\n"


def _column_row(column: Column) -> str:
    privacy = "" if column.privacy is Privacy.NONE else str(column.privacy)
    never_null = "yes" if column.required else ""
    cells = (column.name, _dtype_name(column), column.sentence, column.unit or "", privacy, never_null)
    return f"| {' | '.join(cells)} |"


def _dtype_name(column: Column) -> str:
    names = {Kind.INSTANT: "Datetime (µs, UTC)", Kind.MONEY: "Decimal(18, 4)", Kind.JSON: "String (JSON)"}
    return names.get(column.kind, str(column.dtype))


def _inline_code(text: str) -> str:
    return f"`{text}`" if text else ""


def render_diagram() -> str:
    """The tables and their keys as an entity-relationship diagram in Mermaid, inside Markdown."""
    parts = ["# Entity-relationship diagram", "", *_diagram_of(TABLES)]
    parts += ["", "## Derived tables", "", *_diagram_of(DERIVED_TABLES)]
    return "\n".join([*parts, ""])


def _diagram_of(tables: Mapping[str, Table]) -> list[str]:
    lines = ["```mermaid", "erDiagram"]
    for table in tables.values():
        for name, to, _ in table.references:
            if name == "order_id" and table.parent not in ("orders", None):
                continue  # every table has it; the parent's key says more
            mark = "|o" if not table.column(name).required else "||"
            lines.append(f'    {to} {mark}--o{{ {table.name} : "{name}"')
    for table in tables.values():
        lines.append(f"    {table.name} {{")
        foreign = {name for name, *_ in table.references}
        for column in table.columns:
            key = " PK" if column.name == table.key else " FK" if column.name in foreign else ""
            if key or not column.path:
                lines.append(f"        {column.kind} {column.name}{key}")
        lines.append("    }")
    return [*lines, "```"]


def render_checks() -> str:
    """The checks of an audit, their definitions and thresholds, in Markdown."""
    lines = ["# Checks", "", _ABOUT_CHECKS, "", "| check | severity | finds |", "|---|---|---|"]
    lines += [f"| [{check.name}](#{check.name}) | {check.severity} | {check.title} |" for check in CHECKS.values()]
    lines += ["", "## Findings", "", inspect.cleandoc(Finding.__doc__ or "").partition("\n\n")[2], ""]
    lines += ["| column | meaning |", "|---|---|"]
    lines += [f"| {column.name} | {column.sentence} |" for column in FINDINGS.columns]
    lines += ["", "## Thresholds", "", _ABOUT_LIMITS, "", "| threshold | default | meaning |", "|---|---|---|"]
    lines += [f"| {limit.name} | {_format_default(limit.default)} | {limit.sentence} |" for limit in describe_limits()]
    for module in CHECK_MODULES:
        lines += ["", f"## {module.__name__.rpartition('.')[2].capitalize()}"]
        defined = {id(value) for value in vars(module).values()}
        for check in (check for check in CHECKS.values() if id(check) in defined):
            lines += ["", f"### {check.name}", "", check.title, "", check.definition, "", f"Limits: {check.limits}", ""]
            lines += [f"Needs: {', '.join(check.needs)}.", ""] if check.needs else []
            lines += [f"*{check.severity}, in {check.table}. Follows: {check.reference}.*"]
    return "\n".join(lines) + "\n"


def render_kpis() -> str:
    """The KPIs, their definitions, and what the data do not show, in Markdown."""
    lines = ["# KPIs", "", _ABOUT_KPIS, "", f"- By: {', '.join(GROUPS)}.", f"- On time against: {', '.join(PROMISES)}."]
    for name, kpi in KPIS.items():
        definition = kpi.definition
        lines += [
            "",
            f"## {name}",
            "",
            f"{definition.title}. {definition.text}",
            "",
            f"Limits: {definition.limits}",
            "",
        ]
        lines += [f"*Follows: {definition.reference}.*"]
    lines += ["", "## The calendar", "", _ABOUT_CALENDAR, "", "| key | meaning; default |", "|---|---|"]
    lines += [f"| {key} | {sentence} |" for key, sentence in describe_calendar().items()]
    lines += ["", "## What the data cannot tell", "", *(f"- {name}: {why}" for name, why in UNTOLD.items())]
    return "\n".join(lines) + "\n"


def _format_default(default: object) -> str:
    return ", ".join(default) if isinstance(default, tuple | dict) else f"{default}"
