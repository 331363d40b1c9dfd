"""Checks of the data itself: errors that Quivo attached, codes, weights, personal data that should be gone."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

import polars as pl

from quivo_frames.analysis.checks.check import (
    Severity,
    amount_text,
    amount_texts,
    count_text,
    define_check,
    report_rows,
)
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.identifiers import comparison_form
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


@define_check(Severity.WARNING, "orders", "ISO 3166-1 alpha-2", needs=("orders.delivery_address_country",))
def unknown_country(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """The country of an address is no country code.

    Delivery and invoice address; upper and lower case count as the same; `countries` names more codes to accept. Codes
    of countries that are no more, such as YU, are found: nobody can tell which country is meant today. Other ways to
    write a country are left to `country_not_coded`; a mask in place of removed personal data is none.

    Limits: that Quivo means ISO 3166-1 alpha-2 is inferred from how orders are created, not documented.
    """
    return _report_countries(view, limits, "{} is no code of a country.", recognised=False)


@define_check(Severity.INFO, "orders", "ISO 3166-1 alpha-2", needs=("orders.delivery_address_country",))
def country_not_coded(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """The country of an address is stated, but not by its code.

    It is a name of the country in a European language ("Austria", "Österreich"), its code of three letters (AUT), or
    UK or EL. The parcel will find its way; a customs form or a sum by country may not.

    Limits: names are those of ISO 3166-1 in English and of the Unicode CLDR in 15 other languages, written in full.
    """
    return _report_countries(
        view, limits, "its country is written as {}, not by its code of two letters.", recognised=True
    )


def _report_countries(view: OrderView, limits: Limits, message: str, *, recognised: bool) -> pl.LazyFrame:
    """Reports orders with a country that is no code: those whose country can, or cannot, be told nevertheless."""
    names = ["delivery_address_country", "invoice_address_country"]
    known = [*_iso_codes()["countries"].split(), *limits.countries]
    strange = [_unknown_code(name, known) for name in names]
    masked = [pl.col("pii_data_removed").fill_null(value=False) & _is_masked(pl.col(name)) for name in names]
    rows = view["orders"].filter(pl.any_horizontal(strange))
    wrong = [
        is_strange & ~is_masked & (pl.col(name).map_batches(_tells_country, pl.Boolean) == recognised)
        for name, is_strange, is_masked in zip(names, strange, masked, strict=True)
    ]
    first = pl.coalesce(pl.when(is_wrong).then(name) for is_wrong, name in zip(wrong, names, strict=True))
    return report_rows(
        rows.with_columns(wrong=first).filter(pl.col("wrong").is_not_null()), "order_id", message, "wrong",
        evidence=names,
    )  # fmt: skip


@define_check(Severity.WARNING, "orders", "ISO 4217", needs=("orders.currency",))
def unknown_currency(view: OrderView, limits: Limits) -> pl.LazyFrame:
    """A currency is no currency code.

    Of the order and of cash on delivery; upper and lower case count as the same; `currencies` names more codes to
    accept.

    Limits: that Quivo means ISO 4217 is inferred, not documented. Currencies of the past are unknown.
    """
    known = [*_iso_codes()["currencies"].split(), *limits.currencies]
    names = ["currency", "cash_on_delivery_currency"]
    strange = [_unknown_code(name, known) for name in names]
    wrong = pl.coalesce(pl.when(is_strange).then(name) for is_strange, name in zip(strange, names, strict=True))
    return report_rows(
        view["orders"].filter(pl.any_horizontal(strange)), "order_id", "{} is no code of a currency.", wrong,
        evidence=names,
    )  # fmt: skip


def _unknown_code(name: str, known: list[str]) -> pl.Expr:
    return ~comparison_form(pl.col(name)).is_in(known)


_OTHER_NAMES = (
    "UK", "EL", "GREAT BRITAIN", "ENGLAND", "SCOTLAND", "WALES", "NORTHERN IRELAND", "HOLLAND", "OLANDA", "BURMA",
    "SWAZILAND", "HONGKONG", "MACAU", "PALESTINA", "VATICAN", "STATELE UNITE", "ZDRUŽENE DRŽAVE", "SJEDINJENE DRŽAVE",
    "FÖRENADE KUNGARIKET", "VITRYSSLAND", "HVIDERUSLAND", "WIT-RUSLAND", "BIELORUSIA", "FEHÉROROSZORSZÁG",
    "RUSSISCHE FÖDERATION", "FEDERACJA ROSYJSKA", "FEDERACIÓN RUSA", "RUSKÁ FEDERACE", "RUSKÁ FEDERÁCIA",
    "DEMOKRATISCHE REPUBLIK KONGO", "RÉPUBLIQUE DÉMOCRATIQUE DU CONGO", "RÉPUBLIQUE DU CONGO", "FÄRÖER-INSELN",
    "CAYMAN-INSELN", "SALOMONINSELN", "WYBRZEŻE KOŚCI SŁONIOWEJ", "COSTA D'AVORIO", "BOSNIA-ERZEGOVINA",
)  # fmt: skip
"""Names of parts of countries, and names of before and beside those of the standards, that are written often."""


@cache
def _iso_codes() -> dict[str, str]:
    return tomllib.loads(resources.files(__package__).joinpath("iso_codes.toml").read_text(encoding="utf-8"))


def _country_names() -> list[str]:
    """Names and codes of three letters of all countries, in upper case."""
    return [*_iso_codes()["names"].splitlines(), *_OTHER_NAMES]


def _tells_country(written: pl.Series) -> pl.Series:
    """Whether texts are names of countries."""
    if not written.drop_nulls().len():  # so that the names are not read for nothing
        return pl.repeat(None, written.len(), dtype=pl.Boolean, eager=True)
    return written.to_frame("name").select(comparison_form(pl.col("name")).is_in(_country_names())).to_series()


@define_check(
    Severity.INFO,
    "order_positions",
    "arithmetic of the order's own weights",
    needs=("order_positions.unit_weight", "order_positions.total_weight"),
)
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
        "the weight of {} of {} is {} each, but {} together.", count_text("quantity", "piece"), "sku",
        amount_text("unit_weight"), amount_text("total_weight"),
        evidence={"quantity": "quantity", **amount_texts("unit_weight", "total_weight")},
        sku="sku", expected=weighed, actual="total_weight",
    )  # fmt: skip


_MASK = "removed|deleted|erased|redacted|masked|hidden|confidential|unknown|none|null|n/?a|x{2,}|gdpr|dsgvo|pii"
_MASK += "|anonym|anonymi[sz]ed|anonymous|anonymisiert|gel(?:ö|oe)scht|entfernt|unbekannt"
_WORDS_OF_MASKS = rf"(?:(?:personal|private|data)[\W_0]+)*(?:{_MASK})(?:[\W_0]+(?:personal|private|data|{_MASK}))*"
_MASKED_TEXT = (
    rf"(?i)^(?:[\W_0]*(?:{_WORDS_OF_MASKS})?[\W_0]*"  # ***, -, 0, removed, personal data removed, <deleted>
    rf"|.{{0,3}}[*•█]{{2,}}.{{0,3}}"  # A***, +49***12
    rf"|(?:[^@]{{0,2}}[*•█]{{2,}}[^@]{{0,2}}|[\W_0]*(?:{_WORDS_OF_MASKS})[\W_0]*)@[^@]*)$"  # x***@mail.com, deleted@…
)
"""Masks that stand in place of personal data: of characters, of words, and of the name in an e-mail address."""


def _is_masked(text: pl.Expr) -> pl.Expr:
    return text.str.contains(_MASKED_TEXT)


@define_check(
    Severity.ERROR, "orders", "piiDataRemoved of the API; GDPR, article 17", needs=("orders.pii_data_removed",)
)  # fmt: skip
def personal_data_left(view: OrderView, limits: Limits) -> pl.LazyFrame:  # noqa: ARG001
    """Personal data was removed from the order, and some of it is still there.

    `pii_data_removed` is true, and a name, a street, a phone number, an e-mail address or a coordinate of one of its
    addresses is not masked. Masks are characters without letters and digits (***, -, 0), words such as "removed",
    "anonymized" or "xxx", few letters beside asterisks (A***), and e-mail addresses with a mask before the @: who wrote
    them there removed what was there before.

    Limits: companies, comments, instructions and free-form attributes may hold personal data as well, but need not. A
    person of the name of a mask ("Hidden") is not found.
    """
    left = [~_is_masked(pl.col(name).cast(pl.String)).fill_null(value=True) for name in _person_columns()]
    names = pl.concat_str(
        [pl.when(is_left).then(pl.lit(name)) for is_left, name in zip(left, _person_columns(), strict=True)],
        separator=", ", ignore_nulls=True,
    )  # fmt: skip
    orders = view["orders"].filter("pii_data_removed").filter(pl.any_horizontal(left))
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
