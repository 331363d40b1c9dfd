"""The application: which page answers which address, and what is said when none can."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from http import HTTPStatus
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from quivo_frames.errors import ConfigError, DatasetError, QuivoError
from quivo_frames.explorer.access import AccessGuard, AccessKeys
from quivo_frames.explorer.pages import dictionary, findings, lines, order, orders, overview
from quivo_frames.explorer.rendering import render_page
from quivo_frames.explorer.snapshot import Snapshot, SnapshotKeeper

Page = Callable[[Snapshot, Request], Response]

PAGES: dict[str, Page] = {
    "/": overview.show_overview,
    "/orders": orders.show_orders,
    "/search": orders.show_hits,
    "/orders.csv": partial(orders.download_orders, ending=".csv"),
    "/orders.xlsx": partial(orders.download_orders, ending=".xlsx"),
    "/orders/{order_id}": order.show_order,
    "/orders/{order_id}/answer": order.show_answer,
    "/orders/{order_id}/answer.json": order.download_answer,
    "/orders/{order_id}/rows/{table}": order.show_order_rows,
    "/findings": findings.show_findings,
    "/findings.csv": partial(findings.download_findings, ending=".csv"),
    "/findings.xlsx": partial(findings.download_findings, ending=".xlsx"),
    "/lines": lines.show_lines,
    "/dictionary": dictionary.show_dictionary,
    "/dictionary/{table}": dictionary.show_table,
}
"""The pages, by their paths."""
_ASSETS = {"explorer.css": "text/css", "explorer.js": "text/javascript"}
_REPORT_STYLE = Path(__file__).parent.parent / "analysis" / "report" / "page.css"


def make_application(keeper: SnapshotKeeper, keys: AccessKeys, hosts: Collection[str]) -> AccessGuard:
    """The application that serves the pages of a dataset under some names of hosts."""

    def route(page: Page) -> Callable[[Request], object]:
        async def answer(request: Request) -> Response:
            return await run_in_threadpool(keeper.read_one_state, lambda snapshot: page(snapshot, request))

        return answer

    async def accept(request: Request) -> Response:
        form = await request.form()
        fields = {name: str(value) for name, value in form.items()}
        if not keys.is_form_token(fields.get("form_token", "")):
            raise HTTPException(HTTPStatus.FORBIDDEN, "This form is not from this explorer. Open the page again.")
        return await run_in_threadpool(
            keeper.read_one_state, lambda snapshot: findings.accept_finding(snapshot, request, fields)
        )

    routes = [Route(path, route(page), methods=["GET"]) for path, page in PAGES.items()]
    routes.append(Route("/findings/accept", accept, methods=["POST"]))
    routes.append(Route("/assets/{name}", _send_asset, methods=["GET"]))
    app = Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: _explain_http_error,
            QuivoError: _explain_error,
            Exception: _explain_fault,
        },
    )
    app.state.form_token = keys.form_token
    return AccessGuard(app, keys, hosts, refuse)


def refuse(status: HTTPStatus, sentence: str) -> Response:
    """The page that says why there is none."""
    return render_page("refusal.html", status, title=status.phrase, sentence=sentence)


async def _send_asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name == "report.css":
        return PlainTextResponse(_REPORT_STYLE.read_text("utf-8"), media_type="text/css")
    if name not in _ASSETS:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    text = (Path(__file__).parent / "assets" / name).read_text("utf-8")
    return PlainTextResponse(text, media_type=_ASSETS[name])


async def _explain_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    unknown = "There is no such page."
    sentence = unknown if status == HTTPStatus.NOT_FOUND and error.detail == status.phrase else str(error.detail)
    return refuse(status, sentence)


async def _explain_error(_: Request, error: Exception) -> Response:
    if isinstance(error, ConfigError):  # what was asked for does not fit
        return refuse(HTTPStatus.BAD_REQUEST, str(error))
    if isinstance(error, DatasetError):
        return refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"{error} Then load this page again.")
    return refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))


async def _explain_fault(_: Request, error: Exception) -> Response:
    return refuse(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        f"The page cannot be made ({type(error).__name__}): quivo_frames is to blame. Nothing was changed.",
    )
