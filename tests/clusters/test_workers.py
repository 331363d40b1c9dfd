"""Toy work on real clusters: all of it is done, also when a worker is killed in mid-run, and what is wrong is told."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from quivo_frames.errors import ConfigError, Fault, LostWorker
from quivo_frames.executors.connect import connect_engine, worker_pool_of
from tests.clusters.clusters import ROOT, Cluster, DaskCluster, SparkCluster, SparkConnect, wait_for
from tests.support.worker_tasks import (
    die_of_three,
    import_msgspec,
    raise_with_a_value,
    refuse_three,
    slow_square,
    square,
)

NEEDS = f"Install quivo-frames=={version('quivo-frames')} and polars=={version('polars')}, as here"


def test_every_item_is_worked_on_once_and_what_goes_wrong_comes_here(cluster: Cluster) -> None:
    pool = worker_pool_of(cluster.executor)
    assert pool.size == 2
    assert sorted(pool.map_unordered(square, range(40))) == [(n, n * n) for n in range(40)]
    assert list(pool.map_unordered(square, [])) == []
    assert list(pool.map_unordered(square, [7])) == [(7, 49)]
    with pytest.raises(ConfigError, match=r"^three is not for us$"):
        list(pool.map_unordered(refuse_three, range(10)))
    with pytest.raises(Fault, match="ValueError") as caught:
        list(pool.map_unordered(raise_with_a_value, range(3)))
    assert "Anna" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_address_is_enough(cluster: Cluster) -> None:
    with connect_engine(cluster.address) as executor:
        assert sorted(worker_pool_of(executor).map_unordered(square, range(5))) == [(n, n * n) for n in range(5)]


def _while_one_dies(executor: Any, kill: Callable[[], None], seen: Path, items: Sequence[int]) -> list[Any]:
    """The results, when a worker is killed once work has begun on both."""
    killed: list[float] = []

    def kill_later() -> None:
        wait_for(lambda: len({file.name.partition("-")[2] for file in seen.iterdir()}) > 1)
        kill()
        killed.append(time.monotonic())

    pool = worker_pool_of(executor)
    killer = threading.Thread(target=kill_later)
    killer.start()
    found = list(pool.map_unordered(partial(slow_square, seen), items))
    ended = time.monotonic()
    killer.join()
    assert killed[0] < ended
    return found


def _begun_twice(seen: Path) -> bool:
    numbers = [file.name.partition("-")[0] for file in seen.iterdir()]
    return len(numbers) > len(set(numbers))


def test_a_worker_that_is_lost_costs_no_result_and_doubles_none(cluster: Cluster, tmp_path: Path) -> None:
    found = _while_one_dies(cluster.executor, cluster.kill_a_worker, tmp_path, range(24))
    assert sorted(found) == [(n, n * n) for n in range(24)]
    assert _begun_twice(tmp_path)  # else it was not in mid-run


def test_an_executor_of_spark_that_is_lost_costs_no_result(spark_cluster: SparkCluster, tmp_path: Path) -> None:
    found = _while_one_dies(spark_cluster.executor, spark_cluster.kill_an_executor, tmp_path, range(24))
    assert sorted(found) == [(n, n * n) for n in range(24)]
    assert _begun_twice(tmp_path)


@pytest.mark.parametrize("name", ["spark_cluster", "spark_connect"])
def test_work_that_kills_its_worker_each_time_is_given_up(name: str, request: pytest.FixtureRequest) -> None:
    executor = request.getfixturevalue(name).executor
    with pytest.raises(LostWorker, match=r"^Spark ended the work .*more memory or fewer cores") as caught:
        list(worker_pool_of(executor).map_unordered(die_of_three, range(6)))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert len(str(caught.value)) < 400  # no stack trace
    assert list(worker_pool_of(executor).map_unordered(square, [3])) == [(3, 9)]


def test_work_that_kills_its_worker_each_time_is_given_up_by_dask(dask_cluster: DaskCluster) -> None:
    executor = dask_cluster.executor
    for _ in range(3):  # a task is given up when four workers died of it
        dask_cluster.add_a_worker()
    executor.wait_for_workers(5, timeout=120)
    with pytest.raises(LostWorker, match=r"^Dask ended the work \(KilledWorker\)"):
        list(worker_pool_of(executor).map_unordered(die_of_three, range(6)))


WITHOUT = """
import importlib.metadata, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Finder())
version = importlib.metadata.version
def found(name):
    if name.replace("-", "_") == {module!r}:
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)
importlib.metadata.version = found
"""
OLD = """
import importlib.metadata
version = importlib.metadata.version
importlib.metadata.version = lambda name: "0.0.9" if name == "quivo-frames" else version(name)
"""
OTHERS = [
    (WITHOUT.format(module="quivo_frames"), f"A worker has no quivo-frames. {NEEDS}"),
    (OLD, f"A worker has quivo-frames 0.0.9. {NEEDS}"),
    (WITHOUT.format(module="msgspec"), f"A worker cannot import msgspec. {NEEDS}"),
]


@pytest.fixture
def environment(tmp_path: Path) -> Callable[[str], str]:
    """A PYTHONPATH that runs some code when Python starts."""

    def environment(code: str) -> str:
        (tmp_path / "sitecustomize.py").write_text(code)
        return f"{tmp_path}:{ROOT}"

    return environment


@pytest.mark.parametrize(("code", "told"), OTHERS, ids=["none", "old", "broken"])
def test_a_worker_of_dask_that_cannot_do_the_work_says_why(
    dask_cluster: DaskCluster, code: str, told: str, environment: Callable[[str], str]
) -> None:
    dask_cluster.keep(0)
    dask_cluster.add_a_worker(PYTHONPATH=environment(code))
    with pytest.raises(ConfigError) as caught:
        list(worker_pool_of(dask_cluster.executor).map_unordered(import_msgspec, range(4)))
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(("code", "told"), OTHERS[::2], ids=["none", "broken"])
def test_a_worker_of_spark_that_cannot_do_the_work_says_why(
    spark_cluster: SparkCluster, code: str, told: str, environment: Callable[[str], str]
) -> None:
    session = spark_cluster.session(**{"spark.executorEnv.PYTHONPATH": environment(code)})
    with pytest.raises(ConfigError) as caught:
        list(worker_pool_of(session).map_unordered(import_msgspec, range(4)))
    assert str(caught.value).startswith(told)


def test_a_worker_of_spark_without_pyarrow_says_so(
    spark_cluster: SparkCluster, environment: Callable[[str], str]
) -> None:
    path = environment(WITHOUT.format(module="pyarrow"))
    session = spark_cluster.session(**{"spark.executorEnv.PYTHONPATH": path})
    with pytest.raises(ConfigError, match=r"A worker cannot import pyarrow\b"):
        list(worker_pool_of(session).map_unordered(square, range(4)))


def test_workers_of_spark_need_no_pandas(spark_cluster: SparkCluster, environment: Callable[[str], str]) -> None:
    path = environment(WITHOUT.format(module="pandas"))
    session = spark_cluster.session(**{"spark.executorEnv.PYTHONPATH": path})
    assert sorted(worker_pool_of(session).map_unordered(square, range(4))) == [(n, n * n) for n in range(4)]


@pytest.mark.parametrize("name", ["spark_cluster", "spark_connect"])
def test_work_on_spark_that_is_interrupted_ends_there_too(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    executor = request.getfixturevalue(name).executor

    def interrupt() -> None:
        wait_for(lambda: any(tmp_path.iterdir()))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # as Ctrl-C

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        list(worker_pool_of(executor).map_unordered(partial(slow_square, tmp_path), range(40)))
    time.sleep(1)
    begun = len(list(tmp_path.iterdir()))
    time.sleep(2)
    assert len(list(tmp_path.iterdir())) == begun < 20


def test_a_scheduler_that_is_none_is_told(spark_connect: SparkConnect) -> None:
    on = spark_connect.address.replace("sc://", "dask://")
    with pytest.raises(ConfigError, match="is no Dask scheduler"), connect_engine(on):
        pass
