"""One stream of audio on its way through detector, turn logic and recogniser.

The logic (`turns.Turns` or `manual.ManualFinals`) is pure and holds no audio; here the audio is kept as long as the
logic may ask for it, and what it asks for is transcribed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

import structlog

from bridge.audio.vad import WINDOW_MS
from bridge.errors import ProtocolError, SpeechError
from bridge.speech_server import samples
from bridge.speech_server.engine import Samples, SpeechDetector
from bridge.speech_server.jobs import Recognize
from bridge.speech_server.turns import Purpose, Transcribe
from bridge.speech_server.worker import InferencePool, Priority
from bridge.tasks import spawn

_log = structlog.get_logger()

_BATCH_WINDOWS: Final = 32
"""Windows after which other work of the loop gets its turn: about 6 ms."""
_LEAD_WINDOWS: Final = 12
"""How far the hearing may run ahead of a text that is waited for: 384 ms. In real time it never does; a client that
sends faster would otherwise see turns run together."""


class StreamAudio:
    """The audio of a stream: any encoding and rate in, windows for the detector and stretches to transcribe out."""

    def __init__(self, encoding: str, sample_rate: int) -> None:
        """Raises `ProtocolError` (code `bad_parameter`) for a rate that is not served."""
        if not samples.LOWEST_RATE <= sample_rate <= samples.HIGHEST_RATE:
            raise ProtocolError(
                f"sample_rate is {sample_rate}: it must be from {samples.LOWEST_RATE} to {samples.HIGHEST_RATE}",
                code="bad_parameter",
            )
        # Telephone audio stays as it is; everything else becomes what the recogniser wants.
        self.rate = 8000 if sample_rate == 8000 else 16000
        self.window_samples = self.rate * WINDOW_MS // 1000
        self._encoding = encoding
        self._resampler = None if sample_rate == self.rate else samples.Resampler(sample_rate, self.rate)
        self._rest = b""
        self._kept = bytearray()
        self._kept_from = 0
        self._next_window = 0

    def add(self, audio: bytes) -> None:
        """Take audio as it came; half a sample at its end is kept for the next piece."""
        audio = self._rest + audio if self._rest else audio
        size = samples.SAMPLE_BYTES[self._encoding]
        whole = len(audio) // size * size
        self._rest = audio[whole:]
        self._keep(samples.decode(audio[:whole], self._encoding), last=False)

    def finish(self) -> None:
        """No more audio: what is left in the resampler comes out, and the last window is filled with silence."""
        if self._resampler is not None:
            self._keep(b"", last=True)
        heard = len(self._kept) // 2 + self._kept_from
        missing = -heard % self.window_samples
        self._kept += bytes(2 * missing)

    def windows(self) -> Iterator[Samples]:
        """The windows that are complete and were not given out yet."""
        while True:
            start = 2 * (self._next_window - self._kept_from)
            piece = self._kept[start : start + 2 * self.window_samples]
            if len(piece) < 2 * self.window_samples:
                return
            self._next_window += self.window_samples
            yield samples.to_floats(bytes(piece))

    @property
    def heard_ms(self) -> int:
        """How far the windows that were given out reach."""
        return self._next_window * 1000 // self.rate

    def stretch(self, start_ms: int, end_ms: int) -> bytes:
        """linear16 at `rate` between two moments."""
        first, last = (2 * (ms * self.rate // 1000 - self._kept_from) for ms in (start_ms, end_ms))
        return bytes(self._kept[max(0, first) : last])

    def forget(self, before_ms: int) -> None:
        """Drop audio before a moment; done in large steps, because it moves what is kept."""
        before = min(before_ms * self.rate // 1000, self._next_window)
        if before - self._kept_from >= self.rate * 2:
            del self._kept[: 2 * (before - self._kept_from)]
            self._kept_from = before

    def _keep(self, audio: bytes, *, last: bool) -> None:
        if self._resampler is not None:
            audio = self._resampler.convert(audio, last=last)
        self._kept += audio


class ListeningLogic(Protocol):
    """What `turns.Turns` and `manual.ManualFinals` have in common."""

    @property
    def idle(self) -> bool:
        """Nothing is to be waited for."""

    @property
    def keep_from_ms(self) -> int:
        """Audio before this is never asked for again."""

    def hear(self, score: float) -> Sequence[Any]:
        """Take the speech score of the next window."""

    def transcribed(self, job: int, text: str | None) -> Sequence[Any]:
        """Take the text of a `Transcribe`; None if it failed."""

    def finish(self) -> Sequence[Any]:
        """No more audio comes."""


class Listener:
    """Runs one stream. What the logic says beside `Transcribe` goes to `report`, in order."""

    def __init__(
        self,
        logic: ListeningLogic,
        audio: StreamAudio,
        detector: SpeechDetector,
        pool: InferencePool,
        report: Callable[[Any], None],
        *,
        language: str = "en",
    ) -> None:
        self._logic = logic
        self._audio = audio
        self._pool = pool
        self._report = report
        self._language = language
        self._detector = detector
        self._running: asyncio.Task[None] | None = None
        self._purpose = Purpose.PREVIEW
        self._ahead = 0

    async def hear(self, audio: bytes) -> None:
        """Take audio. Waits only for a client that sends faster than it speaks."""
        self._audio.add(audio)
        await self._hear_windows()

    async def finish(self) -> None:
        """No more audio: returns when everything was transcribed and reported."""
        self._audio.finish()
        await self._hear_windows()
        self.act(self._logic.finish())
        while self._running is not None and not self._logic.idle:
            await asyncio.wait([self._running])

    def abort(self) -> None:
        """Nothing is reported any more."""
        if self._running is not None:
            self._running.cancel()
            self._running = None

    def act(self, outputs: Sequence[Any]) -> None:
        """Carry out what the logic said."""
        for output in outputs:
            if isinstance(output, Transcribe):
                self._start(output)
            else:
                self._report(output)

    async def _hear_windows(self) -> None:
        for count, window in enumerate(self._audio.windows(), start=1):
            self.act(self._logic.hear(self._detector.score(window)))
            self._ahead += 1
            while (
                self._running is not None and self._purpose is not Purpose.PREVIEW and self._ahead > _LEAD_WINDOWS
            ):
                await asyncio.wait([self._running])
            if count % _BATCH_WINDOWS == 0:
                await asyncio.sleep(0)
        self._audio.forget(self._logic.keep_from_ms)

    def _start(self, job: Transcribe) -> None:
        if self._running is not None:
            self._running.cancel()
        self._purpose = job.purpose
        self._ahead = 0
        if job.purpose is Purpose.PREVIEW:
            # One that has waited shows all that was said by then: nobody wants to know what was, and the logic
            # keeps the audio from `start_ms` on for as long as it waits for the text.
            newest = lambda: self._stretch(job, self._audio.heard_ms)  # noqa: E731  It is one expression.
            work = self._transcribe(job, newest, Priority.PREVIEW)
        else:
            # The audio is taken now: before the task begins, some of it may have been forgotten.
            work = self._transcribe(job, self._stretch(job, job.end_ms), Priority.FINAL)
        self._running = spawn(work, name="transcribe")

    def _stretch(self, job: Transcribe, end_ms: int) -> Recognize:
        audio = self._audio.stretch(job.start_ms, end_ms)
        return Recognize(0, audio, self._audio.rate, job.voiced_ms, self._language)

    async def _transcribe(
        self, job: Transcribe, stretch: Recognize | Callable[[], Recognize], priority: Priority
    ) -> None:
        text: str | None = None
        try:
            text = await self._pool.recognize(stretch, priority)
        except SpeechError as error:
            _log.warning("transcription_failed", reason=error.message)
        self._running = None
        self.act(self._logic.transcribed(job.job, text))
