"""Which service the answers of an archive came from, so that answers of two services are never mixed.

The table is made by the first run that names its service: archives of earlier versions have none, which is no flaw.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from quivo_frames.archive.database import format_instant
from quivo_frames.errors import ConfigError

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_TABLE = "CREATE TABLE IF NOT EXISTS services (service TEXT NOT NULL, since TEXT NOT NULL, seal INTEGER)"


def read_service(db: sqlite3.Connection) -> str | None:
    """The service that the answers came from; None if none is recorded."""
    if not db.execute("SELECT 1 FROM main.sqlite_master WHERE name = 'services'").fetchone():
        return None
    return str(*db.execute("SELECT service FROM services").fetchone() or ("",)) or None


def require_service(db: sqlite3.Connection, path: Path, service: str, *, has_moved: bool) -> None:
    """Record the service if none is recorded, or if it `has_moved` to another address.

    Raises:
        ConfigError: the answers came from another service.
    """
    recorded = read_service(db)
    if recorded == service:
        return
    if recorded and not has_moved:
        raise ConfigError(
            f"The answers in {path} came from {recorded}; new ones would come from {service}. "
            "An archive holds answers of one service. Nothing was requested. Name another archive (--archive FILE), or "
            "go back to the earlier address. If it is the same service at a new address, say --service-moved."
        )
    since = format_instant(datetime.now(UTC))
    db.execute(_TABLE)
    db.execute("DELETE FROM services")
    db.execute("INSERT INTO services VALUES (?1, ?2, row_seal(?1, ?2))", (service, since))
