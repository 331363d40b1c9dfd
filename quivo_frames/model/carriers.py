"""Who carries a shipment: one rule, for the tables, the KPIs and the checks."""

from __future__ import annotations

import polars as pl

from quivo_frames.model.derived import UNKNOWN_CARRIER


def stated_carrier(provider: str = "provider") -> pl.Expr:
    """The carrier that a shipment names itself, in upper case and trimmed, else "unknown"."""
    return pl.coalesce(_written_alike(provider), pl.lit(UNKNOWN_CARRIER))


def carrier_of(usual: pl.DataFrame, provider: str = "provider", name: str = "provider_name") -> pl.Expr:
    """The carrier: the one that the shipment names, else the usual one of its carrier's name, else "unknown".

    `usual` are the `usual_providers` of all shipments. A stated carrier of "unknown" counts as none, so that what was
    filled by `stated_carrier` can be filled again.
    """
    by_name = _written_alike(name).replace_strict(
        usual["provider_name"], usual["provider"], default=None, return_dtype=pl.String
    )
    return pl.coalesce(_written_alike(provider), by_name, pl.lit(UNKNOWN_CARRIER))


def usual_providers(shipments: pl.LazyFrame) -> pl.DataFrame:
    """The provider that most often goes with each provider_name, of several the first one in alphabetical order.

    Both are in upper case and trimmed. Names that never go with a provider are left out.
    """
    pairs = shipments.select(_written_alike("provider_name"), _written_alike("provider")).drop_nulls()
    counted = pairs.group_by("provider_name", "provider").len("shipments")
    ranked = counted.sort("provider_name", -pl.col("shipments").cast(pl.Int64), "provider")
    return ranked.group_by("provider_name", maintain_order=True).agg(pl.col("provider").first()).collect()


def usual_providers_among(usual: pl.DataFrame, shipments: pl.LazyFrame) -> pl.DataFrame:
    """The usual providers of the names that some shipments have."""
    names = shipments.select(_written_alike("provider_name")).unique().collect()
    return usual.join(names, on="provider_name", how="semi", maintain_order="left")


def usual_providers_if_needed(shipments: pl.LazyFrame) -> pl.DataFrame:
    """The usual providers; an empty frame, if each shipment names its provider."""
    if shipments.filter(stated_carrier() == UNKNOWN_CARRIER).head(1).collect().is_empty():
        return pl.DataFrame(schema={"provider_name": pl.String, "provider": pl.String})
    return usual_providers(shipments)


def fill_carriers(name: str, rows: pl.LazyFrame, shipments: pl.LazyFrame, usual: pl.DataFrame) -> pl.LazyFrame:
    """The derived table `lines` or `overview`, as a build wrote it, with the usual carriers of the carriers' names."""
    if name == "lines":
        known = pl.col("carrier").is_not_null()
        return rows.with_columns(carrier=pl.when(known).then(carrier_of(usual, "carrier", "carrier_name")))
    counted = shipments.filter(pl.col("reversed").ne_missing(other=True))
    of_order = counted.group_by("order_id").agg(filled=carrier_of(usual).unique().sort().str.join(", "))
    filled = rows.join(of_order, on="order_id", how="left", maintain_order="left")
    return filled.with_columns(carrier=pl.coalesce("filled", "carrier")).drop("filled")


def _written_alike(column: str) -> pl.Expr:
    """The text in upper case and trimmed; null where it is blank, or says that the carrier is not known."""
    text = pl.col(column).str.strip_chars().str.to_uppercase()
    return pl.when(~text.is_in(["", UNKNOWN_CARRIER.upper()])).then(text).alias(column)
