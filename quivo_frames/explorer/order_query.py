"""What a list of orders is asked for, as it stands in the address: search, filters, sort and page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from quivo_frames.explorer.order_list import GROUPS, SORTS, OrderFilter

MAX_SEARCH = 200
"""Characters of a search that are read."""
YES = "yes"
_PARAMETER_OF = {"order_status": "status"}
GROUP_PARAMETERS = {_PARAMETER_OF.get(column, column): column for column in GROUPS}
"""The parameters of addresses that filter by a column of GROUPS."""
_ASCENDING, _DESCENDING = "asc", "desc"
_DOWN_FIRST = ("late", "value", "placed")
"""What is sorted from the greatest to the least, unless the other way is asked for."""
_MOST_PAGES = 10**9


@dataclass(frozen=True)
class OrderQuery:
    """A list of orders that is asked for. What an address has that cannot be read, asks for nothing."""

    search: str = ""
    kind: str = ""
    """As what the search should be found, in words; empty: as anything."""
    begins: bool = False
    """Whether also what begins with the search is looked for, where something is called exactly so."""
    short_of: str = ""
    """Only orders with open pieces of this SKU. A warehouse is then that of their lines."""
    filter: OrderFilter = field(default_factory=OrderFilter)
    sort: str = "late"
    descending: bool = True
    page: int = 1

    @classmethod
    def from_parameters(cls, given: Mapping[str, str]) -> OrderQuery:
        """What the parameters of an address ask for."""
        sort, direction = given.get("sort", ""), given.get("dir", "")
        sort = sort if sort in SORTS else "late"
        groups = {column: given[name] for name, column in GROUP_PARAMETERS.items() if given.get(name)}
        return cls(
            search=given.get("q", "")[:MAX_SEARCH].strip(),
            kind=given.get("as", ""),
            begins=given.get("begins") == YES,
            short_of=given.get("short", ""),
            filter=OrderFilter(
                groups, _read_day(given.get("since")), _read_day(given.get("until")), given.get("late") == YES,
                given.get("open") == YES, given.get("check", ""),
            ),
            sort=sort,
            descending=direction == _DESCENDING if direction in (_ASCENDING, _DESCENDING) else sort in _DOWN_FIRST,
            page=read_page(given.get("page", "")),
        )  # fmt: skip

    def address_parameters(self) -> dict[str, str]:
        """The parameters of its address; what is empty or the default is left out. Without the page."""
        wanted = self.filter
        flags = {"begins": self.begins, "late": wanted.late, "open": wanted.open}
        days = {"since": wanted.since, "until": wanted.until}
        given = {
            "q": self.search, "as": self.kind, "short": self.short_of,
            **{name: wanted.groups.get(column, "") for name, column in GROUP_PARAMETERS.items()},
            **{name: day.isoformat() if day else "" for name, day in days.items()},
            **{name: YES if flag else "" for name, flag in flags.items()}, "check": wanted.check,
            **self._sort_parameters(),
        }  # fmt: skip
        return {name: value for name, value in given.items() if value}

    def _sort_parameters(self) -> dict[str, str]:
        direction = "" if self.descending == (self.sort in _DOWN_FIRST) else self._direction
        return {"sort": "" if self.sort == "late" else self.sort, "dir": direction}

    @property
    def _direction(self) -> str:
        return _DESCENDING if self.descending else _ASCENDING

    def sorted_by(self, sort: str) -> OrderQuery:
        """The same from its first page, sorted by something; the other way round, if it is sorted by that."""
        descending = not self.descending if sort == self.sort else sort in _DOWN_FIRST
        return replace(self, sort=sort, descending=descending, page=1)

    def is_plain_search(self) -> bool:
        """Whether it asks for a search and nothing else."""
        return self.address_parameters().keys() == {"q"} and self.page == 1

    def filter_names(self) -> list[str]:
        """The parameters by which it filters."""
        return [name for name in self.address_parameters() if name not in ("q", "as", "begins", "sort", "dir")]


def _read_day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def read_page(text: str) -> int:
    """The number of a page; the first, if it is none."""
    return min(max(int(text), 1), _MOST_PAGES) if text.isascii() and text.isdigit() and len(text) < 12 else 1
