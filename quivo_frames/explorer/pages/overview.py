"""The overview: the figures and charts of the report, what is new, and what each of them leads to."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from quivo_frames.errors import QuivoError
from quivo_frames.explorer.finding_list import STATUSES
from quivo_frames.explorer.overview_content import count_stages, describe_findings
from quivo_frames.explorer.rendering import render_page
from quivo_frames.explorer.snapshot import Snapshot


def show_overview(snapshot: Snapshot, request: Request) -> Response:
    """The page."""
    problem, listed, content = "", None, None
    try:
        listed, content = snapshot.list_findings(), snapshot.describe_overview()
    except QuivoError as error:
        problem = str(error)
    height = snapshot.orders.height
    return render_page(
        "overview.html", request=request, snapshot=snapshot, listed=listed, content=content, problem=problem,
        name=Path(snapshot.dataset.address).name, stages=count_stages(snapshot.orders), height=height,
        highlights=describe_findings(listed, height) if listed and not content else [],
        statuses=[(one.value, one.findings, STATUSES[one.value]) for one in listed.count_values({})["status"]]
        if listed else [],
        title=snapshot.figures.result().title if content else None,
        kpis=snapshot.figures.result().page.kpis if content else None,
        failed=snapshot.dataset.manifest["orders"]["failed"],
    )  # fmt: skip
