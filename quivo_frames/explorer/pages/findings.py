"""The page of findings."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from quivo_frames.explorer.rendering import render_page
from quivo_frames.explorer.snapshot import Snapshot


def show_findings(snapshot: Snapshot, request: Request) -> Response:
    """The page."""
    return render_page("findings.html", request=request, snapshot=snapshot)


def accept_finding(snapshot: Snapshot, request: Request, fields: dict[str, str]) -> Response:  # noqa: ARG001 - not yet
    """Accept a finding, and show the findings again."""
    return show_findings(snapshot, request)
