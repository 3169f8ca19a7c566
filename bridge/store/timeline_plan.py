"""Where the texts of one lane of a picture stand, so that none meets another: measured before it is drawn. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from bridge.store import svg
from bridge.store.markers import Marker
from bridge.store.scene import Scene, Speech
from bridge.store.timeline_style import LEFT, RIGHT

_CALLER_LINES: Final = 3
_AGENT_LINES: Final = 4
TEXT_SIZE: Final = 12
MARKER_SIZE: Final = 11
_MOST_ROWS: Final = 8
"""So many rows of markers' labels a lane has; a marker that finds no room in them is a line without a label."""
_GAP: Final = 10
"""Least space between texts beside each other."""
_WANTED_ROOM: Final = 150
"""A text that has less room than this beside its bar may begin before it."""
_LEAST_ROOM: Final = 80
"""A text is not squeezed into less than this: the texts next to it give way, and are told by their tips alone."""
_AWAY: Final = "– speech service away"
_LONGEST_TEXT: Final = 1000
"""No lane shows more characters than this; a longer text need not be measured."""


class Label(Struct, frozen=True):
    """A speech's text, set in lines."""

    x: float
    lines: list[list[svg.Run]]


class PlacedMarker(Struct, frozen=True):
    """A marker, its place in time, and where its label stands."""

    marker: Marker
    x: float
    label: str
    label_x: float
    row: int


class LanePlan:
    """The part of a scene from `start_ms` to `stop_ms`, laid out along its time."""

    def __init__(self, scene: Scene, start_ms: int, stop_ms: int) -> None:
        self.scene = scene
        self.start = start_ms
        self.stop = stop_ms
        self.markers = self._place_markers()
        self.caller = self._labels(scene.caller, _CALLER_LINES)
        self.agent = self._labels(scene.agent, _AGENT_LINES)

    @property
    def marker_rows(self) -> int:
        """How many rows the markers' labels need."""
        return 1 + max((placed.row for placed in self.markers), default=-1)

    @property
    def caller_lines(self) -> int:
        """How many lines the longest of the caller's texts takes."""
        return max((len(label.lines) for label in self.caller), default=0)

    @property
    def agent_lines(self) -> int:
        """How many lines the longest of the agent's texts takes."""
        return max((len(label.lines) for label in self.agent), default=0)

    def x(self, ms: float) -> float:
        """Where a moment stands; what is outside stands at the edge."""
        share = (ms - self.start) / (self.stop - self.start)
        return LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, share))

    def holds(self, ms: int) -> bool:
        """Whether a moment is in this lane."""
        return self.start <= ms < self.stop

    def touches(self, start_ms: int, stop_ms: int) -> bool:
        """Whether any of a span is in this lane."""
        return start_ms < self.stop and max(stop_ms, start_ms + 1) > self.start

    def _place_markers(self) -> list[PlacedMarker]:
        """Give each marker's label the lowest row in which it meets no other."""
        placed: list[PlacedMarker] = []
        ends: list[float] = []
        for marker in self.scene.markers:
            last = marker.at_ms == self.stop == self.scene.duration_ms
            if not self.holds(marker.at_ms) and not last:
                continue
            x = self.x(marker.at_ms)
            label = svg.shortened(marker.label, MARKER_SIZE, 240)
            wide = svg.width(label, MARKER_SIZE) + 14
            label_x = max(LEFT, min(x, RIGHT - wide))
            row = next((row for row, end in enumerate(ends) if end + _GAP <= label_x), len(ends))
            if row == _MOST_ROWS:
                row, label = _MOST_ROWS - 1, ""
            else:
                ends[row : row + 1] = [label_x + wide]
            placed.append(PlacedMarker(marker, x, label, label_x, row))
        return placed

    def _labels(self, speeches: Sequence[Speech], lines: int) -> list[Label]:
        """Set the texts of one side: each from its bar on as far as the next text, or a little before it."""
        mine = [(self.x(speech.start_ms), speech) for speech in speeches if self._hosts(speech)]
        spoken = [(x, words) for x, speech in mine if (words := _words(speech))]
        labels: list[Label] = []
        free_from = float(LEFT)
        given_way_to = 0.0
        for index, (x, words) in enumerate(spoken):
            if x < given_way_to:
                continue
            after = next((x for x, _ in spoken[index + 1 :]), RIGHT + _GAP)
            limit = max(after - _GAP, x)
            natural = svg.width(" ".join(word for word, _ in words), TEXT_SIZE) + 2
            wanted = min(natural, _WANTED_ROOM)
            at = x if limit - x >= wanted else max(min(x, limit - wanted), free_from)
            at = max(at, free_from)
            if limit - at < min(natural, _LEAST_ROOM) and after <= RIGHT:
                limit = given_way_to = min(RIGHT, at + _LEAST_ROOM)
            set_lines = svg.wrapped(words, TEXT_SIZE, limit - at, lines)
            labels.append(Label(at, set_lines))
            wide = max((svg.width("".join(run.text for run in line), TEXT_SIZE) for line in set_lines), default=0)
            free_from = max(free_from, at + wide + _GAP)
        return labels

    def _hosts(self, speech: Speech) -> bool:
        """Whether the text of a speech stands in this lane: where it begins, or in the next when it hardly does."""
        length = self.stop - self.start
        edge = speech.start_ms // length * length + length
        late = edge - speech.start_ms < length * _WANTED_ROOM / (RIGHT - LEFT)
        more = speech.until_ms - edge > edge - speech.start_ms
        home = edge - length if not (late and more) else edge
        return home == self.start


def _words(speech: Speech) -> list[tuple[str, str]]:
    """The words to set, each with its look: heard, not heard, an aside, or what there is to know about them."""
    look = "aside" if speech.kind in {"backchannel", "echo"} else "said"
    words = [(word, look) for word in speech.text[:_LONGEST_TEXT].split()] if speech.kind != "empty" else []
    if speech.kind == "echo":
        words.insert(0, ("(echo)", look))
    if speech.degraded:
        words += [(word, "amiss") for word in _AWAY.split()]
    return words + [(word, "missed") for word in speech.unheard[:_LONGEST_TEXT].split()]
