"""Parameter types of commands: files, folders and addresses, durations and instants."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from quivo_frames.display.text import terminal_text
from quivo_frames.errors import ConfigError
from quivo_frames.settings.durations import DURATION_FORMS, parse_duration

T = TypeVar("T")


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
    """A duration such as 90s, 30m, 12h, 7d, 2w or `2 weeks`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parses the duration; fails with a message that shows how to write one."""
        duration = parse_duration(str(value))
        if duration is None:
            self.fail(f"{value} is not a duration. Write {DURATION_FORMS}.", param, ctx)
        return duration


class InstantParam(_TextParam[datetime]):
    """An instant in UTC, written as one of `INSTANT_FORMS`; a day is its beginning."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parses the instant; fails with a message that shows how to write one."""
        from quivo_frames.model.time import parse_beginning  # late, as polars takes time to load

        try:
            return parse_beginning(value if isinstance(value, datetime) else str(value))
        except ConfigError as error:
            self.fail(str(error), param, ctx)


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
        """The day or instant that a text stands for, as text; fails if it is none."""
        from quivo_frames.model.time import day_or_instant, parse_instant

        try:
            text = day_or_instant(str(value)).isoformat()
            parse_instant(text)
        except ConfigError as error:
            self.fail(str(error), param, ctx)
        return text
