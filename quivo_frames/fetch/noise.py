"""Tell faults that come whatever the rate (noise) from faults that come because of it.

Where a steady share of the requests fails, that is noise. A share that rises above the usual one may mean that the
rate is too high. A rise is found by a cumulative sum (CUSUM): each answer adds the logarithm of how much likelier it is
after a rise than before; the sum of noise alone stays near zero. Then a lower rate is tried: if the faults become fewer
there, they grow with the rate; if they do not, they are the new noise.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from enum import Enum, auto

# Shares are of first tries: an order that always fails would count as often as it is tried. All figures were chosen by
# tests/support/simulated_fetch.py.
FIRST_SHARE, FIRST_WEIGHT = 0.06, 20.0  # what is assumed of a server, and of how many answers that is worth
LOWEST_SHARE, HIGHEST_SHARE = 0.005, 0.9  # of noise: where more fails, Quivo is out
RISE = 0.15  # of the share: what the sum looks for
LIKELY, CERTAIN = 3.0, 11.0  # sums; noise alone reaches the second once in thousands of answers
LARGEST_CUT = 0.75
TRIAL_ANSWERS, TRIAL_SECONDS, FEWEST_ANSWERS = 40.0, 8.0, 6.0  # of a trial: so many, or after these seconds a few
MEMORY_SECONDS, SHORTEST_MEMORY = 30.0, 100.0  # of answers, in which the usual share is forgotten


class Verdict(Enum):
    """What the answers up to the last one show."""

    NOTHING = auto()
    RISE = auto()
    OVERLOAD = auto()


@dataclass
class NoiseWatch:
    """The usual share of faults, and what speaks for a rise: the faults among the answers since nothing did."""

    share: float = FIRST_SHARE
    weight: float = FIRST_WEIGHT
    suspicion: float = 0.0
    answers: float = 0.0
    faults: float = 0.0
    tried_for: float = 0.0
    """The share of faults for which a lower rate is tried, 0 where none is. Then `answers` are those of the trial."""

    @property
    def is_uncertain(self) -> bool:
        """Whether the rate should stay until more is known."""
        return self.tried_for > 0 or self.suspicion > LIKELY

    @property
    def is_possible(self) -> bool:
        """Whether a watch can have come to this state."""
        return (
            all(0 <= value < math.inf for value in astuple(self))
            and max(self.share, self.tried_for) <= 1 <= self.weight
        )

    def note_answer(self, rate: float, seconds: float, *, is_fault: bool, is_usual: bool) -> Verdict:
        """Take an answer into account, so many seconds after the rate was last cut; `is_usual`: it takes this rate."""
        self.answers += 1
        self.faults += is_fault
        if self.tried_for:
            is_over = self.answers >= TRIAL_ANSWERS or (seconds > TRIAL_SECONDS and self.answers >= FEWEST_ANSWERS)
            return self._end_trial() if is_over else Verdict.NOTHING
        usual = min(max(self.share, LOWEST_SHARE), HIGHEST_SHARE)
        raised = usual + RISE * (1 - usual)
        self.suspicion += math.log(raised / usual) if is_fault else math.log((1 - raised) / (1 - usual))
        if self.suspicion <= 0:
            self.start_again()
        if is_usual:
            self.weight = min(self.weight + 1, max(MEMORY_SECONDS * rate, SHORTEST_MEMORY))
            self.share += (is_fault - self.share) / self.weight
        return Verdict.RISE if self.suspicion > CERTAIN else Verdict.NOTHING

    def begin_trial(self) -> float:
        """The share by which the rate is too high, if the rise comes from that."""
        self.tried_for = risen = self.faults / self.answers
        left = self.weight - self.answers
        if left >= FIRST_WEIGHT:  # the answers of the rise do not belong to what is usual
            self.share, self.weight = min(max((self.share * self.weight - self.faults) / left, 0.0), risen), left
        else:
            self.share, self.weight = FIRST_SHARE, FIRST_WEIGHT
        self.suspicion = self.answers = self.faults = 0.0
        return min(max(risen - self.share, 0.0) / (1 - min(self.share, HIGHEST_SHARE)), LARGEST_CUT)

    def start_again(self) -> None:
        """Forget what speaks for a rise, and a trial."""
        self.suspicion = self.answers = self.faults = self.tried_for = 0.0

    def _end_trial(self) -> Verdict:
        found, risen = self.faults / self.answers, self.tried_for
        self.start_again()
        if found < (self.share + risen) / 2:
            return Verdict.OVERLOAD
        if found < HIGHEST_SHARE:
            self.share, self.weight = found, FIRST_WEIGHT
        return Verdict.NOTHING
