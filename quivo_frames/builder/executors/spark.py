"""Work on Spark, classic or Connect: one task an item, which Spark gives to another executor when one is lost.

Nothing is asked of Spark but range, mapInArrow and collect, which both kinds of session have. For mapInArrow, pyspark
needs pyarrow and pandas here, and pyarrow on the workers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from secrets import token_hex
from typing import Any, TypeVar

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from quivo_frames.builder.executors.remote_task import errand, gave_up, lacks, opened, packed, versions
from quivo_frames.errors import ConfigError, QuivoError

try:  # one of two ways to Spark, which a client of Connect alone does not have
    from py4j.protocol import Py4JError
except ImportError:
    Py4JError = PySparkException

T = TypeVar("T")
R = TypeVar("R")

_ERRORS = (PySparkException, Py4JError)
_FIRST = 4
"""Items a core in the first job. Each job has twice the items of the one before: so what is wrong with all is told
soon, a cluster that grows with its work can grow, and there are few ends at which cores wait for the last one."""


class SparkWorkers:
    """The executors of a session; `size` is into how many tasks Spark cuts by itself: their cores."""

    def __init__(self, session: SparkSession) -> None:
        self._session = session
        try:
            self.size: int = session.range(1 << 20).selectExpr("spark_partition_id()").distinct().count()
        except _ERRORS as error:
            raise _meaning(error) from None

    def share(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """What `work` makes of each item, job by job."""
        start, count = 0, _FIRST * self.size
        while start < len(items):
            for answer in self._job(errand(work, versions()), packed(items[start : start + count])):
                yield opened(answer)
            start, count = start + count, 2 * count

    def _job(self, run: Callable[[bytes], bytes], todo: Sequence[bytes]) -> list[bytes]:
        def answers(batches: Iterator[Any]) -> Iterator[Any]:  # goes to the workers by value
            import pyarrow

            for batch in batches:
                for number in batch.column(0).to_pylist():
                    yield pyarrow.record_batch([pyarrow.array([run(todo[number])], pyarrow.binary())], ["answer"])

        numbers = self._session.range(0, len(todo), 1, len(todo))
        try:
            with _stopped_with_us(self._session):
                return [bytes(row[0]) for row in numbers.mapInArrow(answers, "answer binary").collect()]
        except _ERRORS as error:
            raise _meaning(error) from None


def workers(session: SparkSession) -> SparkWorkers:
    """The executors of a session."""
    return SparkWorkers(session)


@contextmanager
def connected(on: str) -> Iterator[SparkSession]:
    """A session of a Spark master or of a Spark Connect server, stopped at the end.

    Raises:
        ConfigError: what answers is none, or this process has a session already.
    """
    if SparkSession.getActiveSession() is not None:
        raise ConfigError("This process has a SparkSession already. Give that one: executor=spark.")
    builder = SparkSession.builder.appName("quivo-frames")
    try:
        session = builder.remote(on).create() if on.startswith("sc:") else builder.master(on).getOrCreate()
    except _ERRORS as error:
        raise ConfigError(
            f"Spark cannot be used at this address ({type(error).__name__}). Look at the address, at the version of "
            "pyspark, which must be that of the cluster, and at Java, which spark:// needs here: 17 or later."
        ) from error
    try:
        yield session
    finally:
        session.stop()


@contextmanager
def _stopped_with_us(session: SparkSession) -> Iterator[None]:
    """Ctrl-C ends the job too: by itself Spark goes on with it, at times here and always on a server."""
    if ".connect." in type(session).__module__:
        add, cancel, remove = session.addTag, session.interruptTag, session.removeTag
    else:
        context = session.sparkContext
        add, cancel, remove = context.addJobTag, context.cancelJobsWithTag, context.removeJobTag
    tag = f"quivo-frames-{token_hex(4)}"
    add(tag)
    try:
        yield
    except KeyboardInterrupt:
        with suppress(*_ERRORS):
            cancel(tag)
        raise
    finally:
        with suppress(*_ERRORS):
            remove(tag)


def _meaning(error: BaseException) -> QuivoError:
    text = str(error)
    if "PYTHON_VERSION_MISMATCH" in text:
        return ConfigError(
            "The workers of Spark have another Python than this process. Have the same minor version on both, or name "
            "one that they have in PYSPARK_PYTHON."
        )
    missing = re.search(r"No module named '(\w+)", text)
    return lacks(missing[1]) if missing else gave_up("Spark", error)
