"""The page of one order, the page of its rows in one table, and the page of its answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from quivo_frames.analysis.order_search import explain_nothing_found
from quivo_frames.explorer.order_answer import (
    OrderAnswer,
    find_answer,
    read_archived_answers,
)
from quivo_frames.explorer.order_cells import ROWS_A_PAGE, ShownTable, choose_rows, link_within, show_rows
from quivo_frames.explorer.order_findings import find_order_findings
from quivo_frames.explorer.order_head import describe_head, list_further_facts
from quivo_frames.explorer.order_history import read_history
from quivo_frames.explorer.order_json import JsonView, lay_out_answer, parse_answer
from quivo_frames.explorer.order_lines import show_lines_of_order
from quivo_frames.explorer.order_places import Cell, Steps, parse_path, path_text, place_of_cell
from quivo_frames.explorer.order_rows import OrderRows, read_order_rows
from quivo_frames.explorer.order_shipping import show_fulfillments, walk_units
from quivo_frames.explorer.order_timeline_svg import draw_timeline
from quivo_frames.explorer.rendering import render_page
from quivo_frames.explorer.snapshot import Snapshot
from quivo_frames.model.tables import TABLES

_NUMBER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_MOST_BYTES = 400_000
"""A longer answer is not on the page of its order, but on a page of its own."""


def show_order(snapshot: Snapshot, request: Request) -> Response:
    """The page of an order."""
    rows = _read_rows(snapshot, request)
    archived = read_archived_answers(snapshot.options.archive, rows.order_id)
    answer = find_answer(rows, archived)
    chosen = choose_rows(rows.tables)
    shown = {(name, str(key)) for name, frame in chosen.items() for key in frame[TABLES[name].key]}

    def link_of_cell(cell: Cell) -> str:
        if not rows.has_value(*cell):
            return ""
        return f"#{cell.anchor}" if (cell.table, cell.key) in shown else cell.address

    view = _lay_out(answer, rows, link_of_cell) if len(answer.body) <= _MOST_BYTES else None
    link_of_place = link_within(view.anchors if isinstance(view, JsonView) else set(), rows.order_id)
    fulfillments, hidden_shipments = show_fulfillments(snapshot.dataset, rows)
    return render_page(
        "order.html", request=request, snapshot=snapshot, rows=rows, order_id=rows.order_id,
        head=describe_head(rows), timeline=draw_timeline(rows),
        findings=find_order_findings(snapshot, rows, alone=request.query_params.get("findings") == "alone"),
        lines=show_lines_of_order(rows, _number_of(request, "lines")),
        fulfillments=fulfillments, hidden_shipments=hidden_shipments, units=list(walk_units(rows)),
        unit_count=rows.tables["handling_units"].height, more_facts=list_further_facts(rows),
        history=read_history(snapshot.options.archive, rows, archived),
        tables=[show_rows(name, frame, rows.tables[name].height, link_of_place) for name, frame in chosen.items()],
        answer=answer, view=view, link_of_cell=link_of_cell,
        link_of_place=lambda cell: "" if (steps := place_of_cell(cell)) is None else link_of_place(steps),
    )  # fmt: skip


def show_answer(snapshot: Snapshot, request: Request) -> Response:
    """The page of the answer about an order, around the place `at`."""
    rows = _read_rows(snapshot, request)
    answer = find_answer(rows, read_archived_answers(snapshot.options.archive, rows.order_id))
    asked = request.query_params.get("at", "$")
    at = parse_path(asked)
    if at is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"{asked} is no place in the answer about order {rows.order_id}.")

    def link_of_cell(cell: Cell) -> str:
        return cell.address if rows.has_value(*cell) else ""

    view = _lay_out(answer, rows, link_of_cell, at)
    parents = [(path_text(at[:depth]), at[:depth]) for depth in range(len(at) + 1)]
    return render_page(
        "order_answer.html", request=request, snapshot=snapshot, order_id=rows.order_id, answer=answer, view=view,
        parents=parents, at=path_text(at),
    )  # fmt: skip


def download_answer(snapshot: Snapshot, request: Request) -> Response:
    """The answer about an order as a file, as received."""
    rows = _read_rows(snapshot, request)
    answer = find_answer(rows, read_archived_answers(snapshot.options.archive, rows.order_id))
    headers = {"Content-Disposition": f'attachment; filename="order-{rows.order_id}.json"'}
    return Response(answer.body, media_type="application/json", headers=headers)


def show_order_rows(snapshot: Snapshot, request: Request) -> Response:
    """The page of the rows of an order in one table: a page of them, or that with the row `at`."""
    rows = _read_rows(snapshot, request)
    name = request.path_params["table"]
    if name not in TABLES:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"There is no table {name}. The tables are: {', '.join(TABLES)}.")
    frame = rows.tables[name]
    page_count = max(-(-frame.height // ROWS_A_PAGE), 1)
    page = min(max(_number_of(request, "page"), 1), page_count)
    if (key := request.query_params.get("at")) is not None:
        keys = [str(one) for one in frame[TABLES[name].key]]
        if key not in keys:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"Order {rows.order_id} has no row {key} in {name}.")
        page = keys.index(key) // ROWS_A_PAGE + 1
    part = frame.slice((page - 1) * ROWS_A_PAGE, ROWS_A_PAGE)
    table: ShownTable = show_rows(name, part, frame.height, link_within(set(), rows.order_id))
    return render_page(
        "order_rows.html", request=request, snapshot=snapshot, order_id=rows.order_id, shown=table, page=page,
        page_count=page_count, others=[other for other in TABLES if rows.tables[other].height], marked=key,
    )  # fmt: skip


def _read_rows(snapshot: Snapshot, request: Request) -> OrderRows:
    """The rows of the order that the address names.

    Raises:
        HTTPException: there is no such order.
    """
    asked = request.path_params["order_id"]
    number = int(asked) if _NUMBER.fullmatch(asked) else None
    if number is not None and -(2**63) <= number < 2**63:
        rows = read_order_rows(snapshot, number)
        if rows is not None:
            return rows
    raise HTTPException(HTTPStatus.NOT_FOUND, explain_nothing_found(snapshot.dataset, asked))


def _lay_out(
    answer: OrderAnswer, rows: OrderRows, link_of_cell: Callable[[Cell], str], at: Steps = ()
) -> JsonView | str:
    """The answer in lines; why it cannot be shown, if it cannot."""
    try:
        return lay_out_answer(parse_answer(answer.body), rows.order_id, link_of_cell, at=at, personal=rows.personal)
    except ValueError as error:
        return f"The answer cannot be shown: {error}."


def _number_of(request: Request, name: str) -> int:
    """A number of a page; 1 where it is none."""
    given = request.query_params.get(name, "1")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 1
