"""Every command on a disk with little room: it works, or ends with 3 and says that the disk is full."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.working_commands import SERVING, TABLES, WORKING_COMMANDS, WorkingCommand, environment_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOM = (0, 8, 24, 64, 160, 400)
"""KiB that are free."""
MORE_EXPORTS = [
    WorkingCommand((TABLES, "--to", form, "out")) for form in ("parquet", "delta", "duckdb", "excel", "ocel", "powerbi")
]
MORE_FILES = [
    WorkingCommand((TABLES, "--as-of", "2026-10-12", "--out", f"out.{ending}"), 1)
    for ending in ("parquet", "ndjson", "xlsx")
]
CASES = [
    *((name, cases[0]) for name, cases in WORKING_COMMANDS.items() if name not in SERVING),
    *(("export", case) for case in MORE_EXPORTS),
    *(("audit", case) for case in MORE_FILES),
]


@pytest.fixture
def small_disk(hostile_folder: Path, tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A copy of the folder on a file system of its own, with so many KiB free."""
    disks: list[Path] = []

    def small_disk(room: int) -> Path:
        used = sum(-(-path.stat().st_size // 4096) * 4 for path in hostile_folder.rglob("*")) + 1024
        disks.append(tmp_path / f"{room}")
        disks[-1].mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={used}k", "tmpfs", disks[-1]], capture_output=True)
        if done.returncode:
            disks.pop()
            pytest.skip("no file system can be mounted here")
        shutil.copytree(hostile_folder, disks[-1], dirs_exist_ok=True)
        free = shutil.disk_usage(disks[-1]).free // 1024 - room
        (disks[-1] / "filling").write_bytes(bytes(free * 1024))
        return disks[-1]

    yield small_disk
    for disk in disks:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.long
@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}-{at}" for at, (name, _) in enumerate(CASES)])
def test_a_command_on_a_full_disk_works_or_says_so_and_ends_with_3(
    name: str, case: WorkingCommand, small_disk: Callable[[int], Path]
) -> None:
    words = [sys.executable, "-m", "quivo_frames.cli", name, *case.arguments]
    for room in ROOM:
        folder = small_disk(room)
        with environment_of(case) as environment:
            done = subprocess.run(
                words, cwd=folder, env={**environment, "TMPDIR": str(folder)}, capture_output=True, text=True, timeout=100
            )  # fmt: skip
        shown = f"{room} KiB: {done.stdout}\n{done.stderr}"
        first_archive_left = [1] if name == "forget" else []  # the tables of a copied folder were built elsewhere
        assert done.returncode in (case.status, 3, *first_archive_left), shown
        for unwanted in ("Traceback", "Exception ignored", "panicked", "fault of quivo_frames"):
            assert unwanted not in done.stderr, shown
        if done.returncode == 3 != case.status:  # what was there before is checked by tests/cli/test_outputs.py
            assert "disk is full" in done.stdout.lower() + done.stderr.lower(), shown
