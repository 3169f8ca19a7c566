"""The messages of Cartesia's realtime speech-to-text sockets, both directions. Pure: text in, values out, and back.

Protocol: `/stt/turns/websocket` (the service finds the turns) and `/stt/websocket` (the client finalizes). Both the
bridge's clients and the offline speech server speak through this file. Audio is not here: it travels as bare binary
frames in the encoding that the query declared (`TurnsParameters`, `ManualParameters`).

Texts are verbatim: spaces at either end belong to the transcript. On the turns socket a transcript is all of the
turn so far and replaces the earlier one; on the manual socket a final text is what came since the last final text.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec

from bridge.errors import ProtocolError
from bridge.stt.cartesia_query import (
    ENCODINGS,
    ManualParameters,
    TurnsParameters,
    TurnThresholds,
)

__all__ = [
    "ENCODINGS",
    "MANUAL_PATH",
    "TURNS_PATH",
    "Close",
    "Config",
    "Connected",
    "Done",
    "Error",
    "FlushDone",
    "ManualCommand",
    "ManualParameters",
    "ServiceMessage",
    "TimedWord",
    "Transcript",
    "TurnEagerEnd",
    "TurnEnd",
    "TurnResume",
    "TurnStart",
    "TurnThresholds",
    "TurnUpdate",
    "TurnsCommand",
    "TurnsParameters",
    "Unknown",
    "encode",
    "parse_from_service",
    "parse_manual_command",
    "parse_turns_command",
]

TURNS_PATH: Final = "/stt/turns/websocket"
MANUAL_PATH: Final = "/stt/websocket"


class Connected(msgspec.Struct, frozen=True, tag="connected", tag_field="type"):
    """The session is ready (turns socket: once, first)."""

    request_id: str = ""
    """The connection's id; the same in all its messages."""


class TurnStart(msgspec.Struct, frozen=True, tag="turn.start", tag_field="type"):
    """The user began to speak."""

    request_id: str = ""


class TurnUpdate(msgspec.Struct, frozen=True, tag="turn.update", tag_field="type"):
    """More of the turn's text. Text once sent is only extended, never revised."""

    # A server that leaves empty fields out must not cost us the message, here and in the two below.
    transcript: str = ""
    request_id: str = ""


class TurnEagerEnd(msgspec.Struct, frozen=True, tag="turn.eager_end", tag_field="type"):
    """The user may be done: an answer can be prepared."""

    transcript: str = ""
    request_id: str = ""


class TurnResume(msgspec.Struct, frozen=True, tag="turn.resume", tag_field="type"):
    """The eager end was wrong: the user goes on."""

    request_id: str = ""


class TurnEnd(msgspec.Struct, frozen=True, tag="turn.end", tag_field="type"):
    """The user is done; the final text, empty if the sound was no speech."""

    transcript: str = ""
    request_id: str = ""


class TimedWord(msgspec.Struct, frozen=True):
    """A word of a manual transcript, with its times in seconds of audio."""

    word: str
    start: float = 0.0
    end: float = 0.0


class Transcript(msgspec.Struct, frozen=True, tag="transcript", tag_field="type"):
    """Text of the manual socket: a delta since the last final text."""

    text: str = ""
    is_final: bool = False
    """False: a preview that the next message replaces."""
    request_id: str = ""
    duration: float | None = None
    """Seconds of audio."""
    language: str | None = None
    words: Any = None
    """As it came: read it through `timed_words`. Servers give a list of `TimedWord`."""

    @property
    def timed_words(self) -> tuple[TimedWord, ...]:
        """The words; empty if there were none, or in no shape we know.

        Two shapes are about: a list of `{word, start, end}`, and objects of three parallel lists.
        """
        entries = self.words if isinstance(self.words, list) else [self.words]
        return tuple(word for entry in entries for word in _timed_words(entry))


class FlushDone(msgspec.Struct, frozen=True, tag="flush_done", tag_field="type"):
    """The audio before a `finalize` is processed. Its final text may stand before or shortly after this."""

    request_id: str = ""


class Done(msgspec.Struct, frozen=True, tag="done", tag_field="type"):
    """The answer to `close` on the manual socket; the service then closes with 1000."""

    request_id: str = ""


