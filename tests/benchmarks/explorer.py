"""How quick the explorer's pages are, and what memory it takes: `python -m tests.benchmarks explorer --folder DIR`.

DIR has `tables` of orders, as the steps archive and build of `scale --derived` write them; what is missing is made. The
explorer is a process of its own, asked by this one. Pages are found by following links, one of each kind: the same path
but for numbers, with the same parameters.
"""

from __future__ import annotations

import html
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import requests

from tests.benchmarks import scale

ORDERS = 100_000
ROUNDS = 7
_MOST_PAGES = 60
_LINKS_A_PAGE = 40
_SECONDS_TO_WAIT, _SECONDS_TO_END = 1800, 60
_STARTED = """
import sys
import quivo_frames as qf
with qf.explore(sys.argv[1]) as explorer:
    print(explorer.address, flush=True)
    try:
        explorer.wait()
    except KeyboardInterrupt:
        pass
"""
SEARCHES = ("/orders?q={order_id}", "/orders?q={start}", "/search?q={start}", "/search?q=W", "/orders?q={identifier}&sort=value",
            "/orders?late=yes&open=yes&sort=value", "/orders?q=WIEN", "/orders?q=S&begins=yes")  # fmt: skip
"""What is asked for besides links: searches, made of what the first order of the list is called."""


class PageTimes(NamedTuple):
    """How long a page took, in ms, after it was asked for once, and then; and its size."""

    address: str
    first: float
    middle: float
    worst: float
    kilobytes: float
    raised: float
    """MB by which it raised the peak memory of the process."""


class Running(NamedTuple):
    """An explorer that runs."""

    process: subprocess.Popen[str]
    base: str
    session: requests.Session

    def ask(self, address: str) -> tuple[float, requests.Response]:
        """The ms that a page takes, and the page."""
        begin = time.perf_counter()
        answer = self.session.get(self.base + address, timeout=_SECONDS_TO_WAIT)
        return (time.perf_counter() - begin) * 1e3, answer

    def memory(self) -> dict[str, float]:
        """Current memory (VmRSS) and its peak (VmHWM), in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return {name: int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 2**10 for name in ("VmRSS", "VmHWM")}  # type: ignore[index]


def run(folder: Path, orders: int = ORDERS, rounds: int = ROUNDS) -> dict[str, object]:
    """Measures, prints tables to be pasted, and gives the results."""
    if not (folder / "tables" / "manifest.json").exists():
        scale.run(folder, orders, steps=("archive", "build"), derived=True)
    begin = time.perf_counter()
    command = [sys.executable, "-c", _STARTED, str(folder / "tables")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            address = process.stdout.readline().strip()
            running = Running(process, address.partition("/enter")[0], requests.Session())
            running.session.get(address, timeout=_SECONDS_TO_WAIT)
            marks = _wait_for_background_work(running, begin)
            memory = {"background work": running.memory()}
            addresses, raising = _find_addresses(running)
            pages = [_time_page(running, address, rounds, raising.get(address, 0.0)) for address in addresses]
            memory["pages"] = running.memory()
            download, answer = running.ask("/orders.csv")
            memory["download"] = running.memory()
        finally:
            process.send_signal(signal.SIGINT)  # so that it removes its index, which has values of orders
            process.wait(_SECONDS_TO_END)
    _print(pages, marks, memory, download / 1e3, len(answer.content) / 2**20)
    return {"pages": [page._asdict() for page in pages], "seconds": marks, "memory_mb": memory, "csv_s": download / 1e3}


def _wait_for_background_work(running: Running, begin: float) -> dict[str, float]:
    """Seconds from the start until the first page, the index, the audit and the figures were there."""
    marks = {"first page": time.perf_counter() - begin}
    from quivo_frames.explorer.order_selection import AUDIT_IS_RUNNING, INDEX_IS_MADE

    waiting = {
        "index": ("/orders?q=zzz", INDEX_IS_MADE),
        "audit": ("/orders?seller=nobody", AUDIT_IS_RUNNING),
        "figures": ("/", "data-working"),
    }
    for what, (address, sentence) in waiting.items():
        while html.escape(sentence) in running.ask(address)[1].text:
            assert time.perf_counter() - begin < _SECONDS_TO_WAIT
            time.sleep(0.2)
        marks[what] = time.perf_counter() - begin
    return marks


def _find_addresses(running: Running) -> tuple[list[str], dict[str, float]]:
    """One address of each kind of page that links lead to, and searches; and by how many MB some raised the peak."""
    from quivo_frames.explorer.rendering import PAGES

    raising: dict[str, float] = {}
    found: dict[tuple[str, ...], str] = {}
    waiting = list(PAGES)
    while waiting and len(found) < _MOST_PAGES:
        address = waiting.pop(0)
        kind = _kind_of(address)
        if kind in found:
            continue
        before = running.memory()["VmHWM"]
        text = running.ask(address)[1].text
        raising[address] = running.memory()["VmHWM"] - before
        found[kind] = address
        links = [html.unescape(link) for link in re.findall(r'href="(/[^"#]*)', text)]
        waiting += [link for link in _one_of_each_kind(links) if not re.search(r"/assets/|[.](csv|xlsx)", link)]
    orders = running.ask("/orders")[1].text
    first = re.search(r'href="/orders/(\d+)">\d+</a>(?:<small>([^<]+))?', orders)
    assert first
    names = {"order_id": first[1], "start": first[1][:3], "identifier": first[2] or first[1]}
    return [*found.values(), *(search.format(**names) for search in SEARCHES)], raising


def _kind_of(address: str) -> tuple[str, ...]:
    parts = urlsplit(address)
    return (re.sub(r"\d+", "0", parts.path), *sorted(name for name, _ in parse_qsl(parts.query)))


def _one_of_each_kind(links: Sequence[str]) -> list[str]:
    return list({_kind_of(link): link for link in reversed(links)}.values())[-_LINKS_A_PAGE:]


def _time_page(running: Running, address: str, rounds: int, raised: float) -> PageTimes:
    before = running.memory()["VmHWM"]
    first, answer = running.ask(address)
    assert answer.status_code in (200, 404), (address, answer.status_code)
    times = [running.ask(address)[0] for _ in range(rounds)]
    raised += running.memory()["VmHWM"] - before
    return PageTimes(address, first, median(times), max(times), len(answer.content) / 2**10, raised)


def _print(
    pages: Sequence[PageTimes],
    marks: dict[str, float],
    memory: dict[str, dict[str, float]],
    download: float,
    size: float,
) -> None:
    print("Milliseconds from asking to the last byte; after the first time, the median and the worst.\n")
    print("| page | first | median | worst | KB | peak MB raised by |")
    print("|---|---|---|---|---|---|")
    for page in pages:
        print(
            f"| {page.address[:90]} | {page.first:,.0f} | {page.middle:,.0f} | {page.worst:,.0f} | {page.kilobytes:,.0f} "
            f"| {page.raised:,.0f} |"
        )
    print("\n| seconds from the start | |\n|---|---|")
    for what, seconds in marks.items():
        print(f"| {what} | {seconds:,.1f} |")
    print(f"| all orders as CSV, {size:,.0f} MB, takes | {download:,.1f} |")
    print("\n| memory of the process, MB | now | peak |\n|---|---|---|")
    for what, mb in memory.items():
        print(f"| after {what} | {mb['VmRSS']:,.0f} | {mb['VmHWM']:,.0f} |")
