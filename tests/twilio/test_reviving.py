"""A question about a call that another process carried, which has died: asked over real sockets."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest

from bridge.conversation import journal as j
from bridge.conversation.actions import Transfer
from bridge.conversation.commands import LeaveCall, Message, TransferResult
from bridge.conversation.events import RecognizerClosed
from bridge.store.base import CallHeader, Reopened
from tests.call.house import FORM, House, Stream, house_up
from tests.call.peers import KeptRecord
from tests.waiting import until

ENDED = "/twilio/stream-ended?leg=3"
DIALLED = "/twilio/dial-ended?leg=3"
HEADER = CallHeader(
    id="c1",
    sid="CA1",
    caller="+15550100001",
    called="+15550100002",
    direction="inbound",
    started_at="2026-03-01T12:00:00.000+00:00",
    agent_kind="scripted",
)
GREETED = j.AgentSpoke(1, 0, "call.started", "Hello.", "", False, 0, 900, sent_ms=100)
TURN = j.CallerSpoke(1, "A bike, please", 1000, 2000)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with house_up() as house:
        yield house
        for session in [*house.registry.live.values()]:
            session.stop("caller")
            session.take(RecognizerClosed())  # There is nothing that it would still have to tell.


def leave(house: House, *entries: j.Entry, **header: Any) -> KeptRecord:
    """Let a process have died that had come so far with the call; returns the record that goes on."""
    held = dataclasses.replace(HEADER, **header)
    record = KeptRecord(held)
    all_entries = (j.CallOpened(), *entries, j.CallTakenOver(30_000, 2))
    house.store.left["CA1"] = Reopened(held, all_entries, 2, 30_000, record)
    return record


async def follow(house: House, document: ET.Element) -> Stream:
    """Open the stream that a document wants, as Twilio does."""
    (connect,) = document
    (wanted,) = connect
    token = {one.attrib["name"]: one.attrib["value"] for one in wanted}["token"]
    stream = Stream(await house.connect())
    await stream.start(token)
    await stream.taken()
    return stream


async def test_the_call_goes_on_in_its_record(house: House) -> None:
    record = leave(house, j.CallArranged(0, {"name": "Zoë"}), GREETED, TURN)
    document = await house.ask(ENDED, FORM)
    assert document[0].attrib["action"].partition("#")[0] == house.origin + "/twilio/stream-ended?leg=4"
    await follow(house, document)
    await until(lambda: house.agent.questions)
    (question,) = house.agent.questions
    assert (question.call.id, question.call.caller, question.call.parameters) == (
        "c1",
        "+15550100001",
        {"name": "Zoë"},
    )
    assert (question.occasion, question.turn, question.transcript) == ("turn.ended", 1, "A bike, please")
    assert question.messages == (Message("assistant", "Hello."), Message("user", "A bike, please"))
    (resumed,) = [entry for entry in record.entries if isinstance(entry, j.StreamResumed)]
    assert 30_000 <= resumed.at_ms < 40_000
    assert house.store.records == []
    house.session.hear(20, b"\x11" * 160)
    (heard,) = [sound for sound in record.sound if sound[0] == "caller"]
    assert 30_000 <= heard[1] < 40_000


async def test_whoever_asks_at_the_same_time_or_again_gets_the_same_call(house: House) -> None:
    leave(house, GREETED, TURN)
    await asyncio.gather(*(house.ask(ENDED, FORM) for _ in range(3)))
    (session,) = house.registry.live.values()
    stream = await follow(house, await house.ask(ENDED, FORM))
    assert house.session is session
    await follow(house, await house.ask("/twilio/stream-ended?leg=9", FORM))
    await stream.closed()  # Of two streams of one call the older loses.
    assert session.attached


async def test_a_call_that_is_over_is_not_taken_over(house: House) -> None:
    leave(house, GREETED, TURN)
    document = await house.ask(ENDED, {**FORM, "CallStatus": "completed"})
    assert [verb.tag for verb in document] == ["Hangup"]
    assert not house.registry.live
    assert house.store.left


async def test_a_bridge_that_stops_takes_none_over(house: House) -> None:
    leave(house, GREETED, TURN)
    house.registry.draining = True
    assert [verb.tag for verb in await house.ask(ENDED, FORM)] == ["Hangup"]
    assert house.store.left


async def test_nobody_was_reached_for_a_caller_whose_process_has_died_meanwhile(house: House) -> None:
    left = msgspec.to_builtins(LeaveCall("transfer", Transfer("+15550100300")))
    record = leave(house, GREETED, TURN, j.Standing(2100, left=left))
    document = await house.ask(DIALLED, {**FORM, "DialCallStatus": "busy"})
    await follow(house, document)
    await until(lambda: house.agent.questions)
    (question,) = house.agent.questions
    assert (question.occasion, question.transfer) == ("transfer.ended", TransferResult("+15550100300", "busy"))
    assert [entry.status for entry in record.entries if isinstance(entry, j.TransferTried)] == ["busy"]


async def test_how_it_ended_is_kept_of_a_caller_who_was_passed_on_before_the_process_died(house: House) -> None:
    left = msgspec.to_builtins(LeaveCall("transfer", Transfer("+15550100300")))
    record = leave(house, GREETED, TURN, j.Standing(2100, left=left))
    form = {**FORM, "CallStatus": "completed", "DialCallStatus": "completed", "DialCallDuration": "75"}
    assert [verb.tag for verb in await house.ask(DIALLED, form)] == ["Hangup"]
    await until(lambda: not house.registry.live)
    kept = [entry for entry in record.entries if isinstance(entry, j.TransferTried | j.CallClosed)]
    assert [type(entry) for entry in kept] == [j.TransferTried, j.CallClosed]
    assert (kept[0].status, kept[0].duration_s) == ("completed", 75)  # type: ignore[union-attr]
    (told,) = [question for question in house.agent.questions if question.occasion == "call.ended"]
    assert told.outcome["transfer"] == {"to": "+15550100300", "status": "completed", "duration_s": 75}


async def test_the_end_of_a_call_that_was_away_when_its_process_died_is_the_carriers_word(house: House) -> None:
    left = msgspec.to_builtins(LeaveCall("transfer", Transfer("+15550100300")))
    record = leave(house, GREETED, TURN, j.Standing(2100, left=left))
    over = {**FORM, "CallStatus": "completed"}
    await house.post("/twilio/status", over)
    assert not house.registry.live  # It is not looked for at the end of each call.
    house.routes.away = {FORM["CallSid"]}
    await house.post("/twilio/status", over)
    await until(lambda: not house.registry.live)
    assert isinstance(record.entries[-1], j.CallClosed)


async def test_a_transfer_that_the_carrier_had_not_asked_for_is_dialled(house: House) -> None:
    left = msgspec.to_builtins(LeaveCall("transfer", Transfer("+15550100300")))
    leave(house, GREETED, TURN, j.Standing(2100, left=left))
    (dial,) = await house.ask(ENDED, FORM)
    assert (dial.tag, "".join(dial.itertext())) == ("Dial", "+15550100300")


async def test_a_call_of_ours_is_held_as_it_was_ordered(house: House) -> None:
    arranged = j.CallArranged(0, {}, "Hello, this is the shop.", "Please call back.")
    leave(house, arranged, direction="outbound", caller="+15550100002", called="+15550100001", recording="paused")
    await follow(house, await house.ask(ENDED, FORM))
    await until(lambda: house.agent.questions)
    policy = house.session._conversation._talk.policy
    assert (policy.greeting, policy.voicemail, policy.recording) == (
        "Hello, this is the shop.",
        "Please call back.",
        "paused",
    )
    assert house.agent.questions[0].occasion == "call.started"
    assert house.agent.questions[0].call.number == "+15550100002"
