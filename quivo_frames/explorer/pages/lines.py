"""The page of lines."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from quivo_frames.explorer.rendering import render_page
from quivo_frames.explorer.snapshot import Snapshot


def show_lines(snapshot: Snapshot, request: Request) -> Response:
    """The page."""
    return render_page("lines.html", request=request, snapshot=snapshot)
