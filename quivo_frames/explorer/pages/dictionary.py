"""The page of dictionary."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from quivo_frames.explorer.rendering import render_page
from quivo_frames.explorer.snapshot import Snapshot


def show_dictionary(snapshot: Snapshot, request: Request) -> Response:
    """The page."""
    return render_page("dictionary.html", request=request, snapshot=snapshot)


def show_table(snapshot: Snapshot, request: Request) -> Response:
    """The page of a table."""
    return show_dictionary(snapshot, request)
