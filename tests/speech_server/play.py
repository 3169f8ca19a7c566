"""Playbook for the pure logic: windows in, what happened out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bridge.audio.vad import WINDOW_MS
from bridge.speech_server.turns import Purpose, Transcribe, Turns


class Talk:
    """A stream heard by `Turns`: speech and silence, and a recogniser that answers at once or later."""

    def __init__(self, logic: Turns, says: Callable[[Transcribe], str | None] | None = None) -> None:
        self.logic = logic
        self.says = says
        self.asked: list[Transcribe] = []
        self.told: list[Any] = []

    def speech(self, ms: int) -> list[Any]:
        return self._hear(ms, 0.95)

    def silence(self, ms: int) -> list[Any]:
        return self._hear(ms, 0.02)

    def answer(self, text: str | None, purpose: Purpose | None = None) -> list[Any]:
        """Answer the last thing asked for."""
        job = next(job for job in reversed(self.asked) if purpose in {None, job.purpose})
        return self._take(self.logic.transcribed(job.job, text))

    def finish(self) -> list[Any]:
        return self._take(self.logic.finish())

    def _hear(self, ms: int, score: float) -> list[Any]:
        told: list[Any] = []
        for _ in range(round(ms / WINDOW_MS)):
            told += self._take(self.logic.hear(score))
        return told

    def _take(self, outputs: list[Any]) -> list[Any]:
        told: list[Any] = []
        for output in outputs:
            if not isinstance(output, Transcribe):
                told.append(output)
                self.told.append(output)
                continue
            self.asked.append(output)
            if self.says is not None:
                told += self._take(self.logic.transcribed(output.job, self.says(output)))
        return told
