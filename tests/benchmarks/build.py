"""build (decode, 18 tables, all checks, parquet) beside orjson.loads of the same bytes, the floor of any reader."""

from __future__ import annotations

import tempfile
from pathlib import Path

import orjson

from quivo_frames.building import build
from quivo_frames.standin import write_ndjson
from tests.benchmarks.measure import cpu_seconds

ORDERS = 10_000


def run() -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "orders.ndjson"
        write_ndjson(file, ORDERS)
        lines = file.read_bytes().splitlines()

        def floor() -> None:
            for line in lines:
                orjson.loads(line)

        seconds = cpu_seconds({"orjson.loads": floor, "build": lambda: build(file, folder / "tables")})
        size = file.stat().st_size / ORDERS
    print(f"{ORDERS:,} orders of {size:,.0f} bytes")
    for candidate, spent in seconds.items():
        ratio = spent / seconds["orjson.loads"]
        print(f"{candidate:<16}{spent / ORDERS * 1e6:>10,.0f} µs CPU an order{ratio:>8.1f} x orjson.loads")


if __name__ == "__main__":
    run()
