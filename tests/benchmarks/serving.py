"""The stand-in API in a process of its own, so that the CPU of a client is the client's alone."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from quivo_frames.standin.random import LogNormal
from quivo_frames.standin.server import StandIn
from tests.benchmarks.measure import ROOT


@dataclass(frozen=True)
class Seen:
    """What a server saw and sent."""

    answers: list[tuple[float, int]]
    """When each refetch request came, and the status of its answer."""
    sent: dict[int, str]
    """SHA-256 of the last good body of each order that had one."""
    changed: float | None = None
    """When the limit changed, on the clock of `answers`."""
    cpu: float = 0.0


class Server:
    """A context manager: a stand-in with these settings at work; its latency may be the fields of a LogNormal.

    `change` sets another rate so many seconds after the first refetch request.
    """

    def __init__(self, settings: Mapping[str, Any], change: tuple[float, float] | None = None) -> None:
        asked = json.dumps({"settings": settings, "change": change})
        command = [sys.executable, "-m", "tests.benchmarks.serving", asked]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.api: dict[str, str] = json.loads(self._line())
        """What `Client.from_env` takes: base_url and the credentials."""

    def stop(self) -> Seen:
        """What it saw; it answers no more."""
        told = json.loads(self._process.communicate("stop\n")[0])
        answers = [(at, status) for at, status in told["answers"]]
        sent = {int(order_id): digest for order_id, digest in told["sent"].items()}
        return Seen(answers, sent, told["changed"], told["cpu"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()


def _main(settings: dict[str, Any], change: tuple[float, float] | None) -> None:
    changed: list[float] = []
    if isinstance(settings["latency"], dict):
        settings["latency"] = LogNormal(**settings["latency"])
    with StandIn(**settings) as api:
        if change:
            threading.Thread(target=_change, args=(api, *change, changed), daemon=True).start()
        print(
            json.dumps({name: getattr(api, name) for name in ("base_url", "api_key", "username", "password")}),
            flush=True,
        )
        sys.stdin.readline()
        told = {
            "answers": list(api.timeline),
            "sent": dict(_sent(api)),
            "changed": changed[0] if changed else None,
            "cpu": time.process_time(),
        }
    print(json.dumps(told))


def _change(api: StandIn, after: float, rate: float, changed: list[float]) -> None:
    while not api.timeline:
        time.sleep(0.01)
    time.sleep(max(api.timeline[0][0] + after - time.monotonic(), 0))
    api.rate = rate
    changed.append(time.monotonic())


def _sent(api: StandIn) -> Iterator[tuple[int, str]]:
    for order_id in api.order_ids:
        try:
            yield order_id, hashlib.sha256(api.body_sent(order_id)).hexdigest()
        except KeyError:
            continue


if __name__ == "__main__":
    _main(**json.loads(sys.argv[1]))
