"""exports.json: where the tables were exported to, and files that were saved from them, so that orders can be erased.

An export is recorded as begun before anything of it is written, so that what a killed process leaves of it is found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from quivo_frames.dataset.manifest import EXPORTS
from quivo_frames.errors import DatasetError, QuivoError
from quivo_frames.export.formats import ExportFormat
from quivo_frames.model.privacy import PrivacyLevel
from quivo_frames.storage import urls
from quivo_frames.storage.atomic import explain_disk_error
from quivo_frames.storage.leftovers import find_leftovers, is_written_to, remove_leftovers
from quivo_frames.storage.own_json import decode_own_json
from quivo_frames.storage.place import Place

_REMEDY = (
    "It lists where these tables were exported to, so that orders can be erased there. Take it from a backup; or "
    "delete it, and export and save again what there is."
)
_STRICTNESS = list(PrivacyLevel)


class RecordedExport(msgspec.Struct, frozen=True, omit_defaults=True):
    """An export that the dataset remembers.

    `key` is the fingerprint of the key of its pseudonyms. `begun`: nobody has recorded how it ended, because it is
    running, or because it was killed.
    """

    form: ExportFormat
    out: str
    privacy: PrivacyLevel
    by_month: bool
    key: str
    begun: bool = False

    def __post_init__(self) -> None:
        _require_address(self.out)

    def __str__(self) -> str:
        return f"{self.out} ({self.form})"

    @property
    def path(self) -> Path | None:
        """The path of a target on this machine; None for an address."""
        return None if urls.is_remote(self.out) else Path(self.out)

    @property
    def is_replaced_as_a_whole(self) -> bool:
        """Whether the target holds either all of an export or nothing of it, at any time."""
        return self.path is not None and self.form is not ExportFormat.DELTA


class SavedFile(msgspec.Struct, frozen=True):
    """A file with orders that a command saved, and what it is: a report, findings."""

    path: str
    form: str

    def __post_init__(self) -> None:
        _require_address(self.path)

    def __str__(self) -> str:
        return f"{self.path} ({self.form})"


class KnownOutputs(msgspec.Struct, frozen=True):
    """The content of the file. Earlier versions wrote a list of exports."""

    exports: list[RecordedExport] = []
    saved: list[SavedFile] = []
    digest: str = ""

    def to_json(self) -> bytes:
        """The content of the file, with a digest of what it says."""
        return msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(self, digest=self._digest())), indent=2)

    def is_intact(self) -> bool:
        """Whether nothing was changed since it was written; of earlier versions nobody can tell."""
        return self.digest in ("", self._digest())

    def _digest(self) -> str:
        return hashlib.sha256(msgspec.json.encode((self.exports, self.saved))).hexdigest()

    def targets(self) -> list[RecordedExport]:
        """One export per target, in the order of their first records.

        Where an export to a known target was begun, nobody can tell which of the two is there: the stricter privacy
        level counts, so that nothing personal gets to where it was not.
        """
        found: dict[tuple[str, str], RecordedExport] = {}
        for export in self.exports:
            known = found.setdefault((export.form, export.out), export)
            stricter = max(known, export, key=lambda one: _STRICTNESS.index(one.privacy))
            found[export.form, export.out] = msgspec.structs.replace(stricter, begun=known.begun or export.begun)
        return list(found.values())


def _require_address(address: str) -> None:
    if "\0" in address or not (urls.is_remote(address) or Path(address).is_absolute()):
        raise ValueError("no absolute path")  # msgspec reports it as damage, with its place


class OutputRegister:
    """Reads and changes exports.json of a dataset; several processes may do that at the same time."""

    def __init__(self, place: Place) -> None:
        self._place, self.file = place, place.uri(EXPORTS)

    def read(self) -> KnownOutputs:
        """What is recorded.

        Raises:
            DatasetError: the file is damaged, or cannot be read.
        """
        return self._decode(self._read_bytes())

    def _read_bytes(self) -> bytes | None:
        with urls.explain_storage_errors(f"{self.file} cannot be read", "try again", error_class=DatasetError):
            return self._place.read(EXPORTS)

    def _decode(self, data: bytes | None) -> KnownOutputs:
        if data is None:
            return KnownOutputs()
        found = decode_own_json(data, list[RecordedExport] | KnownOutputs, self.file, _REMEDY)  # type: ignore[arg-type]
        return KnownOutputs(found) if isinstance(found, list) else found

    def _change(self, change: Callable[[KnownOutputs], KnownOutputs], again: str) -> None:
        """Change the file, also while others do.

        Raises:
            QuivoError: it cannot be written, or is damaged; the message says what to do `again`.
        """
        with urls.explain_storage_errors(f"{self.file} cannot be written", again, error_class=DatasetError):
            while True:
                data = self._read_bytes()
                before = self._decode(data)
                after = change(before)
                if after == before or self._place.compare_and_swap(EXPORTS, after.to_json(), data):
                    return

    def _try_change(self, change: Callable[[KnownOutputs], KnownOutputs], again: str) -> str:
        """As `_change`; returns why it failed, for a sentence."""
        try:
            self._change(change, again)
        except (OSError, QuivoError) as error:
            return explain_disk_error(error) if isinstance(error, OSError) else str(error)
        return ""

    def begin_export(self, export: RecordedExport) -> None:
        """Record that an export begins. Where that cannot be recorded, `end_export` says so."""
        begun = msgspec.structs.replace(export, begun=True)
        self._try_change(
            lambda known: _with_exports(known, [*_others(known, begun, only_begun=True), begun]), "export again"
        )

    def cancel_export(self, export: RecordedExport) -> None:
        """Record that nothing is there of an export that was begun, unless another process is writing there."""
        if export.path is not None and (find_leftovers(export.path) or is_written_to(export.path)):
            return
        self._try_change(lambda known: _with_exports(known, _others(known, export, only_begun=True)), "export again")

    def end_export(self, export: RecordedExport) -> list[str]:
        """Record that an export is complete; returns a sentence for the user if that fails."""
        done = msgspec.structs.replace(export, begun=False)
        failure = self._try_change(lambda known: _with_exports(known, [*_others(known, done), done]), "export again")
        return [
            f"{self.file} cannot be written ({failure}): `forget` will not find this export. Keep it in mind."
        ] * bool(failure)

    def drop_export(self, export: RecordedExport) -> None:
        """Forget an export of which nothing is left.

        Raises:
            QuivoError: the file cannot be written.
        """
        self._change(lambda known: _with_exports(known, _others(known, export)), "forget again")

    def record_saved_file(self, path: Path, form: str) -> list[str]:
        """Record a file that is about to be saved; returns a sentence for the user if that fails."""
        saved = SavedFile(str(path.absolute()), form)
        failure = self._try_change(lambda known: _with_saved(known, {*known.saved, saved}), "save it again")
        return [f"{self.file} cannot be written ({failure}): `forget` will not name {path}. Keep it in mind."] * bool(
            failure
        )

    def drop_saved_files(self, files: Iterable[SavedFile]) -> None:
        """Forget saved files that are not there any more.

        Raises:
            QuivoError: the file cannot be written.
        """
        gone = set(files)
        self._change(lambda known: _with_saved(known, set(known.saved) - gone), "forget again")


def _others(known: KnownOutputs, export: RecordedExport, *, only_begun: bool = False) -> list[RecordedExport]:
    """The records of other targets; with `only_begun`, also those of completed exports to the same one."""
    return [
        one
        for one in known.exports
        if (one.form, one.out) != (export.form, export.out) or (only_begun and not one.begun)
    ]


def _with_exports(known: KnownOutputs, exports: list[RecordedExport]) -> KnownOutputs:
    return msgspec.structs.replace(known, exports=exports)


def _with_saved(known: KnownOutputs, saved: set[SavedFile]) -> KnownOutputs:
    return msgspec.structs.replace(known, saved=sorted(saved, key=str))


def paths_written_to(known: KnownOutputs) -> list[Path]:
    """The paths of this machine that exports and saved files were written to."""
    return [export.path for export in known.targets() if export.path] + [Path(file.path) for file in known.saved]


def find_all_leftovers(known: KnownOutputs) -> list[Path]:
    """What killed processes left beside all known outputs."""
    return [leftover for path in paths_written_to(known) for leftover in find_leftovers(path)]


def sweep_leftovers(register: OutputRegister) -> None:
    """Remove what killed processes left beside known outputs; what cannot be removed now is left to the next run."""
    try:
        paths = paths_written_to(register.read())
    except QuivoError:
        return
    for path in paths:
        with suppress(OSError, QuivoError):  # a process is writing there, or the disk refuses
            remove_leftovers(path, lock_seconds=0)
