"""quivo_frames.refetch: login, adaptive rate, retries, checked answers, each committed to the disk before it counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from quivo_frames import Archive, Client, refetch

LEAVES_OUT = "nothing"


def run(file: Path, out: Path, *, api: dict[str, str], workers: int, rate: float | None) -> None:
    out.mkdir(parents=True)
    with Client.from_env(**api, rate=rate) as client, Archive(out / "orders.sqlite") as archive:
        refetch(file.read_text().split(), client, archive, workers=workers, progress=False)


def answers(out: Path) -> Iterator[tuple[int, bytes]]:
    with Archive(out / "orders.sqlite") as archive:
        for order in archive.newest():
            yield order.order_id, order.body
