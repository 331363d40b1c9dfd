"""The text of a Power BI model in TMDL, Microsoft's language for it.

https://learn.microsoft.com/analysis-services/tmdl/tmdl-overview
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from uuid import NAMESPACE_URL, uuid5

from quivo_frames.export.bi_measures import (
    Aggregate,
    ByOtherDate,
    Difference,
    Expression,
    Measure,
    Percentile,
    RowCount,
    Share,
    SumOfOneCurrency,
)
from quivo_frames.export.powerbi_star import DAYS_OF, DIMENSIONS_OF, StarTable
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import Column

PARAMETER = "DataFolder"
_COMPATIBILITY_LEVEL = 1567
_MODEL_TYPES = {
    Kind.TEXT: "string", Kind.JSON: "string", Kind.INT64: "int64", Kind.INT32: "int64", Kind.MONEY: "decimal",
    Kind.MEASURE: "double", Kind.FLAG: "boolean", Kind.INSTANT: "dateTime", Kind.DAY: "dateTime",
}  # fmt: skip
"""The type of a column in the model; decimal is the fixed one, with four decimals."""
_QUERY_TYPES = {
    Kind.TEXT: "type text", Kind.JSON: "type text", Kind.INT64: "Int64.Type", Kind.INT32: "Int64.Type",
    Kind.MONEY: "Currency.Type", Kind.MEASURE: "type number", Kind.FLAG: "type logical",
    Kind.INSTANT: "type datetime", Kind.DAY: "type date",
}  # fmt: skip
"""The type of a column in the query that reads it."""
_FORMATS = {
    Kind.INT64: "#,0", Kind.INT32: "#,0", Kind.MONEY: "#,0.00", Kind.MEASURE: "#,0.00", Kind.DAY: "yyyy-mm-dd",
    Kind.INSTANT: "yyyy-mm-dd hh:nn:ss",
}  # fmt: skip
_PLAIN_NUMBERS = ("order_id", "year", "weekday")
"""Numbers that nobody adds up."""
_SORTED_BY = {"weekday_name": "weekday", "backlog_age": "backlog_order"}
_BRIDGE = "kpi_groups"


def model_id(*names: str) -> str:
    """The id of something in the model: the same in each export."""
    return str(uuid5(NAMESPACE_URL, "/".join(("quivo_frames", "powerbi", *names))))


def model_files(tables: Sequence[StarTable], folder: str) -> dict[str, str]:
    """The files of the model's definition by their path, for data in a folder."""
    names = [star.table.name for star in tables]
    return {
        "database.tmdl": f"database\n\tcompatibilityLevel: {_COMPATIBILITY_LEVEL}\n",
        "model.tmdl": _model_text(names),
        "expressions.tmdl": _parameter_text(folder),
        "relationships.tmdl": "\n".join(_relationship_texts(tables)),
        **{f"tables/{star.table.name}.tmdl": _table_text(star) for star in tables},
    }


def _model_text(names: Sequence[str]) -> str:
    return "\n".join([
        "model Model",
        "\tculture: en-US",
        "\tdefaultPowerBIDataSourceVersion: powerBI_V3",
        "\tsourceQueryCulture: en-US",
        "\tdataAccessOptions",
        "\t\tlegacyRedirects",
        "\t\treturnErrorValuesAsNull",
        "",
        "annotation __PBI_TimeIntelligenceEnabled = 0",
        "",
        f"annotation PBI_QueryOrder = {json.dumps([PARAMETER, *names])}",
        "",
        *(f"ref table {_quoted_name(name)}" for name in names),
        "",
    ])  # fmt: skip


def _parameter_text(folder: str) -> str:
    kind = 'meta [IsParameterQuery=true, Type="Text", IsParameterQueryRequired=true]'
    return "\n".join([
        "/// The folder of the parquet files of this project. Another place: change it here.",
        f"expression {PARAMETER} = {_query_text(folder)} {kind}",
        f"\tlineageTag: {model_id('parameter', PARAMETER)}",
        "",
        "\tannotation PBI_ResultType = Text",
        "",
    ])  # fmt: skip


def _table_text(star: StarTable) -> str:
    table = star.table
    lines = [*_description_lines(f"One row per {table.grain}."), f"table {_quoted_name(table.name)}"]
    lines += [f"\tlineageTag: {model_id(table.name)}", *(["\tdataCategory: Time"] if table.name == "date" else []), ""]
    for name, measure in star.measures.items():
        lines += [*_measure_lines(table.name, name, measure), ""]
    for column in table.columns:
        lines += [*_column_lines(star, column), ""]
    lines += [f"\tpartition {_quoted_name(table.name)} = m", "\t\tmode: import", "\t\tsource ="]
    lines += [f"\t\t\t\t{line}" for line in _query_lines(star)]
    return "\n".join([*lines, "", "\tannotation PBI_ResultType = Table", ""])


def _measure_lines(table: str, name: str, measure: Measure) -> Iterator[str]:
    yield from (f"\t{line}" for line in _description_lines(measure.meaning))
    yield f"\tmeasure {_quoted_name(name)} = {_dax_text(measure.expression)}"
    yield f"\t\tformatString: {measure.written}"
    yield f"\t\tdisplayFolder: {measure.folder}"
    yield f"\t\tlineageTag: {model_id(table, 'measure', name)}"


