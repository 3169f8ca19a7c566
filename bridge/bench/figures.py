"""What was measured, in numbers: percentiles, a table for people, JSON for machines. Pure.

Samples come in seconds; everything shown is in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

BARGE_IN: Final = "barge_in"
ASK: Final = "ask"
ASK_EAGERLY: Final = "ask_eagerly"
SYNTHESIZE: Final = "synthesize"
PLAY: Final = "play"
RELEASE: Final = "release"
ECHO: Final = "harness_echo"
LATENESS: Final = "harness_lateness"

TITLES: Final[Mapping[str, str]] = {
    BARGE_IN: "turn.start in → clear out",
    ASK: "turn.end in → agent request out",
    ASK_EAGERLY: "turn.eager_end in → agent request out",
    SYNTHESIZE: "answer in → synthesis request out",
    PLAY: "first speech in → media out",
    RELEASE: "turn.end in → held speech out",
    ECHO: "harness: echo, two hops",
    LATENESS: "harness: lateness of its timer",
}
"""Everything that is measured, in the order in which it is shown. In and out are the bridge's sockets."""

NOISY_MS: Final = 10.0
"""A 99th percentile of the harness's own lateness above this says more about the machine than about the bridge."""
NOISY_SHARE: Final = 0.03
"""So is a bridge that had to wait for a processor for more than this share of the time."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How one measure was distributed, in ms."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Level:
    """What was measured with one number of calls at once."""

    calls: int
    turns: int
    """Turns that ran to their end, of all calls together."""
    unanswered: int
    """Turns for which no request, or no speech, came."""
    missing_clears: int
    """Turns that began while the agent spoke, and for which no `clear` came."""
    refused_frames: int
    """Frames of the bridge that a carrier would have refused."""
    cpu: float
    """Processor time of the harness per second, in cores. The bridge's own is not in it."""
    bridge_cpu: float | None
    """Processor time of the bridge's event loop per second, in cores; None where it is not known."""
    bridge_waited: float | None
    """How much of the time the bridge's event loop had to wait for a processor, because others had them all."""
    figures: Mapping[str, Figures]
    """By measure, a key of `TITLES`; without those of which there is no sample."""

    @property
    def ok(self) -> bool:
        """Whether every turn was answered and every clear came."""
        return not (self.unanswered or self.missing_clears or self.refused_frames) and self.turns > 0

    @property
    def noisy(self) -> bool:
        """Whether the machine was too busy for the figures to be believed."""
        late = LATENESS in self.figures and self.figures[LATENESS].p99 > NOISY_MS
        return late or (self.bridge_waited or 0.0) > NOISY_SHARE


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


def table(levels: Iterable[Level]) -> str:
    """The levels as lines for people."""
    return "\n\n".join(_block(level) for level in levels)


def as_json(levels: Iterable[Level]) -> dict[str, Any]:
    """The levels as JSON: `ok`, and one object per level with the same numbers as the table."""
    levels = list(levels)
    return {
        "ok": all(level.ok for level in levels),
        "unit": "ms",
        "levels": [{**asdict(level), "ok": level.ok, "noisy": level.noisy} for level in levels],
    }


def _block(level: Level) -> str:
    width = max(map(len, TITLES.values()))
    calls = f"{level.calls} call{'s' if level.calls > 1 else ''} at once, {level.turns} turns"
    lines = [f"{calls:{width + 2}} {'n':>6} {'p50':>8} {'p95':>8} {'p99':>8} {'max':>8}  ms"]
    for key, title in TITLES.items():
        if (one := level.figures.get(key)) is not None:
            numbers = "".join(f" {number:8.2f}" for number in (one.p50, one.p95, one.p99, one.max))
            lines.append(f"  {title:{width}} {one.count:6d}{numbers}")
    lines.append(f"  {'harness: processor time':{width}} {'':6} {level.cpu:8.0%} of one core")
    if level.bridge_cpu is not None and level.bridge_waited is not None:
        shares = f"{level.bridge_cpu:8.0%} of one core; it waited for one {level.bridge_waited:.1%} of the time"
        lines.append(f"  {'bridge: processor time of its loop':{width}} {'':6} {shares}")
    lines += [f"  FAILED {fault}" for fault in _faults(level)]
    if level.noisy:
        lines.append(
            "  The machine was too busy, or has too few cores, for these figures to be believed: the harness was"
            "\n  late too often, or the bridge had to wait for a processor."
        )
    return "\n".join(lines)


def _faults(level: Level) -> Iterable[str]:
    if not level.turns:
        yield "no turn ran to its end"
    if level.unanswered:
        yield f"turns that went unanswered: {level.unanswered}"
    if level.missing_clears:
        yield f"turns that did not silence the agent: {level.missing_clears}"
    if level.refused_frames:
        yield f"frames that a carrier would have refused: {level.refused_frames}"
