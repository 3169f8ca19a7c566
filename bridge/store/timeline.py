"""A picture of a call: who spoke when, what was heard, what went wrong, and how long each answer took. Pure.

A plain SVG without scripts or fonts of its own, for light and dark readers. Long calls wrap into lanes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from bridge.conversation.journal import Entry
from bridge.store import svg, timeline_answers
from bridge.store.base import CallHeader
from bridge.store.loudness import Peaks
from bridge.store.scene import Scene, read_scene
from bridge.store.texts import answered_by, clock, ending, started
from bridge.store.timeline_lane import Lane
from bridge.store.timeline_style import MARGIN, RIGHT, WIDTH, definitions, stylesheet

__all__ = ["Peaks", "timeline_svg"]

_LANE_SECONDS: Final = (5, 10, 15, 20, 30, 60, 120, 300, 600, 1800)
_USUAL_LANE_S: Final = 30
_MOST_LANES: Final = 60
_LANE_GAP: Final = 12
_HEAD: Final = 172
_FOOT: Final = 20


def timeline_svg(
    header: CallHeader, entries: Sequence[Entry], peaks: Peaks | None = None, *, live: bool = False
) -> str:
    """Draw a call; `live`: it goes on. `peaks` are how loud its recording is: without them bars have no wave."""
    scene = read_scene(entries, peaks)
    lanes = _lanes(scene, peaks)
    y = float(_HEAD)
    body: list[str] = []
    for lane in lanes:
        body.append(lane.draw(y))
        y += lane.height + _LANE_GAP
    y += 14
    body += timeline_answers.draw(scene.answers, y)
    y += timeline_answers.height(scene.answers) + _FOOT
    title = f"Call from {header.caller} to {header.called}, {started(header)}"
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y:.0f}" '
            f'viewBox="0 0 {WIDTH} {y:.0f}" role="img">',
            f"<title>{svg.escaped(title)}</title>",
            stylesheet(),
            definitions(),
            svg.rect(0, 0, WIDTH, y, "back"),
            *_head(header, entries, live=live),
            *_figures(scene),
            *body,
            "</svg>\n",
        ]
    )


def _lanes(scene: Scene, peaks: Peaks | None) -> list[Lane]:
    """Short calls fill one lane; longer ones wrap every 30 s, very long ones later, so that they stay a picture."""
    fitting = [
        length
        for length in _LANE_SECONDS
        if scene.duration_ms <= length * 1000
        or (length >= _USUAL_LANE_S and scene.duration_ms <= length * 1000 * _MOST_LANES)
    ]
    length_ms = fitting[0] * 1000
    count = max(1, -(-scene.duration_ms // length_ms))
    return [Lane(scene, peaks, index * length_ms, (index + 1) * length_ms) for index in range(count)]


def _head(header: CallHeader, entries: Sequence[Entry], *, live: bool) -> Iterator[str]:
    room = RIGHT - MARGIN
    yield svg.text(MARGIN, 44, svg.shortened(f"{header.caller} → {header.called}", 22, room), "h1")
    end = ending(entries, header.direction, live=live)
    what = " · ".join((started(header), header.direction, answered_by(header, entries), end))
    yield svg.text(MARGIN, 68, svg.shortened(what, 12, room), "soft")
    yield svg.text(MARGIN, 86, svg.shortened(f"call {header.id} · {header.sid}", 11, room), "small")


def _figures(scene: Scene) -> Iterator[str]:
    turns = sum(speech.kind == "words" for speech in scene.caller)
    others = sum(speech.kind == "words" for speech in scene.agent)
    figures = [(clock(scene.duration_ms), "length")]
    if scene.other == "callee":
        figures += [(str(turns), "of the caller's turns"), (str(others), "of the callee's")]
    else:
        figures += [
            (str(turns), "turn" if turns == 1 else "turns"),
            (str(len(scene.agent)), "reply" if len(scene.agent) == 1 else "replies"),
        ]
    figures += _waits(scene)
    figures += [
        (str(count), name if count > 1 else name.removesuffix("s"))
        for count, name in (
            (scene.count("barge-in"), "barge-ins"),
            (scene.count("false alarm"), "false alarms"),
            (scene.count("problem"), "problems"),
            (scene.closed.under_runs if scene.closed else 0, "under-runs"),
            (scene.closed.lost_marks if scene.closed else 0, "lost marks"),
        )
        if count
    ]
    x = float(MARGIN)
    for value, name in figures:
        yield svg.text(x, 126, value, "big")
        yield svg.text(x, 144, name, "small")
        x += max(svg.width(value, 20), svg.width(name, 11)) + 30
    if any(speech.unheard for speech in scene.agent):
        meaning = "not heard by the caller"
        x = RIGHT - svg.width(meaning, 11)
        yield svg.rect(x - 34, 134, 26, 11, "unheard", round_by=3)
        yield svg.text(x, 144, meaning, "small")


def _waits(scene: Scene) -> Iterator[tuple[str, str]]:
    """How long the caller waited for answers: since the last sound, which the caller feels, and since the end.

    Without a recording only the second is known.
    """
    sent = [answer for answer in scene.answers if answer.asked_for and answer.response_ms is not None]
    felt = [answer.wait_ms or 0 for answer in sent if answer.quiet_ms is not None]
    own = [answer.response_ms or 0 for answer in sent]
    for waits, since in ((sorted(felt), "after the last sound"), (sorted(own), "after the turn's end")):
        if waits:
            most = f", {waits[-1]} at most" if len(waits) > 1 else ""
            yield f"{round(median(waits))} ms", f"usual wait {since}{most}"
