"""The key figures as measures of a BI tool: which sum, share or percentile of the facts is which figure."""

from __future__ import annotations

from collections.abc import Mapping

from quivo_frames.analysis.kpi import flow, service, shipping
from quivo_frames.analysis.kpi.kpi import Kpi
from quivo_frames.analysis.kpi.promises import PROMISES
from quivo_frames.export.bi_measures import (
    DAYS,
    RATE,
    WHOLE,
    Aggregate,
    ByOtherDate,
    Difference,
    Expression,
    Measure,
    Percentile,
    RowCount,
    Share,
)

_Figures = Mapping[str, tuple[Expression, str]]
_ORDERS, _SHIPMENTS = "kpi_orders", "kpi_shipments"


def order_measures() -> dict[str, Measure]:
    """The figures of kpi_orders by name, each with the definition of its KPI."""
    volume: dict[str, Expression] = {
        "Orders": RowCount(_ORDERS), "Orders called off": _sum_of("called_off"), "Orders shipped": _sum_of("shipped"),
        "Orders delivered": _sum_of("delivered"), "Orders completed": _sum_of("completed"),
        "Ordered lines": _sum_of("lines"), "Ordered pieces": _sum_of("pieces"),
    }  # fmt: skip
    perfect: dict[str, Expression] = {
        "Orders judged": _sum_of("perfect_judged"), "Judged orders in full": _sum_of("perfect_in_full"),
        "Judged orders on time": _sum_of("perfect_on_time"), "Perfect orders": _sum_of("perfect"),
    }  # fmt: skip
    fill: dict[str, Expression] = {
        "Fill rate lines": _sum_of("fill_lines"), "Fill rate lines filled": _sum_of("fill_lines_filled"),
        "Fill rate pieces": _sum_of("fill_pieces"), "Fill rate pieces filled": _sum_of("fill_pieces_filled"),
    }  # fmt: skip
    ship: dict[str, Expression] = {
        "Orders within hours": _sum_of("within"), "Orders judged by hours": _count_of("within"),
        "Orders in time": _sum_of("in_time"), "Orders judged by cut-off": _count_of("in_time"),
        "Orders open": _sum_of("open"), "Orders at risk": _sum_of("at_risk"),
    }  # fmt: skip
    return {
        **_counted(service.volume, volume),
        **_counted(service.perfect_order, perfect),
        **_described(service.perfect_order, {"Perfect order rate": (Share("Perfect orders", "Orders judged"), RATE)}),
        **_on_time_measures(),
        **_counted(service.fill_rate, fill),
        **_described(service.fill_rate, {
            "Line fill rate": (Share("Fill rate lines filled", "Fill rate lines"), RATE),
            "Piece fill rate": (Share("Fill rate pieces filled", "Fill rate pieces"), RATE),
        }),
        **_counted(service.ship_complete, {
            "Orders shipped complete": _sum_of("complete"), "Orders judged for completeness": _count_of("complete"),
        }),
        **_described(service.ship_complete, {
            "Shipped complete rate": (Share("Orders shipped complete", "Orders judged for completeness"), RATE),
        }),
        **_cycle_time_measures(),
        **_counted(flow.order_to_ship, ship),
        **_described(flow.order_to_ship, {
            "Within hours rate": (Share("Orders within hours", "Orders judged by hours"), RATE),
            "In time rate": (Share("Orders in time", "Orders judged by cut-off"), RATE),
            "At risk rate": (Share("Orders at risk", "Orders open"), RATE),
            "Hours to ship (p50)": (Percentile(0.5, _ORDERS, "ship_hours"), DAYS),
            "Hours to ship (p90)": (Percentile(0.9, _ORDERS, "ship_hours"), DAYS),
        }),
        **_counted(flow.backlog, {
            "Backlog orders": _sum_of("in_backlog"), "Backlog pieces": _sum_of("backlog_pieces"),
        }),
        **_counted(flow.split_shipments, {
            "Split orders": _sum_of("split"), "Orders with shipments": _count_of("shipments"),
        }),
        **_described(flow.split_shipments, {
            "Split rate": (Share("Split orders", "Orders with shipments"), RATE),
            "Shipments per order": (Aggregate("AVERAGE", _ORDERS, "shipments"), DAYS),
            "Warehouses per order": (Aggregate("AVERAGE", _ORDERS, "warehouses"), DAYS),
        }),
    }  # fmt: skip


