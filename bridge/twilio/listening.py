"""The documents of calls between people, and of what is said before anybody talks. Pure. TwiML.

As `bridge.twilio.twiml`, built with Twilio's own helper.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct
from twilio.twiml.voice_response import (  # type: ignore[import-untyped]  # twilio ships no types
    Dial,
    Start,
    Stop,
    VoiceResponse,
)

from bridge.errors import CarrierError
from bridge.twilio.twiml import MAX_BYTES, MAX_PARAMETER_CHARACTERS

LISTENER = "listener"
"""Name of the stream that listens to two people; by it the stream is stopped."""

_NUMBER = re.compile(r"\+[1-9]\d{1,14}")
_KINDS = ("sip:", "sips:", "client:", "conference:")
_NAME = re.compile(r"\S(.{0,198}\S)?")
_SAY_LANGUAGES: Mapping[str, str] = {
    "ar": "arb",
    "da": "da-DK",
    "de": "de-DE",
    "en": "en-US",
    "es": "es-ES",
    "fi": "fi-FI",
    "fr": "fr-FR",
    "it": "it-IT",
    "ja": "ja-JP",
    "ko": "ko-KR",
    "nl": "nl-NL",
    "no": "nb-NO",
    "pl": "pl-PL",
    "pt": "pt-BR",
    "ru": "ru-RU",
    "sv": "sv-SE",
    "tr": "tr-TR",
    "zh": "cmn-CN",
}
"""What `<Say>` calls the languages that speech services name by two letters."""


class Dialling(Struct, frozen=True):
    """Whom a caller is connected with, and how."""

    to: str
    """A number, a `sip:` or `client:` address, or `conference:NAME`."""
    action_url: str
    """Where Twilio asks how the dialling ended."""
    caller_id: str | None = None
    """What the other side is shown; None: the caller's number."""
    timeout_s: int = 30
    """How long the other phone may ring."""
    time_limit_s: int = 14_400
    """How long they may talk."""


def connect_and_listen(
    stream_url: str, dialling: Dialling, *, status_url: str, parameters: Mapping[str, str]
) -> str:
    """Connect two people, and let a stream listen to both. Twilio: `<Start><Stream>`, then `<Dial>`.

    Nothing may be sent on such a stream. The addresses and `parameters` are as with `twiml.answer_with_stream`.
    Raises `CarrierError` for one whom nobody can be connected with, and for a parameter that is too long.
    """
    start = Start()
    stream = start.stream(
        url=stream_url,
        name=LISTENER,
        track="both_tracks",
        status_callback=status_url,
        status_callback_method="POST",
    )
    for key, value in parameters.items():
        check_parameter(key, value)
        stream.parameter(name=key, value=value)
    response = VoiceResponse()
    response.append(start)
    node = Dial(
        caller_id=dialling.caller_id,
        timeout=dialling.timeout_s,
        time_limit=dialling.time_limit_s,
        action=dialling.action_url,
        method="POST",
    )
    _add_target(node, dialling.to)
    response.append(node)
    return _text(response)


def connect(to: str, *, say: str = "", language: str = "en-US", caller_id: str | None = None) -> str:
    """Connect the caller with any `to` that `connect_and_listen` takes, and hang up when that is over.

    Before that Twilio's own voice says `say`, if it is not empty.
    """
    response = VoiceResponse()
    if say:
        response.say(say, language=say_language(language))
    node = Dial(caller_id=caller_id)
    _add_target(node, to)
    response.append(node)
    response.hangup()
    return _text(response)


def not_connected(say: str, language: str = "en-US") -> str:
    """End a call whose other side was not reached: stop listening first, so that `say` is nobody's words."""
    response = VoiceResponse()
    stop = Stop()
    stop.stream(name=LISTENER)
    response.append(stop)
    if say:
        response.say(say, language=say_language(language))
    response.hangup()
    return _text(response)


def announced(document: str, say: str, language: str = "en-US") -> str:
    """Put a sentence of Twilio's own voice before everything else in a document of ours."""
    if not say:
        return document
    response = VoiceResponse()
    response.say(say, language=say_language(language))
    first = str(response).partition("<Response>")[2].removesuffix("</Response>")
    whole = document.replace("<Response>", f"<Response>{first}", 1)
    _check_size(whole)
    return whole


def is_target(to: str) -> bool:
    """Tell whether callers can be connected with `to`."""
    return _NUMBER.fullmatch(to) is not None or any(
        to.startswith(kind) and _NAME.fullmatch(to.removeprefix(kind)) for kind in _KINDS
    )


def say_language(language: str) -> str:
    """The language as `<Say>` names it: `de` is `de-DE`; what has a country has it already."""
    return _SAY_LANGUAGES.get(language.lower(), language) if "-" not in language else language


def check_parameter(name: str, value: str) -> None:
    """Raise `CarrierError` when a stream's parameter is too long for Twilio."""
    if len(name) + len(value) > MAX_PARAMETER_CHARACTERS:
        raise CarrierError(
            f"the stream parameter {name} is too long: {len(name) + len(value)} characters with its name,"
            f" {MAX_PARAMETER_CHARACTERS} at most",
            code="carrier_request",
        )


def _add_target(node: Dial, to: str) -> None:
    if not is_target(to):
        raise CarrierError(
            f"cannot connect with {to!r}: wanted a number such as +15551234567, a sip: or client: address, or"
            " conference:NAME",
            code="carrier_request",
        )
    kind, _, name = to.partition(":")
    match kind:
        case "sip" | "sips":
            node.sip(to)
        case "client":
            node.client(name)
        case "conference":
            node.conference(name)
        case _:
            node.number(to)


def _text(response: VoiceResponse) -> str:
    text = str(response)
    _check_size(text)
    return text


def _check_size(text: str) -> None:
    if (size := len(text.encode())) >= MAX_BYTES:
        raise CarrierError(f"the TwiML is {size} bytes long, Twilio takes {MAX_BYTES}", code="carrier_request")
