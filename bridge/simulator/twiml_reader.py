"""Reads the TwiML that a bridge answers with into the verbs the simulator acts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from xml.etree import ElementTree as ET

from bridge.errors import ProtocolError
from bridge.simulator.verbs import (
    TRACKS,
    Conference,
    Connect,
    Dial,
    Gather,
    Hangup,
    Pause,
    Play,
    Record,
    Redirect,
    Reject,
    Say,
    Start,
    Stop,
    Stream,
    Target,
    UnknownVerb,
    Verb,
)

__all__ = [
    "MAX_BYTES",
    "Connect",
    "Dial",
    "Hangup",
    "Pause",
    "Play",
    "Redirect",
    "Reject",
    "Say",
    "Start",
    "Stream",
    "UnknownVerb",
    "Verb",
    "read_twiml",
]

MAX_BYTES: Final = 64_000
"""Twilio refuses a document that reaches this (error 11750)."""
_NOUNS: Final = {"Number": "number", "Sip": "sip", "Client": "client"}
_TRUTHS: Final = {"true": True, "false": False}


def read_twiml(text: str) -> list[Verb]:
    """The verbs of a TwiML document in order.

    Raises `ProtocolError` with one sentence if Twilio would refuse the document: not XML, no `<Response>`, a verb
    without what it needs or with what it cannot take, or too long.
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
    return Connect(stream, element.get("action", ""), _method(element))


def _start(element: ET.Element) -> Verb:
    inner = element.find("Stream")
    return UnknownVerb("Start") if inner is None else Start(_stream(inner))


def _stop(element: ET.Element) -> Verb:
    inner = element.find("Stream")
    return UnknownVerb("Stop") if inner is None else Stop(inner.get("name", ""))


def _gather(element: ET.Element) -> Verb:
    digits = element.get("numDigits")
    readers: Mapping[str, Callable[[ET.Element], Say | Play | Pause]] = {
        "Say": _say,
        "Play": _play,
        "Pause": _pause,
    }
    return Gather(
        nested=tuple(readers[child.tag](child) for child in element if child.tag in readers),
        action=element.get("action", ""),
        method=_method(element),
        input=element.get("input", "dtmf"),
        timeout_s=_number(element, "timeout", 5.0),
        finish_on_key=element.get("finishOnKey", "#"),
        num_digits=None if digits is None else int(_number(element, "numDigits", 0)),
        action_on_empty_result=_truth(element, "actionOnEmptyResult", default=False),
    )


def _record(element: ET.Element) -> Verb:
    return Record(
        action=element.get("action", ""),
        method=_method(element),
        timeout_s=_number(element, "timeout", 5.0),
        finish_on_key=element.get("finishOnKey", "1234567890*#"),
        max_length_s=_number(element, "maxLength", 3600.0),
        play_beep=_truth(element, "playBeep", default=True),
        status_callback=element.get("recordingStatusCallback", ""),
        status_callback_method=element.get("recordingStatusCallbackMethod", "POST"),
    )


def _dial(element: ET.Element) -> Verb:
    parties: list[Target | Conference] = []
    if own := _text(element):
        parties.append(Target("number", own))
    for child in element:
        if child.tag == "Conference":
            parties.append(_conference(child))
        elif child.tag in _NOUNS:
            parties.append(_target(_NOUNS[child.tag], child))
        else:
            raise ProtocolError(f"<Dial><{child.tag}> is nothing that the simulator could ring")
    return Dial(
        parties=tuple(parties),
        action=element.get("action", ""),
        method=_method(element),
        timeout_s=_number(element, "timeout", 30.0),
        time_limit_s=_number(element, "timeLimit", 14_400.0),
        caller_id=element.get("callerId", ""),
        sequential=_truth(element, "sequential", default=False),
    )


