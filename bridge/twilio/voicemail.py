"""The messages that callers leave with the carrier: what it asks and tells about them. Twilio: `<Record>`.

A live call is told of its message, and ends with it. Who was not let in had no call: their message gets a record of
its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import structlog
from aiohttp import web

from bridge.call.left_message import LeftMessage
from bridge.call.registry import Registry
from bridge.call.session import Session
from bridge.conversation.events import MessageRecorded
from bridge.tasks import spawn
from bridge.twilio import twiml
from bridge.twilio.documents import CALL_OVER, MESSAGE_ENDED, MESSAGE_READY, StreamDocuments, xml
from bridge.twilio.gate import Gate, number
from bridge.twilio.listening import say_language
from bridge.twilio.once import LEG

Fields: TypeAlias = Mapping[str, str]
OnMessage: TypeAlias = Callable[[Path], None]
"""Is told the folder of a call whose record is finished, and holds a message that the carrier has."""

_REMEMBERED = 10_000

log = structlog.get_logger()


class VoicemailRoutes:
    """The handlers of what Twilio asks and tells about messages."""

    def __init__(self, gate: Gate, registry: Registry, documents: StreamDocuments) -> None:
        self._gate = gate
        self._registry = registry
        self._documents = documents
        self._taken: OrderedDict[str, None] = OrderedDict()
        """The recordings that were taken. Twilio tells of each twice, at either address, and maybe again."""
        self.on_message: OnMessage = lambda _: None

    def add_to(self, app: web.Application) -> None:
        """Put the handlers at their addresses."""
        app.router.add_post(MESSAGE_ENDED, self.ended)
        app.router.add_post(MESSAGE_READY, self.ready)

    async def ended(self, request: web.Request) -> web.Response:
        """A message is over, or nothing was said: thank the caller, and hang up."""
        form = dict(await self._gate.signed_form(request))
        sid, leg = form.get("CallSid", ""), request.query.get(LEG, "")
        answers = self._documents.answers
        if (given := answers.given(sid, "message", leg)) is not None:
            log.info("carrier_asked_again", sid=sid, what="message")
            return xml(given)
        await self._take(sid, form, ends=True)
        ours = form.get("From" if form.get("Direction", "").startswith("outbound") else "To", "")
        answering = self._registry.profile_of(ours).answering
        thanks = answering.voicemail.thanks if form.get("RecordingUrl") else ""
        return xml(answers.keep(sid, "message", leg, twiml.hang_up(thanks, say_language(answering.language))))

    async def ready(self, request: web.Request) -> web.Response:
        """The sound of a message can be fetched. It is told of also where nobody was asked what comes next."""
        form = dict(await self._gate.signed_form(request))
        if form.get("RecordingStatus", "completed") == "completed":
            await self._take(form.get("CallSid", ""), form, ends=False)
        return web.Response(status=204)

    async def _take(self, sid: str, form: Fields, *, ends: bool) -> None:
        """Keep a message, each once. `ends`: the caller is done with it, also where there is none."""
        url = form.get("RecordingUrl", "")
        if url:
            if url in self._taken or not await self._first(url):
                return
            self._taken[url] = None
            while len(self._taken) > _REMEMBERED:
                self._taken.popitem(last=False)
        seconds = number(form.get("RecordingDuration")) or 0
        session = self._registry.live.get(sid) or await self._registry.revive(sid)
        if session is not None and session.departure is not None and session.departure.voicemail:
            session.take(MessageRecorded(url, seconds))
            if url:
                log.info("message_left", sid=sid, call=session.info.id, seconds=seconds)
                spawn(self._tell(session), name=f"message-{session.info.id}")
        elif url:
            await self._keep(sid, form, LeftMessage(url, seconds))
        if ends and form.get("CallStatus") in CALL_OVER:
            self._registry.carrier_ended(sid)

    async def _first(self, url: str) -> bool:
        """Tell whether no other node was told of a recording before: its two callbacks may reach two of them."""
        return self._gate.once is None or await self._gate.once(url)

    async def _tell(self, session: Session) -> None:
        await session.ended.wait()
        if session.files is not None:
            self.on_message(session.files.folder)

    async def _keep(self, sid: str, form: Fields, message: LeftMessage) -> None:
        """Make a record of the message alone: its caller had no call here, or none that is known any more."""
        files = await self._registry.keep_message(
            sid,
            message,
            caller=form.get("From", ""),
            called=form.get("To", ""),
            direction=form.get("Direction", "inbound"),
        )
        log.info("message_left", sid=sid, folder=str(files.folder), seconds=message.seconds)
        self.on_message(files.folder)
