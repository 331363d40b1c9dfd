"""Clusters of this machine, as they are elsewhere: processes of their own, which can be killed. All of it on loopback."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import psutil

from tests.support.paths import ROOT

HERE = "127.0.0.1"


class Cluster(Protocol):
    """An engine with two workers, each of one core."""

    address: str

    @property
    def executor(self) -> Any:
        """A client or a session, made when it is first asked for, and closed when the test is over."""

    def kill_a_worker(self) -> None:
        """Ends one that is at work at once, as a machine ends that is lost."""

    def mend(self) -> None:
        """Closes the executor, and has two workers again."""

    def close(self) -> None:
        """Ends all of it."""


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as taken:
        taken.bind((HERE, 0))
        return int(taken.getsockname()[1])


def wait_for(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.05)
    return found


def listens(port: int) -> bool:
    """Whether something answers at a port of this machine."""
    with suppress(OSError), socket.create_connection((HERE, port), timeout=5):
        return True
    return False


def _below(pid: int) -> list[psutil.Process]:
    """The processes that a process started, and those that they started."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _executors(pids: list[int]) -> list[int]:
    """The processes below some others in which Spark works."""
    found = []
    for process in (process for pid in pids for process in _below(pid)):
        with suppress(psutil.NoSuchProcess):
            if "org.apache.spark.executor.CoarseGrainedExecutorBackend" in process.cmdline():
                found.append(process.pid)
    return found


def _end_with_this_process() -> None:
    with suppress(OSError, AttributeError):  # where there is no prctl, whoever kills the tests has to look
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Processes:
    """What was started for a cluster, with its output in files of a folder; whatever is left is ended with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """A process that finds quivo_frames and the tests, and binds to loopback alone."""
        outer = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_"))}
        inner = {
            "SPARK_LOCAL_IP": HERE, "SPARK_PUBLIC_DNS": HERE, "PYSPARK_PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT), "SPARK_NO_DAEMONIZE": "1",
        }  # fmt: skip
        with (self.folder / f"{name}-{len(self.running)}.log").open("wb") as log:
            process = subprocess.Popen(
                arguments, env={**outer, **inner, **environment}, cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True, preexec_fn=_end_with_this_process,
            )  # fmt: skip
        self.running.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Ends a process, and all that it started, at once."""
        for pid in [process.pid, *(below.pid for below in _below(process.pid))]:
            _kill(pid)
        process.wait()

    def close(self) -> None:
        """Ends what is left."""
        for process in reversed(self.running):
            self.end(process)


