"""One lane of a picture of a call: some seconds of it from left to right, both sides under each other. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from bridge.store import svg
from bridge.store.loudness import Peaks
from bridge.store.scene import Scene, Speech
from bridge.store.texts import clock
from bridge.store.timeline_plan import LanePlan
from bridge.store.timeline_style import LEFT, MARGIN, MARKER_COLOURS, RIGHT

_BAR: Final = 30
_BAND: Final = 20
"""Between the two sides, where the waiting for an answer is drawn."""
_LINE: Final = 15
_PAD: Final = 10
_AXIS: Final = 24
_MARKERS: Final = 17
"""Height of a row of markers."""
_FLOOR: Final = 26
"""Loudness (of 127) up to which a line is silent."""
_WAVE_STEP: Final = 3.6
"""Least distance of two strokes of a wave."""


class Lane:
    """The part of a scene from `start_ms` to `stop_ms`. Knows its `height` before it is drawn."""

    def __init__(self, scene: Scene, peaks: Peaks | None, start_ms: int, stop_ms: int) -> None:
        self._scene = scene
        self._peaks = peaks
        self._who = "Callee, turn" if scene.other == "callee" else "Agent, reply"
        self._plan = plan = LanePlan(scene, start_ms, stop_ms)
        above = plan.marker_rows * _MARKERS + plan.caller_lines * _LINE
        below = plan.agent_lines * _LINE
        self._caller_y = _PAD + (above + 4 if above else 0)
        self._agent_y = self._caller_y + _BAR + _BAND
        self._axis_y = self._agent_y + _BAR + below + 8
        self.height = self._axis_y + _AXIS

    # --- drawing -------------------------------------------------------------------------------------------

    def draw(self, y: float) -> str:
        """The lane as SVG, with its top at `y`."""
        parts = [
            f'<g transform="translate(0 {y:.1f})">',
            svg.rect(MARGIN - 12, 0, RIGHT - MARGIN + 24, self.height, "panel", round_by=10),
            *self._axis(),
            *self._breaks(),
            *self._marker_lines(),
            svg.rect(LEFT, self._caller_y + _BAR / 2 - 1, self._end_x() - LEFT, 2, "rail"),
            svg.rect(LEFT, self._agent_y + _BAR / 2 - 1, self._end_x() - LEFT, 2, "rail"),
            svg.text(MARGIN, self._caller_y + _BAR / 2 + 4, "Caller", "row-caller"),
            svg.text(MARGIN, self._agent_y + _BAR / 2 + 4, self._scene.other.capitalize(), "row-agent"),
            *self._caller_bars(),
            *self._agent_bars(),
            *self._waves(),
            *self._pauses(),
            *self._waits(),
            *self._texts(),
            *self._marker_labels(),
            "</g>",
        ]
        return "".join(parts)

    def _end_x(self) -> float:
        return self._plan.x(self._scene.duration_ms)

    def _axis(self) -> Iterator[str]:
        length_s = (self._plan.stop - self._plan.start) // 1000
        step = next(step for step in (1, 2, 5, 10, 30, 60, 300, 900) if length_s / step <= 12 or step == 900)
        top = self._caller_y - 2
        for second in range(self._plan.start // 1000, self._plan.stop // 1000 + 1):
            x = self._plan.x(second * 1000)
            if second % step == 0:
                yield svg.path(f"M{x:.1f} {top:.1f}V{self._axis_y + 5:.1f}", "grid")
                anchor = "end" if second * 1000 == self._plan.stop else "middle"
                yield svg.text(x, self._axis_y + 17, clock(second * 1000)[:-2], "tiny", anchor=anchor)
            elif length_s <= 60:
                yield svg.path(f"M{x:.1f} {self._axis_y:.1f}v3", "grid")

    def _breaks(self) -> Iterator[str]:
        for spans, look in ((self._scene.breaks, "gone"), (self._scene.unrecorded, "unrecorded")):
            for start, stop in spans:
                if self._plan.touches(start, stop):
                    x = self._plan.x(start)
                    yield svg.rect(x, self._caller_y - 4, self._plan.x(stop) - x, 2 * _BAR + _BAND + 8, look)

    def _caller_bars(self) -> Iterator[str]:
        for speech in self._scene.caller:
            if self._plan.touches(speech.start_ms, speech.stop_ms):
                said = speech.text or "(no speech)"
                title = f"Caller, turn {speech.number}, {clock(speech.start_ms)}–{clock(speech.stop_ms)}: {said}"
                title += "".join(f" [{remark}]" for remark in _remarks(speech))
                yield svg.group(title, self._caller_bar(speech))

    def _caller_bar(self, speech: Speech) -> Iterator[str]:
        """A turn: solid while the caller was heard, pale while it was waited whether the turn was over."""
        look = {"empty": "noise", "words": "caller"}.get(speech.kind, "caller-aside")
        quiet = _quiet(speech)
        if quiet < speech.stop_ms:
            yield self._bar(speech.start_ms, speech.stop_ms, self._caller_y, "caller-tail")
        if self._plan.touches(speech.start_ms, quiet):
            yield self._bar(speech.start_ms, quiet, self._caller_y, look)
        if speech.degraded:
            yield self._bar(speech.start_ms, speech.stop_ms, self._caller_y, "trouble")

    def _agent_bars(self) -> Iterator[str]:
        for speech in self._scene.agent:
            if not self._plan.touches(speech.start_ms, speech.until_ms):
                continue
            said = speech.text if speech.kind == "words" else "(no speech)"
            title = f"{self._who} {speech.number}, {clock(speech.start_ms)}–{clock(speech.stop_ms)}: {said}"
            bars = []
            lost = speech.unheard_until_ms > speech.stop_ms
            if lost and self._plan.touches(speech.stop_ms, speech.unheard_until_ms):
                title += f" [not heard: {speech.unheard}]"
                bars.append(self._bar(speech.stop_ms, speech.unheard_until_ms, self._agent_y, "unheard"))
            if speech.stop_ms > speech.start_ms and self._plan.touches(speech.start_ms, speech.stop_ms):
                look = "noise" if speech.kind == "empty" else "agent"
                bars.append(self._bar(speech.start_ms, speech.stop_ms, self._agent_y, look))
            if speech.degraded:
                bars.append(self._bar(speech.start_ms, speech.stop_ms, self._agent_y, "trouble"))
            yield svg.group(title, bars)

    def _bar(self, start_ms: int, stop_ms: int, y: float, look: str) -> str:
        x = self._plan.x(start_ms)
        return svg.rect(x, y, max(3.0, self._plan.x(stop_ms) - x), _BAR, look, round_by=5)

    def _pauses(self) -> Iterator[str]:
        """Where the agent was silenced: a hole with a pause sign, and an arrow where it goes on."""
        middle = self._agent_y + _BAR / 2
        for speech in self._scene.agent:
            for start, stop in speech.pauses:
                if not self._plan.touches(start, stop):
                    continue
                x, end = self._plan.x(start), self._plan.x(stop)
                yield svg.rect(x, self._agent_y + 4, end - x, _BAR - 8, "hush")
                if end - x >= 12 and self._plan.holds(start):
                    yield svg.rect(x + 3, middle - 4, 2, 8, "hush-sign")
                    yield svg.rect(x + 7, middle - 4, 2, 8, "hush-sign")
                if end - x >= 24 and self._plan.holds(stop):
                    yield svg.path(f"M{end - 9:.1f} {middle - 4:.1f}l6 4l-6 4z", "hush-sign")

    def _waves(self) -> Iterator[str]:
        if self._peaks is None:
            return
        caller = [(s.start_ms, _quiet(s)) for s in self._scene.caller if s.kind != "empty"]
        agent = [(s.start_ms, s.stop_ms) for s in self._scene.agent]
        yield from self._wave(self._peaks.caller, self._caller_y + _BAR / 2, caller)
        yield from self._wave(self._peaks.agent, self._agent_y + _BAR / 2, agent)

    def _wave(self, loudness: bytes, middle: float, bars: Iterable[tuple[int, int]]) -> Iterator[str]:
        per_second = self._peaks.per_second if self._peaks is not None else 1
        spacing = (RIGHT - LEFT) / (self._plan.stop - self._plan.start) * 1000 / per_second
        together = max(1, round(_WAVE_STEP / spacing + 0.49))
        spans = [(start, stop) for start, stop in bars if self._plan.touches(start, stop)]
        inside: list[str] = []
        outside: list[str] = []
        first = self._plan.start * per_second // 1000 // together * together
        for index in range(first, min(len(loudness), self._plan.stop * per_second // 1000), together):
            peak = max(loudness[index : index + together])
            at = (index + together / 2) * 1000 / per_second
            if peak <= _FLOOR or at < self._plan.start:
                continue
            half = (_BAR / 2 - 5) * ((peak - _FLOOR) / (127 - _FLOOR)) ** 1.6 + 0.6
            stroke = f"M{self._plan.x(at):.1f} {middle - half:.1f}v{2 * half:.1f}"
            (inside if any(start <= at < stop for start, stop in spans) else outside).append(stroke)
        thick = min(2.6, spacing * together * 0.55)
        for strokes, look in ((outside, "idle"), (inside, "wave")):
            if strokes:
                yield f'<path d="{"".join(strokes)}" class="{look}" stroke-width="{thick:.1f}"/>'

    def _waits(self) -> Iterator[str]:
        """The caller's waiting between the last sound (or the end of the turn) and the answer, with its length."""
        y = self._caller_y + _BAR + _BAND / 2
        free_from = 0.0
        for answer in self._scene.answers:
            if answer.sent_ms is None or not self._plan.touches(answer.since_ms, answer.sent_ms):
                continue
            x, end = self._plan.x(answer.since_ms), self._plan.x(answer.sent_ms)
            yield svg.path(f"M{x:.1f} {y - 8:.1f}V{y:.1f}H{end:.1f}V{y + 8:.1f}", "wait")
            label = f"{answer.wait_ms} ms"
            wide = svg.width(label, 10)
            at = end + 5 if end + 5 + wide <= RIGHT else x - 5 - wide
            if self._plan.holds(answer.sent_ms) and at >= free_from:
                yield svg.text(at, y + 4, label, "tiny")
                free_from = at + wide + 10

    def _texts(self) -> Iterator[str]:
        for label in self._plan.caller:
            bottom = self._caller_y - 7
            for index, line in enumerate(reversed(label.lines)):
                yield svg.rich_text(label.x, bottom - index * _LINE, line, "body")
        for label in self._plan.agent:
            top = self._agent_y + _BAR + 14
            for index, line in enumerate(label.lines):
                yield svg.rich_text(label.x, top + index * _LINE, line, "body")

    def _marker_lines(self) -> Iterator[str]:
        for placed in self._plan.markers:
            top = _PAD + placed.row * _MARKERS + _MARKERS - 4
            look = f"l-{MARKER_COLOURS[placed.marker.kind]}"
            yield svg.path(f"M{placed.x:.1f} {top:.1f}V{self._agent_y + _BAR:.1f}", look)

    def _marker_labels(self) -> Iterator[str]:
        for placed in self._plan.markers:
            if not placed.label:
                continue
            y = _PAD + placed.row * _MARKERS
            look = f"m-{MARKER_COLOURS[placed.marker.kind]}"
            corner = 1 if placed.marker.kind == "problem" else 5
            parts = [
                svg.rect(placed.label_x, y + 1, 9, 9, look, round_by=corner),
                svg.text(placed.label_x + 13, y + 10, placed.label, look),
            ]
            yield svg.group(f"{clock(placed.marker.at_ms)} {placed.marker.title}", parts)


def _quiet(speech: Speech) -> int:
    """Where a turn's solid bar ends."""
    return speech.stop_ms if speech.quiet_ms is None else max(speech.start_ms, speech.quiet_ms)


def _remarks(speech: Speech) -> Iterator[str]:
    """What there is to know about a turn beside its words."""
    if speech.kind in {"backchannel", "echo"}:
        yield speech.kind
    if speech.degraded:
        yield "the speech service was away, words are missing"
