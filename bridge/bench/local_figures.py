"""What was measured of a speech server with so many streams at once: figures, a table, JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bridge.bench.figures import Figures, summarize
from bridge.bench.local_words import Fate, Heard, TurnSeen, fates

TURN_START: Final = "turn_start"
FIRST_UPDATE: Final = "first_update"
TURN_END: Final = "turn_end"
ANSWER: Final = "answer"
LATENESS: Final = "harness_lateness"

TITLES: Final[Mapping[str, str]] = {
    TURN_START: "speech begins → turn.start",
    FIRST_UPDATE: "speech begins → first turn.update",
    TURN_END: "speech ends → turn.end",
    ANSWER: "a spoken answer",
    LATENESS: "harness: the latest piece of each stream",
}
REAL_TIME_MS: Final = 300.0
"""By so much the turns of a level may end later (p95) than those of the first level, and still be in real time."""
LOST_SHARE: Final = 0.01
"""So many more of the words may be lost than at the first level: texts depend on when previews were taken."""


@dataclass(frozen=True, slots=True)
class Processor:
    """Cores used, by kind of process, and memory."""

    server: float
    recognizers: float
    voice: float
    memory_mb: float
    """Resident, of all processes."""


@dataclass(frozen=True, slots=True)
class SpeechLevel:
    """One number of streams at once."""

    streams: int
    refused: int
    broken: int
    """Streams that the server ended, or whose last turn never came."""
    utterances: int
    unheard: int
    """Utterances of which no word was heard."""
    run_together: int
    """Utterances that ended in the same turn as the one before."""
    turns: int
    updates: int
    words: int
    lost: int
    wrong: int
    talk_share: float
    """How much of the time a caller speaks."""
    processor: Processor | None
    figures: Mapping[str, Figures]

    @property
    def lost_share(self) -> float:
        """Words that have nothing in their place."""
        return self.lost / max(self.words, 1)

    @property
    def error_rate(self) -> float:
        """The word error rate."""
        return self.wrong / max(self.words, 1)


def level_of(streams: Sequence[Heard], processor: Processor | None) -> SpeechLevel:
    """The figures of all streams together."""
    samples: dict[str, list[float]] = {key: [] for key in TITLES}
    found: list[Fate] = []
    together = 0
    taken = [stream for stream in streams if not stream.refused]
    for stream in taken:
        samples[LATENESS].append(stream.late)
        samples[ANSWER] += stream.answers
        kept = [turn for turn in stream.turns if turn.ended]
        own = fates(stream.said, [turn.text for turn in kept])
        found += own
        before: int | None = None
        for fate, span in zip(own, stream.spans, strict=True):
            if fate.turn is not None:
                _add(samples, kept[fate.turn], span, first=fate.turn != before)
                together += fate.turn == before
                before = fate.turn
    spoken = sum(end - start for stream in taken for start, end in stream.spans)
    lasted = sum(stream.spans[-1][1] - stream.spans[0][0] for stream in taken if stream.spans)
    figures = {key: summarize(values) for key, values in samples.items()}
    return SpeechLevel(
        streams=len(streams),
        refused=len(streams) - len(taken),
        broken=sum(stream.broken for stream in taken),
        utterances=len(found),
        unheard=sum(fate.turn is None for fate in found),
        run_together=together,
        turns=sum(len(stream.turns) for stream in taken),
        updates=sum(len(turn.updates) for stream in taken for turn in stream.turns),
        words=sum(fate.words for fate in found),
        lost=sum(fate.lost for fate in found),
        wrong=sum(fate.wrong for fate in found),
        talk_share=spoken / lasted if lasted else 0.0,
        processor=processor,
        figures={key: value for key, value in figures.items() if value is not None},
    )


def _add(samples: dict[str, list[float]], turn: TurnSeen, span: tuple[float, float], *, first: bool) -> None:
    start, end = span
    samples[TURN_END].append(turn.ended - end)
    if first:
        samples[TURN_START].append(turn.started - start)
        samples[FIRST_UPDATE] += [turn.updates[0] - start] if turn.updates else []


def in_real_time(level: SpeechLevel, base: SpeechLevel) -> bool:
    """Whether a level answers as quickly and as completely as the first one did."""
    if level.refused or level.broken or TURN_END not in level.figures or TURN_END not in base.figures:
        return False
    later = level.figures[TURN_END].p95 - base.figures[TURN_END].p95
    return later <= REAL_TIME_MS and level.lost_share <= base.lost_share + LOST_SHARE


def knee(levels: Sequence[SpeechLevel]) -> int:
    """The largest number of streams that was in real time, and every smaller one too; 0 if none was."""
    best = 0
    for level in levels:
        if not in_real_time(level, levels[0]):
            break
        best = level.streams
    return best


def table(levels: Iterable[SpeechLevel]) -> str:
    """The levels as lines for people."""
    return "\n\n".join(map(_block, levels))


def as_json(levels: Sequence[SpeechLevel]) -> dict[str, Any]:
    """The levels as JSON, with the largest number of streams in real time."""
    shown = [
        {**asdict(level), "lost_share": level.lost_share, "error_rate": level.error_rate, "real_time": real}
        for level in levels
        for real in [in_real_time(level, levels[0])]
    ]
    return {
        "ok": bool(levels) and knee(levels) > 0,
        "unit": "ms",
        "real_time_streams": knee(levels),
        "levels": shown,
    }


def _block(level: SpeechLevel) -> str:
    width = max(map(len, TITLES.values()))
    head = f"{level.streams} stream{'s' if level.streams > 1 else ''} at once, {level.utterances} utterances"
    lines = [f"{head:{width + 2}} {'n':>6} {'p50':>8} {'p95':>8} {'max':>8}  ms"]
    for key, title in TITLES.items():
        if (one := level.figures.get(key)) is not None:
            lines.append(f"  {title:{width}} {one.count:6d} {one.p50:8.0f} {one.p95:8.0f} {one.max:8.0f}")
    lines.append(
        f"  {'words':{width}} {level.words:6d}; lost {level.lost} ({level.lost_share:.1%}), word errors"
        f" {level.error_rate:.1%}; utterances unheard {level.unheard}, run together {level.run_together}"
    )
    lines.append(
        f"  {'turns':{width}} {level.turns:6d}; updates {level.updates}; talk {level.talk_share:.0%} of the time"
    )
    if level.processor is not None:
        used = level.processor
        lines.append(
            f"  {'processor: server, recognition, voice':{width}} {used.server:6.2f} {used.recognizers:.2f}"
            f" {used.voice:.2f} cores; memory {used.memory_mb:.0f} MB"
        )
    if level.refused or level.broken:
        lines.append(f"  streams refused {level.refused}, broken {level.broken}")
    return "\n".join(lines)
