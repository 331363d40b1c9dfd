"""The memory of this process alone: `ru_maxrss` of a new process begins with that of the process that started it."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def _of_status(name: str) -> int:
    found = re.search(rf"{name}:\s*([0-9]+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def peak_kib() -> int:
    """The most memory this process has held, in KiB. Linux only."""
    return _of_status("VmHWM")


@contextmanager
def grows_by_less_than(mib: int) -> Iterator[None]:
    """Asserts that what runs within takes less memory than this, in MiB, beside what the process held before."""
    if sys.platform != "linux":
        yield
        return
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak: proc(5)
    before = _of_status("VmRSS")
    yield
    grown = (peak_kib() - before) >> 10
    assert grown < mib, f"it took {grown} MiB"
