"""Engines that are there already: each item is worked on, and whatever goes wrong is told in a sentence."""

from __future__ import annotations

import os
import pickle
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from quivo_frames.errors import ArchiveError, ConfigError, Fault, LostWorker
from quivo_frames.executors import remote_task
from quivo_frames.executors.connect import connect_engine, worker_pool_of
from tests.support.paths import ROOT
from tests.support.worker_tasks import (
    die_of_three,
    raise_a_panic,
    raise_with_a_value,
    refuse_three,
    refuse_zero_slowly,
    square,
)


@pytest.fixture(scope="module")
def dask() -> Iterator[Any]:
    """A client of a scheduler and two worker processes, all on loopback; one death is enough to give a task up."""
    import dask
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def threads() -> Iterator[Any]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def processes() -> Iterator[Any]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.fixture(params=["threads", "processes", "dask"])
def executor(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def test_every_item_is_worked_on_once(executor: Any) -> None:
    pool = worker_pool_of(executor)
    assert pool.size == 2
    assert sorted(pool.map_unordered(square, range(40))) == [(n, n * n) for n in range(40)]
    assert list(pool.map_unordered(square, [])) == []
    assert list(pool.map_unordered(square, [7])) == [(7, 49)]  # and it can be asked again


def test_an_error_of_the_work_comes_here_as_it_is(executor: Any) -> None:
    with pytest.raises(ConfigError, match=r"^three is not for us$"):
        list(worker_pool_of(executor).map_unordered(refuse_three, range(10)))


def test_what_is_left_is_not_begun_when_one_fails(executor: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing is not for us"):
        list(worker_pool_of(executor).map_unordered(partial(refuse_zero_slowly, tmp_path), range(60)))
    list(worker_pool_of(executor).map_unordered(square, range(4)))  # until all that was begun is over
    assert len(list(tmp_path.iterdir())) < 30


@pytest.mark.parametrize(("work", "name"), [(raise_with_a_value, "ValueError"), (raise_a_panic, "Panic")])
def test_what_else_goes_wrong_is_told_without_its_text(executor: Any, work: Any, name: str) -> None:
    with pytest.raises(Fault, match=name) as caught:
        list(worker_pool_of(executor).map_unordered(work, range(3)))
    told = caught.value
    while told is not None:
        assert "Anna" not in str(told)
        told = told.__cause__ or told.__context__


def test_a_process_that_dies_is_told_and_not_waited_for() -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool, pytest.raises(LostWorker, match="memory"):
        list(worker_pool_of(pool).map_unordered(die_of_three, range(10)))


def test_a_task_that_kills_its_worker_each_time_is_given_up(dask: Any) -> None:
    with pytest.raises(LostWorker, match=r"Dask ended the work \(KilledWorker\)"):
        list(worker_pool_of(dask).map_unordered(die_of_three, range(4)))
    assert sorted(worker_pool_of(dask).map_unordered(square, range(4))) == [(n, n * n) for n in range(4)]


def test_nothing_stays_on_a_cluster(dask: Any) -> None:
    pool = worker_pool_of(dask)
    made = pool.map_unordered(square, range(20))
    next(made)
    made.close()
    list(pool.map_unordered(square, range(20)))
    with pytest.raises(ConfigError):
        list(pool.map_unordered(refuse_three, range(20)))
    assert not dask.futures


ALONE = """
import pickle, sys
sys.modules["quivo_frames"] = sys.modules["polars"] = None  # an import of them fails
if sys.argv[1]:
    import importlib.metadata
    importlib.metadata.version = lambda name: sys.argv[1]
run, item = pickle.loads(sys.stdin.buffer.read())
sys.stdout.buffer.write(run(item))
"""


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ("0.0.9", r"^A worker has quivo-frames 0\.0\.9 and polars 0\.0\.9\. Install quivo-frames=="),
        ("", "^A worker cannot import quivo_frames. Install quivo-frames=="),
    ],
)
def test_a_worker_without_the_package_or_with_another_version_says_so(there: str, told: str) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    sent = cloudpickle.dumps((remote_task.remote_task(square, remote_task.driver_code()), b""))
    arguments = [sys.executable, "-c", ALONE, there]
    answer = subprocess.run(arguments, input=sent, capture_output=True, check=True, cwd="/").stdout
    with pytest.raises(ConfigError, match=told) as caught:
        remote_task.unpack_answer(answer)
    assert f"quivo-frames=={version('quivo-frames')} and polars=={version('polars')}" in str(caught.value)


WORKER = "import pickle, sys; run, item = pickle.load(sys.stdin.buffer); sys.stdout.buffer.write(run(item))"


def move_a_module(package: Path) -> None:
    (package / "builder" / "partition.py").rename(package / "builder" / "part.py")


def move_a_folder(package: Path) -> None:
    (package / "export" / "compatibility").rename(package / "compatibility")


def change_a_line(package: Path) -> None:
    with (package / "flattening" / "convert.py").open("a", encoding="utf-8") as module:
        module.write("# another line\n")


def break_lines_differently(package: Path) -> None:
    module = package / "errors.py"
    module.write_bytes(module.read_bytes().replace(b"\n", b"\r\n"))


