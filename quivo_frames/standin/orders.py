"""Invented orders as NDJSON on standard output.

python -m quivo_frames.standin.orders 20000 --seed 1 --broken-every 1000 > orders.ndjson
"""

from __future__ import annotations

import argparse
import sys

from quivo_frames.standin.drawing import FIRST_ID, lines


def main() -> None:
    """Writes NDJSON to standard output."""
    parser = argparse.ArgumentParser("python -m quivo_frames.standin.orders", description="Invented orders as NDJSON.")
    parser.add_argument("count", type=int, metavar="COUNT")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first-id", type=int, default=FIRST_ID)
    parser.add_argument("--broken-every", type=int, metavar="K", help="cut off one line in K")
    given = parser.parse_args()
    sys.stdout.buffer.writelines(lines(given.count, given.seed, given.first_id, given.broken_every))


if __name__ == "__main__":
    main()