def _dax_text(expression: Expression) -> str:
    """An expression in DAX, the language of measures; nulls are BLANK there, and do not count."""
    match expression:
        case RowCount(table):
            return f"COUNTROWS('{table}')"
        case Aggregate(function, table, column):
            return f"{function}('{table}'[{column}])"
        case Percentile(share, table, column):
            values = f"'{table}'[{column}]"
            return f"CALCULATE(PERCENTILE.INC({values}, {share}), KEEPFILTERS(NOT(ISBLANK({values}))))"
        case SumOfOneCurrency(table, column):
            return f"IF(HASONEVALUE('{table}'[currency]), SUM('{table}'[{column}]))"
        case Share(part, whole):
            return f"DIVIDE([{part}], [{whole}])"
        case Difference(whole, parts):
            return " - ".join(f"[{name}]" for name in (whole, *parts))
        case ByOtherDate(measure, table, column):
            return f"CALCULATE([{measure}], USERELATIONSHIP('{table}'[{column}], 'date'[date]))"


def _column_lines(star: StarTable, column: Column) -> Iterator[str]:
    unit = f" Unit: {column.unit}." if column.unit else ""
    yield from (f"\t{line}" for line in _description_lines(f"{column.sentence}{unit}"))
    yield f"\tcolumn {_quoted_name(column.name)}"
    yield f"\t\tdataType: {_MODEL_TYPES[column.kind]}"
    if (star.table.name, column.name) == ("date", "date"):
        yield "\t\tisKey"
    if column.name in star.hidden:
        yield "\t\tisHidden"
    is_plain = column.name in _PLAIN_NUMBERS or column.name.endswith("_key")
    if form := "0" if is_plain and column.kind is Kind.INT64 else _FORMATS.get(column.kind):
        yield f"\t\tformatString: {form}"
    if column.name == "country":
        yield "\t\tdataCategory: Country"
    if column.name in _SORTED_BY:
        yield f"\t\tsortByColumn: {_SORTED_BY[column.name]}"
    yield f"\t\tlineageTag: {model_id(star.table.name, 'column', column.name)}"
    yield f"\t\tsummarizeBy: {'none' if is_plain or column.name in star.hidden else _summarized_by(column)}"
    yield f"\t\tsourceColumn: {column.name}"


def _summarized_by(column: Column) -> str:
    """How a visual sums a column up if nothing else is said."""
    if column.kind is Kind.MEASURE or column.unit == "days":
        return "average"
    return "sum" if column.kind in (Kind.INT64, Kind.INT32, Kind.MONEY) else "none"


def _query_lines(star: StarTable) -> list[str]:
    """The query in Power Query's language: it says each type, so that nothing depends on what a reader guesses."""
    columns = star.table.columns
    wanted = ", ".join(_query_text(column.name) for column in columns)
    types = ", ".join(f"{{{_query_text(column.name)}, {_QUERY_TYPES[column.kind]}}}" for column in columns)
    return [
        "let",
        f'    Source = Parquet.Document(File.Contents({PARAMETER} & "\\{star.table.name}.parquet")),',
        f"    Columns = Table.SelectColumns(Source, {{{wanted}}}),",
        f"    Typed = Table.TransformColumnTypes(Columns, {{{types}}})",
        "in",
        "    Typed",
    ]


def _relationship_texts(tables: Sequence[StarTable]) -> Iterator[str]:
    """From facts to dimensions, each to one; the groups lead from warehouses and carriers on to the orders."""
    names = {star.table.name for star in tables}
    for fact in (name for name in DIMENSIONS_OF if name in names):
        for label in DIMENSIONS_OF[fact]:
            yield _relationship_text((fact, f"{label}_key"), (label, f"{label}_key"))
        for place, day in enumerate(DAYS_OF[fact]):
            yield _relationship_text((fact, day), ("date", "date"), *(["isActive: false"] if place else []))
        if fact == _BRIDGE:
            yield _relationship_text(
                (fact, "order_id"), ("kpi_orders", "order_id"), "crossFilteringBehavior: bothDirections"
            )
        else:
            yield _relationship_text((fact, "order_id"), ("order", "order_id"))


def _relationship_text(start: tuple[str, str], end: tuple[str, str], *properties: str) -> str:
    ends = [
        f"{side}Column: {_quoted_name(table)}.{_quoted_name(column)}"
        for side, (table, column) in (("from", start), ("to", end))
    ]
    return "\n".join([
        f"relationship {model_id('relationship', *start, *end)}", *(f"\t{line}" for line in (*properties, *ends)), ""
    ])  # fmt: skip


def _description_lines(text: str) -> Iterable[str]:
    return (f"/// {line}" for line in text.splitlines() if line.strip())


def _quoted_name(name: str) -> str:
    """A name as TMDL wants it: in quotes if it is no single word."""
    return name if name.isidentifier() else "'" + name.replace("'", "''") + "'"


def _query_text(text: str) -> str:
    """A text in Power Query's language, in which #( begins a code."""
    return '"' + text.replace("#(", "#(#)(").replace('"', '""') + '"'