def shipment_measures() -> dict[str, Measure]:
    """The figures of kpi_shipments by name, each with the definition of its KPI."""
    window: dict[str, Expression] = {
        "Shipments with window": _sum_of("window_judged", _SHIPMENTS),
        "Shipments within window": _sum_of("window_within", _SHIPMENTS),
        "Shipments before window": _sum_of("window_early", _SHIPMENTS),
        "Shipments after window": _sum_of("window_late", _SHIPMENTS),
    }
    return {
        **_counted(shipping.carriers, {
            "Shipments": RowCount(_SHIPMENTS), "Shipments delivered": _sum_of("delivered", _SHIPMENTS),
            "Shipments on time": _sum_of("on_time", _SHIPMENTS), "Shipments judged": _count_of("on_time", _SHIPMENTS),
            "Shipments tracked": _sum_of("tracked", _SHIPMENTS), "Shipments proven": _sum_of("proven", _SHIPMENTS),
            "Shipments by ship day": ByOtherDate("Shipments", _SHIPMENTS, "ship_day"),
            "Shipments by delivery day": ByOtherDate("Shipments", _SHIPMENTS, "delivery_day"),
        }),
        **_described(shipping.carriers, {
            "Shipment on time rate": (Share("Shipments on time", "Shipments judged"), RATE),
            "Tracked rate": (Share("Shipments tracked", "Shipments"), RATE),
            "Proven rate": (Share("Shipments proven", "Shipments delivered"), RATE),
            "Transit days (p50)": (Percentile(0.5, _SHIPMENTS, "transit_days"), DAYS),
            "Transit days (p90)": (Percentile(0.9, _SHIPMENTS, "transit_days"), DAYS),
        }),
        **_counted(shipping.delivery_window, window),
        **_described(shipping.delivery_window, {
            "Window rate": (Share("Shipments within window", "Shipments with window"), RATE),
        }),
        **_described(shipping.pod_lag, {
            "Days to proof (p50)": (Percentile(0.5, _SHIPMENTS, "proof_days"), DAYS),
            "Days to proof (p90)": (Percentile(0.9, _SHIPMENTS, "proof_days"), DAYS),
        }),
    }  # fmt: skip


def _on_time_measures() -> dict[str, Measure]:
    found: dict[str, Measure] = {}
    for name in PROMISES:
        kept, judged = f"On time ({name})", f"Judged on time ({name})"
        found |= _counted(service.on_time, {kept: _sum_of(f"on_time_{name}"), judged: _count_of(f"on_time_{name}")})
        found |= _described(service.on_time, {
            f"Late ({name})": (Difference(judged, (kept,)), WHOLE),
            f"Not known on time ({name})": (Difference("Orders", ("Orders called off", judged)), WHOLE),
            f"On time rate ({name})": (Share(kept, judged), RATE),
        })  # fmt: skip
    return found


def _cycle_time_measures() -> dict[str, Measure]:
    figures: dict[str, tuple[Expression, str]] = {}
    for stage in flow.STAGES:
        column, title = f"days_{stage.replace(' ', '_')}", stage.capitalize()
        figures |= {
            f"{title} days (mean)": (Aggregate("AVERAGE", _ORDERS, column), DAYS),
            f"{title} days (p50)": (Percentile(0.5, _ORDERS, column), DAYS),
            f"{title} days (p90)": (Percentile(0.9, _ORDERS, column), DAYS),
            f"{title} days (max)": (Aggregate("MAX", _ORDERS, column), DAYS),
            f"{title} orders": (_count_of(column), WHOLE),
        }
    return _described(flow.cycle_time, figures)


def _counted(kpi: Kpi, figures: Mapping[str, Expression]) -> dict[str, Measure]:
    return _described(kpi, {name: (expression, WHOLE) for name, expression in figures.items()})


def _described(kpi: Kpi, figures: _Figures) -> dict[str, Measure]:
    definition = kpi.definition
    meaning = f"{definition.title}. {definition.text} Limits: {definition.limits}"
    return {name: Measure(expression, form, definition.title, meaning) for name, (expression, form) in figures.items()}


def _sum_of(column: str, table: str = _ORDERS) -> Aggregate:
    return Aggregate("SUM", table, column)


def _count_of(column: str, table: str = _ORDERS) -> Aggregate:
    return Aggregate("COUNT", table, column)
