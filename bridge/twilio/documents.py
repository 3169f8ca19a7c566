"""The document that opens a media stream of a call, with the addresses that Twilio asks and tells afterwards."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from bridge.call.answering import Voicemail
from bridge.twilio import twiml
from bridge.twilio.gate import MEDIA, TRY_AGAIN, Gate
from bridge.twilio.listening import say_language
from bridge.twilio.once import LEG, AnsweredOnce

__all__ = ["CALL_OVER", "MEDIA", "SOFTPHONE", "STATUS", "STREAM_ENDED", "StreamDocuments", "softphone_call", "xml"]

STREAM_ENDED = "/twilio/stream-ended"
STATUS = "/twilio/status"
MESSAGE_ENDED = "/twilio/message-ended"
MESSAGE_READY = "/twilio/message-ready"

CALL_OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
"""Statuses of a call that does not go on."""

SOFTPHONE = "softphone"
"""The fact of a stream's token that says that a page of ours is the phone; its value is of no meaning."""


def softphone_call(sid: str, facts: Mapping[str, str]) -> str:
    """Return the id that the call of a page of ours was promised; empty: a carrier carries the call.

    It stands in what would be a carrier's id of the call, so that a token that is too long cannot lose it.
    """
    return sid.removeprefix("CA") if SOFTPHONE in facts else ""


class StreamDocuments:
    """Makes the documents that open media streams, one leg of a call each."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.answers = AnsweredOnce()
        """What was answered to the questions about each leg."""

    def stream(
        self, sid: str, facts: Mapping[str, str], parameters: Mapping[str, str] | None = None, digits: str = ""
    ) -> str:
        """Open a media stream both ways.

        `facts` travel inside the stream's token (`from`, `to`, `direction`), `parameters` beside it, as the agent
        gets them; `digits` are sent into the call before.
        """
        origin, leg = self._gate.public_url(), self.answers.next_leg(sid)
        facts = {**facts, LEG: leg}  # Whoever gets the stream goes on to count from there.
        return twiml.answer_with_stream(
            self._gate.stream_url,
            action_url=self.address(STREAM_ENDED, leg),
            status_url=origin + STATUS,
            parameters={"token": self._gate.tokens.issue(sid, facts), **(parameters or {})},
            digits=digits,
        )

    def voicemail(self, sid: str, wanted: Voicemail, language: str) -> str:
        """Let a caller leave a message; `language` is that of the carrier's voice."""
        leg = self.answers.next_leg(sid)
        recording = twiml.Recording(wanted.say, wanted.max_s, wanted.silence_s, wanted.finish_key)
        return twiml.take_message(
            recording,
            action_url=self.address(MESSAGE_ENDED, leg),
            ready_url=f"{self._gate.public_url()}{MESSAGE_READY}?{LEG}={leg}",
            language=say_language(language),
        )

    def address(self, path: str, leg: str) -> str:
        """Return the address of a question about one leg of a call, with how the carrier is to try again."""
        return f"{self._gate.public_url()}{path}?{LEG}={leg}{TRY_AGAIN}"


def xml(text: str) -> web.Response:
    """Answer with a TwiML document."""
    return web.Response(text=text, content_type=twiml.CONTENT_TYPE)
