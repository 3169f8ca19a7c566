"""What all calls of a level add up to: samples of a window of time, and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from bridge.bench.figures import AGE, HEARD

UNDERRUN_S: Final = 0.005
"""A phone that was silent for less than this inside an utterance was not: it is the harness's own resolution."""


@dataclass(slots=True)
class Tally:
    """Counters and samples; a level begins with `begin_level`, its window with `begin_window`."""

    since: float = float("inf")
    """Samples that were begun earlier are not kept, and turns that ended earlier not counted."""
    samples: dict[str, list[float]] = field(default_factory=dict)
    """Seconds, by measure."""
    ages: list[float] = field(default_factory=list)
    heard: list[float] = field(default_factory=list)
    """Samples of `AGE` and `HEARD`: by far the most, so they have lists of their own."""
    turns: int = 0
    unanswered: int = 0
    missing_clears: int = 0
    refused_frames: int = 0
    dropped_calls: int = 0
    """Calls that the system ended, or never connected to its peers."""
    lost_up: int = 0
    """Bytes of callers that the speech service did not get, got twice, late, or broken."""
    lost_down: int = 0
    """Bytes of the agent, the same; those that a clear cut off are not missed."""
    stale_bytes: int = 0
    """Bytes of an utterance that came after the clear that had cut it off."""
    underruns: int = 0
    """How often a phone ran dry inside an utterance although the speech service had sent what was next."""
    underrun_s: float = 0.0

    @property
    def counting(self) -> bool:
        """Whether a window is open."""
        return self.since != float("inf")

    def add(self, measure: str, since: float, until: float) -> None:
        """Something began at `since` and was done at `until`."""
        if since >= self.since:
            self.samples.setdefault(measure, []).append(until - since)

    def add_value(self, measure: str, at: float, value: float) -> None:
        """A sample that is no difference of two times."""
        if at >= self.since:
            self.samples.setdefault(measure, []).append(value)

    def audio(self, age: float, collected: float) -> None:
        """Audio came to the speech service within the window, `collected` of its age because it was collected."""
        self.ages.append(age)
        self.heard.append(age - collected)

    def ran_dry(self, seconds: float) -> None:
        """A phone was silent for so long inside an utterance."""
        if self.counting and seconds > UNDERRUN_S:
            self.underruns += 1
            self.underrun_s += seconds

    def turn_over(self, *, answered: bool) -> None:
        """A turn has ended."""
        if self.counting:
            self.turns += answered
            self.unanswered += not answered

    def begin_level(self) -> None:
        """Forget everything. What is lost while calls are added counts for their level."""
        self.since = float("inf")
        self._forget()
        self.turns = self.unanswered = self.missing_clears = 0
        self.refused_frames = self.dropped_calls = self.lost_up = self.lost_down = self.stale_bytes = 0
        self.underruns, self.underrun_s = 0, 0.0

    def begin_window(self, now: float) -> None:
        """From now on, samples and turns count."""
        self.since = now
        self._forget()

    def end_window(self) -> dict[str, list[float]]:
        """They count no longer. Returns the samples in seconds, by measure."""
        self.since = float("inf")
        return {**self.samples, HEARD: self.heard, AGE: self.ages}

    def _forget(self) -> None:
        self.samples, self.ages, self.heard = {}, [], []
