"""A stand-in for the Quivo API on this machine: real HTTP, invented orders, faults on demand.

    with StandIn(orders=300, faults={100007: [Fault.status(503)]}) as api:
        ...  # a client with api.base_url, api.api_key, api.username, api.password

Floor 3. Its rooms: drawing and life (orders), faults, chaos and chance (what goes wrong), limits, search (GET /orders),
server (the rules), sending (bytes), serving (sockets).
"""

from __future__ import annotations

from quivo_frames.standin.chance import LogNormal
from quivo_frames.standin.chaos import Chaos, every_fault
from quivo_frames.standin.drawing import order, order_json, write_ndjson
from quivo_frames.standin.faults import Fault, date_in
from quivo_frames.standin.life import TODAY
from quivo_frames.standin.search import Paging
from quivo_frames.standin.server import StandIn

__all__ = [
    "TODAY",
    "Chaos",
    "Fault",
    "LogNormal",
    "Paging",
    "StandIn",
    "date_in",
    "every_fault",
    "order",
    "order_json",
    "write_ndjson",
]
