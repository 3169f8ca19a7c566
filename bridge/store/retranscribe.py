"""A finished recording to text once more, each side for itself, and how that differs from the live transcript.

A side is sent in pieces that end in a pause, because services take files of a certain size and memory is not to
grow with the call. Who makes text of them is handed in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from bridge.audio.wav import write_mulaw
from bridge.conversation.journal import AgentSpoke, CallerSpoke, Entry, PartySpoke
from bridge.store.base import CallHeader
from bridge.store.differences import Difference, compare

Side: TypeAlias = Literal["caller", "agent", "callee"]

PIECE_S: Final = 1200
"""The longest piece: 9.6 MB of mu-law."""
_LOOK_BACK_S: Final = 60
"""How much of the end of a piece is looked through for a pause."""
_RATE: Final = 8000
_WINDOW: Final = 160
_LOUDNESS: Final = bytes(~byte & 0x7F for byte in range(256))
"""Of a mu-law byte: without its sign and complement, larger is louder."""
_SOUND: Final = 26
"""Loudness (of 127) from which on a line is not silent."""


class Heard(Protocol):
    """What was said in a file."""

    @property
    def text(self) -> str:
        """Verbatim."""

    @property
    def words(self) -> Sequence[HeardWord]:
        """Each word with its time, where the service tells."""


class HeardWord(Protocol):
    """A word of a file."""

    @property
    def word(self) -> str:
        """Verbatim."""

    @property
    def start_ms(self) -> int:
        """From the beginning of the file."""

    @property
    def end_ms(self) -> int:
        """When it was over."""


class Transcriber(Protocol):
    """Makes text of a file, such as `bridge.stt.cartesia_batch.CartesiaBatch`."""

    model: str

    async def transcribe(self, wav: bytes, *, name: str) -> Heard:
        """Return what is said in a WAV file. Raises SpeechError."""


class Source(Protocol):
    """An open recording: what of `bridge.store.vault.Recording` is needed here."""

    def audio(self, first: int, count: int) -> bytes:
        """Return `count` frames of mu-law from `first` on, both sides' samples by turns; fewer at the end."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a side."""

    word: str
    start_ms: int
    """Time of the call."""
    end_ms: int


@dataclass(frozen=True, slots=True)
class Transcription:
    """What a side said, as the recording tells."""

    side: Side
    model: str
    text: str
    """Verbatim; the texts of pieces are joined by a blank where they have none."""
    words: tuple[Word, ...]
    """Empty where the service does not tell when each was said."""
    differences: tuple[Difference, ...]
    """Against the words of the live transcript."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of one side."""

    start_ms: int
    audio: bytes
    """mu-law, mono."""

    @property
    def silent(self) -> bool:
        """Whether nothing is to be heard in it."""
        return max(self.audio.translate(_LOUDNESS), default=0) < _SOUND


async def retranscribe(
    recording: Source,
    header: CallHeader,
    entries: Sequence[Entry],
    transcriber: Transcriber,
    *,
    told: Callable[[Side, int], None] = lambda _side, _ms: None,
) -> list[Transcription]:
    """Make text of both sides of a recording. `told` hears how far each side is, in ms of the call.

    A piece in which nothing is to be heard is not sent. Raises what the transcriber raises, and what reading the
    recording does, which happens on a thread. Cancelling gives it up.
    """
    found: list[Transcription] = []
    for channel, side in enumerate(sides(header)):
        texts: list[str] = []
        words: list[Word] = []
        pieces = iter_pieces(recording, channel)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            if not await asyncio.to_thread(lambda one: one.silent, piece):
                file = await asyncio.to_thread(write_mulaw, piece.audio)
                heard = await transcriber.transcribe(file, name=f"{side}-{piece.start_ms // 1000}.wav")
                texts.append(heard.text)
                words += [
                    Word(one.word, piece.start_ms + one.start_ms, piece.start_ms + one.end_ms)
                    for one in heard.words
                ]
            told(side, piece.start_ms + len(piece.audio) // 8)
        text = _joined(texts)
        differences = await asyncio.to_thread(compare, live_words(entries, side), text.split())
        found.append(Transcription(side, transcriber.model, text, tuple(words), tuple(differences)))
    return found


def sides(header: CallHeader) -> tuple[Side, Side]:
    """Who is on the left and who on the right side of a recording."""
    return "caller", "callee" if header.agent_kind == "log" else "agent"


def live_words(entries: Sequence[Entry], side: Side) -> list[str]:
    """The words of one side as they were written down while the call lasted; of the agent those that were heard."""
    texts: list[str] = []
    for entry in entries:
        match entry:
            case CallerSpoke(transcript=text, meaning=meaning) if side == "caller" and meaning != "echo":
                texts.append(text)
            case AgentSpoke(heard=text) if side == "agent":
                texts.append(text)
            case PartySpoke(party=party, transcript=text) if party == side:
                texts.append(text)
            case _:
                pass
    return [word for text in texts for word in text.split()]


def iter_pieces(recording: Source, channel: int, *, most_s: int = PIECE_S) -> Iterator[Piece]:
    """One side in pieces of at most `most_s` seconds, each of which ends in the longest pause of its last minute.

    Blocks on the disk.
    """
    first, start = 0, 0
    held = bytearray()
    while True:
        while len(held) < most_s * _RATE and (both := recording.audio(first, _RATE * 10)):
            first += len(both) // 2
            held += both[channel::2]
        if not held:
            return
        whole = len(held) < most_s * _RATE
        size = len(held) if whole else _pause(held[: most_s * _RATE])
        yield Piece(start * 1000 // _RATE, bytes(held[:size]))
        del held[:size]
        start += size


def _pause(audio: bytes | bytearray) -> int:
    """Where to cut: the middle of the longest quiet stretch near the end, or of the quietest moment there."""
    begin = max(len(audio) // 2, len(audio) - _LOOK_BACK_S * _RATE)
    begin -= begin % 8  # whole milliseconds
    loudness = audio[begin:].translate(_LOUDNESS)
    windows = [max(loudness[at : at + _WINDOW]) for at in range(0, len(loudness), _WINDOW)]
    floor = max(_SOUND - 1, min(windows))
    best, run = (0, 0), 0
    for index, loud in enumerate([*windows, 128]):
        if loud <= floor:
            run += 1
            continue
        if run > best[0]:
            best = (run, index - run)
        run = 0
    length, at = best
    return begin + (at * _WINDOW + length * _WINDOW // 2)


def _joined(texts: Sequence[str]) -> str:
    whole = ""
    for text in texts:
        apart = whole and text and not whole[-1].isspace() and not text[0].isspace()
        whole += f" {text}" if apart else text
    return whole
