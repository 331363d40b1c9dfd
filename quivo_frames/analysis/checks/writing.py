"""Checks of how identifiers are written."""

from __future__ import annotations

import polars as pl

from quivo_frames.analysis.checks.check import Severity, define_check, report_rows
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.checks.packing import report_each_sscc_once, written_ssccs
from quivo_frames.analysis.checks.quantities import pairs_of_lots
from quivo_frames.analysis.milestones import OrderView


@define_check(Severity.INFO, "handling_units", "Own rule: an identifier is written in one way")
def written_differently(view: OrderView, limits: Limits) -> pl.LazyFrame:  # noqa: ARG001
    """An identifier is right, but not written as elsewhere.

    An SSCC has its application identifier, 00 or (00), or spaces; or the lot that was shipped differs from the lot that
    was asked for only in upper and lower case, outer white space, the Unicode form, or characters that nobody sees. The
    other checks take them as equal, as goods and labels are right; a program that compares the texts does not.

    Limits: lots are compared where the shipped line has the identifier or the SKU of one ordered line alone.
    """
    lots = pairs_of_lots(view).filter(pl.col("same_lot"), pl.col("lot") != pl.col("asked_lot"))
    return pl.concat([
        report_each_sscc_once(
            written_ssccs(view).filter(pl.col("written") != pl.col("sscc"), pl.col("sscc").str.len_chars() == 18),
            "the SSCC {} is written as {}.", "sscc", "written", evidence=("sscc", "written"),
        ),
        report_rows(
            lots, "shipment_position_key", "lot {} of {} was asked for, and shipped as {}.", "asked_lot", "sku", "lot",
            evidence={"lot": "lot", "asked_for": "asked_lot"}, table="shipment_positions", sku="sku",
        ),
    ])  # fmt: skip
