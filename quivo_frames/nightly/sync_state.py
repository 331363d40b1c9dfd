"""What `sync` knows from one night to the next, in a file beside the archive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from quivo_frames.errors import ArchiveError
from quivo_frames.storage.atomic import OutputKind, explain_disk_error, hold_lock, write_file_atomically
from quivo_frames.storage.own_json import decode_own_json

_REMEDY = (
    "It says since when `sync` looks for changes. Delete it: the next sync looks for all that its first one would."
)


class EventMark(msgspec.Struct, frozen=True):
    """How far a file of events was read: so many bytes, with this sha256."""

    bytes: int
    sha256: str


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """The orders that a search says are to be refetched, and how it came to them.

    `searched_at` is when the search began, `since` what it looked back to (UTC; None: all orders). `postponed` orders
    were fetched within max_age and are asked for later.
    """

    searched_at: datetime
    since: datetime | None
    order_ids: tuple[int, ...]
    postponed: tuple[int, ...] = ()
    events: dict[str, EventMark] = {}
    found: int = 0
    from_events: int = 0
    failed_before: int = 0
    covered: int = 0


class SyncState(msgspec.Struct, frozen=True, kw_only=True):
    """The watermark of the searches, the orders that are owed a request, and the last sync that came to its end.

    `searched_at` is the watermark: what changed before it has been refetched, or is among `postponed`, or failed.
    `begun` is a search whose orders are being refetched. `first_began` is when the first sync began, `completed_at`
    when the last complete one had its answers: what came later is new. `audited_as_of` is the time of its audit.
    """

    searched_at: datetime | None = None
    postponed: tuple[int, ...] = ()
    events: dict[str, EventMark] = {}
    begun: SearchResult | None = None
    first_began: datetime | None = None
    completed_at: datetime | None = None
    audited_as_of: datetime | None = None

    def with_begun(self, search: SearchResult) -> SyncState:
        """The state while the orders of a search are refetched."""
        return msgspec.structs.replace(self, begun=search)

    def with_refetched(self, search: SearchResult) -> SyncState:
        """The state after that: the watermark is where the search began."""
        return msgspec.structs.replace(
            self, searched_at=search.searched_at, postponed=search.postponed, events=search.events, begun=None
        )


class SyncMemory:
    """The file of the state, `ARCHIVE.sync.json`, and the lock that lets one sync at a time work on an archive."""

    def __init__(self, archive: Path) -> None:
        self.file = archive.with_name(f"{archive.name}.sync.json")
        self._lock = archive.with_name(f"{archive.name}.sync.lock")
        self._archive = archive

    def read_state(self) -> SyncState:
        """The state; that of the first night if there is no file.

        Raises:
            ArchiveError: the file is damaged, or cannot be read.
        """
        try:
            data = self.file.read_bytes()
        except FileNotFoundError:
            return SyncState()
        except OSError as error:
            raise ArchiveError(f"{self.file} cannot be read: {explain_disk_error(error)}.") from error
        return decode_own_json(data, SyncState, str(self.file), _REMEDY, ArchiveError)

    def write_state(self, state: SyncState) -> None:
        """Replace the state.

        Raises:
            ExportError: the file cannot be written.
        """
        write_file_atomically(self.file, msgspec.json.format(msgspec.json.encode(state), indent=1), _STATE)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """No other sync of the archive runs in this block.

        Raises:
            ArchiveError: another one is running.
        """
        with hold_lock(self._lock, ArchiveError(f"Another sync of {self._archive} is running. Wait for its end.")):
            yield


def _is_state(file: Path) -> bool:
    try:
        decode_own_json(file.read_bytes(), SyncState, str(file), "")
    except Exception:  # noqa: BLE001 - whatever it is, it is not ours
        return False
    return True


_STATE = OutputKind("state of sync", _is_state, (".json",))
