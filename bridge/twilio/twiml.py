"""The documents that tell Twilio what to do with a call. Pure: text in, text out. TwiML.

Built with Twilio's own helper, so that escaping and names are theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin
from xml.etree import ElementTree as ET

from twilio.twiml.voice_response import (  # type: ignore[import-untyped]  # twilio ships no types
    Connect,
    Dial,
    Gather,
    VoiceResponse,
)

from bridge.errors import CarrierError

CONTENT_TYPE = "text/xml"
MAX_BYTES = 64_000
"""Twilio refuses longer documents (error 11750, at 64 kB)."""
MAX_UPDATE_CHARACTERS = 4000
"""Limit of a document that is handed over in a REST request."""
MAX_PARAMETER_CHARACTERS = 499
"""Name and value of a `<Parameter>` together stay under 500 characters."""


def answer_with_stream(
    stream_url: str,
    *,
    action_url: str,
    status_url: str,
    parameters: Mapping[str, str],
    name: str = "",
    digits: str = "",
) -> str:
    """Answer a call and open a media stream both ways. Twilio: `<Connect><Stream>`.

    `stream_url` is `wss://` without a query (Twilio drops queries: facts travel in `parameters`, which come back
    in the stream's `start` message). Twilio asks `action_url` what to do once the stream is over, however it
    ended, and reports the stream's fate to `status_url`. `name` tells streams of one call apart in callbacks.
    `digits` are sent into the call before that, as real keys (`<Play digits>`; `w` waits half a second).
    Raises `CarrierError` when a parameter is too long for Twilio.
    """
    connect = Connect(action=action_url, method="POST")
    stream = connect.stream(
        url=stream_url, name=name or None, status_callback=status_url, status_callback_method="POST"
    )
    for key, value in parameters.items():
        if len(key) + len(value) > MAX_PARAMETER_CHARACTERS:
            raise CarrierError(
                f"the stream parameter {key} is too long: {len(key) + len(value)} characters with its name,"
                f" {MAX_PARAMETER_CHARACTERS} at most",
                code="carrier_request",
            )
        stream.parameter(name=key, value=value)
    response = VoiceResponse()
    if digits:
        response.play(digits=digits)
    response.append(connect)
    return _text(response)


def hang_up(farewell: str = "", language: str = "en-US") -> str:
    """End the call, after Twilio's own voice has said `farewell` if there is one."""
    response = VoiceResponse()
    if farewell:
        response.say(farewell, language=language)
    response.hangup()
    return _text(response)


@dataclass(frozen=True, slots=True)
class Recording:
    """How a caller leaves a message."""

    say: str
    """Said before the tone by Twilio's own voice."""
    max_s: int
    silence_s: int
    """Silence of this length ends it."""
    finish_key: str
    """So does this key."""


def take_message(wanted: Recording, *, action_url: str, ready_url: str, language: str = "en-US") -> str:
    """Let the caller leave a message. Twilio: `<Record>`.

    Twilio asks `action_url` what comes next when the message is over, and also, without a recording's URL, when
    nothing was said; it tells `ready_url` when the sound can be fetched.
    """
    response = VoiceResponse()
    response.say(wanted.say, language=language)
    response.record(
        action=action_url,
        method="POST",
        max_length=wanted.max_s,
        timeout=wanted.silence_s,
        finish_on_key=wanted.finish_key,
        play_beep=True,
        recording_status_callback=ready_url,
        recording_status_callback_method="POST",
    )
    # Only an empty recording leads here: of that Twilio does not tell the action.
    response.redirect(action_url, method="POST")
    return _text(response)


def dial(
    to: str,
    *,
    say: str = "",
    language: str = "en-US",
    caller_id: str | None = None,
    timeout_s: int = 30,
    action_url: str | None = None,
    digits: str = "",
) -> str:
    """Connect the caller with a number or SIP address, and hang up when that talk is over. Twilio: `<Dial>`.

    Before that Twilio's own voice says `say`, if it is not empty. `timeout_s` is how long the other phone may ring.
    With `action_url` Twilio tells there how the dialling ended, and asks what comes next, instead of hanging up.
    `digits` are pressed when a number has answered (an extension). Raises `CarrierError` when `to` is neither a
    number nor a SIP address.
    """
    node = Dial(caller_id=caller_id, timeout=timeout_s, action=action_url)
    if re.fullmatch(r"sips?:\S+", to):
        node.sip(to)
    elif re.fullmatch(r"\+[1-9]\d{1,14}", to):
        node.number(to, send_digits=digits or None)
    else:
        raise CarrierError(
            f"cannot transfer to {to!r}: wanted a number such as +15551234567 or a sip: address",
            code="carrier_request",
        )
    response = VoiceResponse()
    if say:
        response.say(say, language=language)
    response.append(node)
    if action_url is None:
        response.hangup()
    return _text(response)


def join_conference(name: str, *, action_url: str | None = None) -> str:
    """Connect a call with the others in a conference; it ends when this call leaves it. Twilio: `<Conference>`.

    Twilio asks `action_url` what comes next when the conference is over for this call; without one it hangs up.
    """
    node = Dial(action=action_url)
    # No music: whoever waits in it waits for a moment only.
    node.conference(name, beep=False, start_conference_on_enter=True, end_conference_on_exit=True, wait_url="")
    response = VoiceResponse()
    response.append(node)
    return _text(response)


def ask_to_accept(summary: str, prompt: str, *, action_url: str, timeout_s: int, language: str = "en-US") -> str:
    """Tell somebody what a call is about, and let them press a key to take it. Twilio: `<Gather>`.

    `prompt` says which key; the key that is pressed goes to `action_url`. Without one within `timeout_s` seconds
    behind the prompt the call ends.
    """
    gather = Gather(input="dtmf", num_digits=1, timeout=timeout_s, action=action_url, finish_on_key="")
    gather.say(summary, language=language)
    gather.say(prompt, language=language)
    response = VoiceResponse()
    response.append(gather)
    response.hangup()
    return _text(response)


def reject(reason: str = "rejected") -> str:
    """Refuse a call that was not answered yet: `rejected` (as if out of service) or `busy`."""
    response = VoiceResponse()
    response.reject(reason=reason)
    return _text(response)


def empty() -> str:
    """Nothing to do: the answer to callbacks that want a document."""
    return _text(VoiceResponse())


def adopted(document: str, url: str) -> str:
    """Return a document that came from `url` as it must be when we hand it to Twilio: verbatim, if it can be.

    Twilio takes relative URLs as relative to the document's own, and asks there as well where a verb that has a
    follow-up names none: both are written out. Nothing (an answer without a body) stays nothing, which ends the
    call. Raises `CarrierError` for what is no TwiML.
    """
    if not document.strip():
        return empty()
    try:
        root = ET.fromstring(document.strip())  # noqa: S314  # expat bounds the expansion of entities
    except ET.ParseError as error:
        raise CarrierError(f"the document of {url} is no XML: {error}", code="carrier_request") from None
    if root.tag != "Response":
        raise CarrierError(f"the document of {url} is no TwiML: its root is {root.tag}", code="carrier_request")
    changed = [_adopt(verb, url) for verb in root.iter()]
    return ET.tostring(root, encoding="unicode", xml_declaration=True) if any(changed) else document


def _adopt(verb: ET.Element, url: str) -> bool:
    """Write the URLs of one verb out. Returns whether that changed it."""
    before = dict(verb.attrib), verb.text
    for name, value in before[0].items():
        if name in {"action", "url", "src"} or name.endswith(("Callback", "Url")):
            verb.set(
                name, _absolute(value, url, socket=verb.tag in {"Stream", "ConversationRelay"} and name == "url")
            )
    if verb.tag in {"Gather", "Record"} and "action" not in verb.attrib:
        verb.set("action", url)
    if verb.tag in {"Play", "Redirect"} and not (verb.tag == "Play" and "digits" in verb.attrib):
        verb.text = _absolute((verb.text or "").strip(), url)
    return (dict(verb.attrib), (verb.text or "").strip()) != (before[0], (before[1] or "").strip())


def _absolute(value: str, url: str, *, socket: bool = False) -> str:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", value):
        return value
    joined = urljoin(url, value)
    return "ws" + joined.removeprefix("http") if socket else joined


def _text(response: VoiceResponse) -> str:
    text = str(response)
    if (size := len(text.encode())) >= MAX_BYTES:
        raise CarrierError(f"the TwiML is {size} bytes long, Twilio takes {MAX_BYTES}", code="carrier_request")
    return text
