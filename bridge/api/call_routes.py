"""`/api/v1/calls`: place calls, see what became of them, and end them."""

from __future__ import annotations

import re
from typing import Annotated, Any

import structlog
from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bridge.api.answers import CallAnswer, OrderAnswer
from bridge.api.call_document import call_answer, order_answer
from bridge.api.door import Door, asker, need, query, read
from bridge.api.erase_routes import erase_refused
from bridge.api.kept import KeptCalls
from bridge.api.operations import Operation
from bridge.api.problems import Problem
from bridge.errors import BridgeError, CarrierError
from bridge.outbound.dialer import Dialer, DrainingError, NotSetUpError
from bridge.outbound.dispatch import KeyConflictError, QueueFullError
from bridge.outbound.order import DetectMachines, Order, OrderRefused, Rules
from bridge.outbound.progress import OutboundCall
from bridge.store.sql.erasing import Eraser

CALLS = "/api/v1/calls"

_KEY = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")
_PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_PARAMETER_CHARACTERS = 499
"""Name and value of one: they travel in Twilio's `<Parameter>`, which holds no more."""
_MOST_PARAMETERS = 50
_MOST_CHARACTERS = 8000
"""Of all of them: however they are escaped, the document that holds them stays within Twilio's 64 kB."""
_AGAIN_AFTER_S = "5"

log = structlog.get_logger()


def stream_parameters(given: dict[str, str]) -> dict[str, str]:
    """Return the parameters of a stream, if a carrier can carry them all. Raises `ValueError` with a sentence."""
    if len(given) > _MOST_PARAMETERS:
        raise ValueError(f"there are {len(given)}, at most {_MOST_PARAMETERS} are taken")
    for name, value in given.items():
        if not _PARAMETER_NAME.fullmatch(name) or name == "token":
            raise ValueError(
                f"{name[:70]!r} cannot be a name: wanted letters, digits, _, . and -, 64 at most, not a digit"
                " first, and not token"
            )
        if len(name) + len(value) > _PARAMETER_CHARACTERS:
            raise ValueError(f"{name} is too long: with its name it may have {_PARAMETER_CHARACTERS} characters")
        if not value.isprintable():
            raise ValueError(f"{name} holds characters that cannot be printed")
    if (length := sum(len(name) + len(value) for name, value in given.items())) > _MOST_CHARACTERS:
        raise ValueError(f"they have {length} characters together, at most {_MOST_CHARACTERS} are taken")
    return given


