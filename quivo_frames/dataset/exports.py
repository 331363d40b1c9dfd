"""exports.json: where the tables were exported to, and files that were saved from them, to erase orders there."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec

from quivo_frames.dataset.manifest import EXPORTS
from quivo_frames.export.formats import ExportFormat
from quivo_frames.model.order_selection import OrderConditions
from quivo_frames.model.privacy import PrivacyLevel
from quivo_frames.storage import urls
from quivo_frames.storage.leftovers import find_leftovers, is_written_to
from quivo_frames.storage.output_register import OutputRegister, RegisterContent, require_address
from quivo_frames.storage.own_json import decode_own_json
from quivo_frames.storage.place import Place

_REMEDY = (
    "It lists where these tables were exported to, so that orders can be erased there. Take it from a backup; or "
    "delete it, and export and save again what there is."
)
_STRICTNESS = list(PrivacyLevel)


class RecordedExport(msgspec.Struct, frozen=True, omit_defaults=True):
    """An export that the dataset remembers.

    `key` is the fingerprint of the key of its pseudonyms, `where` the conditions of a slice. `begun`: nobody has
    recorded how it ended, because it is running, or because it was killed.
    """

    form: ExportFormat
    out: str
    privacy: PrivacyLevel
    by_month: bool
    key: str
    where: tuple[OrderConditions, ...] = ()
    begun: bool = False

    def __post_init__(self) -> None:
        require_address(self.out)

    def __str__(self) -> str:
        return f"{self.out} ({self.form})"

    @property
    def path(self) -> Path | None:
        """The path of a target on this machine; None for an address."""
        return None if urls.is_remote(self.out) else Path(self.out)

    @property
    def is_replaced_as_a_whole(self) -> bool:
        """Whether the target holds either all of an export or nothing of it, at any time."""
        return self.path is not None and self.form not in (ExportFormat.DELTA, ExportFormat.DUCKLAKE)

    def without_orders(self, order_ids: Collection[int]) -> RecordedExport:
        """The same, and its slice names none of these orders."""
        where = tuple(conditions.without_orders(order_ids) for conditions in self.where)
        return msgspec.structs.replace(self, where=where)


class KnownOutputs(RegisterContent, frozen=True, kw_only=True):
    """The content of the file. Earlier versions wrote a list of exports."""

    exports: tuple[RecordedExport, ...] = ()

    def local_paths(self) -> list[Path]:
        """The paths of this machine that exports and saved files were written to."""
        return [export.path for export in self.targets() if export.path] + super().local_paths()

    def targets(self) -> list[RecordedExport]:
        """One export per target, in the order of their first records.

        Where an export to a known target was begun, nobody can tell which of the two is there: the stricter privacy
        level and the conditions of both count, so that nothing gets to where it was not.
        """
        found: dict[tuple[str, str], RecordedExport] = {}
        for export in self.exports:
            known = found.setdefault((export.form, export.out), export)
            stricter = max(known, export, key=lambda one: _STRICTNESS.index(one.privacy))
            where = tuple(dict.fromkeys((*known.where, *export.where)))
            found[export.form, export.out] = msgspec.structs.replace(
                stricter, begun=known.begun or export.begun, where=where
            )
        return list(found.values())

    def with_export(self, export: RecordedExport) -> KnownOutputs:
        """The same with an export: one that is begun stands beside a completed one, a completed one replaces both."""
        return msgspec.structs.replace(self, exports=(*self._others(export, only_begun=export.begun), export))

    def without_orders(self, order_ids: Collection[int]) -> KnownOutputs:
        """The same, and no slice names one of these orders."""
        return msgspec.structs.replace(self, exports=tuple(one.without_orders(order_ids) for one in self.exports))

    def without_begun(self, export: RecordedExport) -> KnownOutputs:
        """The same without the record that an export to this target was begun."""
        return msgspec.structs.replace(self, exports=tuple(self._others(export, only_begun=True)))

    def _others(self, export: RecordedExport, *, only_begun: bool) -> list[RecordedExport]:
        target = export.form, export.out
        return [one for one in self.exports if (one.form, one.out) != target or (only_begun and not one.begun)]


class DatasetOutputs(OutputRegister[KnownOutputs]):
    """The register of a dataset."""

    def __init__(self, place: Place) -> None:
        super().__init__(place, EXPORTS, KnownOutputs, _REMEDY)

    def _decode(self, data: bytes | None) -> KnownOutputs:
        if data is not None and data.lstrip()[:1] == b"[":
            return KnownOutputs(exports=decode_own_json(data, tuple[RecordedExport, ...], self.file, _REMEDY))
        return super()._decode(data)

    def forget_orders(self, order_ids: Collection[int]) -> None:
        """Drop the ids of orders from the conditions of slices.

        Raises:
            DatasetError: the file cannot be written, or is damaged.
        """
        self.change_content(lambda known: known.without_orders(order_ids), "forget again")

    def begin_export(self, export: RecordedExport) -> None:
        """Record that an export begins. Where that cannot be recorded, `end_export` says so."""
        begun = msgspec.structs.replace(export, begun=True)
        self.try_change(lambda known: known.with_export(begun), "export again")

    def cancel_export(self, export: RecordedExport) -> None:
        """Record that nothing is there of an export that was begun, unless another process is writing there."""
        if export.path is None or not (find_leftovers(export.path) or is_written_to(export.path)):
            self.try_change(lambda known: known.without_begun(export), "export again")

    def end_export(self, export: RecordedExport) -> list[str]:
        """Record that an export is complete; returns a sentence for the user if that fails."""
        done = msgspec.structs.replace(export, begun=False)
        failure = self.try_change(lambda known: known.with_export(done), "export again")
        sentence = f"{self.file} cannot be written ({failure}): `forget` will not find this export. Keep it in mind."
        return [sentence] if failure else []
