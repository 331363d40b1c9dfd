"""Limits of Tableau: numbers of an extract, and times in the time zone of the machine."""

from __future__ import annotations

from quivo_frames.export.compatibility.limit import (
    Effect,
    ReaderLimit,
    SourceDocument,
    columns_of_kind,
    more_digits_than,
    values_violating,
)
from quivo_frames.model.order import Kind

_NUMBERS = SourceDocument(
    "Tableau Hyper: Numeric Types", "https://tableau.github.io/hyper-db/docs/sql/datatype/numeric"
)
_TIMES = SourceDocument(
    "Tableau Hyper: Date/Time Types", "https://tableau.github.io/hyper-db/docs/sql/datatype/datetime"
)

LIMITS = (
    ReaderLimit(
        "money_digits", Effect.CHANGES, "An extract of a database that Tableau makes keeps 15 digits of an amount.",
        "Make the extract with the Hyper API, the column as NUMERIC(18, 4).", _NUMBERS,
        values_violating((Kind.MONEY,), more_digits_than(15)),
    ),
    ReaderLimit(
        "time_zones", Effect.CHANGES, "Instants are shown in the time zone of the machine.",
        "Say of which zone they are, or load them as timestamps without one.", _TIMES, columns_of_kind(Kind.INSTANT),
    ),
)  # fmt: skip
