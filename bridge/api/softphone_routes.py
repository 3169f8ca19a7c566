"""`/api/v1/softphone`: a page as the phone of a call, and what comes next for such a call.

The page speaks the carrier's protocol on `/twilio/media`. There is no carrier that would sign for it: the token
that is handed out here, short-lived and good for one stream, stands in for that. And there is no carrier to ask
what comes next when the bridge leaves a stream, so the page asks here.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import structlog
from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bridge.api.call_routes import stream_parameters
from bridge.api.door import Door, asker, read
from bridge.api.operations import Operation
from bridge.api.problems import Problem
from bridge.api.softphone_steps import Step, StreamStep, steps_of
from bridge.call.registry import Registry
from bridge.twilio.departures import Departures
from bridge.twilio.routes import TwilioRoutes

SOFTPHONE = "/api/v1/softphone"
CALLER = "client:softphone"
"""Who calls, if the page does not say."""
NO_NUMBER = "client:bridge"
"""What is called where no number is named: the agent of the settings answers."""

_REMEMBERED = 10_000
"""Calls of pages; a page that comes back to an older one is told that there is no such call."""
_SID = re.compile(r"CA[0-9a-f]{32}")

log = structlog.get_logger()


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it holds characters that cannot be printed")
    return text


class NewSoftphoneCall(BaseModel):
    """What `POST /api/v1/softphone` takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    number: Annotated[str, AfterValidator(_printable)] = Field(default="", max_length=100)
    """Which number is called, as in `[[numbers]]`; empty: none of them, so that the agent of `[agent]` answers."""
    caller: Annotated[str, AfterValidator(_printable)] = Field(default="", max_length=100)
    """Who calls, as the agent sees it; empty: `client:softphone`."""
    parameters: Annotated[dict[str, str], AfterValidator(stream_parameters)] = {}
    """Handed to the agent, as the parameters of a stream are."""


class SoftphoneCall(BaseModel):
    """A call that begins as soon as its stream does."""

    call: str
    """The bridge's id of the call."""
    sid: str
    """What a carrier's id of the call would be: `callSid` of the stream, and the call's name in `…/next`."""
    caller: str
    called: str
    stream_url: str
    """Path of the media stream, on the host that was asked; the scheme is `ws` or `wss`."""
    token: str
    """For the parameter `token` of the stream's `start`; good for a minute, and once. Empty: none is wanted."""
    steps: list[Step]
    """What is to be done, in order."""


class WhatNext(BaseModel):
    """What `POST /api/v1/softphone/{sid}/next` takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    after: Literal["stream", "dial"] = "stream"
    """What is over."""
    leg: str = Field(default="", max_length=20)
    """Of the step that is over."""
    over: bool = False
    """The caller has hung up: nothing comes next."""
    dial_status: Literal["completed", "answered", "busy", "no-answer", "failed", "canceled"] = "failed"
    """How the dialling ended, after one."""
    dial_seconds: int = Field(default=0, ge=0, le=86_400)
    """How long they talked."""


class Next(BaseModel):
    """What comes next."""

    steps: list[Step]


class CallableNumber(BaseModel):
    """A number that can be tried."""

    number: str
    """Empty: none of `[[numbers]]`."""
    agent: str
    """Kind of its agent; `log` connects two people, which a page cannot."""
    open: bool
    """Whether it takes calls now."""
    announcement: str
    """What callers hear first, in the carrier's own voice."""


class Callables(BaseModel):
    """What the softphone can call."""

    numbers: list[CallableNumber]
    reattach_seconds: float
    """How long the bridge keeps a call whose stream broke."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A call of a page."""

    by: str
    """Name of who asked for it."""
    form: Mapping[str, str]
    """The fields that a carrier would say of it."""


