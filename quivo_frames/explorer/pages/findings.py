"""The page of findings: by check, seller, warehouse, carrier, severity and status; each leads to its order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta
from http import HTTPStatus
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from quivo_frames.analysis.checks.accepted import AcceptedFinding
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.analysis.checks.findings import FINDINGS
from quivo_frames.analysis.report.sheets import format_amount, format_days
from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.explorer.finding_list import EVERY_STATUS, FACETS, PER_PAGE, RESOLVED, STATUSES, FindingList
from quivo_frames.explorer.rendering import address_of, render_page
from quivo_frames.explorer.row_download import send_rows
from quivo_frames.explorer.snapshot import Snapshot

FACET_NAMES = {
    "severity": "Severity", "status": "Status", "check": "Check", "seller": "Seller", "warehouse": "Warehouse",
    "carrier": "Carrier",
}  # fmt: skip
MOST_CHARACTERS = 500
"""Of a reason."""
MOST_ROWS = {".csv": 1_000_000, ".xlsx": 100_000}
"""Of a file of findings: more take minutes, and nobody reads them."""
_USUAL_DAYS = 90
"""How long a finding is accepted unless another day is given."""


class FindingRow(NamedTuple):
    """A finding as it is listed."""

    facts: dict[str, Any]
    message: str
    title: str
    evidence: list[tuple[str, str]]
    days_late: str
    value: str
    accepted: AcceptedFinding | None


class AcceptForm(NamedTuple):
    """What was written in the form of a finding, and why it was not accepted."""

    finding: str = ""
    until: str = ""
    because: str = ""
    problem: str = ""


def show_findings(snapshot: Snapshot, request: Request) -> Response:
    """The page."""
    return _render_findings(snapshot, request, _read_state(request.query_params), AcceptForm())


def accept_finding(snapshot: Snapshot, request: Request, fields: dict[str, str]) -> Response:
    """Accept a finding, and show the findings again."""
    state = _read_state(fields)
    form = AcceptForm(fields.get("finding", ""), fields.get("until", ""), fields.get("because", ""))
    listed = snapshot.list_findings()
    if listed is None:
        raise ConfigError("The findings are still being worked out. Accept this one when they are there.")
    try:
        until = _check_form(snapshot, listed, form)
        snapshot.accepted.accept(form.finding, until, form.because.strip())
    except (ConfigError, ExportError) as error:
        return _render_findings(snapshot, request, state, form._replace(problem=str(error)))
    return RedirectResponse(address_of("/findings", state, accepted=form.finding), HTTPStatus.SEE_OTHER)


def _check_form(snapshot: Snapshot, listed: FindingList, form: AcceptForm) -> date:
    """The last day of a finding that is to be accepted.

    Raises:
        ConfigError: it cannot be accepted so.
    """
    if snapshot.accepted.file is None:
        raise ConfigError("Nothing can be accepted here: the explorer was started without a file of accepted findings.")
    if listed.find_by_name(form.finding) is None:
        raise ConfigError("This finding is not there any more: the tables were built again.")
    try:
        until = date.fromisoformat(form.until.strip())
    except ValueError:
        raise ConfigError("The last day is no day. Write it as year, month and day: 2026-12-31.") from None
    earliest = _earliest_day(listed)
    if until < earliest:
        raise ConfigError(f"{until} is over. Choose {earliest} or a later day.")
    if not form.because.strip():
        raise ConfigError("Give a reason, for those who see this finding accepted.")
    if len(form.because) > MOST_CHARACTERS:
        raise ConfigError(f"The reason has {len(form.because):,} characters. Use at most {MOST_CHARACTERS}.")
    return until


def _earliest_day(listed: FindingList) -> date:
    """The first day until which a finding can be accepted: the day of the audit, or today."""
    today = date.today()  # noqa: DTZ011 - the day of who is asking
    return max(today, listed.findings.as_of.date()) if listed.findings.as_of else today


def download_findings(snapshot: Snapshot, request: Request, ending: str) -> Response:
    """The findings that are seen, all pages of them, as a file.

    Raises:
        ConfigError: they are not known yet, or too many.
    """
    listed = snapshot.list_findings()
    if listed is None:
        raise ConfigError("The findings are still being worked out. Download them when they are there.")
    places = listed.filter_places(_read_state(request.query_params))["place"]
    if places.len() > MOST_ROWS[ending]:
        raise ConfigError(
            f"A {ending} file takes {MOST_ROWS[ending]:,} findings here, and these are {places.len():,}. Choose fewer "
            "by a filter, or write them with `quivo-frames audit --out`."
        )
    return send_rows(listed.rows[places.to_list()], FINDINGS, ending)


def _read_state(given: Mapping[str, str]) -> dict[str, str]:
    """The filters and the page that parameters name; what does not fit is left out."""
    state = {name: given.get(name, "") for name in FACETS}
    if state["status"] not in (*STATUSES, EVERY_STATUS):
        state["status"] = ""
    page = given.get("page", "")
    return state | {"page": page if page.isascii() and page.isdigit() and len(page) < 9 else ""}


def _render_findings(snapshot: Snapshot, request: Request, state: dict[str, str], form: AcceptForm) -> Response:
    listed = snapshot.list_findings()
    if listed is None:
        return render_page("findings.html", request=request, snapshot=snapshot, listed=None, state=state)
    chosen = listed.filter_places(state)
    last = max(1, math.ceil(chosen.height / PER_PAGE))
    number = min(max(int(state["page"] or 1), 1), last)
    rows = listed.rows[chosen["place"].slice((number - 1) * PER_PAGE, PER_PAGE).to_list()]
    return render_page(
        "findings.html", HTTPStatus.BAD_REQUEST if form.problem else HTTPStatus.OK, request=request,
        snapshot=snapshot, listed=listed, state=state,
        chosen={name: state[name] for name in FACETS if state[name]}, facets=listed.count_values(state),
        facet_names=FACET_NAMES, statuses=STATUSES, every_status=EVERY_STATUS, resolved=RESOLVED,
        rows=[_describe_row(row, listed) for row in rows.iter_rows(named=True)],
        total=chosen.height, orders=chosen["order_id"].n_unique(), number=number, last=last,
        first=(number - 1) * PER_PAGE + 1, check=CHECKS.get(state["check"]), checks=CHECKS, form=form,
        just_accepted=listed.accepted.get(request.query_params.get("accepted", "")),
        earliest=_earliest_day(listed), usual=_earliest_day(listed) + timedelta(days=_USUAL_DAYS),
        form_token=request.app.state.form_token, most_characters=MOST_CHARACTERS,
    )  # fmt: skip


def _describe_row(row: dict[str, Any], listed: FindingList) -> FindingRow:
    amount = row["value_at_risk"]
    return FindingRow(
        row, row["message"].removeprefix(f"Order {row['order_id']}: "), CHECKS[row["check"]].title,
        [(entry["name"].replace("_", " "), entry["value"]) for entry in row["evidence"] or ()],
        "" if row["days_late"] is None else format_days(row["days_late"]),
        "" if amount is None else f"{format_amount(amount)} {row['currency'] or ''}".strip(),
        listed.accepted.get(row["finding"]) if row["status"] == "accepted" else None,
    )  # fmt: skip
