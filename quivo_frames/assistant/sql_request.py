"""What the server and the process that runs SQL say to each other, and the limits of a query."""

from __future__ import annotations

from typing import Any

import msgspec

MOST_SECONDS = 20
"""How long a query may run."""
MOST_QUERY_CHARACTERS = 20_000
READY = b"ready\n"
"""The first line of the process: the copy of the tables is made."""
TOOK_TOO_LONG = f"The query was ended after {MOST_SECONDS} seconds. Filter or aggregate more."
TOOK_TOO_MUCH = "The query needs more memory than it may have. Filter or aggregate more, or sort fewer rows."


class SqlRequest(msgspec.Struct):
    """A query, and how many rows of it are wanted."""

    query: str
    rows: int


class SqlAnswer(msgspec.Struct):
    """What a query found, or why it was not run."""

    columns: list[str] = msgspec.field(default_factory=list)
    rows: list[list[Any]] = msgspec.field(default_factory=list)
    is_complete: bool = True
    """Whether these are all rows."""
    refusal: str = ""
    may_have_harmed: bool = False
    """Whether the process may be harmed by the query, so that another one is to run the next."""
