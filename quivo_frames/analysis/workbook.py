"""Exports of tables, with the findings and key figures in an Excel file, and the key figures in a Power BI model."""

from __future__ import annotations

import os

from quivo_frames.analysis.checks.audit import audit
from quivo_frames.analysis.checks.findings import Findings
from quivo_frames.analysis.kpi.fact_tables import kpi_fact_tables, pivot_tables
from quivo_frames.analysis.kpi.kpis import kpis
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.export.formats import ExportFormat, ExportResult, parse_export_format, refuse_export_target


def export_with_answers(
    tables: Dataset, to: str, out: str | os.PathLike[str], *, privacy: str | None = None, by_month: bool = False,
    findings: Findings | None = None, limits: str | None = None, accepted: str | None = None,
    on_time_against: str = "latest_delivery_date",
) -> ExportResult:  # fmt: skip
    """What `Dataset.export` returns; to excel, with the `findings` (None: those of an audit now) and the key figures.

    To powerbi, with the facts and measures of the key figures.

    `limits` is the TOML file of thresholds of both, None the defaults; `accepted` the one of accepted findings.

    Raises:
        ConfigError, ExportError: as for `Dataset.export`, and before the audit, if nothing can be written.
    """
    tables.export_privacy(privacy)
    form = parse_export_format(to)
    if form is ExportFormat.POWERBI:
        refuse_export_target(form, os.fspath(out))
        facts = kpi_fact_tables(tables, limits=limits, on_time_against=on_time_against)
        return tables.export(to, out, privacy=privacy, by_month=by_month, sheets=facts)
    if form is not ExportFormat.EXCEL:
        return tables.export(to, out, privacy=privacy, by_month=by_month)
    refuse_export_target(form, os.fspath(out))
    found = audit(tables, remember=False, limits=limits, accepted=accepted) if findings is None else findings
    figures = kpis(tables, limits=limits, on_time_against=on_time_against)
    pivots = pivot_tables(tables, limits=limits, on_time_against=on_time_against)
    return tables.export(to, out, privacy=privacy, by_month=by_month, sheets=[found, figures, *pivots])
