"""`/api/v1/calls/{call}/…`: act on a live call, in the agent's place or beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

import structlog
from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bridge.agents import action_checks
from bridge.api.door import Door, asker, read
from bridge.api.operations import Operation
from bridge.api.problems import Problem
from bridge.call.log_session import LogSession
from bridge.call.session import Session
from bridge.conversation.actions import Action, HangUp, Note, Say, SendDigits, Set, Transfer
from bridge.conversation.events import OperatorActed
from bridge.errors import CarrierError
from bridge.live.calls import LiveCall, LiveCalls

CALL: Final = "/api/v1/calls/{call}"

B = TypeVar("B", bound=BaseModel)
_DIALLED = re.compile(r"\+[1-9][0-9]{6,14}|sips?:[^\s\x00-\x1f]+")
_KEYS = r"^[0-9*#A-DwW]+$"
_PROBLEMS = (404, 409)

log = structlog.get_logger()


def _spoken(value: str) -> str:
    if not any(character.isalnum() for character in value):
        raise ValueError("there is nothing in it that could be spoken")
    return value


def _dialled(value: str) -> str:
    if not _DIALLED.fullmatch(value):
        raise ValueError("wanted a number like +15551234567 or a SIP address like sip:desk@example.com")
    return value


def _noted(value: dict[str, Any]) -> dict[str, Any]:
    """Return a note's data, if it can be kept and told as it is: the same holds for it as for an agent's."""
    try:
        fault = action_checks.fault(Note(value))
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        fault = "it holds what JSON cannot: half a character, or a number without end"
    if fault:
        raise ValueError(fault)
    return value


Sentence = Annotated[str, Field(min_length=1, max_length=4000), AfterValidator(_spoken)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class SayBody(_Body):
    """What `POST …/say` takes."""

    text: Sentence
    """What is to be said, verbatim."""
    interruptible: bool = True
    """false: the caller's voice does not cut it off."""
    voice: str | None = Field(default=None, min_length=1, max_length=200)
    """Voice id of the speech service; null is the call's."""
    language: str | None = Field(default=None, min_length=1, max_length=35)
    """Language tag such as `en`; null is the call's."""


class DigitsBody(_Body):
    """What `POST …/digits` takes."""

    digits: str = Field(pattern=_KEYS, max_length=100)
    """Keys: `0-9 * # A-D`; `w` waits half a second, `W` a second."""
    by_carrier: bool = False
    """true: the call leaves its media stream for it, and the carrier sends real keys."""


class TransferBody(_Body):
    """What `POST …/transfer` takes."""

    to: Annotated[str, Field(max_length=500), AfterValidator(_dialled)]
    """A phone number in E.164 form, or a SIP address."""
    summary: str = Field(default="", max_length=2000)
    """What the other side is told before it takes the call, while the caller waits; empty: connected at once."""
    say: Sentence | None = None
    """What the caller is told before."""
    timeout_s: float | None = Field(default=None, ge=5, le=600)
    """How long the other phone may ring, in seconds; null is the setting."""
    caller_id: str = Field(default="", max_length=100)
    """The number that is shown to the other side; empty is the setting."""
    digits: str = Field(default="", pattern=r"^[0-9*#A-DwW]*$", max_length=100)
    """Keys that are pressed when the other side has answered."""


class HangUpBody(_Body):
    """What `POST …/hang-up` takes; a request without a body is fine as well."""

    say: Sentence | None = None
    """What the caller is told before."""


class NoteBody(_Body):
    """What `POST …/note` takes."""

    data: Annotated[dict[str, Any], Field(min_length=1), AfterValidator(_noted)]
    """Anything JSON can hold, by key, 50 levels deep at most. A later note's keys are added to the earlier ones."""


class RecordingBody(_Body):
    """What `POST …/recording` takes."""

    state: Literal["paused", "on"]
    """`paused`: from now on both sides of the recording are silence, until it is `on` again."""


class Accepted(BaseModel):
    """What will happen."""

    call: str
    """The bridge's id of the call."""
    action: str
    will: str
    """A sentence for people."""


