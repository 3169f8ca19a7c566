"""Text-to-speech over HTTP: `POST /tts/bytes`, `POST /tts/sse`, and the list of voices."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
from aiohttp import web

from bridge.errors import SpeechError
from bridge.speech_server.access import Access, Slots
from bridge.speech_server.answers import REQUEST_ID, bad_request
from bridge.speech_server.samples import SAMPLE_BYTES
from bridge.speech_server.sentences import SentenceBuffer
from bridge.speech_server.speaker import Manner, Speaker, Voices, chunks
from bridge.speech_server.tts_context import check_format, speed_of, volume_of
from bridge.speech_server.tts_sockets import word_times
from bridge.speech_server.worker import InferencePool
from bridge.tts import cartesia_wire as wire

_FORMAT_TAGS: Final[Mapping[str, int]] = MappingProxyType(
    {"pcm_s16le": 1, "pcm_f32le": 3, "pcm_alaw": 6, "pcm_mulaw": 7}
)


class _Body(msgspec.Struct, frozen=True):
    """The JSON both endpoints take. What a plain voice cannot do is accepted and has no effect."""

    model_id: str
    transcript: str
    voice: str | wire.VoiceObject
    output_format: dict[str, Any]
    language: str | None = None
    locale: str | None = None
    generation_config: wire.GenerationConfig | None = None
    speed: str | None = None
    context_id: str = ""
    add_timestamps: bool | None = None


_body = msgspec.json.Decoder(_Body)


class TtsHttp:
    """The handlers."""

    def __init__(self, pool: InferencePool, voices: Voices, access: Access, slots: Slots) -> None:
        self._pool = pool
        self._voices = voices
        self._access = access
        self._slots = slots

    def add_to(self, app: web.Application) -> None:
        """Put the handlers at their addresses."""
        app.router.add_post("/tts/bytes", self.bytes)
        app.router.add_post("/tts/sse", self.sse)
        app.router.add_get("/voices", self.voices)

    async def voices(self, request: web.Request) -> web.Response:
        """The voices there are."""
        self._access.check(request)
        listed = [
            {"id": voice, "name": voice, "language": voice[:2], "description": f"{self._pool.ready.engine} {voice}"}
            for voice in self._voices.ids
        ]
        return web.json_response({"data": listed, "has_more": False})

    async def bytes(self, request: web.Request) -> web.StreamResponse:
        """Protocol: "POST /tts/bytes". Raw audio is streamed sentence by sentence; a WAV needs its length first."""
        body, wanted = await self._read(request, frozenset({"raw", "wav"}))
        speaker = self._speaker(body, wanted)
        sentences = _sentences(body.transcript)
        self._slots.take()
        try:
            if wanted.container == "wav":
                audio = b"".join([(await speaker.say(sentence)).audio for sentence in sentences])
                return web.Response(body=_wav(audio, wanted), content_type="audio/wav")
            # The first sentence comes before the answer's head, so that a voice that fails is an error answer.
            first = (await speaker.say(sentences[0])).audio if sentences else b""
            response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
            response.enable_chunked_encoding()
            await response.prepare(request)
            await response.write(first)
            for sentence in sentences[1:]:
                await response.write((await speaker.say(sentence)).audio)
            await response.write_eof()
        finally:
            self._slots.free()
        return response

    async def sse(self, request: web.Request) -> web.StreamResponse:
        """Protocol: "POST /tts/sse"."""
        body, wanted = await self._read(request, frozenset({"raw"}))
        speaker = self._speaker(body, wanted)
        self._slots.take()
        try:
            response = web.StreamResponse(
                headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
            )
            await response.prepare(request)
            try:
                await self._stream(response, speaker, body, wanted)
            except SpeechError as error:
                failed = wire.Error(
                    title="Internal error", message=error.message, status_code=500, request_id=request[REQUEST_ID]
                )
                await _event(response, "error", failed)
            await response.write_eof()
        finally:
            self._slots.free()
        return response

    async def _stream(
        self, response: web.StreamResponse, speaker: Speaker, body: _Body, wanted: wire.OutputFormat
    ) -> None:
        for sentence in _sentences(body.transcript):
            sound = await speaker.say(sentence)
            for data in chunks(sound.audio, wanted):
                await _event(response, "chunk", wire.Chunk(body.context_id, data))
            if body.add_timestamps and sound.words:
                await _event(response, "timestamps", wire.Timestamps(body.context_id, word_times(sound)))
        await _event(response, "done", wire.Done(body.context_id))

    async def _read(self, request: web.Request, containers: frozenset[str]) -> tuple[_Body, wire.OutputFormat]:
        self._access.check(request)
        try:
            body = _body.decode(await request.read())
            if body.output_format.get("container") == "mp3":
                raise bad_request("this server makes no MP3: ask for the container wav or raw")
            wanted = msgspec.convert(body.output_format, wire.OutputFormat)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise bad_request(f"malformed request: {error}") from error
        check_format(wanted, containers=containers)
        if body.language and body.locale:
            raise bad_request("set language or locale, not both")
        return body, wanted

    def _speaker(self, body: _Body, wanted: wire.OutputFormat) -> Speaker:
        voice_id = body.voice if isinstance(body.voice, str) else body.voice.id
        language = body.language or (body.locale or "")[:2] or None
        manner = Manner(
            self._voices.choose(voice_id, language),
            language,
            wanted,
            speed_of(body.generation_config, body.speed),
            volume_of(body.generation_config),
        )
        return Speaker(self._pool, manner)


def _sentences(text: str) -> list[str]:
    buffer = SentenceBuffer()
    buffer.add(text)
    return buffer.take_all()


async def _event(response: web.StreamResponse, name: str, message: wire.ServiceMessage) -> None:
    await response.write(f"event: {name}\ndata: {wire.encode(message)}\n\n".encode())


def _wav(audio: bytes, wanted: wire.OutputFormat) -> bytes:
    """A WAV file; other formats than PCM have the length of their extension (0) and a `fact` chunk."""
    tag, width, rate = _FORMAT_TAGS[wanted.encoding], SAMPLE_BYTES[wanted.encoding], wanted.sample_rate
    plain = struct.pack("<HHIIHH", tag, 1, rate, rate * width, width, 8 * width)
    fact = b"" if tag == 1 else struct.pack("<4sII", b"fact", 4, len(audio) // width)
    fmt = plain if tag == 1 else plain + bytes(2)
    chunks_ = struct.pack("<4sI", b"fmt ", len(fmt)) + fmt + fact
    data = struct.pack("<4sI", b"data", len(audio)) + audio + bytes(len(audio) % 2)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks_) + len(data), b"WAVE") + chunks_ + data
