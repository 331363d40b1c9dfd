"""A stand-in for the Quivo API on this machine: real HTTP, invented orders, faults on demand.

from quivo_frames.standin import Fault, StandIn

with StandIn(orders=300, faults={100007: [Fault.status(503)]}) as api:
    ...  # a client with api.base_url, api.api_key, api.username, api.password
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "TODAY": ("order_state", "TODAY"),
    "Fault": ("faults", "ServerFault"),
    "LogNormal": ("random", "LogNormal"),
    "Paging": ("search", "Paging"),
    "StandIn": ("server", "StandIn"),
    "date_in": ("faults", "date_in"),
    "order_json": ("orders", "order_json"),
    "write_ndjson": ("orders", "write_ndjson"),
}


def __getattr__(name: str) -> Any:
    """Import the module of a public name when the name is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(f"{__name__}.{module}"), attribute)
