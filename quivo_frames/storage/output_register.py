"""A JSON file that remembers what was written to other places, so that orders can be erased there.

An output is recorded before anything of it is written, so that what a killed process leaves of it is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import msgspec

from quivo_frames.errors import DatasetError, QuivoError
from quivo_frames.storage import urls
from quivo_frames.storage.atomic import explain_disk_error
from quivo_frames.storage.leftovers import remove_leftovers
from quivo_frames.storage.own_json import DIGEST, decode_own_json, digest_of_facts
from quivo_frames.storage.place import Place


def require_address(address: str) -> None:
    """Refuse what is neither an absolute path nor an address, in the `__post_init__` of a Struct.

    Raises:
        ValueError: it is neither; msgspec reports it as damage, with its place.
    """
    if "\0" in address or not (urls.is_remote(address) or Path(address).is_absolute()):
        raise ValueError("no absolute path")


class SavedFile(msgspec.Struct, frozen=True, order=True):
    """A file with orders that a command saved, and what it is: a report, findings, changes."""

    path: str
    form: str

    def __post_init__(self) -> None:
        require_address(self.path)

    def __str__(self) -> str:
        return f"{self.path} ({self.form})"


class RegisterContent(msgspec.Struct, frozen=True, kw_only=True):
    """What a register says."""

    saved: tuple[SavedFile, ...] = ()

    def to_json(self) -> bytes:
        """The content of the file, with a digest of it."""
        facts = msgspec.to_builtins(self)
        return msgspec.json.format(msgspec.json.encode({**facts, DIGEST: digest_of_facts(facts)}), indent=2)

    def with_saved(self, saved: Iterable[SavedFile]) -> Self:
        """The same with other saved files."""
        return msgspec.structs.replace(self, saved=tuple(sorted(set(saved))))

    def local_paths(self) -> list[Path]:
        """The paths of this machine that were written to."""
        return [Path(file.path) for file in self.saved if not urls.is_remote(file.path)]


Content = TypeVar("Content", bound=RegisterContent)


class OutputRegister(Generic[Content]):
    """Reads and changes a register; several processes may do that at the same time.

    `remedy` is what messages say about a damaged one, `error_class` what is raised then.
    """

    def __init__(
        self, place: Place, name: str, content: type[Content], remedy: str, error_class: type[QuivoError] = DatasetError
    ) -> None:
        self.file = place.uri(name)
        self._place, self._name, self._content, self._remedy, self._error_class = (
            place, name, content, remedy, error_class,
        )  # fmt: skip

    def read(self) -> Content:
        """What is recorded.

        Raises:
            QuivoError: the file is damaged, or cannot be read.
        """
        return self._decode(self._read_bytes())

    def _read_bytes(self) -> bytes | None:
        with urls.explain_storage_errors(f"{self.file} cannot be read", "try again", error_class=self._error_class):
            return self._place.read(self._name)

    def _decode(self, data: bytes | None) -> Content:
        if data is None:
            return self._content()
        return decode_own_json(data, self._content, self.file, self._remedy, self._error_class)

    def is_intact(self) -> bool:
        """Whether nothing was changed since it was written; of earlier versions, without a digest, nobody can tell."""
        data = self._read_bytes()
        if data is None or data.lstrip()[:1] == b"[":
            return True
        found = decode_own_json(data, dict[str, Any], self.file, self._remedy, self._error_class)
        return bool(found.get(DIGEST) == digest_of_facts(found))

    def change_content(self, change: Callable[[Content], Content], again: str) -> None:
        """Change what is recorded, also while others do.

        Raises:
            QuivoError: the file cannot be written, or is damaged; the message says what to do `again`.
        """
        with urls.explain_storage_errors(f"{self.file} cannot be written", again, error_class=self._error_class):
            while True:
                data = self._read_bytes()
                before = self._decode(data)
                after = change(before)
                if after == before or self._place.compare_and_swap(self._name, after.to_json(), data):
                    return

    def try_change(self, change: Callable[[Content], Content], again: str) -> str:
        """As `change`; returns why it failed, or an empty text."""
        try:
            self.change_content(change, again)
        except (OSError, QuivoError) as error:
            return explain_disk_error(error) if isinstance(error, OSError) else str(error)
        return ""

    def record_saved_file(self, path: Path | str, form: str) -> list[str]:
        """Record what is about to be saved: a file, a folder, or an address; a sentence for the user if that fails."""
        saved = SavedFile(str(path) if urls.is_remote(str(path)) else str(Path(path).absolute()), form)
        failure = self.try_change(lambda known: known.with_saved([*known.saved, saved]), "save it again")
        sentence = f"{self.file} cannot be written ({failure}): `forget` will not name {path}. Keep it in mind."
        return [sentence] if failure else []

    def drop_saved_files(self, files: Iterable[SavedFile]) -> None:
        """Forget saved files that are not there any more.

        Raises:
            QuivoError: the file cannot be written.
        """
        gone = set(files)
        self.change_content(
            lambda known: known.with_saved(file for file in known.saved if file not in gone), "forget again"
        )

    def sweep_leftovers(self) -> None:
        """Remove what killed processes left beside known outputs; what cannot be removed now is left for later."""
        try:
            paths = self.read().local_paths()
        except QuivoError:
            return
        for path in paths:
            with suppress(OSError, QuivoError):  # a process is writing there, or the disk refuses
                remove_leftovers(path, lock_seconds=0)
