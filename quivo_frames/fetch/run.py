"""Refetch orders: order ids -> answers in the archive, and the plan of it.

The way of an id: `refetch` stages the valid ids in the archive (`Archive.begin`), which knows the pending ones;
`RefetchWorkers` takes them one by one, `Client.refetch` brings the answer, `Archive.record` writes it with its row of
the ledger.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from quivo_frames.display.html import html_table
from quivo_frames.display.progress import track_progress
from quivo_frames.display.text import format_count, noun_for
from quivo_frames.errors import ArchiveError, ConfigError
from quivo_frames.fetch.order_ids import validate_ids
from quivo_frames.fetch.redaction import mask_texts
from quivo_frames.fetch.workers import RefetchWorkers
from quivo_frames.flattening.order_text import find_order_text
from quivo_frames.model.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import polars as pl

    from quivo_frames.archive.archive import Archive
    from quivo_frames.display.progress import Progress
    from quivo_frames.fetch.client import Client
    from quivo_frames.model.records import Answer

logger = logging.getLogger(__name__)

TYPICAL_RATES = (1, 5, 10)
"""Requests per second, to estimate the time where no rate is known."""
SUCCESSFUL = frozenset({Outcome.FETCHED, Outcome.SKIPPED})


@dataclass(frozen=True)
class Plan:
    """What `refetch` would do: its least number of requests, what it would leave out, and how long it would take.

    `done` counts orders that the unfinished run `resumed` (None: a new run) already has, `skipped` those fetched
    recently. `forgotten` orders are left out, and not counted in `asked`: they were erased from the archive. `seconds`
    is the time at `rate` requests per second: the given rate (`rate_is_given`), or the one that the last requests of
    the archive reached; None where there is neither.
    """

    requests: int
    asked: int
    duplicates: int
    done: int
    skipped: int
    resumed: int | None
    rate: float | None
    rate_is_given: bool
    forgotten: int = 0

    @property
    def seconds(self) -> float | None:
        """The time at `rate`, in seconds."""
        return self.requests / self.rate if self.rate else None

    def facts(self) -> dict[str, Any]:
        """The plan as a dict of plain values."""
        return {**asdict(self), "seconds": self.seconds}

    def __str__(self) -> str:
        """The plan in one sentence."""
        left_out = ((self.done, "already done"), (self.skipped, "fetched recently"), (self.duplicates, "given twice"))
        omitted = ", ".join(f"{count:,} {why}" for count, why in left_out if count) or "none left out"
        run = f"goes on with run {self.resumed}" if self.resumed else "a new run"
        rates = (self.rate,) if self.rate else TYPICAL_RATES if self.requests else ()
        times = ", ".join(f"{timedelta(seconds=round(self.requests / rate))} at {rate:g} a second" for rate in rates)
        why = "" if self.rate_is_given else ", as reached lately" if self.rate else " (Quivo's answers decide)"
        took = f"; {times}{why}" if times else ""
        orders = format_count(self.asked, "order")
        return (
            f"{format_count(self.requests, 'request')} for {orders} ({run}; {omitted}){took}"
            f"{_explain_forgotten(self.forgotten)}"
        )

    __repr__ = __str__


@dataclass(frozen=True)
class Run:
    """How a refetch ended: the number of its run in the ledger, and its orders by outcome.

    `asked` counts the orders of the run, each once; `outcomes` includes those that an earlier call of a `resumed` run
    fetched. `duplicates`, `seconds` and `forgotten`, the orders left out because they were erased, are of this call.
    """

    run: int
    asked: int
    duplicates: int
    resumed: bool
    outcomes: Mapping[Outcome, int]
    seconds: float
    archive: Archive = field(repr=False)
    forgotten: int = 0

    @property
    def fetched(self) -> int:
        """Orders with a good answer."""
        return self.outcomes.get(Outcome.FETCHED, 0)

    @property
    def skipped(self) -> int:
        """Orders that were fetched recently and not requested again."""
        return self.outcomes.get(Outcome.SKIPPED, 0)

    @property
    def failed(self) -> int:
        """Orders without a good answer; `failures` says why."""
        return sum(count for outcome, count in self.outcomes.items() if outcome not in SUCCESSFUL)

    @property
    def failures(self) -> pl.DataFrame:
        """The failed orders, with the columns of `Archive.attempts`."""
        return self.archive.failures(self.run)

    def facts(self) -> dict[str, Any]:
        """The run as a dict of plain values."""
        counts = {str(outcome): count for outcome, count in self.outcomes.items()}
        return {
            "run": self.run,
            "asked": self.asked,
            "duplicates": self.duplicates,
            "resumed": self.resumed,
            "outcomes": counts,
            "failed": self.failed,
            "seconds": round(self.seconds, 3),
            "forgotten": self.forgotten,
        }

    def __str__(self) -> str:
        """The run in one sentence."""
        counts = (
            ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(self.outcomes.items())) or "nothing to ask"
        )
        again = " (resumed)" if self.resumed else ""
        given = f"{format_count(self.duplicates, 'id')} {noun_for(self.duplicates, 'was', 'were')}"
        twice = f"; {given} given more than once" if self.duplicates else ""
        orders = format_count(self.asked, "order")
        return (
            f"Run {self.run}{again}: {orders} in {self.seconds:,.1f} s: {counts}{twice}"
            f"{_explain_forgotten(self.forgotten)}"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(str(self), ((str(outcome), count) for outcome, count in sorted(self.outcomes.items())))


def refetch(
    order_ids: Iterable[int | str],
    client: Client,
    archive: Archive,
    *,
    workers: int = 4,
    max_age: timedelta | None = None,
    new_run: bool = False,
    again: bool = False,
    service_moved: bool = False,
    progress: bool | Callable[[Progress], object] | None = None,
) -> Run:
    """Refetch every order once and keep the answers in the archive; returns the run.

    The same ids as those of an unfinished run resume that run, its failed orders included; `new_run` starts over.
    Orders with a good answer younger than `max_age` are skipped. Orders that `forget` erased from the archive are left
    out and counted in `forgotten`, unless they are to be fetched `again`.

    An archive holds answers of one service: its first run records which, and a client of another is refused.
    `service_moved` says that the service is the same, at another address than before.

    Requests run in parallel as far as the rate needs it, up to `workers`. Ids are an iterable of integers or of strings
    of digits; memory stays flat for any number. `progress` shows a bar on stderr (None: on a terminal and in a
    notebook), or is a function that gets a `Progress` about once a second.

    Ctrl-C lets the requests in flight end and keeps their answers, then raises KeyboardInterrupt; a second one stops at
    once. Whatever is raised, the same call resumes where this one stopped.

    Raises:
        ConfigError: an id or another argument is wrong, or the archive is of another service; nothing was requested.
        LoginError, Unreachable, UnexpectedResponse: Quivo cannot be used at all, or most orders fail.
        ArchiveError: the archive cannot be written.
    """
    if workers < 1:
        raise ConfigError(f"refetch needs at least 1 worker, not {workers}.")
    began = time.monotonic()
    fresh_since = _oldest_fresh_time(max_age)
    run, batch = archive.begin(
        validate_ids(order_ids), fresh_since=fresh_since, new_run=new_run, again=again, service=client.service,
        service_moved=service_moved,
    )  # fmt: skip
    if batch.resumed:
        logger.info("goes on with run %d: %d of %d orders are done", run, batch.done, batch.asked)
    if batch.requests:
        with track_progress("refetch", batch.requests, progress) as meter:
            save = partial(_save_answer, archive, run)
            RefetchWorkers(archive.pending(run), client, save, workers).refetch_all(meter)
    archive.finish(run)
    resumed, seconds = batch.resumed is not None, time.monotonic() - began
    outcomes = archive.outcomes(run)
    return Run(run, batch.asked, batch.duplicates, resumed, outcomes, seconds, archive, batch.forgotten)


def plan(
    order_ids: Iterable[int | str],
    archive: Archive,
    *,
    max_age: timedelta | None = None,
    new_run: bool = False,
    again: bool = False,
    rate: float | None = None,
) -> Plan:
    """What `refetch` would do with the same arguments; requests nothing and writes nothing.

    Raises:
        ConfigError: an id or another argument is wrong.
        ArchiveError: the archive cannot be read.
    """
    if rate is not None and not rate > 0:
        raise ConfigError(f"The rate must be above 0 (requests per second), not {rate}.")
    fresh_since = _oldest_fresh_time(max_age)
    batch = archive.survey(validate_ids(order_ids), fresh_since=fresh_since, new_run=new_run, again=again)
    counts = (batch.asked, batch.duplicates, batch.done, batch.fresh)
    is_given = rate is not None
    return Plan(batch.requests, *counts, batch.resumed, rate or archive.recent_rate(), is_given, batch.forgotten)


def _save_answer(archive: Archive, run: int, answer: Answer) -> None:
    """Record an answer. What the archive knows to be personal of the order is masked in an error about it."""
    if answer.message and answer.status is not None:  # or the words are our own
        from quivo_frames.model.privacy import find_personal_texts  # imported here because it loads polars

        with suppress(ArchiveError):  # an earlier answer that is damaged is no reason not to record this one
            for earlier in archive.newest(order_ids=[answer.order_id]):
                known = find_personal_texts(find_order_text(earlier.body).text)
                answer = answer._replace(message=mask_texts(answer.message, known - {str(answer.order_id)}))
    archive.record(run, answer)


def _explain_forgotten(count: int) -> str:
    if not count:
        return ""
    if count == 1:
        return ". 1 order is left out because `forget` erased it; --again fetches it"
    return f". {count:,} orders are left out because `forget` erased them; --again fetches them"


def _oldest_fresh_time(max_age: timedelta | None) -> datetime | None:
    if max_age is None:
        return None
    if max_age < timedelta(0):
        raise ConfigError("max_age must not be negative.")
    try:
        return datetime.now(UTC) - max_age
    except OverflowError:  # before the year 1
        return datetime.min.replace(tzinfo=UTC)
