"""requests with urllib3's Retry (POST allowed, backoff, Retry-After heeded) in a ThreadPoolExecutor, to a file of lines.

A known limit is kept by pyrate-limiter.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tests.benchmarks.candidates import asking, lines_of

LEAVES_OUT = (
    "a rate that adapts, one pause for all threads, a check of the answer, a new token when the old one expires, "
    "a deadline for bodies that drip, a commit to the disk, resuming, the reasons of failures, flat memory"
)
answers = lines_of


def run(file: Path, out: Path, *, api: dict[str, str], workers: int, rate: float | None) -> None:
    out.mkdir(parents=True)
    wait = asking(rate)
    retry = Retry(
        total=10,
        backoff_factor=0.5,
        backoff_jitter=0.5,
        backoff_max=30,
        status_forcelist=[429, 500, 502, 503, 504],
        allowed_methods=None,
    )
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(pool_maxsize=workers, max_retries=retry))
        session.headers["X-Api-Key"] = api["api_key"]
        login = session.post(
            f"{api['base_url']}/login", json={"username": api["username"], "password": api["password"]}, timeout=60
        )
        login.raise_for_status()
        session.headers["Authorization"] = login.json()["token"]

        def fetch(order_id: str) -> bytes:
            wait()
            response = session.post(f"{api['base_url']}/orders/{order_id}/refetch", timeout=60)
            response.raise_for_status()
            return response.content

        with ThreadPoolExecutor(workers) as pool, (out / "orders.ndjson").open("wb") as lines:
            for done in as_completed([pool.submit(fetch, order_id) for order_id in file.read_text().split()]):
                try:
                    lines.write(done.result() + b"\n")
                except requests.RequestException as error:
                    print(f"lost: {error}")
