"""When a build may publish its tables: not if orders were erased from its inputs while it ran, for it has read them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from quivo_frames.archive.erasures import ErasedMeanwhile
from quivo_frames.builder.inputs import OrderSource
from quivo_frames.errors import QuivoError
from quivo_frames.storage.urls import is_remote


def count_erased(sources: Sequence[OrderSource]) -> int:
    """How many orders were erased from some sources since they were opened; 0 if that cannot be read any more."""
    try:
        return sum(source.count_erased() for source in sources)
    except QuivoError:
        return 0


@contextmanager
def explain_erasures(sources: Sequence[OrderSource]) -> Iterator[None]:
    """Raise an error of the block as what it is due to: orders that were erased from some sources since they were open.

    Raises:
        ErasedMeanwhile: orders were erased from them.
        QuivoError: the error of the block, if nothing was.
    """
    try:
        yield
    except QuivoError as error:
        if not count_erased(sources):
            raise
        names = sorted({source.name for source in sources if source.count_erased()})
        raise ErasedMeanwhile(
            f"Orders were erased from {', '.join(names)} again and again while tables were built from there. Nothing "
            "was changed. Build again when no more are erased."
        ) from error


@contextmanager
def publish_unless_erased(sources: Sequence[OrderSource]) -> Iterator[None]:
    """A block that publishes what was built from sources that were open until now, while nothing is erased from them.

    Raises:
        ErasedMeanwhile: orders were erased since they were opened; the block was not run.
        ArchiveError: another process holds erasures off, or erases, for too long.
    """
    distinct = {source.name if is_remote(source.name) else os.path.realpath(source.name): source for source in sources}
    with ExitStack() as held:
        for _, source in sorted(distinct.items()):  # always in this order, so that no two builds wait for each other
            with suppress(PermissionError):  # where no lock can be created, nothing can be erased either
                held.enter_context(source.hold_off_erasures())
        if sum(source.count_erased() for source in sources):
            raise ErasedMeanwhile("Orders were erased from the inputs while tables were built from them. Build again.")
        yield
