"""Tables of made-up orders, and one server of them that all tests of a process share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import quivo_frames as qf
from quivo_frames.archive.archive import Archive
from quivo_frames.standin.orders import order_json
from tests.assistant.session import Session, open_session
from tests.support.archived_orders import NOON, record_answers

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDERS = range(1, 201)


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> qf.Dataset:
    folder = tmp_path_factory.mktemp("assistant")
    with Archive(folder / "orders.sqlite") as archive:
        record_answers(archive, {number: order_json(number) for number in ORDERS} | {999: b'{"orderId":999,'}, NOON)
        return qf.build(archive, folder / "tables", jobs=1, progress=False)


@pytest.fixture(scope="session")
def session(tables: qf.Dataset) -> Iterator[Session]:
    with open_session(tables.folder) as session:
        yield session
