"""What was measured, in numbers: percentiles, and what makes a level sustained or not. Pure.

Samples come in seconds; everything shown is in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

HEARD: Final = "frame_to_speech"
AGE: Final = "frame_age"
BARGE_IN: Final = "barge_in"
ASK: Final = "ask"
ASK_EAGERLY: Final = "ask_eagerly"
SYNTHESIZE: Final = "synthesize"
PLAY: Final = "play"
PLAY_ALL: Final = "play_all"
RELEASE: Final = "release"
VOICE_START: Final = "voice_start"
VOICE_END: Final = "voice_end"
ECHO: Final = "harness_echo"
LATENESS: Final = "harness_lateness"

TITLES: Final[Mapping[str, str]] = {
    HEARD: "frame in → speech service, beyond batching",
    AGE: "frame in → speech service, first of its message",
    BARGE_IN: "turn.start in → clear out",
    ASK: "turn.end in → agent request out",
    ASK_EAGERLY: "turn.eager_end in → agent request out",
    SYNTHESIZE: "answer in → synthesis request out",
    PLAY: "first speech in → media out",
    PLAY_ALL: "every speech chunk in → media out",
    RELEASE: "turn.end in → held speech out",
    VOICE_START: "caller begins → service has heard it",
    VOICE_END: "caller ends → service has heard it",
    ECHO: "harness: echo, two hops",
    LATENESS: "harness: lateness of its timer",
}
"""Everything that is measured, in the order in which it is shown. In and out are the system's sockets."""

LIMIT_MS: Final = 20.0
"""The 99th percentile of `HEARD` that a sustained level may have."""
MOST_CPU: Final = 0.97
"""Of its cores; a system that needs more is at its end."""

NOISY_MS: Final = 10.0
"""A 99th percentile of the harness's own lateness above this says more about the machine than about the system."""
NOISY_SHARE: Final = 0.03
"""So does a system whose loop had to wait for others than itself for more than this share of the time,"""
NOISY_LOAD: Final = 0.85
"""a harness that had so little of its core left,"""
NOISY_OTHERS: Final = 0.10
"""and so much of a core used by other processes."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How one measure was distributed, in ms."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What a level used of the machine. Processor time is in cores: seconds per second."""

    load_cpu: float
    """The harness: phones, speech service and agent. It is not in the system's."""
    cpu: float | None = None
    """The system, with all its threads and processes; None where it is not known, here and below."""
    loop_cpu: float | None = None
    """The first thread of each of its processes alone: the one with the event loop."""
    loop_waited: float | None = None
    """How much of the time such a thread was ready but not on a processor, per process."""
    others_cpu: float | None = None
    """Everything else on the cores that were used."""
    rss: int | None = None
    """Bytes of memory of all its processes at the window's end."""
    pss: int | None = None
    """The same, with shared pages counted once."""
    pss_per_call: float | None = None
    """Bytes for each call beyond the first: (this level's less that of one call) / (calls - 1)."""


