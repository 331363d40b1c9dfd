"""ARCHIVE.outputs.json: where the answers of an archive were exported to, and files that were saved from it.

It stands beside the archive, so that it can be written while a refetch holds the archive itself.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from quivo_frames.errors import ArchiveError
from quivo_frames.storage import urls
from quivo_frames.storage.directory import Directory
from quivo_frames.storage.output_register import OutputRegister, RegisterContent, require_address

_REMEDY = (
    "It lists raw exports of the archive and files that were saved from it, so that `forget` can name them. Take it "
    "from a backup; or delete it, and export and save again what there is."
)


class KnownArchiveOutputs(RegisterContent, frozen=True, kw_only=True):
    """The content of the file: folders and addresses of raw exports, and saved files."""

    raw_exports: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for address in self.raw_exports:
            require_address(address)


class ArchiveOutputs(OutputRegister[KnownArchiveOutputs]):
    """The register of an archive."""

    def __init__(self, archive: Path) -> None:
        name = f"{archive.name}.outputs.json"
        super().__init__(Directory(archive.parent), name, KnownArchiveOutputs, _REMEDY, ArchiveError)

    def record_raw_export(self, out: str | os.PathLike[str]) -> None:
        """Record a raw export before it begins, as far as that is possible."""
        address = os.fspath(out)
        address = address.rstrip("/") if urls.is_remote(address) else str(Path(address).absolute())
        self.try_change(lambda known: _with_raw_exports(known, {*known.raw_exports, address}), "export again")

    def drop_raw_exports(self, addresses: set[str]) -> None:
        """Forget raw exports that are not there any more.

        Raises:
            ArchiveError: the file cannot be written.
        """
        self.change(lambda known: _with_raw_exports(known, set(known.raw_exports) - addresses), "forget again")


def _with_raw_exports(known: KnownArchiveOutputs, addresses: set[str]) -> KnownArchiveOutputs:
    return msgspec.structs.replace(known, raw_exports=tuple(sorted(addresses)))
