"""Where Twilio reaches the bridge: the voice webhook, the media stream, and the callbacks.

Every request must carry Twilio's signature over the public URL; the media stream must also bring the token that
the voice webhook handed out, because its address is public and not every upgrade is known to be signed.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Collection, Mapping

import structlog
from aiohttp import WSMsgType, web

from bridge.call.admission import Reason
from bridge.call.admitting import Admitting
from bridge.call.carrier import Carrier
from bridge.call.outgoing import Outgoing
from bridge.call.registry import Registry
from bridge.call.session import Session
from bridge.conversation.events import DigitPressed, MarkReturned, StreamLost, StreamStopped
from bridge.errors import CarrierError, ProtocolError
from bridge.metrics import Metrics
from bridge.twilio import media_stream, twiml
from bridge.twilio.departures import Departures, TransferRules
from bridge.twilio.documents import CALL_OVER, MEDIA, SOFTPHONE, STATUS, StreamDocuments, softphone_call, xml
from bridge.twilio.gate import Gate, number
from bridge.twilio.listening import announced
from bridge.twilio.log_routes import LISTEN, LogRoutes, caller_id
from bridge.twilio.once import FIRST_LEG, LEG
from bridge.twilio.outbound_routes import CALL, OutboundRoutes
from bridge.twilio.overflow import turned_away
from bridge.twilio.read_pacing import ReadPacer
from bridge.twilio.reading import read_stream
from bridge.twilio.stream_socket import StreamSocket
from bridge.twilio.tokens import TokenRefused
from bridge.twilio.voicemail import VoicemailRoutes

VOICE = "/twilio/voice"
WAITED = "waited"
"""Name of the query's field that says how many rounds a caller has waited. The signature covers it."""

_MAX_FRAME_BYTES = 256 * 1024
_START_WITHIN_S = 5.0
"""A stream that has not said by then which call it carries is closed."""
_MESSAGES_BEFORE_START = 4
_POLICY_VIOLATION = 1008

log = structlog.get_logger()


