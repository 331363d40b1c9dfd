"""Parameter types of commands: files, folders and addresses, durations and instants."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from quivo_frames.display.text import terminal_text
from quivo_frames.errors import ConfigError

T = TypeVar("T")
INSTANT_FORMS = "2026-06-01, 2026-06-01T12:00:00Z, today, yesterday, or how long ago: 24h, 7d, 2w, '3 months'"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAYS = {"today": timedelta(), "yesterday": timedelta(days=1)}
_MONTHS = re.compile(r"(\d{1,4}) ?months?", re.ASCII)


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


class _TextParam(click.ParamType[T]):
    """A text that is parsed; its messages quote what was given, of which click would drop control sequences."""

    def fail(self, message: str, param: click.Parameter | None = None, ctx: click.Context | None = None) -> NoReturn:
        """Fail with a message in which control characters are shown as escapes."""
        super().fail(terminal_text(message), param, ctx)


class WordParam(_TextParam[str]):
    """A word to look for, such as an SKU."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The same word without blanks around it; fails with a message if it is empty, or no text in UTF-8."""
        word = str(value).strip()
        if not word:
            self.fail("it is empty. Give the text to look for.", param, ctx)
        if not word.isascii() and word.encode("utf-8", "replace").decode() != word:
            self.fail(f"{word} is no text in UTF-8.", param, ctx)
        return word


class DurationParam(_TextParam[timedelta]):
    """A duration such as 90s, 30m, 12h, 7d or 2w."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parses the duration; fails with a message that shows how to write one."""
        duration = _parse_duration(str(value))
        if duration is None:
            self.fail(f"{value} is not a duration. Write 90s, 30m, 12h, 7d or 2w.", param, ctx)
        return duration


class InstantParam(_TextParam[datetime]):
    """An instant in UTC, written as one of `INSTANT_FORMS`; a day is its beginning."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parses the instant; fails with a message that shows how to write one."""
        from quivo_frames.model.time import instant_in_utc  # late, as polars takes time to load

        try:
            given = _parse_past(str(value), datetime.now(UTC)) or datetime.fromisoformat(str(value))
            return instant_in_utc(given if isinstance(given, datetime) else datetime.combine(given, time()))
        except ConfigError as error:
            self.fail(str(error), param, ctx)
        except (ValueError, OverflowError):
            self.fail(f"{value} is not an instant. Write {INSTANT_FORMS}.", param, ctx)


class DayParam(_TextParam[date]):
    """A day such as 2026-12-31."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parses the day; fails with a message that shows how to write one."""
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value} is not a day. Write one such as 2026-12-31.", param, ctx)


class DayOrInstantParam(_TextParam[str]):
    """A day (its end) or an instant, as the functions of the package take them: as text."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The day or instant that a word or a duration stands for, or the text itself; fails if it is none of them."""
        from quivo_frames.model.time import parse_instant

        try:
            given = _parse_past(str(value), datetime.now(UTC))
            text = value if given is None else given.isoformat()
            parse_instant(text)
        except (ConfigError, OverflowError) as error:
            self.fail(str(error), param, ctx)
        return text


def _parse_past(text: str, now: datetime) -> date | datetime | None:
    """The day of a word such as today, or the instant that lies as long ago as the text says; None for other texts."""
    word = text.strip().lower()
    if word in _DAYS:
        return now.date() - _DAYS[word]
    if months := _MONTHS.fullmatch(word):
        import polars as pl

        instants = pl.Series([now.replace(tzinfo=None)])
        earlier: datetime = instants.dt.offset_by(f"-{months[1]}mo").item()  # the last day of a shorter month
        return earlier.replace(tzinfo=UTC)
    ago = _parse_duration(word)
    return None if ago is None else now - ago


def _parse_duration(text: str) -> timedelta | None:
    found = re.fullmatch(r"(\d{1,8}(?:\.\d+)?)([smhdw])", text, re.ASCII)
    return timedelta(**{_UNITS[found[2]]: float(found[1])}) if found else None
