"""What the tests of several export formats share."""

from __future__ import annotations

import pytest

import quivo_frames as qf
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.standin.orders import write_ndjson


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """60 orders, 3 of which fail. Tests read and export it, and never change it."""
    folder = tmp_path_factory.mktemp("orders")
    write_ndjson(folder / "orders.ndjson", 60, broken_every=20)
    return qf.build(folder / "orders.ndjson", folder / "tables")
