"""The inference process: `python -m bridge.speech_server.inference ROLE ENGINE [MODEL]`.

It loads one model, says so, and does one job after the other from its standard input. The server starts it and
ends it by closing that input; so it also ends when the server dies. Nothing else may write to its standard output.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import BinaryIO

# One core for one process, whatever numeric library the engine brings; read when those are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from bridge.errors import BridgeError, MissingExtraError
from bridge.speech_server import samples
from bridge.speech_server.engine import (
    RECOGNITION_RATE,
    Samples,
    SpeechRecognition,
    SpeechSynthesis,
    load_recognizer,
    load_voice_engine,
)
from bridge.speech_server.guard import guarded
from bridge.speech_server.jobs import (
    Failed,
    Job,
    Ready,
    Recognize,
    Recognized,
    Report,
    Speak,
    Spoken,
    packed,
    read_job,
)
from bridge.speech_server.sentences import Piece, pieces
from bridge.speech_server.word_times import Span, SpokenWord, share_out

_BEFORE = 0.02
_AFTER = 0.06
"""Seconds of the engine's own silence that are kept around a sentence."""
_CLICK = 0.03
_LONG_GAP = 0.25
"""Seconds; see `_is_click`."""
_NICE = 5
"""Recognition takes whole cores for a while; hearing, sending and speaking are short and must not wait for it."""
_NON_LATIN = frozenset({"ar", "be", "bg", "el", "fa", "he", "hi", "ja", "ko", "mk", "ru", "sr", "th", "uk", "zh"})
_LONGEST_SECONDS = 30


def transcribe(engine: SpeechRecognition, job: Recognize) -> Recognized:
    """Recognise an utterance and remove what was made up."""
    heard = samples.to_floats(job.audio)[: _LONGEST_SECONDS * job.sample_rate]
    text = engine.transcribe(samples.resampled(heard, job.sample_rate, RECOGNITION_RATE), job.language)
    return Recognized(
        job.id,
        guarded(
            text,
            seconds=len(heard) / job.sample_rate,
            voiced_ms=job.voiced_ms,
            level_db=samples.loudest_db(heard, job.sample_rate),
            latin=job.language not in _NON_LATIN,
        ),
    )


def speak(engine: SpeechSynthesis, job: Speak) -> Spoken:
    """Speak a sentence; its silence at both ends is cut to `_BEFORE` and `_AFTER`."""
    sound: list[Samples] = [_silence(job.lead, engine.sample_rate)]
    words: list[SpokenWord] = []
    for piece in pieces(job.text):
        sound.append(_silence(piece.pause, engine.sample_rate))
        spoken, spans = _spoken(engine, job, piece)
        offset = sum(map(len, sound)) / engine.sample_rate
        words += [
            SpokenWord(word.word, word.start + offset, word.end + offset) for word in share_out(piece.words, spans)
        ]
        sound.append(spoken)
    joined = samples.resampled(np.concatenate(sound), engine.sample_rate, job.sample_rate)
    audio = samples.encode(samples.to_linear16(joined), job.encoding)
    times = [(word.word, round(word.start, 3), round(word.end, 3)) for word in words]
    return Spoken(job.id, audio, len(joined) / job.sample_rate, times)


def _spoken(engine: SpeechSynthesis, job: Speak, piece: Piece) -> tuple[Samples, list[tuple[float, float]]]:
    """The sound of a piece, trimmed, and where in it there is sound."""
    rate = engine.sample_rate
    pcm = engine.speak(piece.text, voice=job.voice, speed=job.speed, volume=job.volume) if piece.text else b""
    sound = samples.to_floats(pcm)
    spans = samples.sounding(sound, rate)
    while len(spans) > 1 and _is_click(spans[-2], spans[-1]):
        spans.pop()
    if not spans:
        return sound[:0], []
    start = max(0.0, spans[0][0] - _BEFORE)
    trimmed = sound[int(start * rate) : int((spans[-1][1] + _AFTER) * rate)]
    return trimmed, [(first - start, last - start) for first, last in spans]


def _is_click(before: Span, last: Span) -> bool:
    """Whether the last sound is none: the voice clicks in its own silence, long after the last word.

    The closure before a final `t` is shorter than the gap, its release longer than the click.
    """
    return last[1] - last[0] <= _CLICK and last[0] - before[1] > _LONG_GAP


def _silence(seconds: float, rate: int) -> Samples:
    return np.zeros(int(seconds * rate), np.float32)


def work(recognizer: SpeechRecognition | None, voice: SpeechSynthesis | None, job: Job) -> Report:
    """Do a job; an engine that fails at it is no reason to end."""
    try:
        if isinstance(job, Recognize) and recognizer is not None:
            return transcribe(recognizer, job)
        if isinstance(job, Speak) and voice is not None:
            return speak(voice, job)
    except Exception as error:  # noqa: BLE001 - whatever an engine raises is reported; the next job may be fine
        return Failed(job.id, "engine", f"{type(error).__name__}: {error}")
    return Failed(job.id, "engine", "this process does other jobs")


def run(arguments: list[str], jobs: BinaryIO, reports: BinaryIO) -> int:
    """Load what `arguments` name (role, engine, model) and work until `jobs` ends. Returns the exit code."""
    role, name, model = (*arguments, None, None)[:3]
    recognizer: SpeechRecognition | None = None
    voice: SpeechSynthesis | None = None
    try:
        if role == "recognizer":
            recognizer = load_recognizer(name or "", model)
            languages = None if recognizer.languages is None else sorted(recognizer.languages)
            ready = Ready(recognizer.name, languages)
        else:
            voice = load_voice_engine(name or "", model)
            ready = Ready(voice.name, voices=list(voice.voices))
    except BridgeError as error:
        extra = error.extra if isinstance(error, MissingExtraError) else None
        reports.write(packed(Failed(0, error.code, error.message, extra)))
        reports.flush()
        return 1
    _warm(recognizer, voice)
    reports.write(packed(ready))
    reports.flush()
    while (job := read_job(jobs)) is not None:
        reports.write(packed(work(recognizer, voice, job)))
        reports.flush()
    return 0


def _be_nice() -> None:
    with contextlib.suppress(AttributeError, OSError):  # Windows has no such thing
        os.nice(_NICE)


def _warm(recognizer: SpeechRecognition | None, voice: SpeechSynthesis | None) -> None:
    """The first run of a model is several times slower than the rest; no caller shall pay for that."""
    if recognizer is not None:
        noise = np.random.default_rng(0).standard_normal(RECOGNITION_RATE).astype(np.float32) * 0.01
        recognizer.transcribe(noise, "en")
    if voice is not None:
        voice.speak("Ready.", voice=voice.voices[0], speed=1.0, volume=1.0)


def main() -> int:
    """Entry point: keep standard output for reports, whatever native libraries print."""
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Ctrl-C in a terminal reaches the whole group; the server decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.argv[1:2] == ["recognizer"]:
        _be_nice()
    try:
        return run(sys.argv[1:], sys.stdin.buffer, reports)
    except BrokenPipeError:
        return 0  # the server is gone


if __name__ == "__main__":
    sys.exit(main())
