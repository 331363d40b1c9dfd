"""Writes what tests/core/mutate.cpp reads: the plan of the tables, and orders, one a line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from quivo_frames.flattening.compiled import write_plan
from quivo_frames.standin.orders import order_json
from tests.support.hostile_attributes import hostile_order_json
from tests.support.mutations import unmutated_order

ORDERS_OF_EACH = 60
LONGEST_ORDER = 6_000
"""Bytes: of short orders, more are read in the same time."""


def write_orders(path: Path) -> None:
    bodies = [
        make(number)
        for make in (
            order_json,
            lambda number: hostile_order_json(number, 3),
            lambda number: unmutated_order(number, 3),
        )
        for number in range(1, ORDERS_OF_EACH)
    ]
    lines = [
        json.dumps(json.loads(body), ensure_ascii=number % 2 == 0, separators=(",", ":")).encode()
        for number, body in enumerate(bodies)
    ]
    path.write_bytes(b"\n".join(line for line in lines if len(line) <= LONGEST_ORDER))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan").write_text(write_plan(), encoding="ascii")
    write_orders(folder / "orders")
