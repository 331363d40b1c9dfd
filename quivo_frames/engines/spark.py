"""Work on Spark, classic or Connect: one task an item, which Spark gives to another executor when one is lost.

Nothing is asked of Spark but range, mapInArrow and collect, which both kinds of session have. Here pyarrow and pandas
are needed (by pyspark), on the workers pyarrow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from secrets import token_hex
from typing import Any, NoReturn, TypeVar

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from quivo_frames.engines.errand import errand, gave_up, lacks, opened, packed, versions
from quivo_frames.errors import ConfigError

T = TypeVar("T")
R = TypeVar("R")

_FIRST = 4
"""Items for each core in the first job. Each job has twice the items of the one before: so what goes wrong for all is
told soon, a cluster that grows with its work can grow, and there are few ends at which cores wait for the last one."""


class SparkWorkers:
    """The executors of a session; `size` is the tasks that Spark makes of a table by itself: their cores."""

    def __init__(self, session: SparkSession) -> None:
        self._session = session
        try:
            self.size: int = session.range(1 << 20).selectExpr("spark_partition_id()").distinct().count()
        except _errors() as error:
            _meaning(error)

    def share(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """What `work` makes of each item, job by job."""
        start, count = 0, _FIRST * self.size
        while start < len(items):
            for answer in self._job(errand(work, versions()), packed(items[start : start + count])):
                yield opened(answer)
            start, count = start + count, 2 * count

    def _job(self, run: Callable[[bytes], bytes], todo: Sequence[bytes]) -> list[bytes]:
        def tasks(batches: Iterator[Any]) -> Iterator[Any]:  # goes to the workers by value
            import pyarrow

            for batch in batches:
                for number in batch.column(0).to_pylist():
                    yield pyarrow.record_batch([pyarrow.array([run(todo[number])], pyarrow.binary())], ["answer"])

        tag = f"quivo-frames-{token_hex(4)}"
        self._session.addTag(tag)
        try:
            numbers = self._session.range(0, len(todo), 1, len(todo))
            return [bytes(row[0]) for row in numbers.mapInArrow(tasks, "answer binary").collect()]
        except _errors() as error:
            _meaning(error)
        except BaseException:  # such as Ctrl-C: Spark would go on
            self._session.interruptTag(tag)
            raise
        finally:
            self._session.removeTag(tag)


def workers(session: SparkSession) -> SparkWorkers:
    """The executors of a session."""
    return SparkWorkers(session)


@contextmanager
def connected(on: str) -> Iterator[SparkSession]:
    """A session of a Spark master or of a Spark Connect server, stopped at the end.

    Raises:
        ConfigError: what answers is none, or this process has a session already.
    """
    remote = on.startswith("sc://")
    if SparkSession.getActiveSession() is not None:
        raise ConfigError("This process has a SparkSession already. Give that one: executor=spark.")
    try:
        builder = SparkSession.builder.appName("quivo-frames")
        session = builder.remote(on).create() if remote else builder.master(on).getOrCreate()
        session.conf.get("spark.app.name")  # asks the server
    except _errors() as error:
        raise ConfigError(
            f"Spark cannot be used at this address ({type(error).__name__}). Look at the address, at the version of "
            "pyspark, which must be that of the cluster, and at Java, which spark:// needs here: 17 or later."
        ) from error
    try:
        yield session
    finally:
        session.stop()


def _errors() -> tuple[type[BaseException], ...]:
    """What Spark raises: its own errors, and those of the two ways to it, as far as they are installed."""
    found: list[type[BaseException]] = [PySparkException]
    try:
        from py4j.protocol import Py4JError

        found.append(Py4JError)
    except ImportError:
        pass
    return tuple(found)


def _meaning(error: BaseException) -> NoReturn:
    text = str(error)
    if "PYTHON_VERSION_MISMATCH" in text:
        raise ConfigError(
            "The workers of Spark have another Python than this process. Have the same minor version on both, or "
            "name one that they have in PYSPARK_PYTHON."
        ) from None
    if missing := re.search(r"No module named '([\w.]+)'", text):
        raise lacks(missing[1]) from None
    gave_up("Spark", error)
