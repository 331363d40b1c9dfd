"""Checks of the data itself: errors that Quivo attached, codes, weights, personal data that should be gone."""

from __future__ import annotations

from functools import cache

import polars as pl

from quivo_frames.analysis.checks.check import Severity, amount_text, amount_texts, define_check, report_rows
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.model.order import Privacy
from quivo_frames.model.tables import TABLES


@define_check(Severity.WARNING, "order_errors", "entityErrors of the API")
def order_error(view: OrderView, limits: Limits) -> pl.LazyFrame:  # noqa: ARG001
    """Quivo attached an error to the order.

    Each entry of `entityErrors` is a finding.

    Limits: the API documents neither the codes nor when an error is taken away again.
    """
    return report_rows(
        view["order_errors"], "order_error_key", "Quivo reports an error, code {}.", "error_code",
        evidence=("error_code",), personal=("error_message",),
    )  # fmt: skip


@define_check(Severity.WARNING, "orders", "ISO 3166-1 alpha-2")
def unknown_country(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """The country of an address is no country code.

    Delivery and invoice address; upper and lower case count as the same; `countries` names more codes to accept.

    Limits: that Quivo means ISO 3166-1 alpha-2 is inferred from how orders are created, not documented.
    """
    known = [*_country_codes(), *limits.countries]
    return _report_unknown_codes(view, known, "country", ["delivery_address_country", "invoice_address_country"])


@define_check(Severity.WARNING, "orders", "ISO 4217")
def unknown_currency(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A currency is no currency code.

    Of the order and of cash on delivery; upper and lower case count as the same; `currencies` names more codes to
    accept.

    Limits: that Quivo means ISO 4217 is inferred, not documented. Currencies of the past are unknown.
    """
    known = [*_currency_codes(), *limits.currencies]
    return _report_unknown_codes(view, known, "currency", ["currency", "cash_on_delivery_currency"])


def _report_unknown_codes(view: OrderView, known: list[str], what: str, names: list[str]) -> pl.LazyFrame:
    strange = [~pl.col(name).str.to_uppercase().is_in(known) for name in names]
    wrong = pl.coalesce(pl.when(is_strange).then(name) for is_strange, name in zip(strange, names, strict=True))
    return report_rows(
        view["orders"].filter(pl.any_horizontal(strange)), "order_id", f"{{}} is no code of a {what}.", wrong,
        evidence=names,
    )  # fmt: skip


@cache
def _country_codes() -> tuple[str, ...]:
    import pycountry

    return tuple(country.alpha_2 for country in pycountry.countries)


@cache
def _currency_codes() -> tuple[str, ...]:
    import pycountry

    return tuple(currency.alpha_3 for currency in pycountry.currencies)


@define_check(Severity.INFO, "order_positions", "arithmetic of the order's own weights")
def weight_total_differs(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """The weight of a line is not its quantity times the weight of one piece.

    They differ by more than `weight_share` of the larger one.

    Limits: a line of which the weight of one piece or of all is 0 is left out, as not weighed.
    """
    weighed = pl.col("quantity") * pl.col("unit_weight")
    larger = pl.max_horizontal(weighed, "total_weight")
    known = (weighed > 0) & (pl.col("total_weight") > 0)
    off = (weighed - pl.col("total_weight")).abs() > larger * limits.weight_share
    return report_rows(
        view["order_positions"].filter(known, off), "order_position_key",
        "{} pieces of {} weigh {} each, but {} together.", "quantity", "sku", amount_text("unit_weight"),
        amount_text("total_weight"),
        evidence={"quantity": "quantity", **amount_texts("unit_weight", "total_weight")},
    )  # fmt: skip


@define_check(Severity.ERROR, "orders", "piiDataRemoved of the API; GDPR, article 17")
def personal_data_left(view: OrderView, limits: Limits) -> pl.LazyFrame:  # noqa: ARG001
    """Personal data was removed from the order, and some of it is still there.

    `pii_data_removed` is true, and a name, a street, a phone number, an e-mail address or a coordinate of one of its
    addresses is not masked: it has a letter, or a digit but 0.

    Limits: companies, comments, instructions and free-form attributes may hold personal data as well, but need not. A
    mask of letters, such as "removed", is reported.
    """
    left = [
        pl.col(name).cast(pl.String).str.contains(r"[\p{L}1-9]").fill_null(value=False) for name in _person_columns()
    ]
    names = pl.concat_str(
        [pl.when(is_left).then(pl.lit(name)) for is_left, name in zip(left, _person_columns(), strict=True)],
        separator=", ", ignore_nulls=True,
    )  # fmt: skip
    orders = view["orders"].filter(pl.col("pii_data_removed"), pl.any_horizontal(left))
    return report_rows(
        orders, "order_id", "personal data was removed, but there still is {}.", names,
        evidence={"pii_data_removed": "pii_data_removed", "left": names},
    )  # fmt: skip


def _person_columns() -> list[str]:
    """The columns of the two addresses that are about a person."""
    return [
        column.name
        for column in TABLES["orders"].columns
        if column.privacy is Privacy.PERSONAL
        and column.path[0].endswith("_address")
        and column.path[-1] not in {"company", "address_identifier"}
    ]