def _target(kind: str, element: ET.Element) -> Target:
    return Target(
        kind=kind,
        to=_text(element),
        url=element.get("url", ""),
        method=_method(element),
        send_digits=element.get("sendDigits", ""),
        status_callback=element.get("statusCallback", ""),
        status_callback_method=element.get("statusCallbackMethod", "POST"),
        status_callback_events=tuple(element.get("statusCallbackEvent", "completed").split()),
    )


def _conference(element: ET.Element) -> Conference:
    return Conference(
        name=_text(element),
        start_on_enter=_truth(element, "startConferenceOnEnter", default=True),
        end_on_exit=_truth(element, "endConferenceOnExit", default=False),
        muted=_truth(element, "muted", default=False),
        label=element.get("participantLabel", ""),
        wait_url=element.get("waitUrl", ""),
        status_callback=element.get("statusCallback", ""),
        status_callback_method=element.get("statusCallbackMethod", "POST"),
        status_callback_events=tuple(element.get("statusCallbackEvent", "").split()),
    )


def _stream(element: ET.Element) -> Stream:
    parameters = {child.get("name", ""): child.get("value", "") for child in element.findall("Parameter")}
    return checked_stream(
        Stream(
            url=element.get("url", ""),
            name=element.get("name", ""),
            track=element.get("track", "inbound_track"),
            status_callback=element.get("statusCallback", ""),
            status_callback_method=element.get("statusCallbackMethod", "POST"),
            parameters=parameters,
        )
    )


def checked_stream(stream: Stream) -> Stream:
    """Raises `ProtocolError` with one sentence if Twilio would refuse the stream."""
    if not stream.url:
        raise ProtocolError("<Stream> has no url (Twilio error 31923)")
    if "?" in stream.url:
        raise ProtocolError(
            f"<Stream url={stream.url!r}> has a query, which Twilio does not pass on: use <Parameter>"
        )
    if stream.track not in TRACKS:
        raise ProtocolError(f"<Stream track={stream.track!r}> must be one of {', '.join(TRACKS)} (error 31941)")
    for name, value in stream.parameters.items():
        if len(name) + len(value) >= 500:
            raise ProtocolError(f"<Parameter name={name!r}> must stay under 500 characters with its value")
    return stream


def _say(element: ET.Element) -> Say:
    return Say("".join(element.itertext()).strip())


def _play(element: ET.Element) -> Play:
    digits = element.get("digits", "")
    if wrong := set(digits) - set("0123456789*#ABCDwW"):
        raise ProtocolError(f"<Play digits={digits!r}> holds {min(wrong)!r}, which is no key")
    return Play(_text(element), digits)


def _pause(element: ET.Element) -> Pause:
    return Pause(_number(element, "length", 1.0))


def _text(element: ET.Element) -> str:
    return (element.text or "").strip()


def _method(element: ET.Element) -> str:
    return element.get("method", "POST")


def _number(element: ET.Element, name: str, default: float) -> float:
    given = element.get(name)
    try:
        return default if given is None else max(0.0, float(given))
    except ValueError as error:
        raise ProtocolError(f"<{element.tag} {name}={given!r}> is no number") from error


def _truth(element: ET.Element, name: str, *, default: bool) -> bool:
    given = element.get(name)
    if given is None:
        return default
    if given.lower() not in _TRUTHS:
        raise ProtocolError(f"<{element.tag} {name}={given!r}> is neither true nor false")
    return _TRUTHS[given.lower()]


_READERS: Final[Mapping[str, Callable[[ET.Element], Verb]]] = {
    "Connect": _connect,
    "Start": _start,
    "Stop": _stop,
    "Say": _say,
    "Play": _play,
    "Pause": _pause,
    "Gather": _gather,
    "Record": _record,
    "Dial": _dial,
    "Redirect": lambda element: Redirect(_text(element), _method(element)),
    "Hangup": lambda _: Hangup(),
    "Reject": lambda element: Reject(element.get("reason", "rejected")),
}
