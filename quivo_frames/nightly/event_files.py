"""Order ids from files of webhook events, of which each event is read once: files that grow, and folders of files."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from quivo_frames.errors import ConfigError
from quivo_frames.fetch.order_ids import list_event_files, read_ids
from quivo_frames.nightly.sync_state import EventMark
from quivo_frames.storage.atomic import explain_disk_error
from quivo_frames.storage.path_names import check_path

_LINE_ENDINGS = (".ndjson", ".jsonl")


class NewEvents(NamedTuple):
    """The ids of the orders that new events are about, how far each file is read now, and what could not be read."""

    order_ids: list[int]
    marks: dict[str, EventMark]
    problems: list[str]


def read_new_events(places: Iterable[str], known: Mapping[str, EventMark]) -> NewEvents:
    """The events that were not there when `known` was returned.

    A file that only grew is read from where it ended then, without a last line that is not complete; any other file
    that has changed is read as a whole. A file that cannot be read stays as it was known, and is a problem.

    Raises:
        ConfigError: a place does not exist.
    """
    found = NewEvents([], {}, [])
    for file in _list_files(places):
        name = str(file)
        try:
            content = file.read_bytes()
            mark, rest = _unread_part(file, content, known.get(name))
            found.order_ids.extend(_read_event_ids(file, rest) if rest else ())
            found.marks[name] = mark
        except (ConfigError, OSError) as error:
            reason = f"{file} cannot be read: {explain_disk_error(error)}." if isinstance(error, OSError) else error
            found.problems.append(str(reason))
            found.marks.update({name: known[name]} if name in known else {})
    return found


def _list_files(places: Iterable[str]) -> Iterator[Path]:
    for place in map(check_path, places):
        if place.is_dir():
            yield from list_event_files(place)
        elif place.exists():
            yield place
        else:
            raise ConfigError(f"There is no file or folder {place}, which quivo.toml names for webhook events.")


def _unread_part(file: Path, content: bytes, known: EventMark | None) -> tuple[EventMark, bytes]:
    """How far the file is read after this, and the bytes of it that are to be read."""
    begin = known.bytes if known and _mark(content[: known.bytes]) == known else 0
    end = content.rfind(b"\n") + 1 if file.suffix.lower() in _LINE_ENDINGS else len(content)
    if file.suffix.lower() not in _LINE_ENDINGS and begin != end:
        begin = 0
    return _mark(content[:end]), content[begin:end]


def _mark(content: bytes) -> EventMark:
    return EventMark(len(content), hashlib.sha256(content).hexdigest())


def _read_event_ids(file: Path, rest: bytes) -> Iterable[int]:
    if file.suffix.lower() not in _LINE_ENDINGS:
        return read_ids(file)
    try:
        return read_ids(io.BytesIO(rest))
    except ConfigError:
        return read_ids(file)  # its message names the line of the whole file
