"""Chance that repeats itself: a draw depends on what it is about, never on when it is made or by which thread."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from statistics import NormalDist

_NORMAL = NormalDist()


def draw(seed: int, *about: object) -> float:
    """A number above 0 and below 1, evenly spread, always the same for the same arguments."""
    text = ":".join(map(str, (seed, *about))).encode()
    return (int.from_bytes(blake2b(text, digest_size=6).digest()) + 0.5) / 2**48


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Seconds as services take them: half of the answers within `median`, a few far beyond it."""

    median: float
    sigma: float

    def at(self, share: float) -> float:
        """The seconds within which such a share of the answers come."""
        return self.median * math.exp(self.sigma * _NORMAL.inv_cdf(share))


def seconds(length: float | LogNormal, seed: int, *about: object) -> float:
    """How long it takes this time."""
    return length.at(draw(seed, "seconds", *about)) if isinstance(length, LogNormal) else length
