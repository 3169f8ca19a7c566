"""The HTTP of the stand-in for Twilio's REST API: credentials, routes, errors, and faults on request."""

from __future__ import annotations

import asyncio
import base64
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from aiohttp import web

from bridge.simulator import rest_json

Form: TypeAlias = Mapping[str, list[str]]
Handler: TypeAlias = Callable[[web.Request, Form], Awaitable[web.Response]]
_CODES: Final = {401: 20003, 404: 20404, 429: 20429, 500: 20500, 503: 20503}


@dataclass(slots=True)
class Fault:
    """Something that goes wrong with requests to come: `rest.faults.append(Fault(500))`.

    `Fault(401)`, `Fault(404)`, `Fault(429)`, `Fault(500)` answer so, with Twilio's JSON. `Fault(hangs=True)` never
    answers, until the client gives up. `Fault(delay_s=1)` answers late but well: the SID of a call that is made
    comes after the call's own stream then.
    """

    status: int | None = None
    """Answered instead of what was asked; None: no error."""
    code: int | None = None
    """Twilio's number; None: the usual one of the status."""
    message: str = "scripted fault"
    hangs: bool = False
    delay_s: float = 0.0
    done: bool = False
    """The request is carried out all the same: only its answer is lost."""
    path: str = ""
    """A regular expression that must be found in the path; empty: any."""
    method: str = ""
    """Empty: any."""
    times: int = 1
    """So many requests."""
    headers: dict[str, str] = field(default_factory=dict)
    """Such as `Retry-After`."""

    def fits(self, method: str, path: str) -> bool:
        """Whether it is this request's turn."""
        return self.times > 0 and self.method in {"", method} and re.search(self.path, path) is not None


class RestServer:
    """Listens, checks who asks, and takes down what is asked."""

    def __init__(self, account_sid: str, auth_token: str, routes: Sequence[tuple[str, str, Handler]]) -> None:
        """`routes` are (method, path behind the account, handler)."""
        self.account_sid = account_sid
        self.requests: list[tuple[str, str, dict[str, list[str]]]] = []
        self.faults: list[Fault] = []
        self.url = ""
        self._credentials = f"{account_sid}:{auth_token}".encode()
        self._routes = routes
        self._runner: web.AppRunner | None = None
        self._stopped = asyncio.Event()

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one. Raises `OSError` if the port is taken."""
        app = web.Application()
        for method, path, handler in self._routes:
            app.router.add_route(method, rest_json.API + "/{account}" + path, self._checked(handler))
        app.router.add_route("*", "/{path:.*}", self._checked(nothing_there))
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Listen no more."""
        self._stopped.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def _checked(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            sent = request.headers.get("Authorization", "").partition(" ")[2]
            expected = base64.b64encode(self._credentials).decode()
            if not hmac.compare_digest(sent.encode("utf-8", "replace"), expected.encode()):
                return refusal(401, 20003, "Authenticate")
            posted = await request.post()
            form = {name: [str(value) for value in posted.getall(name)] for name in posted}
            self.requests.append((request.method, request.path, form))
            fault = next((one for one in self.faults if one.fits(request.method, request.path)), None)
            if fault is not None:
                fault.times -= 1
                return await self._fail(fault, request, form, handler)
            return await self._answer(request, form, handler)

        return handle

    async def _answer(self, request: web.Request, form: Form, handler: Handler) -> web.Response:
        if request.match_info.get("account", self.account_sid) != self.account_sid:
            return await nothing_there(request, form)
        return await handler(request, form)

    async def _fail(self, fault: Fault, request: web.Request, form: Form, handler: Handler) -> web.Response:
        well = fault.status is None and not fault.hangs
        answer = await self._answer(request, form, handler) if fault.done or well else None
        await asyncio.sleep(fault.delay_s)
        if fault.hangs:
            await self._stopped.wait()
        if fault.status is None:
            return answer or refusal(500, 20500, fault.message)
        code = fault.code or _CODES.get(fault.status, 20001)
        return refusal(fault.status, code, fault.message, fault.headers)


async def nothing_there(request: web.Request, _: Form) -> web.Response:
    """404 and 20404."""
    return refusal(404, 20404, f"The requested resource {request.path} was not found")


def refusal(status: int, code: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error as Twilio answers it."""
    return web.json_response(rest_json.error(status, code, message), status=status, headers=headers)
