"""What Twilio asks and tells about calls of ours: the answered leg, who answered, how far the call is.

The id of the order stands in the address, so that nothing depends on the call's `CallSid`: a call can be answered
before Twilio has told us that ("Twilio REST: outbound call").
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import structlog
from aiohttp import web

from bridge.call.outgoing import CarrierReport, Outgoing, OutgoingCall
from bridge.call.registry import Registry
from bridge.call.session import Session
from bridge.conversation.events import AnswererKnown
from bridge.twilio import twiml
from bridge.twilio.documents import StreamDocuments, xml
from bridge.twilio.gate import Gate, number
from bridge.twilio.listening import announced

VERDICT = "/twilio/amd"
CALL = "call"
"""Name of the query's field that holds the order's id."""

Order: TypeAlias = tuple[OutgoingCall, str]
"""What was ordered of a call, and who answered in the carrier's words; empty: that is not known."""

_REMEMBERED = 1000
"""Verdicts that wait for their call's media stream."""

log = structlog.get_logger()


class OutboundRoutes:
    """The part of Twilio's routes that is about calls of ours."""

    def __init__(
        self,
        gate: Gate,
        registry: Registry,
        outgoing: Outgoing | None,
        documents: StreamDocuments,
    ) -> None:
        self._gate = gate
        self._registry = registry
        self._outgoing = outgoing
        self._documents = documents
        self._verdicts: OrderedDict[str, str] = OrderedDict()
        self.elsewhere: Callable[[str, str], Awaitable[Order | None]] | None = None
        """Asks other nodes for a call that they have placed, by the ids of order and carrier; None: no nodes."""

    def add_to(self, app: web.Application) -> None:
        """Put the handler at its address."""
        app.router.add_post(VERDICT, self.verdict)

    def voice(self, call_id: str, form: Mapping[str, str]) -> web.Response:
        """Somebody answered a call of ours: connect them with a media stream, or hang up.

        With synchronous detection Twilio says here whom it takes them for ("Twilio: answering-machine detection").
        """
        sid, kind = form["CallSid"], form.get("AnsweredBy", "")
        if self._registry.draining:
            return xml(twiml.hang_up())
        ordered: OutgoingCall | None = None  # Without an id another program has placed it, and lets us talk.
        if call_id:
            ordered = self.ordered(call_id, sid)
            if ordered is None or self._outgoing is None:
                log.warning("outbound_call_not_wanted", call=call_id, sid=sid)
                return xml(twiml.hang_up())
            if kind:
                self._outgoing.answerer(call_id, kind)
            if kind == "fax" or (kind.startswith("machine") and not ordered.voicemail):
                return xml(twiml.hang_up())
        log.info("call_answered", call=call_id, sid=sid, called=form.get("To"), answered_by=kind)
        if kind:
            self._keep(sid, kind)
        facts = {"from": form.get("From", ""), "to": form.get("To", ""), "direction": "outbound"}
        if call_id:
            facts["call"] = call_id
        self._registry.expect(sid, called=facts["from"], call_id=call_id)
        document = self._documents.stream(sid, facts, None if ordered is None else ordered.parameters)
        if kind.startswith("machine"):
            return xml(document)  # A machine is left a message: nothing but that is to be on it.
        answering = self._registry.profile_of(facts["from"]).answering
        return xml(announced(document, answering.recording_announcement, answering.language))

    async def verdict(self, request: web.Request) -> web.Response:
        """Twilio has found out who answered, while the call goes on (`AsyncAmdStatusCallback`)."""
        form = dict(await self._gate.signed_form(request))
        sid, kind = form.get("CallSid", ""), form.get("AnsweredBy", "")
        log.info("answerer_told", sid=sid, answered_by=kind)
        if kind and self._outgoing is not None:
            self._outgoing.answerer(request.query.get(CALL, ""), kind)
        if (session := self._registry.live.get(sid)) is not None:
            session.take(AnswererKnown(kind))
        elif kind:
            self._keep(sid, kind)
        return web.Response(status=204)

    def report(self, call_id: str, form: Mapping[str, str]) -> None:
        """Twilio tells how far a call is."""
        if not call_id or self._outgoing is None or "CallStatus" not in form:
            return
        report = CarrierReport(
            sid=form.get("CallSid", ""),
            status=form["CallStatus"],
            sequence=number(form.get("SequenceNumber")),
            duration_s=number(form.get("CallDuration")),
            sip_code=form.get("SipResponseCode", ""),
        )
        self._outgoing.report(call_id, report)

    def ordered(self, call_id: str, sid: str) -> OutgoingCall | None:
        """Return what was ordered of the call whose media stream is there now."""
        return self._outgoing.answered(call_id, sid) if call_id and self._outgoing is not None else None

    def given_away(self, call_id: str, sid: str) -> Order | None:
        """Return what another node needs to know of a call of ours whose media stream came there; None: no such."""
        ordered = self.ordered(call_id, sid)
        return None if ordered is None else (ordered, self._verdicts.pop(sid, ""))

    async def ordered_anywhere(self, call_id: str, sid: str) -> OutgoingCall | None:
        """As `ordered`, also where another node has placed the call."""
        found = self.ordered(call_id, sid)
        if found is not None or not call_id or self.elsewhere is None:
            return found
        if (given := await self.elsewhere(call_id, sid)) is None:
            return None
        found, kind = given
        if kind:
            self._keep(sid, kind)
        return found

    def tell_verdict(self, session: Session) -> None:
        """Tell a call that begins who answered it, if that is known: before its stream, so nothing is unsaid."""
        if (kind := self._verdicts.pop(session.info.sid, None)) is not None:
            session.take(AnswererKnown(kind))

    def _keep(self, sid: str, kind: str) -> None:
        self._verdicts[sid] = kind
        while len(self._verdicts) > _REMEMBERED:
            self._verdicts.popitem(last=False)
