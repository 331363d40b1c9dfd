"""The check digits of SSCCs, compared with an independent library and with a plain loop."""

from __future__ import annotations

import json
import random

import polars as pl
import pytest
from biip import ParseError
from biip.checksums import gs1_standard_check_digit
from biip.sscc import Sscc

import quivo_frames as qf
from quivo_frames.analysis.checks.packing import gs1_check_digit
from tests.support.fair_order import evidence_text


def check_digit_by_hand(digits: str) -> int:
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return -total % 10


def test_the_check_digit_is_that_of_others() -> None:
    dice = random.Random(5)
    numbers = ["0" * 17, "9" * 17, "34012345000000001", *(f"{dice.randrange(10**17):017}" for _ in range(20_000))]
    found = pl.DataFrame({"number": numbers}).select(gs1_check_digit(pl.col("number").cast(pl.Int64)))
    assert found.to_series().to_list() == [gs1_standard_check_digit(number) for number in numbers]
    assert found.to_series().to_list() == [check_digit_by_hand(number) for number in numbers]


@pytest.mark.parametrize("length", [7, 11, 12, 13])
def test_shorter_numbers_have_it_too(length: int) -> None:
    number = "629104150021357"[:length]
    found = pl.select(gs1_check_digit(pl.lit(int(number)))).item()
    assert found == gs1_standard_check_digit(number) == check_digit_by_hand(number)


def damage_sscc(sscc: str, dice: random.Random) -> str:
    """A digit changed, two neighbours changed places, a character more or less, or as it is."""
    at = dice.randrange(17)
    return dice.choice([
        sscc,
        f"{sscc[:at]}{dice.randrange(10)}{sscc[at + 1 :]}",
        f"{sscc[:at]}{sscc[at + 1]}{sscc[at]}{sscc[at + 2 :]}",
        f"{sscc[:at]}{sscc[at + 1 :]}",
        f"{sscc}{dice.randrange(10)}",
        f"{sscc[:at]}{dice.choice(' -xO²٣')}{sscc[at + 1 :]}",
    ])  # fmt: skip


def is_sscc(text: str) -> bool:
    try:
        return text.isascii() and text.isdigit() and Sscc.parse(text) is not None
    except ParseError:
        return False


def test_what_is_no_sscc_is_found_and_nothing_else() -> None:
    dice = random.Random(6)
    stems = [f"{dice.randrange(10**17):017}" for _ in range(5000)]
    ssccs = [damage_sscc(f"{stem}{check_digit_by_hand(stem)}", dice) for stem in stems]
    orders = [
        json.dumps({"orderId": place, "handlingUnits": [{"sscc": sscc}]}).encode() for place, sscc in enumerate(ssccs)
    ]
    found = qf.audit(qf.flatten(orders), only=["sscc_malformed", "sscc_check_digit"])
    assert found["order_id"].sort().to_list() == [place for place, sscc in enumerate(ssccs) if not is_sscc(sscc)]
    assert {*found["check"]} == {"sscc_malformed", "sscc_check_digit"}
    lengths = {
        check: {len(evidence_text(row)) for row in found.filter(check=check)["evidence"]} for check in {*found["check"]}
    }
    assert lengths["sscc_check_digit"] == {len("sscc=, check_digit=") + 18 + 1}


def test_an_sscc_is_told_once_where_it_stands_first() -> None:
    order = {
        "orderId": 1,
        "fulfillmentOrders": [{"shipments": [{"sscc": "1"}, {"sscc": "2"}, {"sscc": "2"}]}],
        "handlingUnits": [{"sscc": "1", "handlingPositions": [{"sscc": "1"}, {"sscc": "3"}]}],
    }
    found = qf.audit(qf.flatten([json.dumps(order).encode()]), only=["sscc_malformed"])
    assert sorted(found.select("table", "key").rows()) == [
        ("handling_positions", "1/0/1"), ("handling_units", "1/0"), ("shipments", "1/0/1"),
    ]  # fmt: skip
