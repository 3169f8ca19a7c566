"""A stand-in for Twilio's REST API: ends and redirects simulated calls, and takes down what is asked of it."""

from __future__ import annotations

import base64
import hmac
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Protocol, Self

from aiohttp import web

from bridge.errors import BridgeError, ProtocolError
from bridge.tasks import spawn

_API: Final = "/2010-04-01/Accounts/{account}"
_MOST_TWIML: Final = 4000
_NOT_FOUND: Final = (404, 20404, "The requested resource {path} was not found")


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
    """Serves the calls and numbers of one account; an async context manager.

    Point the bridge at it with BRIDGE_TWILIO__API_URL, the value of `url`.
    """

    def __init__(self, account_sid: str, auth_token: str) -> None:
        self.account_sid = account_sid
        self.created: list[dict[str, list[str]]] = []
        """The form fields of every call that was to be made; nobody is rung up."""
        self.requests: list[tuple[str, str, dict[str, list[str]]]] = []
        """(method, path, form fields) of every request with the right credentials."""
        self.numbers: list[dict[str, str]] = []
        """Incoming phone numbers of the account: `phone_number`, `voice_url`, `voice_method`…"""
        self.url = ""
        """Where it listens, once started."""
        self._credentials = f"{account_sid}:{auth_token}".encode()
        self._calls: dict[str, LiveCall] = {}
        self._runner: web.AppRunner | None = None

    def attach(self, call: LiveCall) -> None:
        """Let the API act on this call."""
        self._calls[call.call_sid] = call

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises `OSError` if the port is taken."""
        app = web.Application()
        for method, path, handler in (
            ("POST", "/Calls.json", self._create),
            ("POST", "/Calls/{call}.json", self._update),
            ("GET", "/Calls/{call}.json", self._fetch),
            ("GET", "/IncomingPhoneNumbers.json", self._list_numbers),
        ):
            app.router.add_route(method, _API + path, self._checked(handler))
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _checked(
        self, handler: Callable[[web.Request, Mapping[str, list[str]]], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            sent = request.headers.get("Authorization", "").partition(" ")[2]
            expected = base64.b64encode(self._credentials).decode()
            if not hmac.compare_digest(sent.encode("utf-8", "replace"), expected.encode()):
                return _error(401, 20003, "Authenticate")
            posted = await request.post()
            form = {name: [str(value) for value in posted.getall(name)] for name in posted}
            self.requests.append((request.method, request.path, form))
            if request.match_info["account"] != self.account_sid:
                return _not_found(request)
            return await handler(request, form)

        return handle

    async def _create(self, _: web.Request, form: Mapping[str, list[str]]) -> web.Response:
        for field in ("To", "From"):
            if not form.get(field):
                return _error(400, 21201 if field == "To" else 21603, f"No '{field}' number is specified")
        if not any(form.get(name) for name in ("Url", "Twiml", "ApplicationSid")):
            return _error(400, 21205, "Url parameter is required.")
        self.created.append(dict(form))
        sid = f"CA{uuid.uuid4().hex}"
        details = {"to": form["To"][0], "from": form["From"][0], "direction": "outbound-api"}
        return web.json_response(self._call(sid, "queued", **details), status=201)

    async def _fetch(self, request: web.Request, _: Mapping[str, list[str]]) -> web.Response:
        call = self._calls.get(request.match_info["call"])
        if call is None:
            return _not_found(request)
        return web.json_response(self._call(call.call_sid, "in-progress" if call.live else "completed"))

    async def _update(self, request: web.Request, form: Mapping[str, list[str]]) -> web.Response:
        call = self._calls.get(request.match_info["call"])
        if call is None or not call.live:
            return _not_found(request)
        status, url, twiml = (form.get(name, [""])[0] for name in ("Status", "Url", "Twiml"))
        if status == "completed":
            spawn(call.complete(), name="fake_rest_complete")  # Twilio's answer does not wait for the end either
            return web.json_response(self._call(call.call_sid, "completed"))
        if status:
            return _error(400, 21220, f"Invalid call state: {status}. Call is not in-progress. Cannot redirect.")
        if not url and not twiml:
            return web.json_response(self._call(call.call_sid, "in-progress"))
        if len(twiml) > _MOST_TWIML:
            return _error(400, 20001, f"Twiml is longer than {_MOST_TWIML} characters")
        try:
            call.redirect(url=url, twiml="" if url else twiml)
        except ProtocolError as error:
            return _error(400, 20001, error.message)
        except BridgeError:  # it ended this very moment
            return _not_found(request)
        return web.json_response(self._call(call.call_sid, "in-progress"))

    async def _list_numbers(self, request: web.Request, _: Mapping[str, list[str]]) -> web.Response:
        wanted = request.query.get("PhoneNumber")
        found = [number for number in self.numbers if wanted in {None, number.get("phone_number")}]
        page = {
            "page": 0,
            "page_size": 50,
            "start": 0,
            "end": len(found),
            "uri": request.path,
            "next_page_uri": None,
        }
        return web.json_response({"incoming_phone_numbers": found, **page})

    def _call(self, sid: str, status: str, **more: str) -> dict[str, Any]:
        now = f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S +0000}"
        return {
            "sid": sid,
            "account_sid": self.account_sid,
            "api_version": "2010-04-01",
            "status": status,
            "direction": "inbound",
            "date_created": now,
            "date_updated": now,
            "uri": f"{_API.format(account=self.account_sid)}/Calls/{sid}.json",
            "subresource_uris": {},
            **more,
        }


def _not_found(request: web.Request) -> web.Response:
    status, code, message = _NOT_FOUND
    return _error(status, code, message.format(path=request.path))


def _error(status: int, code: int, message: str) -> web.Response:
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    body = {"code": code, "message": message, "more_info": more_info, "status": status}
    return web.json_response(body, status=status)
