"""Whatever an order says, it can be audited, counted and reported."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quivo_frames as qf
from tests.support.depth import examples
from tests.support.drawn_orders import DRAWN_SETTINGS, drawn_orders

IDS = (-7, 0, 1, 2**63 - 1)


@pytest.mark.drawn
@pytest.mark.long
@settings(DRAWN_SETTINGS, max_examples=examples(20))
@given(st.tuples(*map(drawn_orders, IDS)))
def test_any_orders_have_findings_lines_key_figures_and_a_report(
    tmp_path_factory: pytest.TempPathFactory, texts: tuple[str, ...]
) -> None:  # fmt: skip
    orders = qf.flatten([text.encode() for text in texts])
    assert orders.orders.height == len(IDS)
    assert set(qf.audit(orders)["order_id"]) <= set(IDS)
    assert set(qf.lines(orders)["order_id"]) <= set(IDS)
    figures = qf.kpis(orders, by=("carrier", "week"), as_of="2026-06-01", time_zone="Europe/Vienna")
    assert figures.keys() == qf.kpis(orders).keys()
    page = tmp_path_factory.mktemp("report") / "report.html"
    qf.report(orders, page)
    assert page.exists()
