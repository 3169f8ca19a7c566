"""Warm transfers: calls the other side, tells it what the call is about, and lets it take the call with a key.

The caller stays with the agent meanwhile. Who accepts waits in a conference of its own, into which the caller is
then put; who does not press the key, an answering machine for one, is hung up on.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import structlog
from aiohttp import web
from msgspec import Struct

from bridge.agents.base import CallInfo
from bridge.conversation.actions import Transfer
from bridge.conversation.events import OtherAccepted, TransferEnded
from bridge.errors import CarrierError
from bridge.tasks import spawn
from bridge.twilio import twiml
from bridge.twilio.documents import xml
from bridge.twilio.gate import Gate
from bridge.twilio.rest import NewCall

SUMMARY = "/twilio/consult"
KEY = "/twilio/consult-key"
STATUS = "/twilio/consult-status"

_NOT_REACHED = frozenset({"busy", "no-answer", "failed", "canceled"})
_COMES_WITHIN_S = 10.0
"""How soon after the key the caller is on the way into the conference; else whoever pressed it waits for nobody."""
_JOINED_WITHIN_S = 3.0
"""How soon after the other side has left the conference the carrier asks what becomes of the caller."""

log = structlog.get_logger()


class ConsultRules(Struct, frozen=True):
    """How the other side is asked."""

    accept_key: str = "1"
    accept_prompt: str = "To take this call, press {key}."
    accept_seconds: int = 20
    ring_seconds: int = 30
    caller_id: str = ""
    """The number that the other side sees; empty: the one that the caller called."""


class Rest(Protocol):
    """What is needed of Twilio's REST API. Each raises `CarrierError`."""

    async def create_call(self, call: NewCall) -> str:
        """Place a call and return its id."""

    async def hang_up(self, call_sid: str) -> None:
        """End a call."""

    async def redirect(self, call_sid: str, twiml: str) -> None:
        """Let a call go on with another document."""


@dataclass(slots=True)
class _Consultation:
    id: str
    info: CallInfo
    transfer: Transfer
    tell: Callable[[OtherAccepted | TransferEnded], None]
    state: Literal["calling", "accepted", "over"] = "calling"
    call_sid: str = ""
    """The call to the other side, once it is placed."""
    nobody_comes: asyncio.TimerHandle | None = None

    @property
    def conference(self) -> str:
        """Names are the account's own, so the caller's call and a number that nobody guesses are in it."""
        return f"transfer-{self.info.sid}-{self.id}"


