"""Parameter types of commands: durations and instants."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class DurationParam(click.ParamType[timedelta]):
    """A duration such as 90s, 30m, 12h or 7d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parses the duration; fails with a message that shows how to write one."""
        duration = _parse_duration(str(value))
        if duration is None:
            self.fail(f"{value} is not a duration. Write 90s, 30m, 12h or 7d.", param, ctx)
        return duration


class InstantParam(click.ParamType[datetime]):
    """An instant, or how long ago it was: 2026-06-01, 2026-06-01T12:00:00Z, 24h."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parses the instant; fails with a message that shows how to write one."""
        try:
            ago = _parse_duration(str(value))
            return datetime.fromisoformat(str(value)) if ago is None else datetime.now(UTC) - ago
        except (ValueError, OverflowError):
            cure = "Write 2026-06-01, 2026-06-01T12:00:00Z, or how long ago: 24h, 7d."
            self.fail(f"{value} is not an instant. {cure}", param, ctx)


def _parse_duration(text: str) -> timedelta | None:
    found = re.fullmatch(r"(\d{1,8}(?:\.\d+)?)([smhd])", text, re.ASCII)
    return timedelta(**{_UNITS[found[2]]: float(found[1])}) if found else None
