"""What the tests of commands share: a folder whose names and values are hostile. Tests work in copies of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.working_commands import make_hostile_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def hostile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    make_hostile_folder(folder)
    return folder
