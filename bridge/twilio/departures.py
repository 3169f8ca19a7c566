"""What comes next when a media stream, or a dialled talk, is over: each question of Twilio's gets one answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import structlog
from aiohttp import web
from msgspec import Struct

from bridge.call.registry import Registry
from bridge.call.session import Session
from bridge.conversation.commands import LeaveCall
from bridge.conversation.events import TransferEnded
from bridge.errors import CarrierError
from bridge.twilio import twiml
from bridge.twilio.documents import CALL_OVER, SOFTPHONE, STREAM_ENDED, StreamDocuments, xml
from bridge.twilio.gate import Gate, number
from bridge.twilio.once import LEG

DIAL_ENDED = "/twilio/dial-ended"

Fields: TypeAlias = Mapping[str, str]
Ended: TypeAlias = Literal["stream", "dial"]
"""What is over when it is asked what comes next."""
HandOff: TypeAlias = Callable[[str, Sequence[tuple[str, str]], LeaveCall | None], Awaitable[str | None]]
"""Asks an agent's own hand-off webhook: the call's id, the fields of Twilio's question, and how we left the call.
Returns what the call goes on with; None: there is no such webhook."""

log = structlog.get_logger()


class TransferRules(Struct, frozen=True):
    """How callers are passed on, where the agent does not say."""

    ring_seconds: int = 30
    caller_id: str = ""
    """The number that is shown to the other side; empty: the one that was called."""


class Departures:
    """The handlers of the questions what comes next."""

    def __init__(
        self, gate: Gate, registry: Registry, documents: StreamDocuments, transfers: TransferRules
    ) -> None:
        self._gate = gate
        self._registry = registry
        self._documents = documents
        self.transfers = transfers
        self.hand_off: HandOff | None = None
        """Who is asked when an agent hands the call to its own webhook; None: the call ends."""
        self.joined: Callable[[str], None] = lambda _: None
        """Told the conference into which a caller is put."""

    def add_to(self, app: web.Application) -> None:
        """Put the handlers at their addresses."""
        app.router.add_post(STREAM_ENDED, self.stream_ended)
        app.router.add_post(DIAL_ENDED, self.dial_ended)

    async def stream_ended(self, request: web.Request) -> web.Response:
        """The media stream is over: pass the caller on, hang up, or take a broken stream up again."""
        return await self._answer(request, "stream")

    async def dial_ended(self, request: web.Request) -> web.Response:
        """A dialled talk is over, or did not come about: hang up, or bring the caller back."""
        return await self._answer(request, "dial")

    async def _answer(self, request: web.Request, what: Ended) -> web.Response:
        fields = await self._gate.signed_form(request)
        return xml(await self.document(what, request.query.get(LEG, ""), fields))

    async def document(self, what: Ended, leg: str, fields: Sequence[tuple[str, str]]) -> str:
        """Answer a question once; asked again, about the same leg, it gets the same document.

        `what` has ended, and `fields` are those of Twilio's question.
        """
        form = dict(fields)
        sid = form.get("CallSid", "")
        answers = self._documents.answers
        if (given := answers.given(sid, what, leg)) is not None:
            log.info("carrier_asked_again", sid=sid, what=what)
            return given
        await self._revive(what, sid, leg, form)
        departure = self._registry.departure(sid)
        document = self._after_stream(sid, leg, form) if what == "stream" else self._after_dial(sid, form)
        if self.hand_off is not None and what == "stream" and _lets_go(departure, form):
            document = await self.hand_off(sid, fields, departure) or document
        return answers.keep(sid, what, leg, document)

    async def _revive(self, what: Ended, sid: str, leg: str, form: Fields) -> None:
        """Go on with a call of which nobody here knows: the process that carried it may have died.

        Also with one that is over, if it was with somebody else: how that went is told here, and nowhere else.
        """
        registry = self._registry
        over = what == "stream" and form.get("CallStatus") in CALL_OVER
        if over or sid in registry.live or registry.departure(sid) is not None:
            return
        if await registry.revive(sid) is not None:
            self._documents.answers.count_from(sid, leg)

    def _after_stream(self, sid: str, leg: str, form: Fields) -> str:
        departure = self._registry.departure(sid)
        session = self._registry.live.get(sid)
        over = form.get("CallStatus") in CALL_OVER
        if session is None or over:
            self._registry.carrier_ended(sid)
        if departure is not None and not over:
            return self._leave(sid, leg, form, departure)
        if session is None or session.over_for_carrier:
            return twiml.hang_up()
        log.warning("stream_resuming", sid=sid, call=session.info.id)
        return self._stream(session)

    def _leave(self, sid: str, leg: str, form: Fields, departure: LeaveCall) -> str:
        """Carry out how we left the call."""
        session = self._registry.live.get(sid)
        if departure.digits and session is not None:
            return self._stream(session, digits=departure.digits)
        if departure.voicemail and session is not None:
            return self._voicemail(session)
        if departure.conference:
            self.joined(departure.conference)
            return twiml.join_conference(departure.conference, action_url=self._documents.address(DIAL_ENDED, leg))
        if departure.transfer is not None:
            try:
                return self._dial(leg, form, departure)
            except CarrierError as error:
                log.error("transfer_refused", sid=sid, error=error.message)
                return self._not_connected(sid, "failed", 0)
        return twiml.hang_up(departure.farewell)

    def _dial(self, leg: str, form: Fields, departure: LeaveCall) -> str:
        wanted, rules = departure.transfer, self.transfers
        assert wanted is not None  # noqa: S101  The caller of this has looked.
        ours = "From" if form.get("Direction", "").startswith("outbound") else "To"
        return twiml.dial(
            wanted.to,
            say=departure.farewell,
            caller_id=wanted.caller_id or rules.caller_id or form.get(ours) or None,
            timeout_s=round(wanted.timeout_s or rules.ring_seconds),
            action_url=self._documents.address(DIAL_ENDED, leg),
            digits=wanted.digits,
        )

    def _after_dial(self, sid: str, form: Fields) -> str:
        status = form.get("DialCallStatus") or "failed"
        log.info("dial_ended", sid=sid, status=status)
        document = self._not_connected(sid, status, number(form.get("DialCallDuration")) or 0)
        if form.get("CallStatus") in CALL_OVER:
            self._registry.carrier_ended(sid)
        return document

    def bring_back(self, sid: str, conference: str) -> str | None:
        """Tell a call that nobody is in the conference for which it was left, and return what it goes on with.

        None: there is no such call, or it is not there any more.
        """
        session = self._registry.live.get(sid)
        left = None if session is None or session.attached else session.departure
        if left is None or left.conference != conference:
            return None
        return self._not_connected(sid, "canceled", 0)

    def _not_connected(self, sid: str, status: str, duration_s: int) -> str:
        """Tell the call how its transfer ended, and do what it wants then."""
        session = self._registry.live.get(sid)
        if session is None:
            return twiml.hang_up()
        if session.departure is not None and session.departure.transfer is not None:
            session.take(TransferEnded(status, duration_s))  # Else the call is back already, and knows.
        if not session.over_for_carrier:
            return self._stream(session)
        departure = self._registry.departure(sid)  # With what was just told, the call may be left in another way.
        if departure is not None and departure.voicemail:
            return self._voicemail(session)
        return twiml.hang_up("" if departure is None or departure.transfer is not None else departure.farewell)

    def _voicemail(self, session: Session) -> str:
        """Let the caller leave a message. The bridge hears nothing of it, and is told where it is."""
        answering = self._registry.profile_of(session.info.number).answering
        return self._documents.voicemail(session.info.sid, answering.voicemail, answering.language)

    def _stream(self, session: Session, digits: str = "") -> str:
        info = session.info
        facts = {"from": info.caller, "to": info.called, "direction": info.direction}
        if self._registry.by_softphone(info.sid):
            facts[SOFTPHONE] = "1"
        return self._documents.stream(info.sid, facts, digits=digits)


def _lets_go(departure: LeaveCall | None, form: Fields) -> bool:
    """Tell whether it is the agent's own webhook that says what comes next, or is told that nothing does."""
    return form.get("CallStatus") in CALL_OVER if departure is None else departure.handoff is not None
