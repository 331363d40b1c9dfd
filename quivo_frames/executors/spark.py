"""Work on Spark, classic or Connect: one task per item, which Spark gives to another executor when one is lost.

It uses only range, mapInArrow and collect, which both kinds of session have. For mapInArrow, pyspark needs pyarrow and
pandas on the driver, and pyarrow on the workers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from secrets import token_hex
from typing import Any, TypeVar

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from quivo_frames.errors import ConfigError, QuivoError
from quivo_frames.executors.remote_task import (
    lost_engine_error,
    missing_module_error,
    pickle_items,
    remote_task,
    unpack_answer,
)

try:  # a client of Spark Connect alone does not have it
    from py4j.protocol import Py4JError
except ImportError:
    Py4JError = PySparkException

T = TypeVar("T")
R = TypeVar("R")

_SPARK_ERRORS = (PySparkException, Py4JError)
_TASKS_PER_CORE_AT_FIRST = 4
"""Each job has twice as many tasks as the one before: what is wrong with all of them shows soon, a cluster that scales
with its work can grow, and there are few job ends at which cores wait for the last task."""


class SparkPool:
    """The executors of a session; `size` is the number of their cores: into as many tasks Spark cuts a range."""

    def __init__(self, session: SparkSession) -> None:
        self._session = session
        try:
            self.size: int = session.range(1 << 20).selectExpr("spark_partition_id()").distinct().count()
        except _SPARK_ERRORS as error:
            raise _explain_error(error) from None

    def map_unordered(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Results of `work`, job by job."""
        start, count = 0, _TASKS_PER_CORE_AT_FIRST * self.size
        task = remote_task(work)
        while start < len(items):
            for answer in self._run_job(task, pickle_items(items[start : start + count])):
                yield unpack_answer(answer)
            start, count = start + count, 2 * count

    def _run_job(self, task: Callable[[bytes], bytes], items: Sequence[bytes]) -> list[bytes]:
        def answers(batches: Iterator[Any]) -> Iterator[Any]:  # pickled by value
            import pyarrow

            for batch in batches:
                for number in batch.column(0).to_pylist():
                    yield pyarrow.record_batch([pyarrow.array([task(items[number])], pyarrow.binary())], ["answer"])

        numbers = self._session.range(0, len(items), 1, len(items))
        try:
            with _cancelled_on_interrupt(self._session):
                return [bytes(row[0]) for row in numbers.mapInArrow(answers, "answer binary").collect()]
        except _SPARK_ERRORS as error:
            raise _explain_error(error) from None


def worker_pool(session: SparkSession) -> SparkPool:
    """The executors of a session."""
    return SparkPool(session)


@contextmanager
def connect_to(on: str) -> Iterator[SparkSession]:
    """A session of a Spark master or of a Spark Connect server, stopped at the end.

    Raises:
        ConfigError: what answers is neither, or this process has a session already.
    """
    if SparkSession.getActiveSession() is not None:
        raise ConfigError("This process has a SparkSession already. Give that one: executor=spark.")
    builder = SparkSession.builder.appName("quivo-frames")
    try:
        session = builder.remote(on).create() if on.startswith("sc:") else builder.master(on).getOrCreate()
    except _SPARK_ERRORS as error:
        raise ConfigError(
            f"Spark cannot be used at this address ({type(error).__name__}). Look at the address, at the version of "
            "pyspark, which must be that of the cluster, and at Java, which spark:// needs here: 17 or later."
        ) from error
    try:
        yield session
    finally:
        session.stop()


@contextmanager
def _cancelled_on_interrupt(session: SparkSession) -> Iterator[None]:
    """Cancels the job on Ctrl-C: without that it would go on, at times in a classic session, always on a server."""
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
        with suppress(*_SPARK_ERRORS):
            cancel(tag)
        raise
    finally:
        with suppress(*_SPARK_ERRORS):
            remove(tag)


def _explain_error(error: BaseException) -> QuivoError:
    text = str(error)
    if "PYTHON_VERSION_MISMATCH" in text:
        return ConfigError(
            "The workers of Spark have another Python than this process. Have the same minor version on both, or name "
            "one that they have in PYSPARK_PYTHON."
        )
    missing = re.search(r"No module named '(\w+)", text)
    return missing_module_error(missing[1]) if missing else lost_engine_error("Spark", error)
