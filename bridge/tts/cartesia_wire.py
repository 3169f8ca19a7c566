"""The messages of Cartesia's text-to-speech socket, both directions. Pure: text in, values out, and back.

Protocol: `/tts/websocket`. One socket carries many contexts; a context is one stretch of speech and is named by the
client's `context_id`. Transcripts of a context are joined verbatim. Requests have no `type` field: a `cancel` is
told by its own field. Both the bridge's client and the offline speech server speak through this file.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

from bridge.errors import ProtocolError

TTS_PATH: Final = "/tts/websocket"
VOICE_WITHOUT_MODE_SINCE: Final = "2026-08-14"
"""From this version on a voice has no `mode`. Versions are dates, so they compare as text."""


class OutputFormat(msgspec.Struct, frozen=True):
    """How the audio shall come. The defaults are what a phone plays: bare mu-law, 8000 Hz."""

    container: str = "raw"
    """Always `raw` on the socket."""
    encoding: str = "pcm_mulaw"
    """`pcm_f32le`, `pcm_s16le`, `pcm_mulaw` or `pcm_alaw`."""
    sample_rate: int = 8000
    """Hz."""


class VoiceObject(msgspec.Struct, frozen=True, omit_defaults=True):
    """A voice by its id, in either shape: with `mode` (before 2026-08-14) or without."""

    id: str
    mode: str | None = None


class GenerationConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the text shall be spoken (sonic-3 and later)."""

    speed: float | None = None
    """0.6 to 1.5."""
    volume: float | None = None
    """0.5 to 2.0."""
    emotion: str | None = None


class Generate(msgspec.Struct, frozen=True, kw_only=True, rename={"continue_": "continue"}):
    """Client: speak `transcript` as (a further piece of) the context. What is None is left out of the message.

    An empty transcript with `continue_=False` ends the context; with `flush=True` it only speaks what is waiting.
    """

    context_id: str
    model_id: str
    transcript: str
    voice: str | VoiceObject
    output_format: OutputFormat = OutputFormat()
    continue_: bool = False
    """True: more text of this context will follow."""
    language: str | None = None
    flush: bool | None = None
    max_buffer_delay_ms: int | None = None
    """0 to 5000: how long the service may hold text for better prosody; None is its default, 3000."""
    add_timestamps: bool | None = None
    add_phoneme_timestamps: bool | None = None
    use_normalized_timestamps: bool | None = None
    generation_config: GenerationConfig | None = None
    speed: str | None = None
    """`slow`, `normal` or `fast`."""
    pronunciation_dict_id: str | None = None

    @property
    def voice_id(self) -> str:
        """The voice's id, whichever shape it came in."""
        return self.voice if isinstance(self.voice, str) else self.voice.id


class Cancel(msgspec.Struct, frozen=True):
    """Client: start nothing more of this context. A request already in work may still send audio."""

    context_id: str
    cancel: bool = True


class Chunk(msgspec.Struct, frozen=True, tag="chunk", tag_field="type"):
    """Audio of a context, in order, of any length."""

    context_id: str
    data: bytes
    """Decoded; base64 on the wire."""
    done: bool = False
    status_code: int = 206
    step_time: float = 0.0
    """The server's work for this chunk, in ms."""
    flush_id: int | None = None
    """1 for the audio up to the first flush of the context, and so on."""


class WordTimes(msgspec.Struct, frozen=True):
    """Parallel lists: words and their times in seconds from the start of the context's audio."""

    words: list[str]
    start: list[float]
    end: list[float]


class Timestamps(msgspec.Struct, frozen=True, tag="timestamps", tag_field="type"):
    """When words of a context sound."""

    context_id: str
    word_timestamps: WordTimes | None = None
    done: bool = False
    status_code: int = 206
    flush_id: int | None = None


class PhonemeTimes(msgspec.Struct, frozen=True):
    """Parallel lists, as `WordTimes`."""

    phonemes: list[str]
    start: list[float]
    end: list[float]