@dataclass(frozen=True, slots=True)
class Level:
    """What was measured with one number of calls at once."""

    calls: int
    seconds: float
    """Length of the window."""
    turns: int
    """Turns that ran to their end in it, of all calls together."""
    unanswered: int
    """Turns for which no request, or no speech, came."""
    missing_clears: int
    """Turns that began while the agent spoke, and for which no `clear` came."""
    refused_frames: int
    """Frames of the system that a carrier would have refused."""
    dropped_calls: int
    """Calls that the system ended, or never connected."""
    lost_up: int
    """Bytes of callers that did not reach the speech service once, whole and in order."""
    lost_down: int
    """Bytes of the agent that did not reach the phone so, but for what a clear cut off."""
    stale_bytes: int
    """Bytes of the agent that reached the phone after the clear that should have ended them."""
    underruns: int
    """How often a phone ran dry inside an utterance, while the system had had what was next."""
    underrun_ms: float
    """For how long, in all."""
    usage: Usage
    cores: int
    """Cores that the system may use."""
    limit_ms: float
    """See `LIMIT_MS`."""
    figures: Mapping[str, Figures] = field(default_factory=dict)
    """By measure, a key of `TITLES`; without those of which there is no sample."""

    @property
    def cpu_per_call(self) -> float | None:
        """Share of one core."""
        return None if self.usage.cpu is None else self.usage.cpu / self.calls

    @property
    def broken(self) -> list[str]:
        """What the system did wrong, as sentences."""
        return [*_broken(self)]

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, every turn was answered and every clear came, however late."""
        return not self.broken

    @property
    def unsustained(self) -> list[str]:
        """Why the level is not sustained, as sentences; none if it is."""
        return [*_broken(self), *_slow(self)]

    @property
    def sustained(self) -> bool:
        """Whether the system carries so many calls for ever."""
        return not self.unsustained

    @property
    def noise(self) -> list[str]:
        """Why the figures are not to be believed, as sentences; none if they are."""
        return [*_noise(self)]

    @property
    def noisy(self) -> bool:
        """Whether the machine was too busy for the figures to be believed."""
        return bool(self.noise)


def summarize(samples: Iterable[float]) -> Figures | None:
    """The figures of samples in seconds; None if there are none."""
    ordered = sorted(1000 * sample for sample in samples)
    if not ordered:
        return None
    return Figures(
        count=len(ordered),
        p50=percentile(ordered, 50),
        p95=percentile(ordered, 95),
        p99=percentile(ordered, 99),
        max=ordered[-1],
    )


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The smallest sample that at least `percent` of all samples do not exceed (the nearest-rank method)."""
    # In whole numbers, because 0.95 times 20 is more than 19 for a computer.
    rank = -(-percent * len(ordered) // 100)
    return ordered[max(rank, 1) - 1]


def _broken(level: Level) -> Iterator[str]:
    if not level.turns:
        yield "no turn ran to its end"
    counts = (
        (level.unanswered, "turns that went unanswered"),
        (level.missing_clears, "turns that did not silence the agent"),
        (level.refused_frames, "frames that a carrier would have refused"),
        (level.dropped_calls, "calls that the system ended or never connected"),
        (level.lost_up, "bytes of callers lost, repeated or out of order"),
        (level.lost_down, "bytes of the agent lost, repeated or out of order"),
    )
    for count, what in counts:
        if count:
            yield f"{what}: {count}"


def _slow(level: Level) -> Iterator[str]:
    if level.underruns:
        yield f"phones that ran dry inside an utterance: {level.underruns}, {level.underrun_ms:.0f} ms in all"
    heard = level.figures.get(HEARD)
    if heard is None:
        yield "no audio of a caller came to the speech service"
    elif heard.p99 > level.limit_ms:
        yield f"{TITLES[HEARD]}: p99 {heard.p99:.1f} ms, over the limit of {level.limit_ms:g} ms"
    if level.usage.cpu is not None and level.usage.cpu >= MOST_CPU * level.cores:
        yield f"processor time: {level.usage.cpu / level.cores:.1%} of what there is"


def _noise(level: Level) -> Iterator[str]:
    usage = level.usage
    late = level.figures.get(LATENESS)
    if late is not None and late.p99 > NOISY_MS:
        yield f"the harness was late by {late.p99:.1f} ms at the 99th percentile"
    if usage.load_cpu > NOISY_LOAD:
        yield f"the harness used {usage.load_cpu:.0%} of a core"
    if (usage.others_cpu or 0.0) > NOISY_OTHERS:
        yield f"other processes used {usage.others_cpu:.0%} of a core"
    if usage.cpu is not None and usage.loop_cpu is not None and usage.loop_waited is not None:
        # While a thread of its own has the core, the loop waits for nobody else's sake.
        own = (usage.cpu - usage.loop_cpu) / level.cores
        if usage.loop_waited - own > NOISY_SHARE:
            yield f"the system waited for a processor for {usage.loop_waited - own:.1%} of the time"
