"""The dictionary: what each table and column is, how far it is filled, the codes in it, checks and key figures."""

from __future__ import annotations

from typing import Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.analysis.checks.limits import describe_limits
from quivo_frames.analysis.definition_pages import check_facts
from quivo_frames.analysis.dictionary_page import column_facts, table_facts
from quivo_frames.analysis.kpi.kpis import KPIS
from quivo_frames.analysis.kpi.result import UNTOLD
from quivo_frames.analysis.report.sheets import format_percent
from quivo_frames.explorer.rendering import address_of, render_page
from quivo_frames.explorer.snapshot import Snapshot
from quivo_frames.explorer.table_diagram import BOX_HEIGHT, BOX_WIDTH, draw_diagram
from quivo_frames.model.derived import DERIVED_TABLES, dataset_tables
from quivo_frames.model.tables import REPORT_TABLES, TABLES, Table

CHECKS_PAGE, KPIS_PAGE = "checks", "kpis"
"""What stands at the place of a table for the definitions of checks and of key figures."""
MOST_CODES = 100
_MOST_HITS = 200
_KNOWN = dataset_tables(derived=True) | REPORT_TABLES
_KINDS_OF_TABLES = {
    "Tables of orders": TABLES, "Derived tables": DERIVED_TABLES, "What the build reported": REPORT_TABLES
}  # fmt: skip
_FILTERS_OF_CODES = {("orders", "order_status"): "status"}
"""Columns whose codes are a filter of the orders."""


class DictionaryHit(NamedTuple):
    """Something of the dictionary that was searched for: what it is, its name, its sentence and its address."""

    what: str
    name: str
    sentence: str
    address: str


class ColumnEntry(NamedTuple):
    """A column as the dictionary shows it."""

    facts: dict[str, Any]
    type: str
    refers_to: str
    filled: str
    share: float | None
    codes: list[tuple[str, int, str]]
    """Codes, how many rows have each, and the address of these orders."""
    more_codes: int


def show_dictionary(snapshot: Snapshot, request: Request) -> Response:
    """The page."""
    words = request.query_params.get("q", "").strip()[:100]
    hits = _search(words) if words else []
    facts = {entry["table"]: entry for entry in table_facts(snapshot.dataset)}
    return render_page(
        "dictionary.html", request=request, snapshot=snapshot, words=words, hits=hits[:_MOST_HITS], found=len(hits),
        kinds=[(kind, [facts[name] for name in tables]) for kind, tables in _KINDS_OF_TABLES.items()],
        diagram=draw_diagram(snapshot.dataset.counts()), box_width=BOX_WIDTH, box_height=BOX_HEIGHT,
        checks=len(CHECKS), kpis=len(KPIS),
    )  # fmt: skip


def show_table(snapshot: Snapshot, request: Request) -> Response:
    """The page of a table, or of the definitions of checks or key figures.

    Raises:
        HTTPException: there is no such table.
    """
    name = request.path_params["table"]
    if name == CHECKS_PAGE:
        return render_page(
            "definitions.html", request=request, snapshot=snapshot, kind="Checks", limits=describe_limits(),
            used=snapshot.options.limits, entries=check_facts(None, snapshot.dataset), untold={},
        )  # fmt: skip
    if name == KPIS_PAGE:
        return render_page(
            "definitions.html", request=request, snapshot=snapshot, kind="Key figures", limits=[], used=None,
            entries=[{"kpi": name, **kpi.definition._asdict()} for name, kpi in KPIS.items()], untold=UNTOLD,
        )  # fmt: skip
    if name not in _KNOWN:
        raise HTTPException(404, "There is no such table. The dictionary lists all of them.")
    table = _KNOWN[name]
    known = snapshot.facts_of_columns  # those of derived tables are counted, which takes seconds for a million orders
    facts = known[name] if name in known else known.setdefault(name, column_facts(name, snapshot.dataset))
    return render_page(
        "dictionary_table.html", request=request, snapshot=snapshot, described=table,
        entries=[_describe_column(name, each, personal=snapshot.options.personal) for each in facts],
        rows=facts[0]["rows"], referring=_referring_tables(table), about=_about(table),
    )  # fmt: skip


def _about(table: Table) -> str:
    """What is said of a table beside its grain."""
    if table.name in DERIVED_TABLES:
        return "Worked out from the tables of orders by each build."
    return f"From {table.source} of the answer." if table.source else ""


def _referring_tables(table: Table) -> list[tuple[str, str]]:
    """The tables with a column that refers to this one."""
    return [(other.name, one.column) for other in _KNOWN.values() for one in other.references
            if one.to_table == table.name]  # fmt: skip


def _describe_column(table: str, facts: dict[str, Any], *, personal: bool) -> ColumnEntry:
    share = facts["filled"] / facts["rows"] if facts["rows"] and facts["filled"] is not None else None
    may_show = personal or facts["privacy"] is None
    codes = sorted((facts["codes"] or {}).items(), key=lambda code: (-code[1], code[0])) if may_show else []
    name = _FILTERS_OF_CODES.get((table, facts["column"]), "")
    linked = [(code, count, address_of("/orders", {name: code}) if name else "") for code, count in codes]
    dtype = facts["type"]
    short = next((known for known in ("Datetime", "Decimal") if dtype.startswith(known)), dtype)
    return ColumnEntry(
        facts, short, (facts["refers_to"] or "").partition(".")[0], "" if share is None else format_percent(share),
        share, linked[:MOST_CODES], max(0, len(linked) - MOST_CODES),
    )  # fmt: skip


def _search(words: str) -> list[DictionaryHit]:
    """What has all of the words in its name or sentence: names first, then sentences."""
    wanted = words.casefold().replace("_", " ").split()
    fits = [
        (not all(word in _plain(one.name) for word in wanted), place, one)
        for place, one in enumerate(_all_entries())
        if all(word in _plain(f"{one.what} {one.name} {one.sentence}") for word in wanted)
    ]
    return [one for *_, one in sorted(fits, key=lambda found: found[:2])]


def _plain(text: str) -> str:
    return text.casefold().replace("_", " ")


def _all_entries() -> list[DictionaryHit]:
    tables = [
        DictionaryHit("table", name, f"One row per {table.grain}.", f"/dictionary/{name}")
        for name, table in _KNOWN.items()
    ]
    columns = [
        DictionaryHit(f"column of {name}", column.name, column.sentence, f"/dictionary/{name}#{column.name}")
        for name, table in _KNOWN.items()
        for column in table.columns
    ]
    checks = [
        DictionaryHit("check", name, check.title, f"/dictionary/{CHECKS_PAGE}#{name}") for name, check in CHECKS.items()
    ]
    figures = [
        DictionaryHit("key figure", name, f"{kpi.definition.title}.", f"/dictionary/{KPIS_PAGE}#{name}")
        for name, kpi in KPIS.items()
    ]
    return [*tables, *columns, *checks, *figures]
