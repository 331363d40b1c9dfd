"""A sheet with the key figures as formulas over the sheets of their facts: they follow the filters of these sheets.

The value of each is written, too, for readers that compute nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from xlsxwriter import Workbook

from quivo_frames.export.bi_measures import (
    RATE,
    WHOLE,
    Aggregate,
    Difference,
    Expression,
    Measure,
    Percentile,
    RowCount,
    Share,
)
from quivo_frames.export.formats import WorkbookSheet

FORMULAS_SHEET = "kpi_formulas"
_HOW = (
    "Key figures as formulas over the rows that the sheets {sheets} show.",
    "Filter these sheets by seller, carrier, week …: the figures follow. The sheet kpis has all figures as values.",
)
_SUBTOTALS = {"SUM": 109, "COUNT": 102, "AVERAGE": 101, "MAX": 104}
"""The numbers of SUBTOTAL that leave out rows which a filter hides."""
_NUMBER_FORMATS = {WHOLE: "#,##0", RATE: "0.0%"}
_FIRST_ROW = 4


def write_formulas(workbook: Workbook, sheets: Sequence[WorkbookSheet]) -> None:
    """Fill the sheet of formulas from the measures of the sheets."""
    facts = {sheet.table.name: sheet.rows for sheet in sheets if sheet.measures}
    measures = {
        name: measure
        for sheet in sheets
        for name, measure in sheet.measures.items()
        if isinstance(measure.expression, RowCount | Aggregate | Percentile | Share | Difference)
    }
    sheet = workbook.get_worksheet_by_name(FORMULAS_SHEET)
    heading = workbook.add_format({"bold": True, "bottom": 1})
    for row, sentence in enumerate(_HOW):
        sheet.write_string(row, 0, sentence.format(sheets=" and ".join(facts)))
    sheet.write_row(_FIRST_ROW - 1, 0, ("key figure", "figure", "value"), heading)
    formats = {
        form: workbook.add_format({"num_format": _NUMBER_FORMATS.get(form, "#,##0.00")})
        for form in {measure.written for measure in measures.values()}
    }
    cells = {name: f"$C${_FIRST_ROW + 1 + place}" for place, name in enumerate(measures)}
    for row, (name, measure) in enumerate(measures.items(), _FIRST_ROW):
        value = _unfiltered_value(measure.expression, facts, measures)
        sheet.write_string(row, 0, measure.folder)
        sheet.write_string(row, 1, name)
        formula = f'=IFERROR({_formula_text(measure.expression, cells)},"")'  # nothing to divide by: unknown, and not 0
        sheet.write_formula(row, 2, formula, formats[measure.written], "" if value is None else value)
    sheet.freeze_panes(_FIRST_ROW, 0)
    sheet.fit_to_pages(1, 0)
    for place, width in enumerate((26, 48, 14)):
        sheet.set_column(place, place, width)


def _formula_text(expression: Expression, cells: Mapping[str, str]) -> str:
    match expression:
        case RowCount(table):
            return f"SUBTOTAL(103,{table}[order_id])"
        case Aggregate(function, table, column):
            formula = f"SUBTOTAL({_SUBTOTALS[function]},{table}[{column}])"
            is_any = (
                f"/MIN(1,SUBTOTAL({_SUBTOTALS['COUNT']},{table}[{column}]))"  # the greatest of no values is 0 in Excel
            )
            return f"{formula}{is_any}" if function == "MAX" else formula
        case Percentile(share, table, column):
            return f"_xlfn.AGGREGATE(16,5,{table}[{column}],{share})"
        case Share(part, whole):
            return f"{cells[part]}/{cells[whole]}"
        case Difference(whole, parts):
            return "-".join(cells[name] for name in (whole, *parts))
        case _:
            raise TypeError(expression)


def _unfiltered_value(
    expression: Expression, facts: Mapping[str, pl.DataFrame], measures: Mapping[str, Measure]
) -> float | None:
    """What a formula comes to while nothing is filtered."""
    found: float | None
    match expression:
        case RowCount(table):
            return facts[table].height
        case Aggregate(function, table, column):
            values = facts[table][column]
            name = {"SUM": "sum", "COUNT": "count", "AVERAGE": "mean", "MAX": "max"}[function]
            found = values.to_frame().select(getattr(pl.col(column), name)().cast(pl.Float64)).item()
        case Percentile(share, table, column):
            found = facts[table][column].quantile(share, "linear")
        case Share(part, whole):
            divisor = _unfiltered_value(measures[whole].expression, facts, measures)
            found = (_unfiltered_value(measures[part].expression, facts, measures) or 0) / divisor if divisor else None
        case Difference(whole, parts):
            named = [_unfiltered_value(measures[name].expression, facts, measures) or 0 for name in (whole, *parts)]
            found = named[0] - sum(named[1:])
        case _:
            raise TypeError(expression)
    return found
