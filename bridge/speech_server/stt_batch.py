"""Transcribing a file: `POST /stt`."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from bridge.audio import codec, wav
from bridge.errors import SettingsError
from bridge.speech_server import samples
from bridge.speech_server.access import Access, Slots
from bridge.speech_server.answers import REQUEST_ID, ApiError, bad_request
from bridge.speech_server.engine import RECOGNITION_RATE, load_detector
from bridge.speech_server.jobs import Recognize
from bridge.speech_server.manual import Finalized, ManualFinals
from bridge.speech_server.stt_sockets import SttSockets
from bridge.speech_server.turns import Transcribe
from bridge.speech_server.word_times import SpokenWord, share_out
from bridge.speech_server.worker import InferencePool, Priority

MAX_FILE_BYTES: Final = 64 << 20
"""More than an hour of WAV at 8000 Hz."""
_SILENCE_MS: Final = 900.0
_FLOAT_WAV: Final = 3


@dataclass(slots=True)
class _Upload:
    """The fields of a request."""

    file: bytes | None = None
    name: str = "file"
    language: str | None = None
    words: bool = False


@dataclass(slots=True)
class _Found:
    """What was transcribed so far."""

    texts: list[str] = field(default_factory=list)
    words: list[SpokenWord] = field(default_factory=list)


class SttBatch:
    """The handler."""

    def __init__(self, pool: InferencePool, access: Access, languages: SttSockets, *, max_files: int) -> None:
        self._pool = pool
        self._access = access
        self._languages = languages
        self._slots = Slots(max_files, "files")

    def add_to(self, app: web.Application) -> None:
        """Put the handler at its address, and at the one that some pages name."""
        app.router.add_post("/stt", self.handle)
        app.router.add_post("/stt/transcribe", self.handle)

    async def handle(self, request: web.Request) -> web.Response:
        """Protocol: "POST /stt". Takes WAV files and headerless PCM."""
        self._access.check(request)
        self._slots.take()
        try:
            return await self._handle(request)
        finally:
            self._slots.free()

    async def _handle(self, request: web.Request) -> web.Response:
        upload = await _read(request)
        if upload.file is None:
            raise bad_request("the field 'file' is missing")
        language = self._languages.language(upload.language)
        pcm, rate = await asyncio.to_thread(_decoded, upload, request)
        found = await self._transcribe(pcm, rate, language)
        answer: dict[str, Any] = {
            "type": "transcript",
            "request_id": request[REQUEST_ID],
            "text": " ".join(found.texts),
            "language": language,
            "duration": round(len(pcm) / 2 / rate, 3),
        }
        if upload.words:
            answer["words"] = [{"word": word.word, "start": word.start, "end": word.end} for word in found.words]
        return web.json_response(answer)

    async def _transcribe(self, pcm: bytes, rate: int, language: str) -> _Found:
        found = _Found()
        # Detecting speech takes 5 ms for each second of the file: off the loop, because files are long.
        for stretch in await asyncio.to_thread(_stretches, pcm, rate):
            job, finalized = stretch
            piece = pcm[2 * (job.start_ms * rate // 1000) : 2 * (job.end_ms * rate // 1000)]
            text = await self._pool.recognize(Recognize(0, piece, rate, job.voiced_ms, language), Priority.FILE)
            found.texts += [text] if text else []
            offset = job.start_ms / 1000
            found.words += [
                SpokenWord(word.word, round(word.start + offset, 3), round(word.end + offset, 3))
                for word in share_out(text.split(), finalized.speech)
            ]
        return found


def _stretches(pcm: bytes, rate: int) -> list[tuple[Transcribe, Finalized]]:
    """Where in a file there is speech, in parts that end at pauses."""
    detector = load_detector(rate)
    logic = ManualFinals(silence_ms=_SILENCE_MS)
    audio = samples.to_floats(pcm)
    size = detector.window_samples
    audio = np.concatenate([audio, np.zeros(-len(audio) % size, np.float32)])
    stretches: list[tuple[Transcribe, Finalized]] = []

    def take(outputs: list[Any]) -> None:
        for output in outputs:
            if isinstance(output, Transcribe):
                answers = logic.transcribed(output.job, "text")
                finals = [answer for answer in answers if isinstance(answer, Finalized)]
                stretches.extend((output, final) for final in finals)
                take([answer for answer in answers if isinstance(answer, Transcribe)])

    for start in range(0, len(audio), size):
        take(logic.hear(detector.score(audio[start : start + size])))
    take(logic.finish())
    return stretches


async def _read(request: web.Request) -> _Upload:
    if not request.content_type.startswith("multipart/"):
        raise bad_request("send the file as multipart/form-data")
    upload = _Upload()
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                continue
            content = await _content(part)
            if part.name == "file":
                upload.file, upload.name = content, part.filename or "file"
            elif part.name == "language":
                upload.language = content.decode(errors="replace").strip() or None
            elif part.name in {"timestamp_granularities[]", "timestamp_granularities"}:
                upload.words = upload.words or content.strip() == b"word"
    except (ValueError, HttpProcessingError) as error:
        raise bad_request(f"malformed multipart body: {error}") from error
    return upload


async def _content(part: BodyPartReader) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(1 << 16):
        content += chunk
        if len(content) > MAX_FILE_BYTES:
            raise ApiError(413, f"The file is too large: at most {MAX_FILE_BYTES >> 20} MB.")
    return bytes(content)


def _decoded(upload: _Upload, request: web.Request) -> tuple[bytes, int]:
    """linear16 and its rate, 8000 or 16000 Hz. Raises `ApiError`."""
    file = upload.file or b""
    encoding = request.query.get("encoding")
    if encoding is not None and file[:4] != b"RIFF":
        pcm, rate = _headerless(file, encoding, request.query.get("sample_rate", ""))
    else:
        pcm, rate = _from_wav(file, upload.name)
    if rate in {8000, RECOGNITION_RATE}:
        return pcm, rate
    return samples.to_linear16(samples.resampled(samples.to_floats(pcm), rate, RECOGNITION_RATE)), RECOGNITION_RATE


def _headerless(file: bytes, encoding: str, sample_rate: str) -> tuple[bytes, int]:
    if encoding not in samples.SAMPLE_BYTES:
        raise bad_request(f"encoding is {encoding[:40]!r}: it must be one of {', '.join(samples.SAMPLE_BYTES)}")
    rate = int(sample_rate) if sample_rate.isascii() and sample_rate.isdigit() else 0
    if not samples.LOWEST_RATE <= rate <= samples.HIGHEST_RATE:
        raise bad_request(f"sample_rate is {sample_rate[:40]!r}: it must be from 8000 to 48000")
    return samples.decode(
        file[: len(file) // samples.SAMPLE_BYTES[encoding] * samples.SAMPLE_BYTES[encoding]], encoding
    ), rate


def _from_wav(file: bytes, name: str) -> tuple[bytes, int]:
    floats = _float_wav(file)
    if floats is not None:
        return floats
    try:
        found = wav.parse(file, name=name[:80])
    except SettingsError as error:
        raise bad_request(f"{error.message}. This server reads no compressed files.", "unsupported_file") from error
    return _mono(found), found.sample_rate


def _mono(found: wav.Wav) -> bytes:
    """linear16 of one channel."""
    if found.format == 1:
        pcm = codec.pcm_to_linear16(found.data, found.bits)
    else:
        pcm = samples.decode(found.data, "pcm_alaw" if found.format == 6 else "pcm_mulaw")
    return codec.mix_to_mono(pcm) if found.channels == 2 else pcm


def _float_wav(file: bytes) -> tuple[bytes, int] | None:
    """A mono WAV of 32-bit floats, which is what the service's own examples make; None if it is something else."""
    if file[:4] != b"RIFF" or file[12:16] != b"fmt " or len(file) < 44:
        return None
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", file, 20)
    data = file.find(b"data", 36)
    if (tag, channels, bits) != (_FLOAT_WAV, 1, 32) or data < 0:
        return None
    length = min(struct.unpack_from("<I", file, data + 4)[0], len(file) - data - 8) // 4 * 4
    return samples.decode(file[data + 8 : data + 8 + length], "pcm_f32le"), rate
