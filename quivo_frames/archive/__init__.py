"""Every answer as it was received, and the ledger of what was asked. Floor 4. Only here: sqlite3.

One SQLite file. Nothing in it is ever overwritten: a second refetch of an order is a second response. What is to be
forgotten is erased from the whole file. One thread writes, in groups, and `record` returns only when the group is
committed to the disk. Readers have connections of their own and may read at any time, in other processes too.

Its rooms: database (the file: its layout, how it is opened, what its troubles mean), writing (the one thread that
writes), ledger (runs and attempts as frames), answers (what is read of the responses), care (what is verified and
erased), store (the `Archive`).
"""

from __future__ import annotations

from quivo_frames.archive.answers import LARGEST
from quivo_frames.archive.store import Archive, Batch

__all__ = ["LARGEST", "Archive", "Batch"]