class Consultations:
    """Calls the other side of warm transfers (`bridge.call.others.Others`); answers what Twilio asks about it."""

    def __init__(
        self,
        gate: Gate,
        rest: Rest,
        rules: ConsultRules,
        bring_back: Callable[[str, str], str | None],
        hold: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`bring_back` tells a call, by its id and the conference's name, that nobody is there any more.

        It returns the document with which the caller goes on; None: the caller is taken care of. `hold` is told the
        name under which the carrier will ask about a consultation.
        """
        self._hold = hold
        self._gate = gate
        self._rest = rest
        self.rules = rules
        self._bring_back = bring_back
        self._open: dict[str, _Consultation] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add_to(self, app: web.Application) -> None:
        """Put the handlers at their addresses."""
        app.router.add_post(SUMMARY, self.summary)
        app.router.add_post(KEY, self.key)
        app.router.add_post(STATUS, self.status)

    # --- for the call --------------------------------------------------------------------------------------

    def call(
        self, info: CallInfo, transfer: Transfer, tell: Callable[[OtherAccepted | TransferEnded], None]
    ) -> None:
        """As `Others.call`."""
        consultation = _Consultation(secrets.token_urlsafe(12), info, transfer, tell)
        self._open[consultation.id] = consultation
        self._hold(consultation.id)
        self._spawn(self._place(consultation), f"consult-{info.id}")

    def joined(self, conference: str) -> None:
        """The carrier was told to put the caller into this conference."""
        for consultation in self._open.values():
            if consultation.conference == conference and consultation.nobody_comes is not None:
                consultation.nobody_comes.cancel()

    def cancel(self, info: CallInfo) -> None:
        """As `Others.cancel`."""
        for consultation in [*self._open.values()]:
            if consultation.info.sid == info.sid:
                self._drop(consultation)

    async def close(self) -> None:
        """Hang up on everybody who is still being asked, and wait for the requests that are under way."""
        for consultation in [*self._open.values()]:
            if consultation.state == "calling":
                self._drop(consultation)
            elif consultation.nobody_comes is not None:
                consultation.nobody_comes.cancel()
        if self._tasks:
            await asyncio.wait([*self._tasks])

    async def _place(self, consultation: _Consultation) -> None:
        info, wanted, rules = consultation.info, consultation.transfer, self.rules
        origin, query = self._gate.public_url(), f"?id={consultation.id}"
        try:
            consultation.call_sid = await self._rest.create_call(
                NewCall(
                    to=wanted.to,
                    from_number=wanted.caller_id or rules.caller_id or info.number,
                    url=origin + SUMMARY + query,
                    status_url=origin + STATUS + query,
                    ring_seconds=round(wanted.timeout_s or rules.ring_seconds),
                )
            )
        except CarrierError as error:
            log.error("transfer_refused", sid=info.sid, code=error.code, error=error.message)
            self._end(consultation, "failed")
            return
        if consultation.state == "over":  # The caller hung up while the call was being placed.
            await self._hang_up(consultation.call_sid)

    def _end(self, consultation: _Consultation, status: str) -> None:
        """Nobody takes the call: tell how that came."""
        if consultation.state == "calling":
            self._forget(consultation)
            consultation.tell(TransferEnded(status))

    def _drop(self, consultation: _Consultation) -> None:
        self._forget(consultation)
        if consultation.call_sid:
            self._spawn(self._hang_up(consultation.call_sid), f"drop-{consultation.info.id}")

    def _forget(self, consultation: _Consultation) -> None:
        consultation.state = "over"
        self._open.pop(consultation.id, None)
        if consultation.nobody_comes is not None:
            consultation.nobody_comes.cancel()

    def _give_up(self, consultation: _Consultation) -> None:
        """The caller hung up in the moment of the key, or could not be let go: nobody is to wait alone."""
        log.warning("caller_did_not_come", sid=consultation.info.sid)
        self._drop(consultation)
        consultation.tell(TransferEnded("failed"))

    async def _hang_up(self, call_sid: str) -> None:
        try:
            await self._rest.hang_up(call_sid)
        except CarrierError as error:
            log.warning("call_not_hung_up", sid=call_sid, code=error.code, error=error.message)

    # --- for the carrier -----------------------------------------------------------------------------------

    async def summary(self, request: web.Request) -> web.Response:
        """The other side has answered: tell it what the call is about."""
        consultation, _ = await self._asked(request)
        if consultation is None:
            return xml(twiml.hang_up())
        rules = self.rules
        return xml(
            twiml.ask_to_accept(
                consultation.transfer.summary,
                rules.accept_prompt.replace("{key}", rules.accept_key),
                action_url=f"{self._gate.public_url()}{KEY}?id={consultation.id}",
                timeout_s=rules.accept_seconds,
            )
        )

    async def key(self, request: web.Request) -> web.Response:
        """The other side has pressed a key: the right one takes the call. Asked twice, the answer is the same."""
        consultation, form = await self._asked(request)
        if consultation is None:
            return xml(twiml.hang_up())
        if consultation.state == "calling" and form.get("Digits") != self.rules.accept_key:
            self._end(consultation, "declined")
            return xml(twiml.hang_up())
        if consultation.state == "calling":
            consultation.state = "accepted"
            later = asyncio.get_running_loop().call_later
            consultation.nobody_comes = later(_COMES_WITHIN_S, self._give_up, consultation)
            consultation.tell(OtherAccepted(consultation.conference))
        return xml(twiml.join_conference(consultation.conference))

    async def status(self, request: web.Request) -> web.Response:
        """How far the call to the other side is. May come twice, late, and before anything else."""
        consultation, form = await self._asked(request)
        status = form.get("CallStatus", "")
        if consultation is None or (status != "completed" and status not in _NOT_REACHED):
            return web.Response(status=204)
        if consultation.state == "accepted":
            self._forget(consultation)
            self._spawn(self._look_after(consultation), f"joined-{consultation.info.id}")
        else:
            self._end(consultation, "declined" if status == "completed" else status)
        return web.Response(status=204)

    async def _look_after(self, consultation: _Consultation) -> None:
        """The other side has hung up. If it did so before the caller was with it, the caller waits for nobody."""
        await asyncio.sleep(_JOINED_WITHIN_S)
        sid = consultation.info.sid
        document = self._bring_back(sid, consultation.conference)
        if document is None:
            return
        try:
            await self._rest.redirect(sid, document)
        except CarrierError as error:
            log.error("caller_not_brought_back", sid=sid, code=error.code, error=error.message)

    async def _asked(self, request: web.Request) -> tuple[_Consultation | None, dict[str, str]]:
        form = dict(await self._gate.signed_form(request))
        return self._open.get(request.query.get("id", "")), form

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = spawn(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
