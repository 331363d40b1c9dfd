"""The thresholds of an audit, with their defaults; a small TOML file changes them."""

from __future__ import annotations

import os
import typing
from typing import Annotated, Any, NamedTuple

import msgspec

from quivo_frames.analysis.calendar import Calendar
from quivo_frames.analysis.milestones import SETTLED_DAYS
from quivo_frames.errors import ConfigError
from quivo_frames.model.time import check_time_zone as existing_time_zone
from quivo_frames.settings.toml_file import read_toml_file
from quivo_frames.storage.path_names import check_path

_HIGHEST_LIMIT = 100_000
"""The highest threshold; in days, longer ago than any order."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The thresholds of the checks. The defaults are ours: neither Quivo nor a standard sets them."""

    time_zone: Annotated[str, "Zone in which the days of the orders are meant, such as Europe/Vienna."] = "UTC"
    clock_minutes: Annotated[float, "Instants may be out of order by this much, because clocks differ."] = 15
    future_hours: Annotated[float, "An instant may lie this far in the future."] = 24
    late_hours: Annotated[float, "What misses a promise by more than this is late, or early."] = 0
    ship_days: Annotated[float, "An order should be shipped this long after it was placed."] = 7
    stuck_days: Annotated[
        float, "An order should not stand still for longer than this while something is to be shipped."
    ] = 5
    settled_days: Annotated[float, "This long after an order's last shipment, nothing more is on its way."] = (
        SETTLED_DAYS
    )
    complete_days: Annotated[float, "An order should be completed this long after its last shipment."] = 14
    pod_share: Annotated[float, "Proof is expected of carriers that prove at least this share of their deliveries."] = (
        0.5
    )
    pod_days: Annotated[float, "A delivery should be proven within this time."] = 7
    expiry_days: Annotated[float, "A lot that expires within this time after shipping is worth a warning."] = 30
    weight_share: Annotated[
        float, "Weights that should be equal may differ by this share; a shipment may be lighter than its lines by it."
    ] = 0.05
    weight_factor: Annotated[
        float, "A shipment may be this many times as heavy as its lines, apart from packaging."
    ] = 3
    weight_packaging: Annotated[float, "Packaging may weigh this much, in the unit of the weights."] = 5
    money: Annotated[float, "Amounts may differ by this much per piece, because unit prices are rounded."] = 0.005
    countries: Annotated[tuple[str, ...], "Country codes to accept although ISO 3166-1 lacks them."] = ("XK",)
    currencies: Annotated[tuple[str, ...], "Currency codes to accept although ISO 4217 lacks them."] = ()
    services: Annotated[
        tuple[str, ...],
        "SKUs that nobody ships, such as gift cards and fees; * stands for any characters, as in GIFT-*.",
    ] = ()
    packs: Annotated[
        dict[str, int], "SKUs of packs that are shipped as pieces, each with its number of pieces, as in BOX6 = 6."
    ] = msgspec.field(default_factory=dict)

    calendar: Annotated[Calendar, "When the warehouses work, for KPIs."] = Calendar()

    def __post_init__(self) -> None:
        """Refuses values that no check can work with."""
        existing_time_zone(self.time_zone)
        for name, value in msgspec.structs.asdict(self).items():
            if isinstance(value, int | float) and not 0 <= value <= _HIGHEST_LIMIT:
                raise ConfigError(f"{name} is {value:g}. Write a number from 0 to {_HIGHEST_LIMIT:,}.")
        for sku, pieces in self.packs.items():
            if not 1 <= pieces <= _HIGHEST_LIMIT:
                raise ConfigError(f"packs: {sku} is {pieces}. Write a number of pieces from 1 to {_HIGHEST_LIMIT:,}.")


class LimitDescription(NamedTuple):
    """A threshold, its default, and a sentence about it."""

    name: str
    default: Any
    sentence: str


def describe_limits() -> list[LimitDescription]:
    """All thresholds, in the order of their definition."""
    hints = typing.get_type_hints(Limits, include_extras=True)
    plain = Limits()
    return [
        LimitDescription(name, getattr(plain, name), hint.__metadata__[0])
        for name, hint in hints.items()
        if name != "calendar"  # a section of its own
    ]


def read_limits(file: str | os.PathLike[str]) -> Limits:
    """The thresholds of a TOML file, with the defaults for those that it does not set.

    Raises:
        ConfigError: the file does not exist or is not TOML, or a threshold is unknown or of a wrong type.
    """
    return read_toml_file(
        check_path(file), Limits, "Write lines such as pod_days = 3.",
        f"The thresholds are: {', '.join(Limits.__struct_fields__)}.",
    )  # fmt: skip
