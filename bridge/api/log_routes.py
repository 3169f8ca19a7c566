"""`/api/v1/calls/{sid}/log`: listen to a call that is going on already, wherever it began, and stop that."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bridge.api.door import Door, read
from bridge.api.operations import Operation
from bridge.api.problems import Problem
from bridge.call.log_calls import Parties
from bridge.call.log_session import LogSession
from bridge.call.registry import Registry
from bridge.errors import BridgeError, CarrierError
from bridge.twilio.log_routes import token_facts
from bridge.twilio.rest import CallOverError, CallParties, ListenerStream
from bridge.twilio.tokens import StreamTokens

LOG = "/api/v1/calls/{sid}/log"

_SID = re.compile(r"CA[0-9a-fA-F]{32}")

log = structlog.get_logger()


class Body(BaseModel):
    """What `POST` takes; a request without a body is fine as well."""

    model_config = ConfigDict(extra="forbid", strict=True)

    from_number: str = Field(
        default="",
        alias="from",
        max_length=100,
        description="What the record calls who called; empty: as Twilio has it.",
    )
    to: str = Field(default="", max_length=100, description="What the record calls who was called.")


class LogAnswer(BaseModel):
    """A call that is listened to from now on."""

    model_config = ConfigDict(serialize_by_alias=True)

    sid: str = Field(examples=["CA0123456789abcdef0123456789abcdef"])
    stream: str = Field(description="Twilio's id of the stream that listens.")
    from_number: str = Field(serialization_alias="from", examples=["+15550100001"])
    to: str = Field(examples=["+15550100005"])


class Streams(Protocol):
    """What is needed of Twilio's REST API; `bridge.twilio.rest.TwilioRest` has it."""

    async def start_stream(self, call_sid: str, stream: ListenerStream) -> str:
        """Let a stream listen to the call, and return the stream's id."""

    async def stop_stream(self, call_sid: str) -> None:
        """Stop the stream that listens."""

    async def call_parties(self, call_sid: str) -> CallParties:
        """Return who talks."""


class LogRoutes:
    """The handlers."""

    def __init__(
        self,
        registry: Registry,
        rest: Streams | None,
        tokens: StreamTokens,
        addresses: Callable[[], tuple[str, str]],
    ) -> None:
        """`rest` is None where there are no credentials. `addresses` returns where streams and their status go.

        It raises `BridgeError` where Twilio could not reach them.
        """
        self._registry = registry
        self._rest = rest
        self._tokens = tokens
        self._addresses = addresses

    def add_to(self, app: web.Application, door: Door) -> None:
        """Put the handlers at their address."""
        start = Operation(
            "Listen to a call that is going on",
            "control",
            body=Body,
            body_required=False,
            answers={201: LogAnswer},
            problems=(404, 409, 502, 503),
        )
        stop = Operation("Stop listening to a call", "control", answers={204: None}, problems=(404,))
        door.add(app, "POST", LOG, self.start, start)
        door.add(app, "DELETE", LOG, self.stop, stop)

    async def start(self, request: web.Request) -> web.Response:
        """Listen to a live call: 201. What is said is kept as with any call between two people."""
        sid = _sid(request)
        body = await read(request, Body) if request.can_read_body else Body()
        if self._rest is None:
            raise Problem(
                503,
                "not_set_up",
                "Streams are started by Twilio's REST API: set twilio.account_sid (BRIDGE_TWILIO__ACCOUNT_SID) and"
                " twilio.auth_token (BRIDGE_TWILIO__AUTH_TOKEN).",
            )
        self._check_free(sid)
        try:
            known = await self._rest.call_parties(sid)
            who = Parties(
                sid,
                caller=body.from_number or known.caller,
                called=body.to or known.called,
                direction=known.direction,
                elsewhere=True,
            )
            stream = await self._begin(who)
        except CallOverError:
            raise Problem(404, "call_unknown", f"Twilio has no live call {sid}.") from None
        except CarrierError as error:
            raise Problem(502, error.code, f"{error.message}.") from None
        except BridgeError as error:
            raise Problem(503, error.code, f"{error.message}.") from None
        log.info("log_started", sid=sid, stream=stream)
        answer = LogAnswer(sid=sid, stream=stream, from_number=who.caller, to=who.called)
        return web.json_response(answer.model_dump(), status=201)

    async def stop(self, request: web.Request) -> web.Response:
        """Stop listening: 204. The call goes on, and what was said is kept."""
        sid = _sid(request)
        session = self._registry.logs.live.get(sid)
        if session is None or session.over_for_carrier:
            raise Problem(404, "log_unknown", "This call is not listened to.")
        # Ended here first: the reason is ours, and closing the socket ends a stream that Twilio would not stop.
        session.stop("log_stopped")
        if self._rest is not None:
            try:
                await self._rest.stop_stream(sid)
            except CallOverError:
                pass  # It is gone with our socket, or with its call.
            except CarrierError as error:
                log.warning("stream_not_stopped", sid=sid, code=error.code, error=error.message)
        return web.Response(status=204)

    async def restart(self, session: LogSession) -> None:
        """Start another stream for a call whose stream broke. What goes wrong is logged: the call may be over."""
        info = session.info
        who = Parties(info.sid, info.caller, info.called, session.other, info.direction)
        try:
            stream = await self._begin(who)
        except CallOverError:
            session.stop("caller")  # That is why it broke.
        except BridgeError as error:
            log.warning("log_not_restarted", sid=info.sid, code=error.code, error=error.message)
        else:
            log.info("log_restarted", sid=info.sid, stream=stream)

    async def _begin(self, who: Parties) -> str:
        """Start a stream and return its id. Raises `BridgeError`."""
        assert self._rest is not None  # noqa: S101  The callers of this have looked.
        stream_url, status_url = self._addresses()
        token = self._tokens.issue(who.sid, token_facts(who))
        return await self._rest.start_stream(who.sid, ListenerStream(stream_url, status_url, token))

    def _check_free(self, sid: str) -> None:
        if self._registry.draining:
            raise Problem(503, "draining", "The bridge takes no new calls.", headers={"Retry-After": "5"})
        if sid in self._registry.logs.live:
            raise Problem(409, "log_running", "This call is listened to already.")
        if sid in self._registry.live:
            raise Problem(
                409, "agent_call", "An agent of this bridge talks in this call; its record is kept anyway."
            )


def _sid(request: web.Request) -> str:
    sid = request.match_info["sid"]
    if not _SID.fullmatch(sid):
        raise Problem(422, "invalid", "sid: wanted Twilio's id of a call, CA and 32 hexadecimal digits.")
    return sid
