"""Parameter types of commands: files, folders and addresses, durations and instants."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from quivo_frames.errors import ConfigError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class FileParam(click.Path):
    """A file or folder, as a Path."""

    def __init__(self, *, allow_dash: bool = False) -> None:
        super().__init__(path_type=Path, allow_dash=allow_dash)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Makes the Path; fails with a message if the name is empty."""
        return super().convert(value if isinstance(value, Path) else _require_name(self, value, param, ctx), param, ctx)


class PlaceParam(click.ParamType[str]):
    """A file, a folder, or an address such as s3://lake/orders, as text."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The same text; fails with a message if it is empty."""
        return _require_name(self, value, param, ctx)


def _require_name(
    kind: click.ParamType[Any], value: Any, param: click.Parameter | None, ctx: click.Context | None
) -> Any:
    """An empty name would mean the folder that the user is in, as a variable of a script that was not set does."""
    if not value:
        kind.fail("it is empty. Name a file or a folder; the folder that you are in is called `.`", param, ctx)
    return value


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
        from quivo_frames.model.time import instant_in_utc  # late, as polars takes time to load

        try:
            ago = _parse_duration(str(value))
            return instant_in_utc(datetime.fromisoformat(str(value)) if ago is None else datetime.now(UTC) - ago)
        except ConfigError as error:
            self.fail(str(error), param, ctx)
        except (ValueError, OverflowError):
            cure = "Write 2026-06-01, 2026-06-01T12:00:00Z, or how long ago: 24h, 7d."
            self.fail(f"{value} is not an instant. {cure}", param, ctx)


def _parse_duration(text: str) -> timedelta | None:
    found = re.fullmatch(r"(\d{1,8}(?:\.\d+)?)([smhd])", text, re.ASCII)
    return timedelta(**{_UNITS[found[2]]: float(found[1])}) if found else None