class Error(msgspec.Struct, frozen=True, tag="error", tag_field="type"):
    """The service reports an error. The socket may or may not close after it."""

    title: str | None = None
    message: str | None = None
    status_code: int | None = None
    """As an HTTP status: 400, 401, 402, 403, 429, 5xx."""
    error_code: str | None = None
    """Such as `model_not_found` or `concurrency_limited`."""
    doc_url: str | None = None
    request_id: str | None = None
    error: str | None = None
    """The text of older servers."""

    @property
    def text(self) -> str:
        """The best sentence among the fields."""
        return self.message or self.error or self.title or "no reason given"


class Close(msgspec.Struct, frozen=True, tag="close", tag_field="type"):
    """Client, turns socket: no more audio. The service turns what it has into events, then closes."""


class Config(msgspec.Struct, frozen=True, tag="config", tag_field="type"):
    """Client, turns socket: change the turn thresholds from here on; what is None stays."""

    turn: TurnThresholds | None = None


class Unknown(msgspec.Struct, frozen=True):
    """A well-formed message of a type this file does not know: to be ignored."""

    type: str


ServiceMessage: TypeAlias = (
    Connected | TurnStart | TurnUpdate | TurnEagerEnd | TurnResume | TurnEnd | Transcript | FlushDone | Done | Error
)
TurnsCommand: TypeAlias = Close | Config
ManualCommand: TypeAlias = Literal["finalize", "close"]


class _Head(msgspec.Struct, frozen=True):
    type: str


_service: msgspec.json.Decoder[ServiceMessage] = msgspec.json.Decoder(ServiceMessage)
_turns_command: msgspec.json.Decoder[TurnsCommand] = msgspec.json.Decoder(TurnsCommand)
_head = msgspec.json.Decoder(_Head)
_SERVICE_TYPES: Final = frozenset(
    {
        "connected",
        "turn.start",
        "turn.update",
        "turn.eager_end",
        "turn.resume",
        "turn.end",
        "transcript",
        "flush_done",
        "done",
        "error",
    }
)


def parse_from_service(text: str | bytes) -> ServiceMessage | Unknown:
    """Read a text frame that the service sent on either socket. Raises `ProtocolError` if it is malformed."""
    try:
        return _service.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return _unknown(text, _SERVICE_TYPES, error)


def parse_turns_command(text: str | bytes) -> TurnsCommand | Unknown:
    """Read a text frame that a client sent on the turns socket. Raises `ProtocolError` if it is malformed.

    Thresholds of a `config` are not checked here, because they count together with the session's earlier ones:
    call `session_thresholds.updated(config.turn).check()`.
    """
    try:
        return _turns_command.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return _unknown(text, frozenset({"close", "config"}), error)


def parse_manual_command(text: str) -> ManualCommand | Unknown:
    """Read a text frame that a client sent on the manual socket: a bare word. `done` is an old `close`."""
    if text == "finalize":
        return "finalize"
    if text in {"close", "done"}:
        return "close"
    return Unknown(text[:40])


def encode(message: ServiceMessage | TurnsCommand) -> str:
    """The text frame of a message, either direction. What is None is left out. Manual commands go as bare words."""
    fields: dict[str, Any] = msgspec.to_builtins(message)
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None}).decode()


def _timed_words(entry: Any) -> list[TimedWord]:
    match entry:
        case TimedWord():
            return [entry]
        case {"words": [*words], "start": [*starts], "end": [*ends]}:
            shape = [
                {"word": word, "start": start, "end": end}
                for word, start, end in zip(words, starts, ends, strict=False)
            ]
        case _:
            shape = [entry]
    try:
        return msgspec.convert(shape, list[TimedWord])
    except msgspec.ValidationError:
        return []


def _unknown(text: str | bytes, known: frozenset[str], error: Exception) -> Unknown:
    """Tell a message of an unknown type, which is fine, from a malformed one, which raises."""
    try:
        head = _head.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ProtocolError(f"not a JSON message with a type: {error}") from error
    if head.type in known:
        raise ProtocolError(f"malformed {head.type} message: {error}") from error
    return Unknown(head.type)
