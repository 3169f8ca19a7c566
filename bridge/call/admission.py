"""Whether one more call is taken. Pure: the calls that live, the loop's lag and the clock are handed in.

A call that was let in holds its place until its media stream is there, and is then counted as one that lives. What
is refused here changes nothing for the calls that go on: that is what it is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from msgspec import Struct, field

Reason: TypeAlias = Literal["draining", "lag", "calls", "number", "speech"]
"""Why a call is not taken: the bridge stops, its event loop is late, or as many calls as may are there already: at
all, on this number, or on the speech service's plan."""

HELD_S: Final = 60.0
"""How long a call that was let in holds its place without a media stream, in seconds: its token lives as long."""
_LEARNED_FOR_S: Final = 60.0
"""How long after a refusal of the speech service no more is tried than went on at that moment."""
_PROBED_EVERY_S: Final = 15.0
"""From then on one more is tried in so many seconds."""
_FORGOTTEN_S: Final = 3600.0
_MARKED_S: Final = 15.0
"""How long a call counts as one that the speech service refuses. It asks again sooner, and is marked again."""


class Limits(Struct, frozen=True):
    """What this process can bear. 0 is no limit."""

    max_calls: int = 0
    """Calls at the same time."""
    speech_streams: int = 0
    """Streams of speech to text at the same time, as far as the speech service's plan is known."""
    max_lag_s: float = 0.0
    """Lag of the event loop, in seconds, above which no more is taken."""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """Calls at the same time for single numbers of ours."""


class Held(Struct, frozen=True):
    """A place that a call takes."""

    number: str
    """Our own number of the two."""
    streams: int = 1
    """Of speech to text: two where both sides of a talk are listened to."""


class SpeechPlan:
    """How many streams the speech service allows at once, as learned from what it refused."""

    def __init__(self) -> None:
        self._limit = 0
        self._refused_at = 0.0
        self._marked: dict[str, float] = {}

    def refused(self, call: str, live: Mapping[str, Held], now: float) -> None:
        """The service has refused a stream of `call`, because there are too many: no more than go on now."""
        self._marked[call] = now
        self._marked = {name: at for name, at in self._marked.items() if now < at + _MARKED_S}
        served = sum(held.streams for name, held in live.items() if name not in self._marked)
        before = self.limit(now)
        self._limit = max(1, min(served, before) if before else served)
        self._refused_at = now

    def limit(self, now: float) -> int:
        """Return how many streams are to be tried at once; 0: nothing is known of a limit."""
        age = now - self._refused_at
        if not self._limit or age > _FORGOTTEN_S:
            return 0
        return self._limit + max(0, int((age - _LEARNED_FOR_S) / _PROBED_EVERY_S) + (age >= _LEARNED_FOR_S))


class Admission:
    """Decides about calls of one process, and remembers whom it has let in."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        """May be exchanged at any time; it counts from the next decision on."""
        self.plan = SpeechPlan()
        self._coming: dict[str, tuple[Held, float]] = {}

    def decide(
        self, call: str, wanted: Held, live: Mapping[str, Held], *, lag_s: float, now: float, held_s: float = HELD_S
    ) -> Reason | None:
        """Let a call in, which then holds its place for `held_s` seconds at most, or return why not.

        `live` are the calls that live, by the same names as `call`. Asked again about one that was let in, or that
        lives, it says the same again.
        """
        if call in live:
            return None
        self._forget(live, now)
        if call not in self._coming and (reason := self._against(wanted, live, lag_s, now)) is not None:
            return reason
        self._coming[call] = (wanted, now + held_s)
        return None

    def full(self, live: Mapping[str, Held], *, lag_s: float, now: float) -> Reason | None:
        """Return why no call of whatever number is taken at this moment; None: it would be."""
        self._forget(live, now)
        return self._against(Held(""), live, lag_s, now)

    def holds(self, call: str) -> bool:
        """Tell whether a call was let in and has not come yet."""
        return call in self._coming

    def release(self, call: str) -> None:
        """A call that was let in does not come."""
        self._coming.pop(call, None)

    def _forget(self, live: Mapping[str, Held], now: float) -> None:
        self._coming = {
            call: (held, until) for call, (held, until) in self._coming.items() if now < until and call not in live
        }

    def _against(self, wanted: Held, live: Mapping[str, Held], lag_s: float, now: float) -> Reason | None:
        limits = self.limits
        if 0 < limits.max_lag_s < lag_s:
            return "lag"
        held = [*live.values(), *(held for held, _ in self._coming.values())]
        if 0 < limits.max_calls <= len(held):
            return "calls"
        most = limits.numbers.get(wanted.number, 0)
        if 0 < most <= sum(one.number == wanted.number for one in held):
            return "number"
        known = [limit for limit in (limits.speech_streams, self.plan.limit(now)) if limit]
        streams = sum(one.streams for one in held)
        # The first call always may: a plan that allows less than it needs is not to shut the door for good.
        if known and held and streams + wanted.streams > min(known):
            return "speech"
        return None
