"""How each answer of the agent came about: one small waterfall per reply, all on one scale. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from bridge.store import svg
from bridge.store.scene import Answer
from bridge.store.texts import clock
from bridge.store.timeline_style import MARGIN, RIGHT

_COLUMNS: Final = 3
_SPACE: Final = 36
_ROW: Final = 62
_HEAD: Final = 34
_BAR: Final = 10
_STEPS: Final = ("text", "audio", "sent", "mark")
_NAMES: Final = {"text": "first text", "audio": "first audio", "sent": "sent", "mark": "first mark back"}
_OUTLIER: Final = 3
"""The scale reaches this many medians at most; what is longer runs into its end."""


def height(answers: Sequence[Answer]) -> float:
    """How high the section is; 0 when there are no answers."""
    return _HEAD + _ROW * -(-len(answers) // _COLUMNS) if answers else 0


def draw(answers: Sequence[Answer], y: float) -> Iterator[str]:
    """The section, with its top at `y`."""
    if not answers:
        return
    yield svg.text(MARGIN, y + 15, "How the answers came", "h2")
    yield from _legend(y + 15)
    scale = _scale_ms(answers)
    wide = (RIGHT - MARGIN - (_COLUMNS - 1) * _SPACE) / _COLUMNS
    for index, answer in enumerate(answers):
        row, column = divmod(index, _COLUMNS)
        yield from _answer(answer, MARGIN + column * (wide + _SPACE), y + _HEAD + row * _ROW, wide, scale)


def steps(answer: Answer) -> list[tuple[str, int]]:
    """The steps that are known, each with its length in ms; what was ready before the turn ended took no time."""
    found: list[tuple[str, int]] = []
    before = answer.from_ms
    moments = (answer.text_ms, answer.audio_ms, answer.sent_ms, answer.mark_ms)
    for name, moment in zip(_STEPS, moments, strict=True):
        if moment is not None:
            found.append((name, max(0, moment - before)))
            before = max(before, moment)
    return found


def _scale_ms(answers: Sequence[Answer]) -> int:
    totals = [sum(length for _, length in steps(answer)) for answer in answers]
    return max(1, min(max(totals), round(median(totals) * _OUTLIER)))


def _legend(y: float) -> Iterator[str]:
    x = MARGIN + 190.0
    yield svg.text(x, y, "from the end of the caller's turn to:", "small")
    x += svg.width("from the end of the caller's turn to:", 11) + 10
    for name in _STEPS:
        yield svg.rect(x, y - 9, 10, 10, f"fill-{name}", round_by=2)
        yield svg.text(x + 14, y, _NAMES[name], "small")
        x += 14 + svg.width(_NAMES[name], 11) + 12


def _answer(answer: Answer, x: float, y: float, wide: float, scale: int) -> Iterator[str]:
    total = "not sent" if answer.response_ms is None else f"{answer.response_ms} ms"
    head = f"{answer.reply}"
    when = clock(answer.from_ms)
    yield svg.text(x, y + 12, head, "strong")
    at = x + svg.width(head, 12) + 8
    yield svg.text(at, y + 12, when, "soft")
    at += svg.width(when, 12) + 8
    room = x + wide - svg.width(total, 12) - 12 - at
    question = svg.shortened(" ".join(answer.question[:200].split()) or "(unasked)", 12, room)
    yield svg.group(answer.question, [svg.text(at, y + 12, question, "soft")])
    yield svg.text(x + wide, y + 12, total, "strong", anchor="end")
    yield from _bar(answer, x, y + 20, wide, scale)
    told = " · ".join(f"{name} +{length}" for name, length in steps(answer)) + " ms"
    told += " · asked early" if answer.early else ""
    yield svg.text(x, y + 44, svg.shortened(told, 11, wide), "small")


def _bar(answer: Answer, x: float, y: float, wide: float, scale: int) -> Iterator[str]:
    yield svg.rect(x, y, wide, _BAR, "rail", round_by=3)
    at = x
    for name, length in steps(answer):
        long = min(length / scale * wide, x + wide - at)
        if long > 0:
            yield svg.rect(at, y, max(1.5, long - 1), _BAR, f"fill-{name}", round_by=2)
        at += long
