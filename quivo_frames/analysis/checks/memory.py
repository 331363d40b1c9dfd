"""What the audits of a dataset found before, in a file beside its manifest: which findings are new, which are resolved.

The file holds keys of rows and instants, and no value of an order. An audit compares with what the last one with the
same thresholds found; when a finding was first seen is known from all of them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec
import polars as pl

from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.dataset.manifest import FOUND
from quivo_frames.errors import DatasetError
from quivo_frames.storage.own_json import decode_own_json
from quivo_frames.storage.place import Place
from quivo_frames.storage.urls import explain_storage_errors

NEW, STANDING = "new", "standing"
"""The status of findings: not there in the last audit, or there already."""
_INSTANT = pl.Datetime("us", "UTC")
RESOLVED_SCHEMA: dict[str, type[pl.DataType] | pl.DataType] = {
    "finding": pl.String, "check": pl.String, "severity": pl.String, "order_id": pl.Int64, "table": pl.String,
    "key": pl.String, "first_seen": _INSTANT, "last_seen": _INSTANT,
}  # fmt: skip
"""The columns of `findings.resolved`."""
_SCHEMA = {**RESOLVED_SCHEMA, "limits": pl.String}
_MOST_LIMITS = 5
"""Of so many sets of thresholds the findings are remembered, those used last."""
_REMEDY = "It remembers what earlier audits found. Delete it: all findings are new then."
_METADATA = "quivo_frames"

AuditTimes = dict[str, dict[str, datetime]]
"""When which check ran last (as of), by the name of the thresholds."""


@dataclass(frozen=True)
class KnownFindings:
    """What is remembered: the findings, and the times of the audits."""

    rows: pl.DataFrame
    audits: AuditTimes

    @classmethod
    def none_known(cls) -> KnownFindings:
        """What is known before the first audit."""
        return cls(pl.DataFrame(schema=_SCHEMA), {})

    def to_parquet(self) -> bytes:
        """The content of the file."""
        buffer = io.BytesIO()
        self.rows.sort("finding", "limits").write_parquet(
            buffer, metadata={_METADATA: msgspec.json.encode(self.audits).decode()}
        )
        return buffer.getvalue()


@dataclass(frozen=True)
class Comparison:
    """Findings with `status` and `first_seen`, those that are resolved, and the time of the audit that they were in."""

    found: pl.DataFrame
    resolved: pl.DataFrame
    since: datetime | None


@dataclass(frozen=True)
class AuditRun:
    """What an audit looked at: the checks that ran, the orders of the tables, the thresholds, and the time."""

    ran: Collection[str]
    orders: pl.Series
    limits: Limits
    as_of: datetime

    @property
    def limits_name(self) -> str:
        """A name for the thresholds that differ from their defaults; empty if none does."""
        plain = msgspec.structs.asdict(Limits())
        changed = {name: value for name, value in msgspec.structs.asdict(self.limits).items() if value != plain[name]}
        return hashlib.sha256(msgspec.json.encode(changed, order="sorted")).hexdigest()[:16] if changed else ""


def compare_findings(known: KnownFindings, found: pl.DataFrame, run: AuditRun) -> Comparison:
    """The findings of an audit compared with those that are known.

    Only what checks found that ran now can be resolved; orders that are in no table any more have nothing resolved.
    """
    first = known.rows.group_by("finding").agg(first_seen=pl.col("first_seen").min())
    before = found.select("finding").join(first, on="finding", how="left", maintain_order="left")["first_seen"]
    joined = found.with_columns(
        status=pl.when(before.is_null()).then(pl.lit(NEW)).otherwise(pl.lit(STANDING)),
        first_seen=pl.coalesce(before, "first_seen"),
    )
    own = known.rows.filter(pl.col("limits") == run.limits_name, pl.col("check").is_in(list(run.ran)))
    gone = own.join(found, on="finding", how="anti").filter(pl.col("order_id").is_in(run.orders.implode()))
    times = known.audits.get(run.limits_name, {})
    since = min((times[check] for check in run.ran if check in times), default=None)
    return Comparison(joined, gone.select(*RESOLVED_SCHEMA).sort("finding"), since)


def remember_findings(known: KnownFindings, compared: Comparison, run: AuditRun) -> KnownFindings:
    """What is known after an audit. Orders that are in no table any more are forgotten."""
    name = run.limits_name
    others = known.rows.filter(
        (pl.col("limits") != name) | ~pl.col("check").is_in(list(run.ran)),
        pl.col("order_id").is_in(run.orders.implode()),
    )
    own = compared.found.with_columns(last_seen=pl.lit(run.as_of, _INSTANT), limits=pl.lit(name)).select(*_SCHEMA)
    times = known.audits.get(name, {}) | dict.fromkeys(run.ran, run.as_of)
    audits = {other: of for other, of in known.audits.items() if other != name} | {name: times}
    kept = dict(list(audits.items())[-_MOST_LIMITS:])
    return KnownFindings(pl.concat([others.filter(pl.col("limits").is_in(list(kept))), own]), kept)


class FindingsMemory:
    """The file of a place in which its findings are remembered; several processes may change it at the same time."""

    def __init__(self, place: Place) -> None:
        self.file = place.uri(FOUND)
        self._place = place

    def read(self) -> KnownFindings:
        """What is known; nothing if there is no file.

        Raises:
            DatasetError: the file is damaged.
            OSError: it cannot be read.
        """
        return self._decode(self._place.read(FOUND))

    def _decode(self, data: bytes | None) -> KnownFindings:
        if data is None:
            return KnownFindings.none_known()
        try:
            rows = pl.read_parquet(io.BytesIO(data))
            audits = pl.read_parquet_metadata(io.BytesIO(data)).get(_METADATA, "")
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DatasetError(f"{self.file} is damaged. {_REMEDY}") from error
        if rows.schema != _SCHEMA:
            raise DatasetError(f"{self.file} is damaged: it has other columns. {_REMEDY}")
        return KnownFindings(rows, decode_own_json(audits.encode(), AuditTimes, self.file, _REMEDY))

    def change(self, change: Callable[[KnownFindings], KnownFindings]) -> None:
        """Change what is known, also while others do. A file that would be empty is not created.

        Raises:
            DatasetError: the file is damaged.
            OSError: it cannot be read or written.
        """
        while True:
            data = self._place.read(FOUND)
            before = self._decode(data)
            after = change(before)
            if after is before or self._place.compare_and_swap(FOUND, after.to_parquet(), data):
                return

    def forget_orders(self, order_ids: Collection[int]) -> None:
        """Forget what was found in some orders.

        Raises:
            DatasetError: the file is damaged, or cannot be written.
        """
        is_erased = pl.col("order_id").is_in(pl.Series(list(order_ids), dtype=pl.Int64).implode())

        def forget(known: KnownFindings) -> KnownFindings:
            rows = known.rows.filter(~is_erased)
            return known if rows.height == known.rows.height else replace(known, rows=rows)

        with explain_storage_errors(f"{self.file} cannot be written", "forget again", error_class=DatasetError):
            self.change(forget)
