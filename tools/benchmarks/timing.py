"""Timing side by side: the two sides take turns, so that a machine that slows down slows both."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from ovs3d.evaluation.results import ResultRow

COMMAND = "make bench"


@dataclass(frozen=True)
class Pairs:
    """Seconds of both sides, turn by turn."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """How many times as long the other side takes, turn by turn."""
        return tuple(other / own for own, other in zip(self.ours, self.theirs, strict=True))


def take_turns(ours: Callable[[], object], theirs: Callable[[], object], repetitions: int) -> Pairs:
    """Times A B A B ..., after one call of each that does not count."""
    ours()
    theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(repetitions)]
    return Pairs(tuple(own for own, _ in pairs), tuple(other for _, other in pairs))


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def repeat(call: Callable[[], object], repetitions: int) -> tuple[float, ...]:
    """Wall times of calls after one that does not count."""
    call()
    return tuple(seconds(call) for _ in range(repetitions))


def median_row(
    name: str, values: tuple[float, ...], target: float | None, unit: str, higher_is_better: bool = True
) -> ResultRow:
    """Median and standard deviation over repetitions."""
    spread = statistics.stdev(values) if len(values) > 1 else None
    turns = tuple(range(len(values)))
    return ResultRow(name, statistics.median(values), target, unit, higher_is_better, spread, turns, COMMAND)
