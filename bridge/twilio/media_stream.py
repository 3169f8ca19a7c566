"""The messages of a Twilio media stream, read and written, for both ends of the socket. Pure.

The bridge reads what the carrier sends with `parse_from_carrier` and writes with `media_message`, `mark_message`
and `clear_message`. A simulator of the carrier reads what the bridge sends with `parse_from_bridge`, which is as
strict as Twilio, and writes with `CarrierStream`.

Every message is one JSON text frame. Audio is mu-law, 8000 Hz, mono, without any header: 8 bytes are 1 ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from bridge.errors import ProtocolError

ENCODING: Final = "audio/x-mulaw"
SAMPLE_RATE_HZ: Final = 8000
BYTES_PER_MS: Final = 8
SILENCE: Final = b"\xff"
"""One sample of mu-law silence. (A zero byte would be the loudest negative sample.)"""

MALFORMED_FRAME: Final = 31950
"""Twilio's warning for a binary frame from the bridge."""
INVALID_MESSAGE: Final = 31951
"""Twilio's warning for a text frame from the bridge that is not exactly one of the three messages."""


# --- What the carrier sends, as the bridge sees it ----------------------------------------------------------------


class Connected(msgspec.Struct, frozen=True, gc=False):
    """The socket speaks the protocol; nothing can be sent yet ("Twilio Media Streams: connected")."""

    protocol: str = ""
    version: str = ""


class Started(msgspec.Struct, frozen=True):
    """The stream runs: from here on the bridge may send ("Twilio Media Streams: start")."""

    stream_sid: str
    """MZ and 32 hex digits; every message to the carrier must name it."""
    call_sid: str
    account_sid: str
    tracks: tuple[str, ...]
    """`inbound`, `outbound` or both; a two-way stream has only `inbound`."""
    encoding: str
    sample_rate: int
    """Hz."""
    channels: int
    parameters: dict[str, str]
    """The `<Parameter>`s of the TwiML; empty when there were none."""


class Media(msgspec.Struct, frozen=True, gc=False):
    """A piece of audio of any length, usually 20 ms ("Twilio Media Streams: media")."""

    track: str
    """`inbound` (the caller) or `outbound`."""
    timestamp_ms: int | None
    """Milliseconds since the stream began; None when the carrier sent none that can be read."""
    audio: bytes
    """Mu-law."""


class Digit(msgspec.Struct, frozen=True, gc=False):
    """The caller pressed a key, one of `0-9 * #`, perhaps `A-D` ("Twilio Media Streams: dtmf")."""

    digit: str


class Mark(msgspec.Struct, frozen=True, gc=False):
    """A mark of the bridge comes back: what was sent before it has sounded, or was cleared ("…: mark")."""

    name: str


class Stopped(msgspec.Struct, frozen=True, gc=False):
    """The stream is over; the last message. It gives no reason ("Twilio Media Streams: stop")."""

    call_sid: str


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """An event this version does not know; to be passed over."""

    event: str


FromCarrier: TypeAlias = Connected | Started | Media | Digit | Mark | Stopped | Unknown


# --- The same on the wire -----------------------------------------------------------------------------------------


class _ConnectedWire(msgspec.Struct, tag_field="event", tag="connected"):
    protocol: str = ""
    version: str = ""


_Count: TypeAlias = int | Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}$")]
"""A number, or one as a string: the counters of a stream are strings, the numbers of its format so far are not."""


class _Format(msgspec.Struct, rename="camel"):
    encoding: str = ENCODING
    sample_rate: _Count = SAMPLE_RATE_HZ
    channels: _Count = 1


class _StartBody(msgspec.Struct, rename="camel"):
    call_sid: str
    stream_sid: str
    account_sid: str = ""
    tracks: tuple[str, ...] = ()
    media_format: _Format = msgspec.field(default_factory=_Format)
    custom_parameters: dict[str, str] | None = None


class _StartWire(msgspec.Struct, tag_field="event", tag="start"):
    start: _StartBody


class _MediaBody(msgspec.Struct, gc=False):
    payload: bytes  # base64 on the wire: msgspec reads it so, strictly
    track: str = "inbound"
    timestamp: str | int | None = None


class _MediaWire(msgspec.Struct, tag_field="event", tag="media"):
    media: _MediaBody


class _DigitBody(msgspec.Struct, gc=False):
    digit: str


class _DigitWire(msgspec.Struct, tag_field="event", tag="dtmf"):
    dtmf: _DigitBody