def answer_of_worker(tmp_path: Path, change: Callable[[Path], None]) -> bytes:
    """The answer of a worker that has a changed copy of the package, of the same version."""
    cloudpickle = pytest.importorskip("cloudpickle")
    copy = tmp_path / "quivo_frames"
    shutil.copytree(ROOT / "quivo_frames", copy, ignore=shutil.ignore_patterns("__pycache__"))
    change(copy)
    sent = cloudpickle.dumps((remote_task.remote_task(square, remote_task.driver_code()), pickle.dumps(3)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    command = [sys.executable, "-c", WORKER]
    return subprocess.run(command, input=sent, capture_output=True, check=True, cwd=tmp_path, env=environment).stdout


@pytest.mark.parametrize("change", [move_a_module, move_a_folder, change_a_line])
def test_a_worker_with_other_code_of_the_same_version_says_so(tmp_path: Path, change: Callable[[Path], None]) -> None:
    answer = answer_of_worker(tmp_path, change)
    with pytest.raises(
        ConfigError, match=r"^A worker has quivo-frames \S+ too, but other code .*Install the same build"
    ):
        remote_task.unpack_answer(answer)


def test_a_worker_with_a_copy_of_the_code_does_the_work(tmp_path: Path) -> None:
    assert remote_task.unpack_answer(answer_of_worker(tmp_path, break_lines_differently)) == (3, 9)


def test_workers_of_another_python_are_refused(dask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = dask.get_versions()
    next(iter(found["workers"].values()))["host"]["python"] = "3.99.1.final.0"
    monkeypatch.setattr(dask, "get_versions", lambda: found)
    with pytest.raises(ConfigError, match=r"Python is 3\.\d\d and 3\.99"):
        worker_pool_of(dask)


@pytest.mark.parametrize("thing", [None, 3, "dask://127.0.0.1:8786", [], ROOT])
def test_what_is_no_engine_is_refused(thing: Any) -> None:
    with pytest.raises(ConfigError, match="Give a Dask client"):
        worker_pool_of(thing)


def test_an_address_gives_a_client_that_is_closed_and_leaves_the_cluster(dask: Any) -> None:
    address = dask.scheduler.address.replace("tcp://", "dask://")
    with connect_engine(address) as client:
        assert sorted(worker_pool_of(client).map_unordered(square, range(3))) == [(0, 0), (1, 1), (2, 4)]
    assert client.status == "closed"
    assert list(worker_pool_of(dask).map_unordered(square, [3])) == [(3, 9)]


@pytest.mark.parametrize(
    "on", ["ray://127.0.0.1:1", "dask://", "dask://127.0.0.1", "sc://127.0.0.1:x", "local", "spark:local[2]", ""]
)
def test_an_address_of_another_kind_is_refused(on: str) -> None:
    with pytest.raises(ConfigError, match="dask://HOST:PORT, spark://HOST:PORT, sc://HOST:PORT"), connect_engine(on):
        pass


def test_an_address_that_nothing_answers_at_is_told_without_what_else_it_holds() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        on = f"dask://user:secret@127.0.0.1:{taken.getsockname()[1]}/?token=secret"
        with (
            pytest.raises(ConfigError, match=r"Nothing answers at dask://127\.0\.0\.1:\d+ \(") as caught,
            connect_engine(on),
        ):
            pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("on", "extra"), [("dask://127.0.0.1:1", "dask"), ("sc://127.0.0.1:1", "spark")])
def test_a_library_that_is_missing_is_named_with_what_to_install(
    on: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = {"dask": "distributed", "spark": "pyspark"}[extra]
    monkeypatch.delitem(sys.modules, f"quivo_frames.executors.{extra}", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)  # type: ignore[arg-type]  # an import of it fails
    with pytest.raises(ConfigError, match=rf"needs {library}.*'quivo-frames\[{extra}\]'"), connect_engine(on):
        pass


def test_knowing_an_engine_loads_no_other() -> None:
    code = (
        "import sys; from concurrent.futures import ThreadPoolExecutor\n"
        "from quivo_frames.executors.connect import worker_pool_of\n"
        "with ThreadPoolExecutor(1) as pool: print(list(worker_pool_of(pool).map_unordered(abs, [-1])))\n"
        "print(sorted({'distributed', 'dask', 'pyspark', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=os.environ)
    assert done.stdout == "[1]\n[]\n", done.stderr


@pytest.mark.long
def test_an_answer_of_a_worker_holds_nothing_of_what_led_to_an_error() -> None:
    import distributed  # noqa: F401 - from then on, errors are pickled with their causes

    answer = remote_task.remote_task(partial(fail_with_cause, ArchiveError), remote_task.driver_code())(pickle.dumps(1))
    assert b"Secret" not in answer
    with pytest.raises(ArchiveError, match=r"^a sentence$"):
        remote_task.unpack_answer(answer)


def fail_with_cause(kind: type[Exception], _: object) -> None:
    try:
        raise ValueError("Ms Secret")
    except ValueError as error:
        raise kind("a sentence") from error
