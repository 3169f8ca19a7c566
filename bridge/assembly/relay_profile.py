"""How calls to a ConversationRelay app are held: from settings to options, rules, and its hand-off webhook."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Sequence

import aiohttp
import structlog

from bridge.agents.base import CallInfo
from bridge.agents.relay.agent import RelayOptions, SessionFacts
from bridge.agents.relay.connection import SocketLimits
from bridge.agents.relay.talk import Manners, barge_in
from bridge.agents.targets import TargetRefusedError, check_url, open_session
from bridge.call.session import Observer
from bridge.conversation.actions import Action, HandOff, HangUp, Say, Transfer
from bridge.conversation.commands import Command, LeaveCall, TellAgentEnded
from bridge.conversation.events import Event
from bridge.conversation.policy import Policy
from bridge.errors import AgentError
from bridge.settings import Settings
from bridge.settings.agents import pairs
from bridge.tasks import spawn
from bridge.twilio import handoff, twiml
from bridge.twilio.signature import sign

TWILIO_ASKS_WITHIN_S = 2.0
"""How soon Twilio asks what comes next for a call that is over, if it does. It knows more of the call than we."""
_TOLD_WITHIN_S = 3.0
"""How long webhooks that are still to be told of an end may take when the bridge stops."""
_REMEMBERED = 1000
"""Calls whose hand-off is remembered, for the case that Twilio asks again."""

log = structlog.get_logger()


def relay_options(settings: Settings) -> RelayOptions:
    """Return what the agent needs to know besides its URL."""
    relay, token = settings.relay, _token(settings)
    return RelayOptions(
        account_sid=settings.twilio.account_sid,
        sign=(lambda url: sign(token, url, ())) if token else None,
        manners=Manners(
            interruptible=relay.interruptible,
            preemptible=relay.preemptible,
            report=relay.report_input_during_agent_speech,
            dtmf=relay.dtmf_detection,
            partials=relay.partial_prompts,
        ),
        events=relay.events,
        parameters=pairs(relay.parameters),
        language=settings.stt.language,
        limits=SocketLimits(settings.agent.connect_seconds, relay.reconnect_seconds),
        allow_private=settings.agent.allow_private,
        when_lost=_when_lost(settings),
    )


def relay_policy(policy: Policy, settings: Settings) -> Policy:
    """Return the rules of a call as an app of ConversationRelay expects them."""
    relay = settings.relay
    return dataclasses.replace(
        policy,
        eager=False,  # It is told of a turn once, and answers in its own time.
        greeting=relay.welcome_greeting or policy.greeting,
        greeting_barge_in=barge_in(relay.welcome_greeting_interruptible) or policy.greeting_barge_in,
        barge_in=barge_in(relay.interruptible) or policy.barge_in,
    )


def _when_lost(settings: Settings) -> tuple[Action, ...]:
    turns = settings.turns
    if settings.relay.action_url:
        return (HandOff(),)
    if turns.failure_transfer:
        return Say(turns.handover), Transfer(turns.failure_transfer)
    if settings.voicemail.after_failure:
        return (HangUp("agent_failed"),)  # The carrier's voice says the rest.
    return Say(turns.farewell), HangUp("agent_failed")


def _token(settings: Settings) -> str:
    return settings.relay.auth_token.get_secret_value() or settings.twilio.auth_token.get_secret_value()


class HandOffs:
    """Asks the hand-off webhook of the settings what comes next for a call that an app has let go. One per process.

    Each call's webhook is asked once, however often Twilio asks us, and also when it does not ask: because the
    caller hung up.
    """

    def __init__(self, settings: Settings, session_of: Callable[[str], SessionFacts | None]) -> None:
        """`session_of` tells what became of the session of a call (`CA…`); None: it had none."""
        self._settings = settings
        self._session_of = session_of
        self._http: aiohttp.ClientSession | None = None
        self._asked: OrderedDict[str, asyncio.Task[str]] = OrderedDict()
        self._ending: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    def take(self, settings: Settings) -> None:
        """Go by these settings from now on."""
        self._settings = settings

    def observer(self, info: CallInfo) -> Observer:
        """Return what looks at a call's steps for its end, for `Registry.observers`."""

        def look(_now: float, _event: Event, commands: list[Command]) -> None:
            for command in commands:
                if isinstance(command, TellAgentEnded) and command.reason not in {"handoff", "transfer"}:
                    self._tell_of_end(info)

        return look

    def _tell_of_end(self, info: CallInfo) -> None:
        if self._settings.relay.action_url and self._session_of(info.sid) is not None:
            task = spawn(self._ended(info), name=f"relay-ended-{info.id}")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _ended(self, info: CallInfo) -> None:
        """Tell the webhook of a call that is over, unless Twilio asks first."""
        try:
            async with asyncio.timeout(TWILIO_ASKS_WITHIN_S):
                await self._closing.wait()
        except TimeoutError:
            pass
        form = {
            "AccountSid": self._settings.twilio.account_sid,
            "ApiVersion": "2010-04-01",
            "CallSid": info.sid,
            "CallStatus": "completed",
            "Called": info.called,
            "Caller": info.caller,
            "Direction": info.direction,
            "From": info.caller,
            "To": info.called,
        }
        await self.document(info.sid, [*form.items()], None)

    async def document(self, sid: str, form: Sequence[tuple[str, str]], departure: LeaveCall | None) -> str | None:
        """Return the TwiML that a call goes on with; None: there is no hand-off webhook for it.

        `form` holds the fields of Twilio's own question. A webhook that fails is logged; the caller then hears
        what is set for an agent that fails, or is passed on. Cancelling does not stop what was begun.
        """
        session = self._session_of(sid)
        if session is None or not self._settings.relay.action_url:
            return None
        if (task := self._asked.get(sid)) is None:
            self._asked[sid] = task = spawn(self._document(sid, form, departure, session), name=f"hand-off-{sid}")
            while len(self._asked) > _REMEMBERED:
                self._asked.popitem(last=False)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Tell of the calls that have just ended, and close the connections."""
        self._closing.set()
        if self._ending:
            await asyncio.wait(self._ending, timeout=_TOLD_WITHIN_S)
        if self._http is not None:
            await self._http.close()

    async def _document(
        self, sid: str, form: Sequence[tuple[str, str]], departure: LeaveCall | None, session: SessionFacts
    ) -> str:
        end = handoff.SessionEnd(
            id=session.id,
            status=session.status,
            duration_s=session.duration_s,
            data="" if departure is None else departure.handoff or "",
            error_code=session.error_code,
            error_message=session.error_message,
        )
        try:
            document = await self._ask(form, end)
        except AgentError as error:
            log.error("handoff_failed", sid=sid, code=error.code, error=error.message)
            turns = self._settings.turns
            if turns.failure_transfer:
                return twiml.dial(
                    turns.failure_transfer, say=turns.handover, caller_id=dict(form).get("To") or None
                )
            return twiml.hang_up(turns.farewell)
        log.info("handed_off", sid=sid, session=session.id, status=session.status)
        return document

    async def _ask(self, form: Sequence[tuple[str, str]], end: handoff.SessionEnd) -> str:
        url, allow_private = self._settings.relay.action_url, self._settings.agent.allow_private
        if not allow_private:
            try:
                check_url(url)
            except TargetRefusedError as error:
                raise AgentError(
                    f"the hand-off webhook is not asked: {error.message}", code="agent_target"
                ) from error
        if self._http is None:
            self._http = open_session(allow_private=allow_private)
        return await handoff.ask(self._http, url, form, end, token=_token(self._settings))
