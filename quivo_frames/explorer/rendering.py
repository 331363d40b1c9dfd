"""Pages from templates: every value is escaped, and every link has its state in its address."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
from starlette.responses import HTMLResponse

from quivo_frames.analysis.report.page import add_page_filters
from quivo_frames.analysis.report.sheets import format_amount, format_integer, format_minute, format_percent

PAGES = {"/": "Overview", "/orders": "Orders", "/findings": "Findings", "/lines": "Lines", "/dictionary": "Dictionary"}
"""The pages that every page leads to."""
Parameters = Mapping[str, str | int | None]


def address_of(path: str, parameters: Parameters | None = None, **more: str | int | None) -> str:
    """A path with parameters; those without a value are left out, so that the same state has one address."""
    given = {name: value for name, value in {**(parameters or {}), **more}.items() if value not in (None, "")}
    return quote(path) + (f"?{urlencode(given)}" if given else "")


def render_page(template: str, status: int = HTTPStatus.OK, **values: Any) -> HTMLResponse:
    """A page made of a template."""
    return HTMLResponse(_environment().get_template(template).render(**values), status)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([
            jinja2.PackageLoader("quivo_frames.explorer", "templates"),
            jinja2.PackageLoader("quivo_frames.analysis.report", "."),  # the macros of the report
        ]),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    add_page_filters(environment)
    environment.filters |= {
        "format_amount": format_amount, "format_minute": format_minute, "format_percent": format_percent,
    }  # fmt: skip
    environment.globals |= {"address_of": address_of, "pages": PAGES, "format_integer": format_integer}
    return environment
