"""Clusters for tests, where pyspark is installed (`make engines`): each test finds two workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from tests.clusters.clusters import HERE, ROOT, Cluster, DaskCluster, SparkCluster, SparkConnect

collect_ignore_glob = [] if find_spec("pyspark") else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def _driver_on_loopback() -> Iterator[None]:
    """What Spark takes from the environment of the driver: its address, and where the workers find Python and the toys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", HERE)
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
        yield


def _session(make: Any) -> Any:
    @pytest.fixture(scope="session")
    def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
        made = make(tmp_path_factory.mktemp(make.__name__))
        yield made
        made.close()

    return cluster


_dask_cluster, _spark_cluster, _spark_connect = _session(DaskCluster), _session(SparkCluster), _session(SparkConnect)


@pytest.fixture
def dask_cluster(_dask_cluster: DaskCluster) -> Iterator[DaskCluster]:
    yield _dask_cluster
    _dask_cluster.mend()


@pytest.fixture
def spark_cluster(_spark_cluster: SparkCluster) -> Iterator[SparkCluster]:
    yield _spark_cluster
    _spark_cluster.mend()


@pytest.fixture
def spark_connect(_spark_connect: SparkConnect) -> Iterator[SparkConnect]:
    yield _spark_connect
    _spark_connect.mend()


@pytest.fixture(params=["dask_cluster", "spark_cluster", "spark_connect"])
def cluster(request: pytest.FixtureRequest) -> Any:
    """Each of them in turn."""
    return request.getfixturevalue(request.param)
