"""The pages that people read: data dictionary, diagram, checks, KPIs, in Markdown."""

from __future__ import annotations

from quivo_frames.analysis.checks.audit import CHECK_MODULES, CHECKS
from quivo_frames.analysis.checks.limits import describe_limits as described_limits
from quivo_frames.analysis.kpi.groups import GROUPS
from quivo_frames.analysis.kpi.kpis import KPIS
from quivo_frames.analysis.kpi.promises import PROMISES
from quivo_frames.analysis.kpi.result import UNTOLD
from quivo_frames.model.order import Kind, Privacy
from quivo_frames.model.tables import REPORT_TABLES, SCHEMA_VERSION, TABLES, Column
from schemas.generator.order_schema import SOURCE

_ABOUT = """Every table and column of quivo_frames, schema version {version}. Source of the fields: <{source}>.
Instants are UTC.

Keys are addresses: `1001/0/2` is order 1001, fulfillment order 0, shipment 2, by their places in the API's lists, from
0. Join tables on the key columns that they share. Privacy: *personal* may tell who somebody is, *secret* opens a
document."""
_ABOUT_CHECKS = """What `quivo-frames audit DIR` and `qf.audit(tables)` look for. A check is silent where the fields
that it needs are missing. Questions of time are asked as of the last answer, or as of the date that is given; of no
order anything is expected that is later than its own answer. Shipments that were reversed do not count, unless a check
says otherwise. Ordered, planned, shipped and packed pieces of a line find each other by the order's
`position_identifier`, else by SKU, else by SKU and lot; where that leaves a choice, the lines of a SKU are taken
together."""
_ABOUT_KPIS = """What `qf.kpis(tables)` tells, as a frame each, and the report of `quivo-frames audit DIR --html FILE`.
Rates are 0 to 1, and null where there is nothing to judge; durations are days."""
_ABOUT_LIMITS = """Those that shall differ stand in a TOML file, `pod_days = 3`, for `quivo-frames audit DIR --limits
FILE`. None of the defaults comes from Quivo or from a standard."""


def render_table_overview() -> str:
    """The tables, what a row of each is, and where it comes from, as a Markdown table."""
    rows = [f"| {t.name} | {t.grain} | {_inline_code(t.source)} |" for t in TABLES.values()]
    return "\n".join(["| table | one row per | from |", "|---|---|---|", *rows])


def render_dictionary() -> str:
    """The data dictionary: the page that analysts read, in Markdown."""
    lines = [
        "# Data dictionary",
        "",
        _ABOUT.format(version=SCHEMA_VERSION, source=SOURCE),
        "",
        "| table | one row per | from |",
        "|---|---|---|",
        *(
            f"| [{t.name}](#{t.name}) | {t.grain} | {_inline_code(t.source)} |"
            for t in (TABLES | REPORT_TABLES).values()
        ),
    ]
    for table in (TABLES | REPORT_TABLES).values():
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
    return f"| {column.name} | {_dtype_name(column)} | {column.sentence} | {column.unit or ''} | {privacy} | {never_null} |"


def _dtype_name(column: Column) -> str:
    names = {Kind.INSTANT: "Datetime (µs, UTC)", Kind.MONEY: "Decimal(18, 4)", Kind.JSON: "String (JSON)"}
    return names.get(column.kind, str(column.dtype))


def _inline_code(text: str) -> str:
    return f"`{text}`" if text else ""


def render_diagram() -> str:
    """The tables and their keys as an entity-relationship diagram in Mermaid, inside Markdown."""
    lines = ["# Entity-relationship diagram", "", "```mermaid", "erDiagram"]
    for table in TABLES.values():
        for column, to, _ in table.references:
            if column == "order_id" and table.parent != "orders":
                continue  # every table has it; the parent's key says more
            mark = "|o" if not table.column(column).required else "||"
            lines.append(f'    {to} {mark}--o{{ {table.name} : "{column}"')
    for table in TABLES.values():
        lines.append(f"    {table.name} {{")
        foreign = {column for column, *_ in table.references}
        for one in table.columns:
            key = " PK" if one.name == table.key else " FK" if one.name in foreign else ""
            if key or not one.path:
                lines.append(f"        {one.kind} {one.name}{key}")
        lines.append("    }")
    return "\n".join([*lines, "```", ""])


def render_checks() -> str:
    """The checks of an audit, how each is defined, and their thresholds, in Markdown."""
    lines = ["# Checks", "", _ABOUT_CHECKS, "", "| check | severity | finds |", "|---|---|---|"]
    lines += [f"| [{check.name}](#{check.name}) | {check.severity} | {check.title} |" for check in CHECKS.values()]
    lines += ["", "## Thresholds", "", _ABOUT_LIMITS, "", "| threshold | default | meaning |", "|---|---|---|"]
    lines += [f"| {limit.name} | {_format_default(limit.default)} | {limit.sentence} |" for limit in described_limits()]
    for room in CHECK_MODULES:
        lines += ["", f"## {room.__name__.rpartition('.')[2].capitalize()}"]
        for check in (found for found in CHECKS.values() if found in vars(room).values()):
            lines += ["", f"### {check.name}", "", check.title, "", check.definition, "", f"Limits: {check.limits}", ""]
            lines += [f"*{check.severity}, in {check.table}. Follows: {check.reference}.*"]
    return "\n".join(lines) + "\n"


def render_kpis() -> str:
    """The KPIs, how each is defined, and what the data cannot tell, in Markdown."""
    lines = ["# KPIs", "", _ABOUT_KPIS, "", f"- By: {', '.join(GROUPS)}.", f"- On time against: {', '.join(PROMISES)}."]
    for name, kpi in KPIS.items():
        told = kpi.definition
        lines += ["", f"## {name}", "", f"{told.title}. {told.text}", "", f"Limits: {told.limits}", ""]
        lines += [f"*Follows: {told.reference}.*"]
    lines += ["", "## What the data cannot tell", "", *(f"- {name}: {why}" for name, why in UNTOLD.items())]
    return "\n".join(lines) + "\n"


def _format_default(default: object) -> str:
    return ", ".join(default) if isinstance(default, tuple) else f"{default}"