class DaskCluster:
    """A scheduler and two workers without a nanny: one that is killed does not come again."""

    def __init__(self, folder: Path) -> None:
        self._processes = Processes(folder)
        port = free_port()
        self._scheduler = f"tcp://{HERE}:{port}"
        self.address = f"dask://{HERE}:{port}"
        self._workers: list[subprocess.Popen[bytes]] = []
        self._client: Any = None
        self._start("scheduler", "--host", HERE, "--port", str(port), "--no-show", "--dashboard-address", f"{HERE}:0")
        wait_for(lambda: listens(port))
        self.mend()

    def _start(self, kind: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        command = (sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments)
        return self._processes.start(kind, *command, **environment)

    def add_a_worker(self, **environment: str) -> None:
        """One more, in an environment of its own."""
        self._workers.append(
            self._start(
                "worker", self._scheduler, "--host", HERE, "--no-nanny", "--nthreads", "1", "--dashboard-address", f"{HERE}:0",
                "--memory-limit", "0", "--local-directory", str(self._processes.folder), **environment,
            )
        )  # fmt: skip

    @property
    def executor(self) -> Any:
        from distributed import Client

        if self._client is None:
            self._client = Client(self._scheduler, set_as_default=False)
            self._client.wait_for_workers(len(self._workers), timeout=120)
        return self._client

    def kill_a_worker(self) -> None:
        self._processes.end(self._workers.pop())

    def keep(self, count: int) -> None:
        """Ends workers, until there are so many."""
        while len(self._workers) > count:
            self.kill_a_worker()

    def mend(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        self.keep(2)
        while len(self._workers) < 2:
            self.add_a_worker()

    def close(self) -> None:
        self.mend()
        self._processes.close()


def _spark(name: str) -> str:
    import pyspark

    return str(Path(pyspark.__file__).parent / "bin" / name)


_QUIET = {"spark.ui.enabled": "false", "spark.executor.memory": "1g", "spark.python.worker.reuse": "true"}


class SparkCluster:
    """A standalone master and two workers; a session has an executor on each of them."""

    def __init__(self, folder: Path) -> None:
        self._processes = Processes(folder)
        port = free_port()
        self.address = f"spark://{HERE}:{port}"
        self._workers: list[subprocess.Popen[bytes]] = []
        self._session: Any = None
        self._start("master.Master", "--port", str(port))
        wait_for(lambda: listens(port))
        self.mend()

    def _start(self, kind: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = (_spark("spark-class"), f"org.apache.spark.deploy.{kind}", "--host", HERE, "--webui-port", "0")
        return self._processes.start(kind, *command, *arguments)

    def session(self, **settings: str) -> Any:
        """A session of its own settings, in the place of the executor."""
        from pyspark.sql import SparkSession

        self._stop()
        builder = SparkSession.builder.master(self.address).appName("tests")
        for name, value in {**_QUIET, "spark.driver.bindAddress": HERE, "spark.driver.host": HERE, **settings}.items():
            builder = builder.config(name, value)
        self._session = builder.getOrCreate()
        return self._session

    @property
    def executor(self) -> Any:
        return self.session() if self._session is None else self._session

    def _stop(self) -> None:
        if self._session is not None:
            self._session.stop()
            self._session = None

    def executors(self) -> list[int]:
        """The processes that do the work."""
        return _executors([worker.pid for worker in self._workers])

    def kill_an_executor(self) -> None:
        """Ends the process that works; the worker starts another one."""
        _kill(self.executors()[0])

    def kill_a_worker(self) -> None:
        self._processes.end(self._workers.pop())

    def mend(self) -> None:
        self._stop()
        while len(self._workers) < 2:
            memory = ("--cores", "1", "--memory", "2g", "--work-dir", str(self._processes.folder / "work"))
            self._workers.append(self._start("worker.Worker", *memory, self.address))

    def close(self) -> None:
        self._stop()
        self._processes.close()


class SparkConnect:
    """A Spark Connect server of a cluster with two executors in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self._processes = Processes(folder)
        port = free_port()
        self.address = f"sc://{HERE}:{port}"
        self._session: Any = None
        settings = {
            **_QUIET, "spark.driver.host": HERE, "spark.driver.bindAddress": HERE,
            "spark.connect.grpc.binding.address": HERE, "spark.connect.grpc.binding.port": str(port),
        }  # fmt: skip
        self._server = self._processes.start(
            "connect", _spark("spark-submit"), "--master", "local-cluster[2,1,1024]",
            "--class", "org.apache.spark.sql.connect.service.SparkConnectServer",
            *(part for name, value in settings.items() for part in ("--conf", f"{name}={value}")), "spark-internal",
        )  # fmt: skip
        wait_for(lambda: listens(port))

    @property
    def executor(self) -> Any:
        from pyspark.sql import SparkSession

        if self._session is None:
            self._session = SparkSession.builder.remote(self.address).create()
        return self._session

    def executors(self) -> list[int]:
        """The processes that do the work."""
        return _executors([self._server.pid])

    def kill_a_worker(self) -> None:
        _kill(self.executors()[0])

    def mend(self) -> None:
        if self._session is not None:
            self._session.stop()
            self._session = None
        for name in ("SPARK_CONNECT_MODE_ENABLED", "SPARK_REMOTE"):  # by these pyspark has one kind of session alone
            os.environ.pop(name, None)

    def close(self) -> None:
        self.mend()
        self._processes.close()