class _MarkBody(msgspec.Struct, gc=False):
    name: str


class _MarkWire(msgspec.Struct, tag_field="event", tag="mark"):
    mark: _MarkBody


class _StopBody(msgspec.Struct, rename="camel", gc=False):
    call_sid: str = ""


class _StopWire(msgspec.Struct, tag_field="event", tag="stop"):
    stop: _StopBody = msgspec.field(default_factory=_StopBody)


class _AnyEvent(msgspec.Struct):
    event: str


_LATEST_MS: Final = 2**53
"""Later than any call: numbers beyond could not even be reckoned with."""

_CarrierWire: TypeAlias = _MediaWire | _ConnectedWire | _StartWire | _DigitWire | _MarkWire | _StopWire
_carrier: msgspec.json.Decoder[_CarrierWire] = msgspec.json.Decoder(_CarrierWire)
_any_event = msgspec.json.Decoder(_AnyEvent)
_CARRIER_EVENTS: Final = frozenset({"connected", "start", "media", "dtmf", "mark", "stop"})


def parse_from_carrier(text: str | bytes) -> FromCarrier:
    """Read one frame of the carrier.

    Fields this version does not know are passed over and an event it does not know gives `Unknown`. Raises
    `ProtocolError` for anything else that is not a message: not JSON, no event, a field missing or of a wrong type.
    """
    try:
        message = _carrier.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return _unknown_or_malformed(text, error)
    match message:
        case _MediaWire(media=body):
            return Media(body.track, _milliseconds(body.timestamp), body.payload)
        case _MarkWire(mark=mark):
            return Mark(mark.name)
        case _DigitWire(dtmf=dtmf):
            return Digit(dtmf.digit)
        case _StartWire(start=start):
            return _started(start)
        case _ConnectedWire():
            return Connected(message.protocol, message.version)
        case _StopWire(stop=stop):
            return Stopped(stop.call_sid)


def _started(body: _StartBody) -> Started:
    sound = body.media_format
    return Started(
        stream_sid=body.stream_sid,
        call_sid=body.call_sid,
        account_sid=body.account_sid,
        tracks=body.tracks,
        encoding=sound.encoding,
        sample_rate=int(sound.sample_rate),
        channels=int(sound.channels),
        parameters=body.custom_parameters or {},
    )


def _milliseconds(timestamp: str | int | None) -> int | None:
    """Counters are strings on the wire. One that cannot be read, or be true, costs the time, not the audio."""
    try:
        told = -1 if timestamp is None else int(timestamp)
    except ValueError:
        return None
    return told if 0 <= told <= _LATEST_MS else None


def _unknown_or_malformed(text: str | bytes, error: Exception) -> Unknown:
    try:
        event = _any_event.decode(text).event
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        event = None
    if event is None or event in _CARRIER_EVENTS:
        raise ProtocolError(f"not a message of a media stream: {error}") from error
    return Unknown(event)


# --- What the bridge sends ----------------------------------------------------------------------------------------


