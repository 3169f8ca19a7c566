"""What the caller really heard, reckoned from sound alone.

What the voice sent over the wire is known (`SpeechRelay`), with the times of its words; what the simulated phone
played is found in it byte by byte. The bridge is asked nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.simulator.phone import Stretch
from tests.turn_taking.speech_relay import RATE, SpeechRelay, Spoken

_FARTHEST_S = 5.0
"""Nobody goes farther back than this to say something again."""
_EDGE = 8
"""Bytes by which rounding may move the edge of a word: 1 ms."""


@dataclass(frozen=True)
class Piece:
    """A stretch of what the phone played, found in the audio of a text."""

    begin: int
    """Bytes from the beginning of the audio."""
    end: int
    repeated: int
    """How many of its first bytes had sounded before."""


@dataclass(frozen=True)
class Heard:
    """All that was heard of a text, and the text as it was spoken."""

    spoken: Spoken
    pieces: tuple[Piece, ...]

    @property
    def reached(self) -> int:
        """How much of the audio has sounded."""
        return max((piece.end for piece in self.pieces), default=0)

    @property
    def whole_words(self) -> int:
        return self.spoken.whole_words(self.reached)

    @property
    def begun_words(self) -> int:
        return self.spoken.begun_words(self.reached)

    def repeated_words(self) -> list[int]:
        """Return for each time that the voice went on after a break how many begun words it said again."""
        counts, reached = [], 0
        for piece in self.pieces:
            if piece.begin:
                counts.append(self.spoken.begun_words(reached) - self.spoken.begun_words(piece.begin))
            reached = max(reached, piece.end)
        return counts

    def check(self, *, to_the_end: bool = True, most_repeated: int = 1) -> None:
        """Hold it against the rule: no word lost, none repeated but the one in which the voice broke off."""
        for piece in self.pieces:
            inside = [
                word
                for word, start, end in self.spoken.words
                if start * RATE + _EDGE < piece.begin < end * RATE - _EDGE
            ]
            assert not piece.begin or not inside, f"it goes on in the middle of {inside[0]!r}"
        assert all(count <= most_repeated for count in self.repeated_words()), self.repeated_words()
        left = len(self.spoken.audio) - self.reached
        assert not to_the_end or left == 0, f"{left} bytes were never played"

    def __str__(self) -> str:
        spans = ", ".join(f"{one.begin / RATE:.2f}-{one.end / RATE:.2f} s" for one in self.pieces)
        return f"played {spans} of {len(self.spoken.audio) / RATE:.2f} s, words said again {self.repeated_words()}"


def heard_of(relay: SpeechRelay, text: str, stretches: Sequence[Stretch]) -> Heard:
    """Find what was played of `text`: each stretch begins where the last one ended or earlier, never later.

    Fails when there is anything else in the stretches, or something was left out.
    """
    said = relay.said(text)
    assert said, f"the voice never spoke {text!r}, only {[one.text for one in relay.spoken.values()]}"
    for spoken in said:
        if (pieces := _locate(bytes(spoken.audio), stretches)) is not None:
            return Heard(spoken, pieces)
    lengths = [len(stretch.audio) for stretch in stretches]
    raise AssertionError(f"stretches of {lengths} bytes are not, in this order, the sound of {text!r}")


def _locate(audio: bytes, stretches: Sequence[Stretch]) -> tuple[Piece, ...] | None:
    pieces: list[Piece] = []
    reached = 0
    for stretch in stretches:
        earliest = max(0, reached - round(_FARTHEST_S * RATE))
        begin = audio.rfind(stretch.audio, earliest, reached + len(stretch.audio))
        if begin < 0:
            return None
        pieces.append(Piece(begin, begin + len(stretch.audio), max(0, reached - begin)))
        reached = max(reached, pieces[-1].end)
    return tuple(pieces)
