"""Reproducible random numbers: each depends on a seed and a subject alone, not on time or thread."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from statistics import NormalDist

_NORMAL = NormalDist()


def draw_share(seed: int, *about: object) -> float:
    """A uniform number between 0 and 1 (both exclusive), always the same for the same arguments."""
    text = ":".join(map(str, (seed, *about))).encode()
    return (int.from_bytes(blake2b(text, digest_size=6).digest()) + 0.5) / 2**48


@dataclass(frozen=True, slots=True)
class LogNormal:
    """A log-normal distribution of seconds, as response times have it: half within `median`, a few far above."""

    median: float
    sigma: float

    def quantile(self, share: float) -> float:
        """The seconds within which this share of the answers comes."""
        return self.median * math.exp(self.sigma * _NORMAL.inv_cdf(share))


def draw_seconds(length: float | LogNormal, seed: int, *about: object) -> float:
    """The seconds `length` itself, or a draw from it for this subject."""
    return length.quantile(draw_share(seed, "seconds", *about)) if isinstance(length, LogNormal) else length
