"""How each answer of the agent came about: one small waterfall per reply, all on one scale. Pure.

Each has two bars under each other, the caller's and the agent's, and a line where the caller's turn ended: what
stands left of it was over, or under way, before the agent had leave to speak.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from bridge.store import svg
from bridge.store.scene import Answer
from bridge.store.texts import clock
from bridge.store.timeline_style import MARGIN, RIGHT
from bridge.store.waterfall import Scale, Stretch, agent_stretches, caller_stretches, moments, scale

_COLUMNS: Final = 2
_SPACE: Final = 44
_ROW: Final = 74
_HEAD: Final = 54
_BAR: Final = 8
_BARS: Final = 2 * _BAR + 3
_LEGEND: Final = (
    ("Caller", (("quiet", "since the last sound"), ("eager", "since the eager end"))),
    (
        "Agent",
        (
            ("text", "until the first text"),
            ("audio", "until the first audio"),
            ("sent", "held until sent"),
            ("mark", "until the first mark is back"),
        ),
    ),
)
_MOST: Final = 60
"""So many answers are shown, the ones that took longest: with thousands the section would be no picture."""
_MINUS: Final = "\N{MINUS SIGN}"
_LINE_MEANS: Final = "end of the turn; times are ms from it"


def height(answers: Sequence[Answer]) -> float:
    """How high the section is; 0 when there are no answers."""
    return _HEAD + _ROW * -(-min(len(answers), _MOST) // _COLUMNS) if answers else 0


def draw(answers: Sequence[Answer], y: float) -> Iterator[str]:
    """The section, with its top at `y`."""
    if not answers:
        return
    title = "How the answers came"
    if len(answers) > _MOST:
        title += f": the {_MOST} of {len(answers)} that took longest"
        answers = _slowest(answers)
    yield svg.text(MARGIN, y + 15, title, "h2")
    yield from _legend(y + 36)
    reach = scale(answers)
    wide = (RIGHT - MARGIN - (_COLUMNS - 1) * _SPACE) / _COLUMNS
    for index, answer in enumerate(answers):
        row, column = divmod(index, _COLUMNS)
        left, top = MARGIN + column * (wide + _SPACE), y + _HEAD + row * _ROW
        yield from _heading(answer, left, top + 12, wide)
        yield from _Bars(answer, left, top + 20, wide, reach).draw()
        told = " · ".join(f"{name} {_signed(ms)}" for name, ms in moments(answer)) + " ms"
        yield svg.group(told, [svg.text(left, top + 55, svg.shortened(told, 11, wide), "small")])


def _slowest(answers: Sequence[Answer]) -> list[Answer]:
    """Those that took longest, or never came, in the order of the call."""
    longest = sorted(answers, key=lambda answer: math.inf if answer.wait_ms is None else answer.wait_ms)[-_MOST:]
    return sorted(longest, key=lambda answer: answer.asked_ms)


def _signed(ms: int) -> str:
    return f"{_MINUS}{-ms}" if ms < 0 else f"+{ms}" if ms else "0"


def _legend(y: float) -> Iterator[str]:
    x = float(MARGIN)
    for who, parts in _LEGEND:
        yield svg.text(x, y, who, f"row-{who.lower()}")
        x += svg.width(who, 12) + 8
        for name, meaning in parts:
            yield svg.rect(x, y - 9, 10, 10, f"fill-{name}", round_by=2)
            yield svg.text(x + 15, y, meaning, "small")
            x += 15 + svg.width(meaning, 11) + 6
        x += 14
    yield svg.rect(x, y - 11, 2, 14, "turn-end")
    yield svg.text(x + 8, y, _LINE_MEANS, "small")


def _heading(answer: Answer, x: float, y: float, wide: float) -> Iterator[str]:
    """The number of the reply, when the turn ended, what the caller said, and how long the caller waited."""
    value, since = _waited(answer)
    yield svg.text(x, y, str(answer.reply), "strong")
    at = x + svg.width(str(answer.reply), 12) + 8
    when = clock(answer.from_ms)
    yield svg.text(at, y, when, "soft")
    at += svg.width(when, 12) + 8
    room = x + wide - svg.width(value, 12) - svg.width(since, 11) - 12 - at
    words = " ".join(answer.question[:200].split()) if answer.asked_for else "(unasked)"
    yield svg.group(answer.question, [svg.text(at, y, svg.shortened(words, 12, room), "soft")])
    runs = [svg.Run("strong", value), svg.Run("small", since)]
    yield svg.rich_text(x + wide, y, runs, "soft", anchor="end")


def _waited(answer: Answer) -> tuple[str, str]:
    """How long the caller waited, and since when."""
    if answer.wait_ms is None:
        return "not sent", ""
    if not answer.asked_for:
        return f"{answer.wait_ms} ms", " after asking"
    return f"{answer.wait_ms} ms", " after the turn's end" if answer.quiet_ms is None else " after the last sound"


class _Bars:
    """The two bars of one answer."""

    def __init__(self, answer: Answer, x: float, y: float, wide: float, reach: Scale) -> None:
        self._answer = answer
        self._left, self._top, self._right = x, y, x + wide
        self._per_ms = wide / (reach.before + reach.after)
        self._zero = x + reach.before * self._per_ms

    def draw(self) -> Iterator[str]:
        """Rails, stretches, and the line where the turn ended."""
        rows = (
            (caller_stretches(self._answer), self._top),
            (agent_stretches(self._answer), self._top + _BAR + 3),
        )
        for stretches, y in rows:
            yield svg.rect(self._left, y, self._right - self._left, _BAR, "rail", round_by=3)
            for stretch in stretches:
                yield from self._stretch(stretch, y)
        if self._answer.asked_for:
            yield svg.rect(self._zero - 1, self._top - 3, 2, _BARS + 6, "turn-end")

    def _stretch(self, stretch: Stretch, y: float) -> Iterator[str]:
        begin, end = self._zero + stretch.start * self._per_ms, self._zero + stretch.stop * self._per_ms
        x, stop = max(begin, self._left), min(end, self._right)
        if stretch.stop <= stretch.start or stop <= x:
            return
        yield svg.rect(x, y, max(1.5, stop - x - 1), _BAR, f"fill-{stretch.name}", round_by=2)
        for cut, edge in ((begin < self._left - 0.5, x + 5), (end > self._right + 0.5, stop - 12)):
            if cut:  # it is longer than there is room for
                yield svg.path(f"M{edge:.1f} {y + _BAR + 1:.1f}l4 {-_BAR - 2}m3 0l-4 {_BAR + 2}", "cut")
