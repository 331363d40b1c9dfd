"""stamina around requests in a ThreadPoolExecutor, the answer checked inside, to a file of lines.

Retry-After is heeded by stamina's backoff hook, a known limit is kept by pyrate-limiter.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import requests
import stamina
from requests.adapters import HTTPAdapter

from tests.benchmarks.candidates import asking, lines_of

LEAVES_OUT = (
    "a rate that adapts, one pause for all threads, a new token when the old one expires, a deadline for bodies that "
    "drip, a commit to the disk, resuming, the reasons of failures, flat memory"
)
answers = lines_of
RETRIED = {429, 500, 502, 503, 504}


class WrongAnswerError(ValueError):
    """Not the order that was asked for."""


def again(error: Exception) -> bool | float:
    """Whether stamina should try again, or in how many seconds."""
    if isinstance(error, requests.HTTPError):
        after = error.response.headers.get("Retry-After", "")
        return float(after) if after.isdigit() else error.response.status_code in RETRIED
    return isinstance(error, (requests.RequestException, ValueError))


def run(file: Path, out: Path, *, api: dict[str, str], workers: int, rate: float | None) -> None:
    out.mkdir(parents=True)
    wait = asking(rate)
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(pool_maxsize=workers))
        session.headers["X-Api-Key"] = api["api_key"]
        login = session.post(
            f"{api['base_url']}/login", json={"username": api["username"], "password": api["password"]}, timeout=60
        )
        login.raise_for_status()
        session.headers["Authorization"] = login.json()["token"]

        @stamina.retry(on=again, timeout=300)
        def fetch(order_id: str) -> bytes:
            wait()
            response = session.post(f"{api['base_url']}/orders/{order_id}/refetch", timeout=60)
            response.raise_for_status()
            if response.json()["orderId"] != int(order_id):
                raise WrongAnswerError(order_id)
            return response.content

        with ThreadPoolExecutor(workers) as pool, (out / "orders.ndjson").open("wb") as lines:
            for done in as_completed([pool.submit(fetch, order_id) for order_id in file.read_text().split()]):
                try:
                    lines.write(done.result() + b"\n")
                except (requests.RequestException, ValueError) as error:
                    print(f"lost: {error}")