class PhonemeTimestamps(msgspec.Struct, frozen=True, tag="phoneme_timestamps", tag_field="type"):
    """When phonemes of a context sound."""

    context_id: str
    phoneme_timestamps: PhonemeTimes | None = None
    done: bool = False
    status_code: int = 206
    flush_id: int | None = None


class FlushDone(msgspec.Struct, frozen=True, tag="flush_done", tag_field="type"):
    """All audio of a flush was sent. With a buffer delay of 0 it also marks the end of each transcript."""

    context_id: str
    flush_id: int | None = None
    flush_done: bool = True
    done: bool = False
    status_code: int = 206


class Done(msgspec.Struct, frozen=True, tag="done", tag_field="type"):
    """All audio of the context was sent."""

    context_id: str
    done: bool = True
    status_code: int = 206


class Error(msgspec.Struct, frozen=True, tag="error", tag_field="type"):
    """The service reports an error."""

    context_id: str | None = None
    """None: it concerns the connection."""
    title: str | None = None
    message: str | None = None
    status_code: int | None = None
    """As an HTTP status."""
    error_code: str | None = None
    doc_url: str | None = None
    request_id: str | None = None
    done: bool = True
    error: str | None = None
    """The text of older servers."""

    @property
    def text(self) -> str:
        """The best sentence among the fields."""
        return self.message or self.error or self.title or "no reason given"


class Unknown(msgspec.Struct, frozen=True):
    """A well-formed message of a type this file does not know: to be ignored."""

    type: str


ServiceMessage: TypeAlias = Chunk | Timestamps | PhonemeTimestamps | FlushDone | Done | Error
Request: TypeAlias = Generate | Cancel


class _RequestContext(msgspec.Struct, frozen=True):
    context_id: str


class _RequestHead(_RequestContext, frozen=True):
    cancel: bool | None = None


class _ServiceHead(msgspec.Struct, frozen=True):
    type: str


_service: msgspec.json.Decoder[ServiceMessage] = msgspec.json.Decoder(ServiceMessage)
_service_head = msgspec.json.Decoder(_ServiceHead)
_request_context = msgspec.json.Decoder(_RequestContext)
_request_head = msgspec.json.Decoder(_RequestHead)
_generate = msgspec.json.Decoder(Generate)
_SERVICE_TYPES: Final = frozenset({"chunk", "timestamps", "phoneme_timestamps", "flush_done", "done", "error"})


def parse_from_service(text: str | bytes) -> ServiceMessage | Unknown:
    """Read a text frame that the service sent. Raises `ProtocolError` if it is malformed."""
    try:
        return _service.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        try:
            head = _service_head.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise ProtocolError(f"not a JSON message with a type: {error}") from error
        if head.type in _SERVICE_TYPES:
            raise ProtocolError(f"malformed {head.type} message: {error}") from error
        return Unknown(head.type)


def parse_from_client(text: str | bytes) -> Request:
    """Read a text frame that a client sent. Raises `ProtocolError` if it is malformed."""
    try:
        head = _request_head.decode(text)
        return Cancel(head.context_id) if head.cancel else _generate.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ProtocolError(f"malformed speech request: {error}") from error


def context_of(text: str | bytes) -> str | None:
    """The context that a malformed request of a client names; None: it names none."""
    try:
        return _request_context.decode(text).context_id
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def encode(message: ServiceMessage | Request) -> str:
    """The text frame of a message, either direction. What is None is left out."""
    fields: dict[str, Any] = msgspec.to_builtins(message)
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None}).decode()


def voice_for(version: str, voice_id: str) -> VoiceObject:
    """The voice in the shape that `version` (the `Cartesia-Version` header) asks for."""
    return VoiceObject(voice_id, mode=None if version >= VOICE_WITHOUT_MODE_SINCE else "id")