class TwilioRoutes:
    """The handlers, and what they share."""

    def __init__(
        self,
        gate: Gate,
        registry: Registry,
        metrics: Metrics,
        transfers: TransferRules | None = None,
        outgoing: Outgoing | None = None,
        pacer: ReadPacer | None = None,
        admitting: Admitting | None = None,
    ) -> None:
        """`outgoing` orders calls of ours; None: there are none. `pacer`: when streams are read; None: at once.

        `admitting` says which calls are taken; None: all of them, until the bridge stops.
        """
        self._admitting = admitting
        self._pacer = pacer or ReadPacer(0)
        self._documents = StreamDocuments(gate)
        self.departures = Departures(gate, registry, self._documents, transfers or TransferRules())
        self.voicemail = VoicemailRoutes(gate, registry, self._documents)
        self._gate = gate
        self._registry = registry
        self._metrics = metrics
        self.logs = LogRoutes(gate, registry, metrics)
        self.outbound = OutboundRoutes(gate, registry, outgoing, self._documents)
        self.away: Collection[str] = ()
        """Calls that were with somebody else when an earlier process died: they are gone on with at their end."""

    @property
    def stream_path(self) -> str:
        """Where calls that are answered here are to open their media streams."""
        return self._gate.stream_path

    def add_to(self, app: web.Application) -> None:
        """Put the handlers at their addresses."""
        app.router.add_post(VOICE, self.voice)
        app.router.add_get(MEDIA, self.media)
        if self._gate.stream_path != MEDIA:
            app.router.add_get(MEDIA + "/{worker}", self.media)
        app.router.add_post(STATUS, self.status)
        self.departures.add_to(app)
        self.voicemail.add_to(app)
        self.logs.add_to(app)
        self.outbound.add_to(app)

    # --- webhooks ------------------------------------------------------------------------------------------

    async def voice(self, request: web.Request) -> web.Response:
        """A call comes in: answer with a media stream both ways ("Twilio: the inbound call webhook")."""
        form = dict(await self._gate.signed_form(request))
        if not form.get("CallSid"):
            raise web.HTTPBadRequest(text="CallSid is missing: this address is for Twilio's voice webhook\n")
        if form.get("Direction", "").startswith("outbound"):
            call_id = request.query.get(CALL, "")
            if not call_id and self.refusal(form["CallSid"], form.get("From", "")) is not None:
                return xml(twiml.hang_up())  # Another program has placed it; ours have their place already.
            return self.outbound.voice(call_id, form)
        closed = self.logs.closed(form)
        return closed or self._turned_away(request, form) or self.answer(form)

    def _turned_away(self, request: web.Request, form: Mapping[str, str]) -> web.Response | None:
        """Answer a call that comes in and for which there is no room; None: there is, and it holds it."""
        called = form.get("To", "")
        if self.refusal(form["CallSid"], called) is None:
            return None
        answering, waited = self._registry.profile_of(called).answering, number(request.query.get(WAITED)) or 0
        try:
            document = turned_away(
                answering.overflow,
                again_url=f"{self._gate.public_url()}{VOICE}?{WAITED}={waited + 1}",
                waited=waited,
                language=answering.language,
                caller_id=caller_id(answering, form),
                take_message=lambda: self._documents.voicemail(
                    form["CallSid"], answering.voicemail, answering.language
                ),
            )
        except CarrierError as error:
            log.error("call_not_connected", sid=form["CallSid"], error=error.message)
            document = twiml.reject("busy")
        return xml(document)

    def refusal(self, sid: str, called: str) -> Reason | None:
        """Let a call to a number of ours in, which holds its place until its stream is there; or say why not."""
        if self._admitting is None:
            return "draining" if self._registry.draining else None
        two_sides = self._registry.profile_of(called).answering.mode == "log"
        return self._admitting.refusal(sid, called, two_sides=two_sides)

    def answer(
        self, form: Mapping[str, str], parameters: Mapping[str, str] | None = None, *, softphone: bool = False
    ) -> web.Response:
        """Answer a call that comes in with its first document.

        `parameters` go along with the stream; `softphone`: a page of ours is the phone, and no carrier knows the
        call.
        """
        sid = form.get("CallSid", "")
        facts = {
            "from": form.get("From", ""),
            "to": form.get("To", ""),
            "direction": form.get("Direction", "inbound"),
        }
        log.info("call_coming", sid=sid, caller=facts["from"], called=facts["to"])
        if (other := self.logs.closed(form) or self.logs.first_document(form)) is not None:
            return other
        if softphone:
            facts[SOFTPHONE] = "1"
        self._registry.expect(sid, called=facts["to"], call_id=softphone_call(sid, facts))
        answering = self._registry.profile_of(facts["to"]).answering
        document = self._documents.stream(sid, facts, parameters)
        return xml(announced(document, answering.said_first, answering.language))

    async def status(self, request: web.Request) -> web.Response:
        """Call and stream status callbacks: the last word on a call whose stream never said `stop`."""
        form = dict(await self._gate.signed_form(request))
        sid = form.get("CallSid", "")
        self.outbound.report(request.query.get(CALL, ""), form)
        if form.get("StreamEvent") == "stream-error":
            log.error("stream_failed", sid=sid, error=form.get("StreamError", ""))
            self._registry.stream_failed(sid)
            self._give_up_place(sid)
        if form.get("CallStatus") in CALL_OVER:
            if sid in self.away:
                await self._registry.revive(sid)  # Unless it was, when the carrier told how that had gone.
            self._registry.carrier_ended(sid)
            self._give_up_place(sid)
        return web.Response(status=204)

    def _give_up_place(self, sid: str) -> None:
        if self._admitting is not None:
            self._admitting.release(sid)

    # --- the media stream ----------------------------------------------------------------------------------

    async def media(self, request: web.Request) -> web.StreamResponse:
        """One media stream, from its upgrade to its end ("Twilio Media Streams")."""
        self._gate.check_upgrade(request)
        socket = StreamSocket(compress=False, max_msg_size=_MAX_FRAME_BYTES)
        await socket.prepare(request)
        sid = ""
        try:
            started, before = await asyncio.wait_for(self._started(socket), _START_WITHIN_S)
            sid = started.call_sid
            facts = await self._facts(started)
            listens = facts.get("mode") == LISTEN
            session = None if listens else await self._admit(started, facts)
            overheard = self.logs.admit(started, facts) if listens else None
        except (TokenRefused, ProtocolError, TimeoutError) as error:
            reason = getattr(error, "code", "no_start")
            self._metrics.refused_requests.labels(reason=reason).inc()
            remote = self._gate.proxies.remote(request)
            self._gate.telling.line(
                log.warning, "stream_refused", sid=sid, reason=reason, error=str(error), remote=remote
            )
            await socket.close(code=_POLICY_VIOLATION, message=reason.encode())
            return socket
        self._gate.proven(request)
        transport = request.transport
        cut = None if transport is None else transport.abort
        carrier = Carrier(socket, started.stream_sid, cut, socket.write_at_once, started.call_sid)
        if overheard is not None:
            await self.logs.carry(socket, carrier, overheard, before, self._pacer)
        elif session is not None:
            await self._carry(socket, carrier, session, before)
        return socket

    async def _started(self, socket: StreamSocket) -> tuple[media_stream.Started, int]:
        """Read until the stream says which call it carries. Returns that, and how many messages it took."""
        for count in range(_MESSAGES_BEFORE_START):
            message = await socket.receive()
            if message.type is not WSMsgType.TEXT:
                what = message.data if message.type is WSMsgType.ERROR else message.type.name
                raise ProtocolError(f"the stream ended before it started: {what}", code="no_start")
            event = media_stream.parse_from_carrier(message.data)
            if isinstance(event, media_stream.Started):
                return event, count + 1
        raise ProtocolError("the stream does not start", code="no_start")

    async def _facts(self, started: media_stream.Started) -> dict[str, str]:
        """Return what the stream's token says of the call. Raises when it is not good, or the sound no phone's."""
        facts = await self._gate.redeem(started.parameters.get("token", ""), started.call_sid)
        if (started.encoding, started.sample_rate, started.channels) != (
            media_stream.ENCODING,
            media_stream.SAMPLE_RATE_HZ,
            1,
        ):
            raise ProtocolError("the stream's audio is not mu-law at 8000 Hz", code="wrong_format")
        return facts

    async def _admit(self, started: media_stream.Started, facts: Mapping[str, str]) -> Session:
        """Find or open the call that the stream belongs to. Raises when it may not come in."""
        session, leg = self._registry.live.get(started.call_sid), facts.get(LEG, "")
        self._documents.answers.count_from(started.call_sid, leg)
        if session is None and leg not in {"", FIRST_LEG}:  # Then another process has held the call.
            session = await self._registry.revive(started.call_sid)
        if session is not None:
            if session.over_for_carrier:
                raise ProtocolError("the call is over", code="call_over")
            return session
        if self._registry.draining:
            raise ProtocolError("no new calls are taken", code="draining")
        call_id = facts.get("call", "")
        ordered = await self.outbound.ordered_anywhere(call_id, started.call_sid)
        if call_id and ordered is None:
            raise ProtocolError("the call is not wanted any more", code="call_over")
        given = {name: value for name, value in started.parameters.items() if name != "token"}
        return self._registry.open(
            started.call_sid,
            caller=facts.get("from", ""),
            called=facts.get("to", ""),
            direction=facts.get("direction", "inbound"),
            parameters=given,
            outgoing=ordered,
            softphone=softphone_call(started.call_sid, facts),
        )

    async def _carry(self, socket: StreamSocket, carrier: Carrier, session: Session, before: int) -> None:
        """Carry the stream's messages into the call until the stream is over."""
        stopped = False
        self.outbound.tell_verdict(session)
        session.attach(carrier)
        try:
            take = functools.partial(_take, session)
            stopped = await read_stream(
                socket, session.info.sid, self._metrics, take, before=before, pacer=self._pacer
            )
        finally:
            session.detach(carrier, StreamStopped("caller") if stopped else StreamLost())


def _take(session: Session, event: media_stream.FromCarrier) -> None:
    """Carry one message into the call."""
    match event:
        case media_stream.Media():
            if event.track == "inbound":
                session.hear(event.timestamp_ms, event.audio)
        case media_stream.Mark(name):
            session.take(MarkReturned(name))
        case media_stream.Digit(digit):
            session.take(DigitPressed(digit))
        case _:
            pass  # Events of a newer protocol, and a second `connected` or `start`, change nothing.
