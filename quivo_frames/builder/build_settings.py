"""How a build cuts its work: sizes of partitions, batches and files, and when an incremental build is worth it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from quivo_frames.errors import ConfigError
from quivo_frames.flattening.flatten import ORDERS_PER_BATCH
from quivo_frames.flattening.reconcile import SAMPLED_ONE_IN
from quivo_frames.storage.bounded_lines import MAX_LINE_BYTES


@dataclass(frozen=True)
class BuildSettings:
    """Sizes and limits of one build. They decide about speed and memory, never about a value in the tables."""

    orders_per_partition: int = 10_000
    """Orders of a part, which is validated and written at a time: the best trade of speed against memory."""
    bytes_per_partition: int = 128 * 2**20
    """Bytes of JSON in a partition, unless a single order has more: large orders come in smaller partitions."""
    orders_per_batch: int = ORDERS_PER_BATCH
    """Orders of a partition that are flattened at a time."""
    bytes_per_batch: int = 32 * 2**20
    """Bytes of JSON in a batch, unless a single order has more."""
    counted_one_in: int = SAMPLED_ONE_IN
    """One of so many orders is counted, in small builds more: its values in the JSON against those in the tables."""
    orders_per_seek_point: int = 500
    """Orders from one position at which reading can begin to the next."""
    bytes_per_seek_point: int = 8 * 2**20
    """Bytes of JSON from one such position to the next, unless a single order has more."""
    bytes_per_process: int = 48 * 2**20
    """Bytes of JSON for which another process is worth the half second that it takes to start."""
    bytes_per_thread: int = 16 * 2**20
    """Bytes of JSON for which another thread is worth a further file of each table."""
    partitions_per_file: int = 10
    """Partitions that workers of an engine deliver as one file per table: readers prefer few large files."""
    orders_per_file: int = 1_000_000
    """Orders of a folder on this machine up to which each table is one file; more are in files of as many."""
    attempts_per_task: int = 3
    """How often a worker tries to build its partitions when the failure may be temporary."""
    max_order_bytes: int = MAX_LINE_BYTES
    """Bytes of a line, an element of a list or a whole file of JSON that are read as one order. Longer ones fail: a
    small compressed file may hold a line of many gigabytes."""
    max_incremental_orders: int = 50_000
    """Orders rebuilt next to others that stay. For more, or for more than half, a full build takes no longer."""


DEFAULT_SETTINGS = BuildSettings()
SIZE_VARIABLE = "QUIVO_MAX_ORDER_MIB"
"""How many MiB of a file are read as one order at most. Without it, 256."""


def settings_from_environment() -> BuildSettings:
    """The default settings, but for QUIVO_MAX_ORDER_MIB: the MiB of one order that are read from a file.

    Raises:
        ConfigError: it is no number of MiB.
    """
    text = os.environ.get(SIZE_VARIABLE, "").strip()
    if not text:
        return DEFAULT_SETTINGS
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and int(text)):
        raise ConfigError(f"{SIZE_VARIABLE} must be a whole number of MiB, such as 512. Without it, it is 256.")
    return replace(DEFAULT_SETTINGS, max_order_bytes=int(text) * 2**20)
