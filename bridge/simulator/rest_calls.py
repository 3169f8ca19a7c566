"""REST: Calls, their streams and their recordings. Twilio REST: `/Calls`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from aiohttp import web

from bridge.errors import BridgeError, ProtocolError
from bridge.simulator import rest_json
from bridge.simulator.caller import SimulatedCall
from bridge.simulator.exchange import Exchange
from bridge.simulator.line import Line
from bridge.simulator.outbound import Order, place
from bridge.simulator.party import Party
from bridge.simulator.rest_server import Form, Handler, nothing_there, refusal
from bridge.simulator.twiml_reader import checked_stream, read_twiml
from bridge.simulator.verbs import Stream
from bridge.tasks import spawn

_MOST_TWIML: Final = 4000


class _Call(Protocol):
    @property
    def call_sid(self) -> str: ...
    @property
    def live(self) -> bool: ...
    async def complete(self) -> None: ...
    def redirect(self, *, url: str = "", twiml: str = "") -> None: ...


class CallsApi:
    """The calls of one account."""

    def __init__(self, account_sid: str, exchange: Exchange) -> None:
        self.line: Line | None = None
        self.created: list[dict[str, list[str]]] = []
        self.placed: list[SimulatedCall] = []
        self.exchanges = [exchange]
        self._account_sid = account_sid
        self._attached: dict[str, _Call] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def routes(self) -> list[tuple[str, str, Handler]]:
        """(method, path, handler)."""
        return [
            ("POST", "/Calls.json", self._create),
            ("GET", "/Calls.json", self._list),
            ("POST", "/Calls/{call}.json", self._update),
            ("GET", "/Calls/{call}.json", self._fetch),
            ("POST", "/Calls/{call}/Streams.json", self._start_stream),
            ("POST", "/Calls/{call}/Streams/{stream}.json", self._stop_stream),
            ("POST", "/Calls/{call}/Recordings.json", self._record),
        ]

    def attach(self, call: _Call) -> None:
        """Let the API act on this call, and on all others of its exchange."""
        self._attached[call.call_sid] = call
        if isinstance(call, SimulatedCall) and call.exchange not in self.exchanges:
            self.exchanges.append(call.exchange)

    async def close(self) -> None:
        """End the calls that were made."""
        for leg in self.placed:
            leg.cancelled.set()
            await leg.complete()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def ring(self, order: Order, to: str, caller: str) -> SimulatedCall | None:
        """Make a call; None if nobody can be rung up because there is no line."""
        if self.line is None:
            return None
        line = replace(self.line, caller=caller, called=to, direction="outbound-api", account_sid=self._account_sid)
        leg = SimulatedCall(line, exchange=self.exchanges[0])
        self.placed.append(leg)
        self._tasks.append(spawn(place(leg, order, line.parties.get(to, Party())), name="simulated_outbound"))
        return leg

    def call(self, sid: str) -> _Call | None:
        """The call with that SID."""
        if sid in self._attached:
            return self._attached[sid]
        for exchange in self.exchanges:
            if isinstance(leg := exchange.calls.get(sid), SimulatedCall):
                return leg
        return None

    # --- calls ---

    async def _create(self, _: web.Request, form: Form) -> web.Response:
        for field in ("To", "From"):
            if not form.get(field):
                return refusal(400, 21201 if field == "To" else 21603, f"No '{field}' number is specified")
        if not any(form.get(name) for name in ("Url", "Twiml", "ApplicationSid")):
            return refusal(400, 21205, "Url parameter is required.")
        try:
            order = Order.read(form)
            if order.twiml:
                _check_twiml(order.twiml)
        except (ValueError, ProtocolError) as error:
            return refusal(400, 20001, str(error))
        self.created.append(dict(form))
        to, caller = form["To"][0], form["From"][0]
        leg = self.ring(order, to, caller)
        sid = leg.call_sid if leg is not None else f"CA{uuid.uuid4().hex}"
        details = {"to": to, "from": caller, "direction": "outbound-api"}
        return web.json_response(rest_json.call(self._account_sid, sid, "queued", **details), status=201)

    async def _fetch(self, request: web.Request, form: Form) -> web.Response:
        call = self.call(request.match_info["call"])
        return await nothing_there(request, form) if call is None else web.json_response(self._shown(call))

    async def _list(self, request: web.Request, _: Form) -> web.Response:
        legs = [leg for exchange in self.exchanges for leg in exchange.calls.values()]
        shown = [self._shown(leg) for leg in legs if isinstance(leg, SimulatedCall)]
        names = {"Status": "status", "To": "to", "From": "from", "ParentCallSid": "parent_call_sid"}
        for query, name in names.items():
            if (wanted := request.query.get(query)) is not None:
                shown = [one for one in shown if one[name] == wanted]
        return web.json_response(rest_json.page("calls", shown, request.path))

    async def _update(self, request: web.Request, form: Form) -> web.Response:
        call = self.call(request.match_info["call"])
        if call is None:
            return await nothing_there(request, form)
        status, url, twiml = (form.get(name, [""])[0] for name in ("Status", "Url", "Twiml"))
        if isinstance(call, SimulatedCall) and _rings(call):
            if status not in {"completed", "canceled"}:
                return refusal(400, 21220, "Invalid call state: Call is not in-progress. Cannot redirect.")
            call.cancelled.set()
            return web.json_response({**self._shown(call), "status": "canceled"})
        if not call.live:
            return await nothing_there(request, form)
        if status == "completed":
            spawn(call.complete(), name="fake_rest_complete")  # Twilio's answer does not wait for the end either
            return web.json_response({**self._shown(call), "status": "completed"})
        if status not in {"", "canceled"}:  # which has no effect on a call that was answered
            return refusal(400, 21220, f"Invalid call state: {status}. Call is not in-progress. Cannot redirect.")
        if not url and not twiml:
            return web.json_response(self._shown(call))
        return await self._redirect(request, form, call, url, twiml)

    async def _redirect(self, request: web.Request, form: Form, call: _Call, url: str, twiml: str) -> web.Response:
        method = form.get("Method", ["POST"])[0]
        try:
            if not url:
                _check_twiml(twiml)
            if isinstance(call, SimulatedCall):
                call.redirect(url=url, twiml="" if url else twiml, method=method)
            else:
                call.redirect(url=url, twiml="" if url else twiml)
        except ProtocolError as error:
            return refusal(400, 20001, error.message)
        except BridgeError:  # it ended this very moment
            return await nothing_there(request, form)
        return web.json_response(self._shown(call))

    # --- streams that only listen, and recordings ---

    async def _start_stream(self, request: web.Request, form: Form) -> web.Response:
        call = self.call(request.match_info["call"])
        if not isinstance(call, SimulatedCall) or not call.live:
            return await nothing_there(request, form)

        def one(name: str, default: str = "") -> str:
            return form.get(name, [default])[0] or default

        try:
            wanted = checked_stream(
                Stream(
                    url=one("Url"),
                    name=one("Name"),
                    track=one("Track", "inbound_track"),
                    status_callback=one("StatusCallback"),
                    status_callback_method=one("StatusCallbackMethod", "POST"),
                    parameters=_parameters(form),
                )
            )
        except ProtocolError as error:
            return refusal(400, 20001, error.message)
        if wanted.name and call.legs.tap(wanted.name) is not None:
            return refusal(400, 20001, f"a stream of the name {wanted.name!r} is listening already")
        tap = await call.legs.listen(wanted, wanted.url)
        sid = tap.stream_sid if tap is not None else f"MZ{uuid.uuid4().hex}"
        shown = rest_json.stream(self._account_sid, call.call_sid, sid, wanted.name or sid, "in-progress")
        return web.json_response(shown, status=201)

    async def _stop_stream(self, request: web.Request, form: Form) -> web.Response:
        call = self.call(request.match_info["call"])
        tap = call.legs.tap(request.match_info["stream"]) if isinstance(call, SimulatedCall) else None
        if not isinstance(call, SimulatedCall) or tap is None:
            return await nothing_there(request, form)
        if form.get("Status") != ["stopped"]:
            return refusal(400, 20001, "Status must be stopped")
        await call.legs.stop_listening(tap)
        return web.json_response(
            rest_json.stream(self._account_sid, call.call_sid, tap.stream_sid, tap.name, "stopped")
        )

    async def _record(self, request: web.Request, form: Form) -> web.Response:
        call = self.call(request.match_info["call"])
        if call is None or not call.live:
            return await nothing_there(request, form)
        sid = f"RE{uuid.uuid4().hex}"
        shown = {"sid": sid, "call_sid": call.call_sid, "account_sid": self._account_sid, "status": "in-progress"}
        return web.json_response({**shown, "duration": "-1", "date_created": rest_json.now()}, status=201)

    def _shown(self, call: _Call) -> dict[str, Any]:
        if not isinstance(call, SimulatedCall):
            return rest_json.call(self._account_sid, call.call_sid, "in-progress" if call.live else "completed")
        over = not call.live and not _rings(call)
        details: Mapping[str, str | None] = {
            "to": call.line.called,
            "from": call.line.caller,
            "direction": call.line.direction,
            "parent_call_sid": call.parent_sid or None,
            "answered_by": call.answered_by,
            "end_time": rest_json.now() if over else None,
            "duration": str(round(call.now)) if over else None,
        }
        return rest_json.call(self._account_sid, call.call_sid, call.status, **details)


def _rings(call: SimulatedCall) -> bool:
    """Whether it is a leg that somebody is still to answer, or that has no document yet."""
    if call.line.direction == "inbound":
        return False
    return call.status in {"queued", "ringing"} or (call.status == "in-progress" and not call.live)


def _check_twiml(twiml: str) -> None:
    if len(twiml) > _MOST_TWIML:
        raise ProtocolError(f"Twiml is longer than {_MOST_TWIML} characters")
    read_twiml(twiml)


def _parameters(form: Form) -> dict[str, str]:
    """`Parameter1.Name`, `Parameter1.Value` and so on."""
    found = {}
    for number in range(1, 100):
        name, value = (form.get(f"Parameter{number}.{what}", [""])[0] for what in ("Name", "Value"))
        if name:
            found[name] = value
    return found
