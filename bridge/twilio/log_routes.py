"""Calls between two people, at Twilio's side: how they are connected and listened to, and how that ends.

`TwilioRoutes` checks every request and stream, and hands on here what is about such a call.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog
from aiohttp import web

from bridge.call.answering import Answering
from bridge.call.carrier import Carrier
from bridge.call.log_calls import Parties
from bridge.call.log_session import LogSession
from bridge.call.registry import Registry
from bridge.conversation.events import StreamLost, StreamStopped, TransferEnded
from bridge.errors import CarrierError, ProtocolError
from bridge.metrics import Metrics
from bridge.tasks import spawn
from bridge.twilio import listening, media_stream, twiml
from bridge.twilio.documents import STATUS, xml
from bridge.twilio.gate import Gate, number
from bridge.twilio.read_pacing import ReadPacer
from bridge.twilio.reading import read_stream
from bridge.twilio.stream_socket import StreamSocket

DIAL_ENDED = "/twilio/log-dial-ended"

LISTEN = "log"
"""What the fact `mode` of a stream's token says when the stream only listens."""
_REACHED = frozenset({"completed", "answered", ""})
_REFUSED = "Sorry, I could not connect you. Good-bye."

log = structlog.get_logger()


def token_facts(parties: Parties) -> dict[str, str]:
    """What the token of a stream that listens carries."""
    facts = {"mode": LISTEN, "from": parties.caller, "to": parties.called, "direction": parties.direction}
    if parties.other:
        facts["other"] = parties.other
    if parties.elsewhere:
        facts["elsewhere"] = "1"
    return facts


class LogRoutes:
    """The documents, the stream and the callback of calls that are listened to."""

    def __init__(self, gate: Gate, registry: Registry, metrics: Metrics) -> None:
        self._gate = gate
        self._registry = registry
        self._metrics = metrics
        self.restart: Callable[[LogSession], Coroutine[Any, Any, None]] | None = None
        """Starts another stream for a call whose stream broke: the carrier does not by itself. None: nobody can."""

    def add_to(self, app: web.Application) -> None:
        """Put the handler at its address."""
        app.router.add_post(DIAL_ENDED, self.dial_ended)

    # --- webhooks ------------------------------------------------------------------------------------------

    def closed(self, form: Mapping[str, str]) -> web.Response | None:
        """Answer a call to a number where nobody is at this hour; None: somebody is."""
        answering = self._registry.profile_of(form.get("To", "")).answering
        closed = answering.closed
        if closed is None or closed.open_at(dt.datetime.now(dt.UTC)):
            return None
        log.info("call_while_closed", sid=form.get("CallSid"), forward_to=closed.forward_to)
        return xml(self._closed(answering, form))

    def first_document(self, form: Mapping[str, str]) -> web.Response | None:
        """Answer a call that no agent takes, because it is connected. None: an agent takes it."""
        answering = self._registry.profile_of(form.get("To", "")).answering
        if answering.mode != LISTEN:
            return None
        sid, origin = form.get("CallSid", ""), self._gate.public_url()
        who = Parties(
            sid,
            caller=form.get("From", ""),
            called=form.get("To", ""),
            other=answering.forward_to,
            direction=form.get("Direction", "inbound"),
        )
        try:
            document = listening.connect_and_listen(
                self._gate.stream_url,
                listening.Dialling(
                    answering.forward_to,
                    action_url=origin + DIAL_ENDED,
                    caller_id=caller_id(answering, form),
                    timeout_s=answering.ring_s,
                    time_limit_s=answering.longest_s,
                ),
                status_url=origin + STATUS,
                parameters={"token": self._gate.tokens.issue(sid, token_facts(who))},
            )
        except CarrierError as error:
            log.error("call_not_connected", sid=sid, error=error.message)
            return xml(twiml.hang_up(_REFUSED, listening.say_language(answering.language)))
        return xml(listening.announced(document, answering.said_first, answering.language))

    def _closed(self, answering: Answering, form: Mapping[str, str]) -> str:
        closed = answering.closed
        assert closed is not None  # noqa: S101  It was looked at.
        if not closed.forward_to:
            return twiml.hang_up(closed.say, listening.say_language(answering.language))
        return listening.connect(
            closed.forward_to,
            say=closed.say,
            language=answering.language,
            caller_id=caller_id(answering, form),
        )

    async def dial_ended(self, request: web.Request) -> web.Response:
        """The other side was not reached, or the talk is over ("Twilio: Dial action")."""
        form = dict(await self._gate.signed_form(request))
        sid, status = form.get("CallSid", ""), form.get("DialCallStatus", "")
        logs = self._registry.logs
        if form.get("CallStatus", "in-progress") != "in-progress":
            logs.stop(sid, "caller")  # It was the caller who hung up: the line is gone.
        if status:
            logs.dial_ended(sid, TransferEnded(status, number(form.get("DialCallDuration")) or 0))
        log.info("log_dial_ended", sid=sid, status=status)
        if status in _REACHED:
            return xml(twiml.hang_up())
        answering = self._registry.profile_of(form.get("To", "")).answering
        return xml(listening.not_connected(answering.not_reached, answering.language))

    # --- the media stream ----------------------------------------------------------------------------------

    def admit(self, started: media_stream.Started, facts: Mapping[str, str]) -> LogSession:
        """Find or open the call that a stream listens to. Raises `ProtocolError` when it may not come in."""
        sid = started.call_sid
        if (session := self._registry.logs.live.get(sid)) is not None:
            if session.over_for_carrier:
                raise ProtocolError("the call is over", code="call_over")
            return session
        if self._registry.draining:
            raise ProtocolError("no new calls are taken", code="draining")
        who = Parties(
            sid,
            caller=facts.get("from", ""),
            called=facts.get("to", ""),
            other=facts.get("other", ""),
            direction=facts.get("direction", "inbound"),
            elsewhere="elsewhere" in facts,
            parameters={name: value for name, value in started.parameters.items() if name != "token"},
        )
        profile = self._registry.profile_of(who.called)
        return self._registry.logs.open(who, profile.listening, profile.peers.recognizers)

    async def carry(
        self, socket: StreamSocket, carrier: Carrier, session: LogSession, before: int, pacer: ReadPacer
    ) -> None:
        """Carry the stream's messages into the call until the stream is over. Nothing is ever sent.

        `before`: how many of its messages were received already. `pacer` says when it is read.
        """
        stopped = False
        session.attach(carrier)
        self._registry.logs.started(session)
        try:
            take = functools.partial(_take, session)
            stopped = await read_stream(socket, session.info.sid, self._metrics, take, before=before, pacer=pacer)
        finally:
            session.detach(carrier, StreamStopped("caller") if stopped else StreamLost())
            if not stopped and not session.attached and not session.over_for_carrier and self.restart is not None:
                spawn(self.restart(session), name=f"restart-{session.info.id}")


def _take(session: LogSession, event: media_stream.FromCarrier) -> None:
    """Carry one message into the call."""
    if isinstance(event, media_stream.Media):
        session.hear(event.track, event.timestamp_ms, event.audio)


def caller_id(answering: Answering, form: Mapping[str, str]) -> str | None:
    """The number that the other side is shown; None: the caller's own, which the carrier shows by itself."""
    if answering.caller_id:
        return answering.caller_id
    # Only a number can be shown: for a caller from the net the dialled one stands in.
    return None if form.get("From", "").startswith("+") else form.get("To") or None
