"""The overview: the figures of the report, and each leads to what is behind it."""

from __future__ import annotations

import html
import os
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import quivo_frames as qf
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.analysis.report.performance import headline_figures
from quivo_frames.errors import DatasetError, LostWorker
from quivo_frames.explorer import background, snapshot
from quivo_frames.explorer.background import StopRequest
from quivo_frames.explorer.explore import explore
from quivo_frames.standin.orders import write_ndjson
from tests.explorer.visitor import Visitor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> qf.Dataset:
    folder = tmp_path_factory.mktemp("overview")
    write_ndjson(folder / "orders.ndjson", 400)
    return qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, progress=False)


@pytest.fixture(scope="module")
def visitor(tables: qf.Dataset) -> Iterator[Visitor]:
    with explore(tables) as explorer:
        yield Visitor.enter(explorer)


@pytest.mark.long
def test_the_figures_are_those_of_the_report(visitor: Visitor, tables: qf.Dataset) -> None:
    page = visitor.read("/")
    figures = headline_figures(400, qf.audit(tables, remember=False), qf.kpis(tables))
    shown = re.findall(r"<dt>([^<]+)</dt>\s*<dd class=\"value\"><a[^>]*>([^<]+)</a>", page)
    assert [(name, html.unescape(value)) for name, value in shown] == [(one.name, one.value) for one in figures]


@pytest.mark.long
def test_every_figure_and_chart_leads_to_a_page(visitor: Visitor) -> None:
    page = visitor.read("/")
    links = {html.unescape(link) for link in re.findall(r'href="(/[^"#]*)', page)}
    for expected in ("/orders?month=2026-", "/orders?carrier=", "/findings?warehouse=", "/orders?seller=",
                     "/orders?stage=", "/findings?check=", "/findings?severity=error", "/orders?open=yes",
                     "/orders?late=yes", "/lines", "/dictionary/kpis"):  # fmt: skip
        assert any(link.startswith(expected) for link in links), expected
    for link in links:
        assert visitor.get(link).status_code == 200, link


def test_months_lead_to_their_orders(visitor: Visitor, tables: qf.Dataset) -> None:
    page = visitor.read("/")
    months = qf.kpis(tables, by="month").volume["month"].drop_nulls().to_list()
    chart = page[page.index('<figure id="over-time">') : page.index('<figure id="cycle-time">')]
    assert re.findall(r'<a href="/orders\?month=([^"]+)">', chart) == months


def test_figures_that_cannot_be_worked_out_are_said_and_the_rest_is_shown(
    tables: qf.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_worker(*_: Any, **__: Any) -> None:
        raise LostWorker("A process was ended by the system.")

    monkeypatch.setattr(snapshot, "audit_in_other_process", lose_worker)
    with explore(tables) as explorer:
        visitor = Visitor.enter(explorer)
        page = visitor.read("/")
        assert "Findings and figures are missing: A process was ended by the system." in page
        assert "/orders?stage=" in page
        assert visitor.get("/dictionary").status_code == 200
        assert "A process was ended by the system." in visitor.get("/findings").text


@pytest.mark.long
def test_in_another_process_the_same_is_found(tables: qf.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    here = background.audit_in_other_process(OrderView(tables), Limits(), StopRequest(), personal=False)
    drawn = background.draw_in_other_process(OrderView(tables), Limits(), "latest_delivery_date", StopRequest())
    monkeypatch.setattr("quivo_frames.analysis.milestones.ORDERS_PER_RANGE", 150)
    apart = background.audit_in_other_process(OrderView(tables), Limits(), StopRequest(), personal=False)
    assert apart.equals(here)
    assert apart.checks.equals(here.checks)
    assert (apart.as_of, apart.since, apart.personal) == (here.as_of, here.since, False)
    drawn_elsewhere = background.draw_in_other_process(
        OrderView(tables), Limits(), "latest_delivery_date", StopRequest()
    )
    assert drawn_elsewhere.title == drawn.title
    assert [chart.data for chart in drawn_elsewhere.page.charts] == [chart.data for chart in drawn.page.charts]
    assert drawn.page.kpis["volume"].equals(drawn_elsewhere.page.kpis["volume"])


@pytest.mark.long
@pytest.mark.parametrize("seconds", [0, 0.2, 2])
def test_the_other_process_ends_when_its_state_is_closed(
    tables: qf.Dataset, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Ctrl-C does not wait for an audit, which takes minutes for a million orders."""
    monkeypatch.setattr("quivo_frames.analysis.milestones.ORDERS_PER_RANGE", 150)
    stop_request = StopRequest()
    threading.Timer(seconds, stop_request.set).start()
    begun = time.monotonic()
    with pytest.raises(DatasetError, match="rebuilt meanwhile"):
        background._run_in_other_process(lambda _: time.sleep(60), OrderView(tables), stop_request)
    assert time.monotonic() - begun < 30


@pytest.mark.long
def test_another_process_that_the_system_ends_is_a_message(tables: qf.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quivo_frames.analysis.milestones.ORDERS_PER_RANGE", 150)
    with pytest.raises(LostWorker, match="ended by the system, as happens when memory is short"):
        background._run_in_other_process(lambda _: os._exit(1), OrderView(tables), StopRequest())


@pytest.mark.long
@pytest.mark.parametrize("orders", [0, 1])
def test_few_orders_have_an_overview(tmp_path: Path, orders: int) -> None:
    (tmp_path / "orders.ndjson").write_text('{"orderId": 1}\n' if orders else '{"orderIdentifier": "none"}\n')
    qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1, progress=False)
    with explore(tmp_path / "tables", accepted=tmp_path / "accepted.toml") as explorer:
        visitor = Visitor.enter(explorer)
        assert "At a glance" in visitor.read("/")
        for path in ("/findings", "/findings?status=all", "/dictionary", "/dictionary/orders", "/findings.csv"):
            assert visitor.get(path).status_code == 200, path
