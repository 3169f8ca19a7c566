"""The messages of Twilio's ConversationRelay, both directions. Pure: text in, values out, and back.

ConversationRelay is Twilio's "text in, text out" socket for agents: Twilio hears and speaks, the app reads and
writes. Here the bridge plays Twilio's part. All messages are JSON objects with a `type`, in text frames; the names
of the classes are the types. What an app may send is checked strictly where the reference says what is required,
and leniently where it does not (`Config`, `Hints`, an app's `Interrupt`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.agents.action_checks import MAX_KEYTERM_CHARACTERS, MAX_KEYTERMS, fault
from bridge.conversation.actions import Set, Tuning
from bridge.errors import ProtocolError

MAX_MALFORMED: Final = 10
"""So many malformed messages in a row end the session (Twilio's error 64105)."""
MALFORMED_CLOSE_CODE: Final = 1007
MALFORMED_CLOSE_REASON: Final = "Too many consecutive malformed messages."
MAX_ECHO_CHARACTERS: Final = 1000
"""How much of a malformed message is quoted in the `error` that answers it."""

Filled: TypeAlias = Annotated[str, Meta(min_length=1)]
Keys: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9w#*W]+$", max_length=500)]
Flag: TypeAlias = bool | UnsetType | None
Words: TypeAlias = str | UnsetType | None
Tag: TypeAlias = Annotated[str, Meta(max_length=100)] | UnsetType | None


class _Message(msgspec.Struct, frozen=True, tag_field="type", rename="camel"):
    """What all messages share: the type's name stands in `type`, and names are written in camel case."""


# --- Twilio to the app ----------------------------------------------------------------------------------------


class Setup(_Message, frozen=True, tag="setup"):
    """The first message of a session: whose call it is. What is not known is an empty text, never null."""

    session_id: str
    """`VX` and 32 hexadecimal digits."""
    call_sid: str
    account_sid: str = ""
    parent_call_sid: str = ""
    from_: str = msgspec.field(default="", name="from")
    to: str = ""
    forwarded_from: str = ""
    call_type: str = "PSTN"
    caller_name: str = ""
    direction: str = "inbound"
    call_status: str = "RINGING"
    """In capitals."""
    custom_parameters: Mapping[str, str] = msgspec.field(default_factory=dict)


class Prompt(_Message, frozen=True, tag="prompt"):
    """The caller said something."""

    voice_prompt: str
    lang: str = ""
    """Language tag of the transcription, such as `en-US`."""
    last: bool = True
    """False: the caller is still speaking, and the next prompt replaces this one."""


class Dtmf(_Message, frozen=True, tag="dtmf"):
    """The caller pressed a key."""

    digit: str


class Interrupt(_Message, frozen=True, tag="interrupt"):
    """The caller cut the app's words off. From an app (undocumented): stop speaking."""

    utterance_until_interrupt: str = ""
    """What was heard of them."""
    duration_until_interrupt_ms: int | str = 0
    """For how long they had sounded. Older copies of the reference have a text here; `heard_ms` reads both."""

    @property
    def heard_ms(self) -> int:
        """Milliseconds, whichever way they were written; 0 for what is no number."""
        value = self.duration_until_interrupt_ms
        return value if isinstance(value, int) else int(value[:9]) if value.isdecimal() else 0


class Error(_Message, frozen=True, tag="error"):
    """What the app sent could not be read, and was not carried out."""

    description: str


class Info(_Message, frozen=True, tag="info"):
    """Something of the call that the app wanted to be told: `agentSpeaking`, `clientSpeaking`, `tokensPlayed`."""

    name: str
    value: str


# --- the app to Twilio ----------------------------------------------------------------------------------------


class Text(_Message, frozen=True, tag="text"):
    """Text to speak. Tokens are joined as they come."""

    token: str
    last: bool = False
    """True: the talk cycle ends here."""
    lang: Tag = UNSET
    """Language of this text; absent: the session's."""
    interruptible: Flag = UNSET
    """False: the caller does not cut this text off; absent: as the session has it."""
    preemptible: Flag = UNSET
    """True: what the app says in its next talk cycle takes the place of this; absent: as the session has it."""


class PlayMedia(_Message, frozen=True, tag="play"):
    """An audio file to play, in sequence with the text."""

    source: Filled
    loop: Annotated[int, Meta(ge=0)] = 1
    """How often; 0: up to a thousand times."""
    preemptible: bool = False
    interruptible: Flag = UNSET


class SendDigits(_Message, frozen=True, tag="sendDigits"):
    """Keys to press towards the caller; `w` waits half a second."""

    digits: Keys


class Language(_Message, frozen=True, tag="language"):
    """Another language for the rest of the session."""

    tts_language: Tag = UNSET
    transcription_language: Tag = UNSET

    def __post_init__(self) -> None:
        if not (self.tts_language or self.transcription_language):
            raise ValueError("names no language")


class End(_Message, frozen=True, tag="end"):
    """The session is over; the call goes on at the hand-off webhook."""

    handoff_data: Words = UNSET
    """Handed on verbatim; often JSON in itself."""


class Config(msgspec.Struct, frozen=True):
    """Changes of the session's attributes (2026). Its shape is not known for certain: any object is taken."""

    changes: Mapping[str, Any]
    """The attributes by their name in TwiML, such as `partialPrompts`."""


class Hints(msgspec.Struct, frozen=True):
    """Other words to listen for (2026). Its shape is not known for certain."""

    words: tuple[str, ...]


ToApp: TypeAlias = Setup | Prompt | Dtmf | Interrupt | Error | Info
FromApp: TypeAlias = Text | PlayMedia | SendDigits | Language | End | Interrupt | Config | Hints
_Typed: TypeAlias = Text | PlayMedia | SendDigits | Language | End


class Unknown(msgspec.Struct, frozen=True):
    """A message to the app of a type that is not listed here: an app ignores it."""

    type: str


class _Kind(msgspec.Struct):
    type: str


_any_from_app: msgspec.json.Decoder[_Typed] = msgspec.json.Decoder(_Typed)
_any_to_app: msgspec.json.Decoder[ToApp] = msgspec.json.Decoder(ToApp)
_kind = msgspec.json.Decoder(_Kind)
_encoder = msgspec.json.Encoder()
_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


def encode(message: ToApp | _Typed) -> str:
    """Return the message as it goes over the wire."""
    return _encoder.encode(message).decode()


def parse_from_app(frame: str | bytes) -> FromApp:
    """Read what an app sent. Raises `ProtocolError` for what Twilio would answer with `error`.

    A frame of bytes is a binary one, which no app may send.
    """
    if isinstance(frame, bytes):
        raise ProtocolError("a binary frame")
    kind = _kind_of(frame)
    try:
        match kind:
            case "config" | "hints":
                fields = msgspec.json.decode(frame, type=dict[str, Any])
                return _config(fields) if kind == "config" else _hints(fields.get("hints"))
            case "interrupt":
                return Interrupt()
            case _:
                return _any_from_app.decode(frame)
    except _UNREADABLE as error:
        raise ProtocolError(f"a {kind[:40]!r} message that cannot be read: {str(error)[:200]}") from None


def parse_to_app(text: str) -> ToApp | Unknown:
    """Read what Twilio, or the bridge in its place, sent. Raises `ProtocolError` for what is no such message."""
    kind = _kind_of(text)
    if kind not in {"setup", "prompt", "dtmf", "interrupt", "error", "info"}:
        return Unknown(kind)
    try:
        return _any_to_app.decode(text)
    except _UNREADABLE as error:
        raise ProtocolError(f"a {kind!r} message that cannot be read: {str(error)[:200]}") from None


def complaint(frame: str | bytes) -> Error:
    """Return the answer to a message that could not be read."""
    said = f"(binary, {len(frame)} bytes)" if isinstance(frame, bytes) else frame
    return Error(f"Invalid message received: {said[:MAX_ECHO_CHARACTERS]}")


def session_id(call_id: str) -> str:
    """Return the id of a call's session: always the same for the same call."""
    return "VX" + hashlib.sha256(call_id.encode()).hexdigest()[:32]


def call_type(caller: str) -> Literal["PSTN", "SIP", "CLIENT"]:
    """Return how a caller calls, as `setup` has it."""
    if caller.startswith(("sip:", "sips:")):
        return "SIP"
    return "CLIENT" if caller.startswith("client:") else "PSTN"


def _kind_of(text: str) -> str:
    try:
        return _kind.decode(text).type
    except _UNREADABLE as error:
        raise ProtocolError(f"not a message with a type: {str(error)[:200]}") from None


def _config(fields: dict[str, Any]) -> Config:
    """Take the attributes wherever they stand: beside `type`, or in an object of their own."""
    inner = fields.get("config")
    changes = {**fields, **(inner if isinstance(inner, dict) else {})}
    return Config({name: value for name, value in changes.items() if name not in {"type", "config"}})


def _hints(value: Any) -> Hints:
    """Read the words to listen for. Raises `ProtocolError` for more than a speech service takes."""
    words = (
        _listed(value)
        if len(value if isinstance(value, str | list) else ()) <= 10 * MAX_KEYTERM_CHARACTERS
        else None
    )
    if words is None or fault(Set(tuning=Tuning(keyterms=words))):
        raise ProtocolError(
            f"`hints` may hold {MAX_KEYTERMS} terms and {MAX_KEYTERM_CHARACTERS} characters at most"
        )
    return Hints(words)


def _listed(value: Any) -> tuple[str, ...]:
    """Return the words of a list, or of a text with commas; those of TwiML have commas."""
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(word.strip() for word in items if isinstance(word, str) and word.strip())
