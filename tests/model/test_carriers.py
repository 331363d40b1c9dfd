"""The carrier of a shipment: its provider, else the one that goes with its carrier's name, else unknown."""

from __future__ import annotations

import random
from collections import Counter

import polars as pl
import pytest

from quivo_frames.model.carriers import carrier_of, stated_carrier, usual_providers

SHIPMENTS = pl.LazyFrame(
    {
        "provider": ["DHL", "dhl ", "UPS", None, "", " ", None, "B", "A", "Unknown"],
        "provider_name": ["DHL Express", "dhl express", "DHL Express", "DHL EXPRESS ", "Nobody", None, None, "X", "X", "x"],
    },
    schema={"provider": pl.String, "provider_name": pl.String},
)  # fmt: skip


def test_a_shipment_without_provider_has_the_usual_one_of_its_name() -> None:
    usual = usual_providers(SHIPMENTS)
    assert usual.rows() == [
        ("DHL EXPRESS", "DHL"),
        ("X", "A"),
    ]  # of two that are as frequent, the first in the alphabet
    found = SHIPMENTS.select(carrier_of(usual)).collect().to_series().to_list()
    assert found == ["DHL", "DHL", "UPS", "DHL", "unknown", "unknown", "unknown", "B", "A", "A"]
    filled = SHIPMENTS.select("provider_name", carrier=stated_carrier())
    assert filled.collect()["carrier"].to_list() == ["DHL", "DHL", "UPS", *["unknown"] * 4, "B", "A", "unknown"]
    assert filled.select(carrier_of(usual, "carrier")).collect().to_series().to_list() == found


def test_without_any_shipment_or_name_there_is_no_usual_provider() -> None:
    nothing = usual_providers(SHIPMENTS.clear())
    assert nothing.is_empty()
    assert SHIPMENTS.head(3).select(carrier_of(nothing)).collect().to_series().to_list() == ["DHL", "DHL", "UPS"]


@pytest.mark.parametrize("seed", range(20))
def test_it_is_what_a_plain_walk_finds(seed: int) -> None:
    dice = random.Random(seed)
    providers, names = (None, "", "A", "a ", "B", "C"), (None, " ", "One", "one", "TWO ", "three")
    rows = [(dice.choice(providers), dice.choice(names)) for _ in range(dice.randint(1, 30))]
    counts: dict[str, Counter[str]] = {}
    for provider, name in rows:
        if (provider or "").strip() and (name or "").strip():
            counts.setdefault(name.strip().upper(), Counter())[provider.strip().upper()] += 1  # type: ignore[union-attr]
    expected = []
    for provider, name in rows:
        usual = counts.get((name or "").strip().upper(), Counter())
        best = min(usual, key=lambda one: (-usual[one], one), default="unknown")
        expected.append((provider or "").strip().upper() or best)
    shipments = pl.LazyFrame(rows, schema={"provider": pl.String, "provider_name": pl.String}, orient="row")
    assert shipments.select(carrier_of(usual_providers(shipments))).collect().to_series().to_list() == expected
