"""REST: Conferences and who is in them. Twilio REST: `/Conferences`, `/Participants`."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import quoteattr

from aiohttp import web

from bridge.simulator import rest_json
from bridge.simulator.conferences import room_of
from bridge.simulator.outbound import Order
from bridge.simulator.rest_calls import CallsApi
from bridge.simulator.rest_server import Form, Handler, nothing_there, refusal
from bridge.simulator.rooms import Member, Room
from bridge.simulator.twiml_reader import read_twiml
from bridge.simulator.verbs import Conference, Dial

_ATTRIBUTES = {
    "StartConferenceOnEnter": "startConferenceOnEnter",
    "EndConferenceOnExit": "endConferenceOnExit",
    "Muted": "muted",
    "Label": "participantLabel",
    "ConferenceStatusCallback": "statusCallback",
    "ConferenceStatusCallbackMethod": "statusCallbackMethod",
}


class ConferencesApi:
    """The conferences of one account."""

    def __init__(self, account_sid: str, calls: CallsApi) -> None:
        self._account_sid = account_sid
        self._calls = calls

    def routes(self) -> list[tuple[str, str, Handler]]:
        """(method, path, handler)."""
        one = "/Conferences/{conference}"
        return [
            ("GET", "/Conferences.json", self._list),
            ("GET", f"{one}.json", self._fetch),
            ("POST", f"{one}.json", self._update),
            ("GET", f"{one}/Participants.json", self._list_participants),
            ("POST", f"{one}/Participants.json", self._add),
            ("GET", f"{one}/Participants/{{who}}.json", self._fetch_participant),
            ("POST", f"{one}/Participants/{{who}}.json", self._update_participant),
            ("DELETE", f"{one}/Participants/{{who}}.json", self._remove),
        ]

    async def _list(self, request: web.Request, _: Form) -> web.Response:
        rooms = [room for exchange in self._calls.exchanges for room in exchange.conferences]
        shown = [self._shown(room) for room in rooms]
        for query, name in (("FriendlyName", "friendly_name"), ("Status", "status")):
            if (wanted := request.query.get(query)) is not None:
                shown = [one for one in shown if one[name] == wanted]
        return web.json_response(rest_json.page("conferences", shown, request.path))

    async def _fetch(self, request: web.Request, form: Form) -> web.Response:
        room = self._room(request)
        return await nothing_there(request, form) if room is None else web.json_response(self._shown(room))

    async def _update(self, request: web.Request, form: Form) -> web.Response:
        room = self._room(request)
        if room is None or room.over:
            return await nothing_there(request, form)
        if form.get("Status") == ["completed"]:
            room.end("conference-ended-via-api")
        return web.json_response(self._shown(room))

    async def _list_participants(self, request: web.Request, form: Form) -> web.Response:
        room = self._room(request)
        if room is None:
            return await nothing_there(request, form)
        shown = [self._shown_member(room, member) for member in room.members]
        return web.json_response(rest_json.page("participants", shown, request.path))

    async def _add(self, request: web.Request, form: Form) -> web.Response:
        """Call somebody into the conference, which begins with it if there is none of that name."""
        for field in ("From", "To"):
            if not form.get(field):
                return refusal(400, 21201 if field == "To" else 21603, f"No '{field}' number is specified")
        known = self._room(request)
        name = known.name if known is not None else request.match_info["conference"]
        twiml = _document(name, form)
        order = Order.read({**form, "Twiml": [twiml]})
        leg = self._calls.ring(order, form["To"][0], form["From"][0])
        if leg is None:
            return refusal(400, 20001, "nobody can be rung up: FakeTwilioRest has no line")
        (dial,) = read_twiml(twiml)
        if known is None and isinstance(dial, Dial) and isinstance(verb := dial.parties[0], Conference):
            known = room_of(verb, "", leg.legs, self._calls.exchanges[0])
        sid = known.sid if known is not None else ""
        label = form.get("Label", [None])[0]
        shown = rest_json.participant(self._account_sid, sid, leg.call_sid, status="queued", label=label)
        return web.json_response(shown, status=201)

    async def _fetch_participant(self, request: web.Request, form: Form) -> web.Response:
        room, member = self._member(request)
        if room is None or member is None:
            return await nothing_there(request, form)
        return web.json_response(self._shown_member(room, member))

    async def _update_participant(self, request: web.Request, form: Form) -> web.Response:
        room, member = self._member(request)
        if room is None or member is None:
            return await nothing_there(request, form)
        if "Muted" in form:
            member.muted = form["Muted"] == ["true"]
        if "EndConferenceOnExit" in form:
            member.ends = form["EndConferenceOnExit"] == ["true"]
        return web.json_response(self._shown_member(room, member))

    async def _remove(self, request: web.Request, form: Form) -> web.Response:
        room, member = self._member(request)
        if room is None or member is None:
            return await nothing_there(request, form)
        room.remove(member)
        return web.Response(status=204)

    def _room(self, request: web.Request) -> Room | None:
        for exchange in self._calls.exchanges:
            if (room := exchange.conference(request.match_info["conference"])) is not None:
                return room
        return None

    def _member(self, request: web.Request) -> tuple[Room | None, Member | None]:
        room, who = self._room(request), request.match_info["who"]
        members = room.members if room is not None else []
        return room, next((one for one in members if who in {one.call_sid, one.label}), None)

    def _shown(self, room: Room) -> dict[str, Any]:
        status = "completed" if room.over else "in-progress" if room.started else "init"
        return rest_json.conference(self._account_sid, room.sid, room.name, status)

    def _shown_member(self, room: Room, member: Member) -> dict[str, Any]:
        return rest_json.participant(
            self._account_sid,
            room.sid,
            member.call_sid,
            label=member.label or None,
            muted=member.muted,
            start_conference_on_enter=member.starts,
            end_conference_on_exit=member.ends,
        )


def _document(name: str, form: Form) -> str:
    """The TwiML of a leg that is called into a conference."""
    attributes = {written: form[field][0] for field, written in _ATTRIBUTES.items() if form.get(field)}
    if events := form.get("ConferenceStatusCallbackEvent"):
        attributes["statusCallbackEvent"] = " ".join(events)
    written = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    text = name.replace("&", "&amp;").replace("<", "&lt;")
    return f"<Response><Dial><Conference{written}>{text}</Conference></Dial></Response>"
