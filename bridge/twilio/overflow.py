"""What callers get for whom there is no room. Pure: text in, text out. TwiML."""

from __future__ import annotations

from collections.abc import Callable

from twilio.twiml.voice_response import VoiceResponse  # type: ignore[import-untyped]  # twilio ships no types

from bridge.call.answering import Overflow
from bridge.twilio import listening, twiml


def turned_away(
    overflow: Overflow,
    *,
    again_url: str,
    waited: int,
    language: str,
    caller_id: str | None,
    take_message: Callable[[], str],
) -> str:
    """Return the document for a caller who cannot be taken; `take_message` makes the one for a message.

    `waited` are the rounds of a queue that lie behind them; `again_url` is where they ask for the next. Only who
    has not waited yet can be refused as busy: the others' call is answered. Raises `CarrierError` for a transfer to
    what is no number or address.
    """
    if overflow.kind == "transfer":
        return listening.connect(
            overflow.transfer_to, say=overflow.transfer_say, language=language, caller_id=caller_id
        )
    if overflow.kind == "queue" and waited < overflow.rounds:
        return _hold(overflow, again_url, listening.say_language(language))
    if overflow.kind == "voicemail":
        return take_message()
    if overflow.kind == "busy" and not waited:
        return twiml.reject("busy")
    return twiml.hang_up(overflow.say, listening.say_language(language))


def _hold(overflow: Overflow, again_url: str, language: str) -> str:
    """Let the caller wait a while, and ask again. Twilio: `<Pause>`, `<Redirect>`."""
    response = VoiceResponse()
    if overflow.queue_say:
        response.say(overflow.queue_say, language=language)
    response.pause(length=overflow.wait_s)
    response.redirect(again_url, method="POST")
    return str(response)
