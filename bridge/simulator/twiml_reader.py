"""Reads the TwiML that a bridge answers with into the verbs the simulator follows or reports. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from xml.etree import ElementTree as ET

from bridge.errors import ProtocolError

MAX_BYTES: Final = 64_000
"""Twilio refuses a document that reaches this (error 11750)."""


@dataclass(frozen=True, slots=True)
class Stream:
    """`<Stream>` ("TwiML Voice: Stream")."""

    url: str
    name: str = ""
    track: str = "inbound_track"
    status_callback: str = ""
    status_callback_method: str = "POST"
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Connect:
    """`<Connect><Stream>`: a two-way stream; what follows waits until it is over."""

    stream: Stream
    action: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Start:
    """`<Start><Stream>`: a stream that only listens, beside the verbs that follow."""

    stream: Stream


@dataclass(frozen=True, slots=True)
class Say:
    """`<Say>`: Twilio's own voice speaks."""

    text: str


@dataclass(frozen=True, slots=True)
class Play:
    """`<Play>`: a file, or digits as tones."""

    source: str
    digits: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """`<Pause>`."""

    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Dial:
    """`<Dial>`: the caller is connected with somebody else."""

    targets: tuple[str, ...]
    """Numbers, SIP addresses, client or conference names, as written."""
    action: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Redirect:
    """`<Redirect>`: go on with another document."""

    url: str
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Hangup:
    """`<Hangup>`."""


@dataclass(frozen=True, slots=True)
class Reject:
    """`<Reject>`: the call is not taken at all."""

    reason: str = "rejected"


@dataclass(frozen=True, slots=True)
class UnknownVerb:
    """A verb the simulator does not act; it is reported and passed over."""

    name: str


Verb: TypeAlias = Connect | Start | Say | Play | Pause | Dial | Redirect | Hangup | Reject | UnknownVerb


def read_twiml(text: str) -> list[Verb]:
    """The verbs of a TwiML document in order.

    Raises `ProtocolError` with one sentence if Twilio would refuse the document: not XML, no `<Response>`, a verb
    without what it needs, or too long.
    """
    if len(text.encode()) >= MAX_BYTES:
        raise ProtocolError(f"the TwiML has {MAX_BYTES} bytes or more (Twilio error 11750)")
    try:
        root = ET.fromstring(text.strip())  # noqa: S314  # expat bounds entity expansion, and the bridge is the user's own
    except ET.ParseError as error:
        raise ProtocolError(f"the answer is no TwiML: {error} (Twilio error 12100)") from error
    if root.tag != "Response":
        raise ProtocolError(f"the answer is no TwiML: its root is <{root.tag}> and not <Response>")
    return [_verb(element) for element in root]


def _verb(element: ET.Element) -> Verb:
    read = _READERS.get(element.tag)
    return UnknownVerb(element.tag) if read is None else read(element)


def _connect(element: ET.Element) -> Verb:
    inner = element.find("Stream")
    if inner is None:
        names = ", ".join(f"<{child.tag}>" for child in element) or "nothing"
        return UnknownVerb(f"Connect with {names}")
    stream = _stream(inner)
    if stream.track != "inbound_track":
        raise ProtocolError(f"<Connect><Stream track={stream.track!r}> must be inbound_track (Twilio error 31941)")
    return Connect(stream, element.get("action", ""), element.get("method", "POST"))


def _start(element: ET.Element) -> Verb:
    inner = element.find("Stream")
    return UnknownVerb("Start") if inner is None else Start(_stream(inner))


def _dial(element: ET.Element) -> Verb:
    targets = tuple(filter(None, [_text(element), *(_text(child) for child in element)]))
    return Dial(targets, element.get("action", ""), element.get("method", "POST"))


def _stream(element: ET.Element) -> Stream:
    url = element.get("url", "")
    if not url:
        raise ProtocolError("<Stream> has no url (Twilio error 31923)")
    if "?" in url:
        raise ProtocolError(f"<Stream url={url!r}> has a query, which Twilio does not pass on: use <Parameter>")
    parameters = {child.get("name", ""): child.get("value", "") for child in element.findall("Parameter")}
    for name, value in parameters.items():
        if len(name) + len(value) >= 500:
            raise ProtocolError(f"<Parameter name={name!r}> must stay under 500 characters with its value")
    return Stream(
        url=url,
        name=element.get("name", ""),
        track=element.get("track", "inbound_track"),
        status_callback=element.get("statusCallback", ""),
        status_callback_method=element.get("statusCallbackMethod", "POST"),
        parameters=parameters,
    )


def _text(element: ET.Element) -> str:
    return (element.text or "").strip()


def _seconds(length: str) -> float:
    try:
        return max(0.0, float(length))
    except ValueError as error:
        raise ProtocolError(f"<Pause length={length!r}> is no number") from error


_READERS: Final[Mapping[str, Callable[[ET.Element], Verb]]] = {
    "Connect": _connect,
    "Start": _start,
    "Say": lambda element: Say("".join(element.itertext()).strip()),
    "Play": lambda element: Play(_text(element), element.get("digits", "")),
    "Pause": lambda element: Pause(_seconds(element.get("length", "1"))),
    "Dial": _dial,
    "Redirect": lambda element: Redirect(_text(element), element.get("method", "POST")),
    "Hangup": lambda _: Hangup(),
    "Reject": lambda element: Reject(element.get("reason", "rejected")),
}
