"""Takes a leg into a conference, keeps it there until either is over, and makes the conference's callbacks."""

from __future__ import annotations

import asyncio
import uuid
from typing import Final

from bridge.simulator.exchange import Exchange
from bridge.simulator.legs import Legs, rfc2822_now
from bridge.simulator.rooms import Member, Room
from bridge.simulator.verbs import Conference
from bridge.simulator.waiting import any_of

_EVENTS: Final = {
    "start": "conference-start",
    "end": "conference-end",
    "join": "participant-join",
    "leave": "participant-leave",
}


async def confer(
    verb: Conference, base: str, legs: Legs, exchange: Exchange, over: asyncio.Event, time_limit_s: float
) -> int:
    """Be in the conference until it ends, the leg is put out of it or `over` is set; how many seconds that was."""
    room = room_of(verb, base, legs, exchange)
    put_out = asyncio.Event()
    member = Member(
        legs.call_sid,
        muted=verb.muted,
        starts=verb.start_on_enter,
        ends=verb.end_on_exit,
        label=verb.label,
        on_removed=put_out.set,
    )
    begin = asyncio.get_running_loop().time()
    legs.sound.enter(room, member)
    legs.record.report(legs.clock(), "joined", f"conference {verb.name} ({len(room.members)} in it)")
    await any_of(put_out, over, timeout_s=time_limit_s)
    legs.sound.leave()
    legs.record.report(legs.clock(), "left", f"conference {verb.name}")
    return round(asyncio.get_running_loop().time() - begin)


def room_of(verb: Conference, base: str, legs: Legs, exchange: Exchange) -> Room:
    """The conference of that name. If it is yet to begin, the leg that comes first says whom to tell of it."""
    if (known := exchange.conference(verb.name)) is not None:
        return known
    url = legs.webhooks.absolute(verb.status_callback, base) if verb.status_callback else ""
    number = 0

    def happened(what: str, member: Member | None) -> None:
        nonlocal number
        if not url or what not in verb.status_callback_events:
            return
        number += 1
        form = [("SequenceNumber", str(number)), *_form(_EVENTS[what], room, member, legs.line.account_sid)]
        exchange.tell_in_order(legs.callback(url, verb.status_callback_method, form))

    room = Room(verb.name, sid=f"CF{uuid.uuid4().hex}", waits=True, on_event=happened)
    exchange.conferences.append(room)
    return room


def _form(event: str, room: Room, member: Member | None, account_sid: str) -> list[tuple[str, str]]:
    fields = {
        "ConferenceSid": room.sid,
        "FriendlyName": room.name,
        "AccountSid": account_sid,
        "Timestamp": rfc2822_now(),
        "StatusCallbackEvent": event,
    }
    if member is not None:
        fields |= {
            "CallSid": member.call_sid,
            "Muted": str(member.muted).lower(),
            "Hold": "false",
            "Coaching": "false",
            "StartConferenceOnEnter": str(member.starts).lower(),
            "EndConferenceOnExit": str(member.ends).lower(),
        }
        if member.label:
            fields["ParticipantLabel"] = member.label
    if event == "conference-end":
        fields["ReasonConferenceEnded"] = room.reason
        if room.ended_by:
            fields["CallSidEndingConference"] = room.ended_by
    return [*fields.items()]
