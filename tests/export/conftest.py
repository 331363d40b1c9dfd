"""What the tests of several export formats share."""

from __future__ import annotations

import pytest

import quivo_frames as qf
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.standin.orders import FIRST_ID
from tests.support.hostile_attributes import hostile_order_json


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """60 orders, 3 of which fail. Tests read and export it, and never change it."""
    folder = tmp_path_factory.mktemp("orders")
    bodies = [hostile_order_json(FIRST_ID + number) for number in range(60)]
    bodies[19::20] = [body[: len(body) // 2] for body in bodies[19::20]]
    (folder / "orders.ndjson").write_bytes(b"\n".join(bodies))
    return qf.build(folder / "orders.ndjson", folder / "tables")
