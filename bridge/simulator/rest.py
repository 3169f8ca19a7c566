"""A stand-in for Twilio's REST API: places, ends and redirects simulated calls, and takes down what is asked of it.

Scripting it in a test:

    async with FakeTwilioRest(account_sid, token) as rest:
        ...                                        # start the bridge with BRIDGE_TWILIO__API_URL = rest.url
        rest.line = Line(bridge_url, token, parties={"+15553334444": Party("busy")})
        rest.faults.append(Fault(429))             # the next request
        ...                                        # the bridge asks for a call
        (leg,) = rest.placed                       # a SimulatedCall: leg.say, leg.heard, leg.hang_up, leg.status…

A number that is not among the parties is answered by somebody who stays on the line, to be played by the test
through `placed`. Without `line` calls are only taken down, in `created`.
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from aiohttp import web

from bridge.simulator import rest_json
from bridge.simulator.caller import SimulatedCall
from bridge.simulator.exchange import Exchange
from bridge.simulator.line import Line
from bridge.simulator.rest_calls import CallsApi
from bridge.simulator.rest_conferences import ConferencesApi
from bridge.simulator.rest_server import Fault, Form, RestServer, nothing_there

__all__ = ["FakeTwilioRest", "Fault", "LiveCall"]


class LiveCall(Protocol):
    """What the API does to a call; a `SimulatedCall` is one."""

    @property
    def call_sid(self) -> str:
        """CA and 32 hex digits."""

    @property
    def live(self) -> bool:
        """Whether it goes on."""

    async def complete(self) -> None:
        """End it."""

    def redirect(self, *, url: str = "", twiml: str = "") -> None:
        """Go on with another document."""


class FakeTwilioRest:
    """Serves the calls, conferences and numbers of one account; an async context manager.

    Point the bridge at it with BRIDGE_TWILIO__API_URL, the value of `url`.
    """

    def __init__(
        self, account_sid: str, auth_token: str, *, line: Line | None = None, exchange: Exchange | None = None
    ) -> None:
        """`line` is where calls that are made by REST are held; it can be set later, and None rings nobody up.

        Calls of `exchange` are known to the API without being attached.
        """
        self.account_sid = account_sid
        self.exchange = exchange or Exchange()
        self.numbers: list[dict[str, str]] = []
        """Incoming phone numbers of the account: `phone_number`, `voice_url`, `voice_method`…"""
        self._calls = CallsApi(account_sid, self.exchange)
        self._conferences = ConferencesApi(account_sid, self._calls)
        self._calls.line = line
        routes = [*self._calls.routes(), *self._conferences.routes()]
        routes += [("GET", "/Recordings/{recording}.wav", self._recording)]
        routes += [("GET", "/IncomingPhoneNumbers.json", self._list_numbers), ("GET", ".json", self._account)]
        self._server = RestServer(account_sid, auth_token, routes)

    @property
    def line(self) -> Line | None:
        """Where calls are held that are made by REST: the bridge's address, and the parties that may be rung."""
        return self._calls.line

    @line.setter
    def line(self, line: Line | None) -> None:
        self._calls.line = line

    @property
    def url(self) -> str:
        """Where it listens, once started."""
        return self._server.url

    @property
    def faults(self) -> list[Fault]:
        """What goes wrong with the requests to come; the first that fits a request is its fault."""
        return self._server.faults

    @property
    def requests(self) -> list[tuple[str, str, dict[str, list[str]]]]:
        """(method, path, form fields) of every request with the right credentials."""
        return self._server.requests

    @property
    def created(self) -> list[dict[str, list[str]]]:
        """The form fields of every call that was to be made."""
        return self._calls.created

    @property
    def placed(self) -> list[SimulatedCall]:
        """The leg of every call that was made."""
        return self._calls.placed

    def attach(self, call: LiveCall) -> None:
        """Let the API act on this call, and on all others of its exchange."""
        self._calls.attach(call)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises `OSError` if the port is taken."""
        await self._server.start(host, port)
        self.exchange.recordings.origin = self.url

    async def stop(self) -> None:
        """End the calls that were made, and listen no more."""
        await self._calls.close()
        await self._server.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _list_numbers(self, request: web.Request, _: Form) -> web.Response:
        wanted = request.query.get("PhoneNumber")
        found = [number for number in self.numbers if wanted in {None, number.get("phone_number")}]
        return web.json_response(rest_json.page("incoming_phone_numbers", found, request.path))

    async def _recording(self, request: web.Request, form: Form) -> web.Response:
        file = self.exchange.recordings.files.get(request.match_info["recording"])
        if file is None:
            return await nothing_there(request, form)
        return web.Response(body=file, content_type="audio/x-wav")

    async def _account(self, _: web.Request, __: Form) -> web.Response:
        account = {"sid": self.account_sid, "friendly_name": "simulated", "status": "active", "type": "Full"}
        return web.json_response(account)