class SoftphoneRoutes:
    """The handlers."""

    def __init__(self, registry: Registry, twilio: TwilioRoutes, numbers: Callable[[], Sequence[str]]) -> None:
        """`numbers` returns the numbers of the settings."""
        self._registry = registry
        self._twilio = twilio
        self._departures: Departures = twilio.departures
        self._numbers = numbers
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def add_to(self, app: web.Application, door: Door) -> None:
        """Put the handlers at their addresses."""
        what = Operation("Tell what the softphone can call", "control", tag="softphone", answers={200: Callables})
        door.add(app, "GET", SOFTPHONE, self.what, what)
        call = Operation(
            "Call as a page",
            "control",
            tag="softphone",
            about="The page then opens the media stream, and speaks Twilio's protocol as Twilio does.",
            body=NewSoftphoneCall,
            body_required=False,
            answers={201: SoftphoneCall},
            problems=(409, 503),
        )
        door.add(app, "POST", SOFTPHONE, self.call, call)
        after = Operation(
            "Ask what comes next for a call of a page",
            "control",
            tag="softphone",
            about="When its stream is over or broken, or somebody that it was connected with has hung up.",
            body=WhatNext,
            answers={200: Next},
            problems=(404,),
        )
        door.add(app, "POST", SOFTPHONE + "/{sid}/next", self.next, after)

    async def what(self, _: web.Request) -> web.Response:
        """Tell which numbers there are."""
        now = dt.datetime.now(dt.UTC)
        found = []
        for number in ("", *self._numbers()):
            profile = self._registry.profile_of(number or NO_NUMBER)
            closed = profile.answering.closed
            found.append(
                CallableNumber(
                    number=number,
                    agent=profile.agent_kind,
                    open=closed is None or closed.open_at(now),
                    announcement=profile.answering.announcement,
                )
            )
        seconds = self._registry.profile_of(NO_NUMBER).policy.reattach_s
        return _json(Callables(numbers=found, reattach_seconds=seconds))

    async def call(self, request: web.Request) -> web.Response:
        """Let a page call: 201. The call begins with its stream; one that brings none leaves nothing behind."""
        body = await read(request, NewSoftphoneCall) if request.can_read_body else NewSoftphoneCall()
        if self._registry.draining:
            raise Problem(503, "draining", "The bridge takes no new calls.", headers={"Retry-After": "5"})
        called = body.number or NO_NUMBER
        if self._registry.profile_of(called).answering.mode == "log":
            raise Problem(
                409,
                "number_connects_people",
                f"{called} connects two people and listens to them: the softphone can only talk with an agent.",
            )
        call_id = uuid.uuid4().hex
        sid = f"CA{call_id}"
        form = {
            "CallSid": sid,
            "From": body.caller or CALLER,
            "To": called,
            "Direction": "inbound",
            "CallStatus": "in-progress",
        }
        if (reason := self._twilio.refusal(sid, called)) is not None:
            again = {"Retry-After": "5"}
            raise Problem(503, "no_room", f"The bridge has no room for another call ({reason}).", headers=again)
        steps = steps_of(self._twilio.answer(form, body.parameters, softphone=True).text or "")
        self._remember(sid, _Known(asker(request).name, form))
        log.info("softphone_call", call=call_id, sid=sid, called=called, who=asker(request).name)
        token = next((step.parameters["token"] for step in steps if isinstance(step, StreamStep)), "")
        answer = SoftphoneCall(
            call=call_id,
            sid=sid,
            caller=form["From"],
            called=called,
            stream_url=self._twilio.stream_path,
            token=token,
            steps=steps,
        )
        return _json(answer, status=201)

    async def next(self, request: web.Request) -> web.Response:
        """Tell what comes next. Asked again, for the same leg, the same is answered."""
        sid = request.match_info["sid"]
        known = self._known.get(sid) if _SID.fullmatch(sid) else None
        if known is None or known.by != asker(request).name:
            raise Problem(
                404, "call_unknown", "There is no such call of yours; the bridge may have been started anew since."
            )
        body = await read(request, WhatNext)
        form = {**known.form, "CallStatus": "completed" if body.over else "in-progress"}
        if body.after == "dial":
            status = "canceled" if body.over else body.dial_status
            form |= {"DialCallStatus": status, "DialCallDuration": str(body.dial_seconds)}
        document = await self._departures.document(body.after, body.leg, [*form.items()])
        return _json(Next(steps=steps_of(document)))

    def _remember(self, sid: str, known: _Known) -> None:
        self._known[sid] = known
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def _json(answer: BaseModel, status: int = 200) -> web.Response:
    return web.json_response(text=answer.model_dump_json(), status=status)