class ControlRoutes:
    """The handlers."""

    def __init__(
        self,
        calls: LiveCalls,
        recording: Callable[[str], str],
        hang_up: Callable[[str], Awaitable[None]] | None,
    ) -> None:
        """`recording` tells of a call by its id whether its sound is kept.

        `hang_up` ends a call at the carrier by its id; None: there are no credentials for that.
        """
        self._calls = calls
        self._recording = recording
        self._hang_up = hang_up

    def add_to(self, app: web.Application, door: Door) -> None:
        """Put the handlers at their addresses."""

        def add(name: str, handler: Any, about: Operation) -> None:
            door.add(app, "POST", f"{CALL}/{name}", handler, about)

        add("say", self.say, _operation("Say a sentence in the agent's place", SayBody))
        add("digits", self.digits, _operation("Send keys into the call", DigitsBody))
        add("transfer", self.transfer, _operation("Connect the caller with somebody else", TransferBody))
        hang_up = _operation("Hang up", HangUpBody, body_required=False, more=(502, 503))
        add("hang-up", self.hang_up, hang_up)
        add("note", self.note, _operation("Leave data with the call", NoteBody))

        add("recording", self.recording, _operation("Pause the recording, or let it go on", RecordingBody))

    async def say(self, request: web.Request) -> web.Response:
        """Say something."""
        call, body = await self._asked(request, SayBody)
        say = Say(body.text, body.interruptible, body.voice, body.language)
        return _accept(request, call, "say", [say], f"This is said {_when(_agents(call))}.")

    async def digits(self, request: web.Request) -> web.Response:
        """Send keys."""
        call, body = await self._asked(request, DigitsBody)
        keys = SendDigits(body.digits, body.by_carrier)
        return _accept(request, call, "digits", [keys], f"The keys are sent {_when(_agents(call))}.")

    async def transfer(self, request: web.Request) -> web.Response:
        """Pass the caller on."""
        call, body = await self._asked(request, TransferBody)
        wanted = Transfer(body.to, body.summary, body.timeout_s, body.caller_id, body.digits)
        how = "after what is said to them" if body.say else "now"
        will = f"The caller is connected with {body.to} {how}."
        if body.summary:
            will = f"{body.to} is called {how}, told the summary, and asked to take the call."
        return _accept(request, call, "transfer", [*_told(body.say), wanted], will)

    async def hang_up(self, request: web.Request) -> web.Response:
        """End the call."""
        call = self._found(request)
        body = await read(request, HangUpBody) if request.can_read_body else HangUpBody()
        session = call.session
        if isinstance(session, Session) and not session.away:
            how = "once what is said was heard" if body.say else "now"
            actions = [*_told(body.say), HangUp("operator")]
            return _accept(request, call, "hang-up", actions, f"The call is ended {how}.")
        if body.say:
            raise _cannot(call, "Nothing can be said to the caller, who is connected with somebody else")
        await self._end_at_carrier(session)
        return _accept(request, call, "hang-up", [], "The carrier ends the call now.")

    async def note(self, request: web.Request) -> web.Response:
        """Keep data."""
        call = self._found(request)
        body = await read(request, NoteBody)
        return _accept(request, call, "note", [Note(body.data)], "The data is kept with the call.")

    async def recording(self, request: web.Request) -> web.Response:
        """Pause the recording, or let it go on."""
        call = self._found(request)
        body = await read(request, RecordingBody)
        if self._recording(call.id) == "off":
            why = "This call is not recorded: see numbers.recording and store.record_audio of the settings"
            raise Problem(409, "recording_off", f"{why}.", call=call.id)
        call.session.take(OperatorActed((Set(recording=body.state),)))
        will = "The recording holds silence from now on." if body.state == "paused" else "The recording goes on."
        return _accept(request, call, "recording", [], will)

    async def _end_at_carrier(self, session: Session | LogSession) -> None:
        if self._calls.end_softphone(session):
            return
        if self._hang_up is None:
            raise Problem(
                503,
                "not_set_up",
                "Only Twilio's REST API can end this call, which goes on without the bridge: set twilio.account_sid"
                " (BRIDGE_TWILIO__ACCOUNT_SID) and twilio.auth_token (BRIDGE_TWILIO__AUTH_TOKEN).",
            )
        try:
            await self._hang_up(session.info.sid)
        except CarrierError as error:
            raise Problem(502, error.code, f"{error.message}.") from None

    async def _asked(self, request: web.Request, kind: type[B]) -> tuple[LiveCall, B]:
        """Return the call and the body of what only calls can do that we talk in. Raises `Problem`."""
        call = self._found(request)
        body = await read(request, kind)
        _agents(call)
        return call, body

    def _found(self, request: web.Request) -> LiveCall:
        call = self._calls.find(request.match_info["call"])
        if call is None:
            raise Problem(404, "call_unknown", "There is no such live call.")
        session = call.session
        if session.over_for_carrier and not (isinstance(session, Session) and session.away):
            raise Problem(404, "call_over", "This call is over.")
        return call


def _operation(
    summary: str, body: type[BaseModel], *, body_required: bool = True, more: tuple[int, ...] = ()
) -> Operation:
    about = (
        "`{call}` is the bridge's id of the call, or the carrier's. What is said, sent or done takes the floor from"
        " the agent at once, and waits for words of the caller; the agent learns of it and goes on with what the"
        " caller says next. 404: there is no such live call. 409: it is of a kind that does not take this."
    )
    return Operation(
        summary,
        "control",
        tag="live",
        about=about,
        body=body,
        body_required=body_required,
        answers={202: Accepted},
        problems=(*_PROBLEMS, *more),
    )


def _agents(call: LiveCall) -> Session:
    """Return the session of a call in which we talk. Raises `Problem` 409 for others."""
    session = call.session
    if isinstance(session, LogSession):
        raise _cannot(call, "Two people talk in this call, and the bridge only listens: it can be ended, and noted")
    if session.away:
        raise _cannot(call, "The caller is connected with somebody else; the call can be ended, and noted")
    return session


def _cannot(call: LiveCall, why: str) -> Problem:
    return Problem(409, "call_not_ours", f"{why}.", call=call.id)


def _told(text: str | None) -> list[Action]:
    """Return what the caller is told before something final; they cannot talk the operator out of it."""
    return [Say(text, interruptible=False)] if text else []


def _when(session: Session) -> str:
    match session.floor:
        case "talking" | "thinking":
            return "now, in the place of the agent's answer"
        case "away":
            return "when the caller's line is back"
        case _:
            return "as soon as the caller does not speak"


def _accept(
    request: web.Request, call: LiveCall, action: str, actions: Sequence[Action], will: str
) -> web.Response:
    log.info("operator_acted", call=call.id, sid=call.session.info.sid, who=asker(request).name, action=action)
    if actions:
        call.session.act(actions)
    return web.json_response(Accepted(call=call.id, action=action, will=will).model_dump(), status=202)