class _PlayBody(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    payload: bytes  # base64 on the wire: msgspec reads and writes it so, strictly


class _PlayWire(msgspec.Struct, tag_field="event", tag="media", rename="camel", forbid_unknown_fields=True):
    stream_sid: str
    media: _PlayBody


class _PlayMarkBody(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    name: str


class _PlayMarkWire(msgspec.Struct, tag_field="event", tag="mark", rename="camel", forbid_unknown_fields=True):
    stream_sid: str
    mark: _PlayMarkBody


class _ClearWire(msgspec.Struct, tag_field="event", tag="clear", rename="camel", forbid_unknown_fields=True):
    stream_sid: str


_encode = msgspec.json.Encoder().encode
_BridgeWire: TypeAlias = _PlayWire | _PlayMarkWire | _ClearWire
_bridge: msgspec.json.Decoder[_BridgeWire] = msgspec.json.Decoder(_BridgeWire)


def media_message(stream_sid: str, audio: bytes) -> str:
    """Audio to be played after all that was sent before, mu-law, any length ("…: sending media")."""
    return _encode(_PlayWire(stream_sid, _PlayBody(audio))).decode()


def mark_message(stream_sid: str, name: str) -> str:
    """A mark behind the audio sent so far; the carrier returns it when that has sounded ("…: sending mark")."""
    return _encode(_PlayMarkWire(stream_sid, _PlayMarkBody(name))).decode()


def clear_message(stream_sid: str) -> str:
    """Throw away all audio not yet played; every mark not yet returned comes back ("…: sending clear")."""
    return _encode(_ClearWire(stream_sid)).decode()


# --- The carrier's end, for simulators ----------------------------------------------------------------------------


class PlayMedia(msgspec.Struct, frozen=True, gc=False):
    """The bridge wants this audio played."""

    audio: bytes


class PlayMark(msgspec.Struct, frozen=True, gc=False):
    """The bridge wants this mark back when what it sent before has sounded."""

    name: str


class PlayClear(msgspec.Struct, frozen=True, gc=False):
    """The bridge wants all audio not yet played thrown away."""


class Invalid(msgspec.Struct, frozen=True, gc=False):
    """Twilio would ignore this frame and warn with `code`, once per stream."""

    code: int
    """`MALFORMED_FRAME` or `INVALID_MESSAGE`."""
    reason: str


FromBridge: TypeAlias = PlayMedia | PlayMark | PlayClear | Invalid


def parse_from_bridge(frame: str | bytes, stream_sid: str) -> FromBridge:
    """Read one frame of the bridge as strictly as Twilio: exactly the documented fields, and this stream's id.

    `bytes` means a binary frame, which Twilio never takes. Never raises.
    """
    if isinstance(frame, bytes):
        return Invalid(MALFORMED_FRAME, f"a binary frame of {len(frame)} bytes; only text frames are read")
    try:
        message = _bridge.decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return Invalid(INVALID_MESSAGE, str(error))
    if message.stream_sid != stream_sid:
        return Invalid(INVALID_MESSAGE, f"streamSid is {message.stream_sid!r}, but this stream is {stream_sid!r}")
    match message:
        case _PlayWire(media=body):
            return PlayMedia(body.payload)
        case _PlayMarkWire(mark=mark):
            return PlayMark(mark.name)
        case _ClearWire():
            return PlayClear()


class CarrierStream:
    """Writes the carrier's messages of one stream, with its one growing sequence number."""

    def __init__(
        self, *, stream_sid: str, call_sid: str, account_sid: str, tracks: tuple[str, ...] = ("inbound",)
    ) -> None:
        """`tracks` are those of the stream: `inbound`, `outbound` or both; a two-way stream has only `inbound`."""
        self.stream_sid = stream_sid
        self.call_sid = call_sid
        self.account_sid = account_sid
        self.tracks = tracks
        self._sequence = 0
        self._chunks = dict.fromkeys(tracks, 0)

    def connected(self) -> str:
        """The first frame; it belongs to no stream yet and has no number."""
        return _json({"event": "connected", "protocol": "Call", "version": "1.0.0"})

    def start(self, parameters: Mapping[str, str]) -> str:
        """The second frame, with the `<Parameter>`s of the TwiML. Its number is 1."""
        body = {
            "accountSid": self.account_sid,
            "streamSid": self.stream_sid,
            "callSid": self.call_sid,
            "tracks": list(self.tracks),
            "mediaFormat": {"encoding": ENCODING, "sampleRate": SAMPLE_RATE_HZ, "channels": 1},
            "customParameters": dict(parameters),
        }
        return self._numbered("start", {"start": body})

    def media(self, audio: bytes, timestamp_ms: int, track: str = "inbound") -> str:
        """Audio of a track; `timestamp_ms` counts from the start of the stream, chunks are counted per track."""
        self._chunks[track] += 1
        chunk = str(self._chunks[track])
        body = {"track": track, "chunk": chunk, "timestamp": str(timestamp_ms), "payload": audio}
        return self._numbered("media", {"media": body})

    def dtmf(self, digit: str) -> str:
        """One key pressed by the caller."""
        return self._numbered("dtmf", {"dtmf": {"track": "inbound_track", "digit": digit}})

    def mark(self, name: str) -> str:
        """A mark of the bridge, returned."""
        return self._numbered("mark", {"mark": {"name": name}})

    def stop(self) -> str:
        """The last frame."""
        return self._numbered("stop", {"stop": {"accountSid": self.account_sid, "callSid": self.call_sid}})

    def _numbered(self, event: str, body: dict[str, Any]) -> str:
        self._sequence += 1
        head = {"event": event, "sequenceNumber": str(self._sequence)}
        return _json({**head, **body, "streamSid": self.stream_sid})


def _json(message: dict[str, Any]) -> str:
    return _encode(message).decode()