class NewCallBody(BaseModel):
    """What `POST /api/v1/calls` takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    to: str = Field(min_length=1, max_length=100)
    from_number: str = Field(default="", alias="from", max_length=100)
    parameters: Annotated[dict[str, str], AfterValidator(stream_parameters)] = {}
    voicemail: str | None = Field(default=None, max_length=2000)
    detect_machines: DetectMachines | None = None
    ring_seconds: int | None = Field(default=None, ge=5, le=600)
    greeting: str | None = Field(default=None, max_length=2000)


class EndQuery(BaseModel):
    """What is to be ended."""

    model_config = ConfigDict(extra="forbid")

    erase: bool = Field(default=False, description="Remove for good what is kept of a call that is over.")


class CallRoutes:
    """The handlers of `/api/v1/calls`."""

    def __init__(self, dialer: Dialer, rules: Rules, kept: KeptCalls, eraser: Eraser) -> None:
        self._dialer = dialer
        self._rules = rules
        self._kept = kept
        self._eraser = eraser

    def add_to(self, app: web.Application, door: Door) -> None:
        """Put the handlers at their addresses."""
        place = Operation(
            "Place a call",
            "control",
            about="Answers at once, mostly before the phone rings; `Location` is where the call can be looked at.",
            headers={"Idempotency-Key": "The same order with the same key, within a day, calls nobody twice."},
            body=NewCallBody,
            answers={202: OrderAnswer, 200: OrderAnswer},
            problems=(409, 503),
        )
        show = Operation(
            "Tell what became of a call, and what is kept of it",
            about="Of a call that this bridge has placed since its start, how far it is; of every call that was"
            " answered, what was said and done, also while it goes on.",
            answers={200: CallAnswer},
            problems=(404, 503),
        )
        end = Operation(
            "End a call that was placed, or erase one that is over",
            "control",
            about="An order that waits or rings comes to nothing, a live one is hung up, one that is over stays so."
            " With `erase`, which needs the scope `admin`, all that is kept of a call is removed for good: from the"
            " database, the disk, and what waits to be delivered.",
            query=EndQuery,
            answers={200: OrderAnswer, 204: None},
            problems=(404, 409, 502, 503),
        )
        door.add(app, "POST", CALLS, self.place, place)
        door.add(app, "GET", CALLS + "/{call}", self.show, show)
        door.add(app, "DELETE", CALLS + "/{call}", self.end, end)

    async def place(self, request: web.Request) -> web.Response:
        """Take the order of a call: 202, and 200 where the same `Idempotency-Key` has ordered it before."""
        key = _key(request)
        order = self._order(await read(request, NewCallBody))
        try:
            call, new = self._dialer.place(order, key=key)
        except NotSetUpError as error:
            raise Problem(503, error.code, f"{error.message}.") from None
        except DrainingError as error:
            raise Problem(503, error.code, f"{error.message}.", headers={"Retry-After": _AGAIN_AFTER_S}) from None
        except QueueFullError as error:
            raise Problem(429, error.code, f"{error.message}.", headers={"Retry-After": _AGAIN_AFTER_S}) from None
        except KeyConflictError as error:
            raise Problem(409, error.code, f"{error.message}.", call=error.call.id) from None
        await self._dialer.kept(call)
        log.info("call_asked_for", call=call.id, who=asker(request).name, new=new)
        return _answer(call, status=202 if new else 200)

    async def show(self, request: web.Request) -> web.Response:
        """Tell what became of a call, and what is kept of it."""
        name = request.match_info["call"]
        order = self._dialer.find(name)
        try:
            kept = await self._kept.detail(name if order is None else order.id)
        except BridgeError:
            if order is None:
                raise
            kept = None  # Without the database there is still what was ordered.
        if kept is None:
            return _answer(self._found(request))
        return web.json_response(text=call_answer(order, kept).model_dump_json())

    async def end(self, request: web.Request) -> web.Response:
        """Let a call that waits or rings come to nothing, or hang up a live one; one that is over stays so.

        With `erase`, remove what is kept of one: 204.
        """
        if query(request, EndQuery).erase:
            return await self._erase(request)
        call = self._found(request)
        try:
            log.info("call_unwanted", call=call.id, who=asker(request).name)
            await self._dialer.cancel(call)
        except CarrierError as error:
            raise Problem(502, error.code, f"{error.message}.") from None
        return _answer(call)

    async def _erase(self, request: web.Request) -> web.Response:
        who = need(request, "admin")
        try:
            erased = await self._eraser.erase(request.match_info["call"], who=who.name)
        except BridgeError as error:
            raise erase_refused(error) from None
        self._kept.forget(erased.calls)
        return web.Response(status=204)

    def _found(self, request: web.Request) -> OutboundCall:
        call = self._dialer.find(request.match_info["call"])
        if call is None:
            raise Problem(404, "call_unknown", "There is no such call that this bridge has placed since its start.")
        return call

    def _order(self, body: NewCallBody) -> Order:
        try:
            return self._rules.order(
                body.to,
                from_number=body.from_number,
                parameters=body.parameters,
                voicemail=body.voicemail,
                detect_machines=body.detect_machines,
                ring_seconds=body.ring_seconds,
                greeting=body.greeting,
            )
        except OrderRefused as error:
            status = 403 if error.code == "number_not_allowed" else 422
            fault = {"field": error.field, "message": error.message}
            raise Problem(status, error.code, f"{error.field}: {error.message}.", errors=[fault]) from None


def _key(request: web.Request) -> str:
    """Return the `Idempotency-Key`; empty: none was given."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return ""
    if not _KEY.fullmatch(key):
        raise Problem(400, "key_invalid", "An Idempotency-Key has 1 to 255 characters of ASCII.")
    return key


def _answer(call: OutboundCall, status: int = 200) -> web.Response:
    return web.json_response(as_dict(call), status=status, headers={"Location": f"{CALLS}/{call.id}"})


def as_dict(call: OutboundCall) -> dict[str, Any]:
    """Return an ordered call as programs see it."""
    return order_answer(call).model_dump()
