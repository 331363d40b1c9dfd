"""The page of orders."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from quivo_frames.explorer.rendering import render_page
from quivo_frames.explorer.snapshot import Snapshot


def show_orders(snapshot: Snapshot, request: Request) -> Response:
    """The page."""
    return render_page("orders.html", request=request, snapshot=snapshot)


def download_orders(snapshot: Snapshot, request: Request, ending: str) -> Response:  # noqa: ARG001 - not yet
    """The orders that are seen, as a file."""
    return show_orders(snapshot, request)
