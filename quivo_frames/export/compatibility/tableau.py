"""What Tableau changes or refuses: the numbers of an extract, and times in the zone of the machine."""

from __future__ import annotations

from quivo_frames.export.compatibility.limit import Effect, Limit, Source, each, more_digits_than, typed
from quivo_frames.model.order import Kind

_NUMBERS = Source("Tableau Hyper: Numeric Types", "https://tableau.github.io/hyper-db/docs/sql/datatype/numeric")
_TIMES = Source("Tableau Hyper: Date/Time Types", "https://tableau.github.io/hyper-db/docs/sql/datatype/datetime")

LIMITS = (
    Limit(
        "money_digits", Effect.CHANGES, "An extract of a database that Tableau makes keeps 15 digits of an amount.",
        "Make the extract with the Hyper API, the column as NUMERIC(18, 4).", _NUMBERS,
        each((Kind.MONEY,), more_digits_than(15)),
    ),
    Limit(
        "time_zones", Effect.CHANGES, "Instants are shown in the time zone of the machine.",
        "Say of which zone they are, or load them as timestamps without one.", _TIMES, typed(Kind.INSTANT),
    ),
)  # fmt: skip
