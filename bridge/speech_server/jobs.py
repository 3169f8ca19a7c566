"""What the server and its inference processes say to each other: length-prefixed MessagePack over pipes."""

from __future__ import annotations

import asyncio
import struct
from typing import BinaryIO, Final, TypeAlias

import msgspec


class Recognize(msgspec.Struct, frozen=True, tag="recognize"):
    """Transcribe an utterance."""

    id: int
    audio: bytes
    """linear16, mono."""
    sample_rate: int
    """Hz."""
    voiced_ms: int
    """How much of it the detector took for speech."""
    language: str = "en"


class Speak(msgspec.Struct, frozen=True, tag="speak"):
    """Speak a sentence."""

    id: int
    text: str
    """May hold tags."""
    voice: str
    language: str | None
    encoding: str
    sample_rate: int
    """Hz."""
    speed: float = 1.0
    volume: float = 1.0
    lead: float = 0.0
    """Seconds of silence before it."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The model is loaded."""

    engine: str
    languages: list[str] | None = None
    voices: list[str] = []


class Recognized(msgspec.Struct, frozen=True, tag="recognized"):
    """The text of an utterance; empty if there were no words."""

    id: int
    text: str


class Spoken(msgspec.Struct, frozen=True, tag="spoken"):
    """A sentence's audio in the encoding asked for."""

    id: int
    audio: bytes
    seconds: float
    words: list[tuple[str, float, float]] = []
    """Each with its start and end in seconds from the beginning of the audio."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """A job, or with `id` 0 the loading, failed."""

    id: int
    code: str
    message: str
    extra: str | None = None
    """The extra that would have to be installed."""


Job: TypeAlias = Recognize | Speak
Report: TypeAlias = Ready | Recognized | Spoken | Failed

_HEAD: Final = struct.Struct("<I")
_job_decoder: msgspec.msgpack.Decoder[Job] = msgspec.msgpack.Decoder(Job)
_report_decoder: msgspec.msgpack.Decoder[Report] = msgspec.msgpack.Decoder(Report)


def packed(message: Job | Report) -> bytes:
    """A message as it goes through the pipe."""
    body = msgspec.msgpack.encode(message)
    return _HEAD.pack(len(body)) + body


def read_job(stream: BinaryIO) -> Job | None:
    """Wait for the next job; None at the end of the stream, which is how a server's death shows."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    return _job_decoder.decode(stream.read(_HEAD.unpack(head)[0]))


async def read_report(stream: asyncio.StreamReader) -> Report | None:
    """Wait for the next report; None if the process is gone."""
    try:
        (length,) = _HEAD.unpack(await stream.readexactly(_HEAD.size))
        return _report_decoder.decode(await stream.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
