"""A plain HTTP client of the stand-in: tests see exactly what was sent."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlencode

from quivo_frames.standin.faults import ServerFault
from quivo_frames.standin.server import StandIn

FIRST_ORDER = 100001


class LoggedInCaller:
    """A plain HTTP client that is logged in at a stand-in."""

    def __init__(self, api: StandIn) -> None:
        self.api = api
        self.connection = http.client.HTTPConnection(api.base_url.removeprefix("http://"), timeout=5)
        self.token = self.log_in()

    def log_in(self, **wrong: str) -> str:
        status, body = self.send(
            "POST", "/login", {"username": self.api.username, "password": self.api.password} | wrong
        )
        assert status == 200
        return json.loads(body)["token"]

    def send(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        text = None if body is None else json.dumps(body)
        keys = {"X-Api-Key": self.api.api_key} | {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, text, {name: value for name, value in keys.items() if value})
        self.reply = self.connection.getresponse()
        return self.reply.status, self.reply.read()

    def refetch(self, order_id: object) -> tuple[int, bytes]:
        return self.send("POST", f"/orders/{order_id}/refetch", Authorization=self.token)

    def find_orders(self, **parameters: object) -> list[dict]:
        status, body = self.send("GET", f"/orders?{urlencode(parameters)}", Authorization=self.token)
        assert status == 200, body
        return json.loads(body)


def stand_in_with_faults(*faults: ServerFault, **options) -> StandIn:
    """A stand-in with these faults for its first order, one after the other."""
    return StandIn(20, faults={FIRST_ORDER: faults}, **options)
