"""The caller's mouth: what is to be said, cut into frames. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bridge.simulator.listening import speech_bounds

BYTES_PER_S: Final = 8000
FRAME_BYTES: Final = 160
FRAME_S: Final = 0.020
SILENCE: Final = b"\xff"
_HALF_A_BYTE: Final = 0.5 / BYTES_PER_S


@dataclass(slots=True, eq=False)
class Utterance:
    """Something the caller says. Times are call times in seconds, None until they are known."""

    audio: bytes
    """Mu-law."""
    label: str = ""
    """What it is called in reports."""
    not_before_s: float | None = None
    on_said: Callable[[], None] | None = None
    """Called once its last byte is in a frame."""
    start_s: float | None = None
    end_s: float | None = None
    offset: int = 0
    """Bytes said so far."""
    _bounds: tuple[float, float] | None = field(init=False)

    def __post_init__(self) -> None:
        self._bounds = speech_bounds(self.audio)

    @property
    def speech_start_s(self) -> float | None:
        """When its first sound began (recordings begin with quiet); its start if it is quiet throughout."""
        return None if self.start_s is None else self.start_s + (self._bounds[0] if self._bounds else 0.0)

    @property
    def speech_end_s(self) -> float | None:
        """When its last sound ended; its end if it is quiet throughout. None until all was said."""
        if self.start_s is None or self.end_s is None:
            return None
        return self.start_s + self._bounds[1] if self._bounds else self.end_s

    @property
    def silent(self) -> bool:
        """Whether it holds no sound at all."""
        return self._bounds is None


class CallerVoice:
    """Says utterances one after the other, byte for byte, and silence in between."""

    def __init__(self) -> None:
        self.said: list[Utterance] = []
        """Everything whose saying has begun."""
        self._queue: deque[Utterance] = deque()

    @property
    def busy(self) -> bool:
        """Whether there is anything left to say."""
        return bool(self._queue)

    def say(self, utterance: Utterance) -> None:
        """Say it after what is queued, not before its `not_before_s`."""
        self._queue.append(utterance)

    def drop(self, utterance: Utterance) -> None:
        """Say no more of it."""
        if utterance in self._queue:
            self._queue.remove(utterance)
            if utterance.start_s is not None:
                utterance.end_s = utterance.start_s + utterance.offset / BYTES_PER_S

    def frame(self, start_s: float) -> bytes:
        """The 20 ms that are said from call time `start_s` on."""
        if not self._queue:
            return SILENCE * FRAME_BYTES
        frame = bytearray()
        while self._queue and len(frame) < FRAME_BYTES:
            utterance = self._queue[0]
            at = start_s + len(frame) / BYTES_PER_S
            if utterance.start_s is None:
                wait = (utterance.not_before_s or 0.0) - at
                if wait > _HALF_A_BYTE:
                    frame += SILENCE * min(FRAME_BYTES - len(frame), max(1, round(wait * BYTES_PER_S)))
                    continue
                utterance.start_s = at
                self.said.append(utterance)
            piece = utterance.audio[utterance.offset : utterance.offset + FRAME_BYTES - len(frame)]
            frame += piece
            utterance.offset += len(piece)
            if utterance.offset == len(utterance.audio):
                self._finish(start_s + len(frame) / BYTES_PER_S)
        return bytes(frame).ljust(FRAME_BYTES, SILENCE)

    def _finish(self, at: float) -> None:
        utterance = self._queue.popleft()
        utterance.end_s = at
        if utterance.on_said is not None:
            utterance.on_said()
