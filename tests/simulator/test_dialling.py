from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bridge.audio import dtmf
from bridge.simulator.caller import CallEvent, Line, Party, SimulatedCall
from tests.simulator.scripted_bridge import TOKEN, Bridge, close_after_a_frame, loud, serving, stream
from tests.waiting import until

HUMAN = "+15553334444"
DIAL = f'<Response><Dial action="/dialled">{HUMAN}</Dial></Response>'
AGAIN = "<Response><Hangup/></Response>"


def line(url: str, party: Party) -> Line:
    return Line(url, TOKEN, parties={HUMAN: party})


def told(bridge: Bridge, path: str) -> list[dict[str, str]]:
    return [form for asked, form in bridge.requests if asked == path]


@pytest.mark.parametrize(
    ("party", "status"),
    [
        (Party("busy"), "busy"),
        (Party("failed"), "failed"),
        (Party("canceled"), "canceled"),
        (Party("no-answer"), "no-answer"),
        (Party(after_s=5), "no-answer"),
    ],
)
async def test_a_party_that_is_not_reached(party: Party, status: str) -> None:
    bridge = Bridge(['<Response><Dial action="/dialled" timeout="0.1">+15553334444</Dial></Response>', AGAIN])
    async with serving(bridge) as url, SimulatedCall(line(url, party)) as call:
        assert await call.ended() == "bridge_hung_up"
    (form,) = told(bridge, "/dialled")
    assert (form["DialCallStatus"], form["DialBridged"]) == (status, "false")
    assert form["DialCallSid"] == call.children[0].call_sid
    assert "DialCallDuration" not in form
    assert [transfer.status for transfer in call.transfers] == [status]
    assert bridge.forged == []


async def test_two_people_talk_and_hear_each_other_to_the_last_byte() -> None:
    bridge = Bridge([DIAL, AGAIN])
    party = Party(after_s=0.05, talk=loud(300, 0x15), hang_up_after_s=0.2)
    seen: list[CallEvent] = []
    async with serving(bridge) as url, SimulatedCall(line(url, party), on_event=seen.append) as call:
        assert await call.connected()
        await call.say(loud(200, 0x25))
        assert await call.ended() == "transferred"
    (child,) = call.children
    assert loud(300, 0x15) in b"".join(stretch.audio for stretch in call.heard)
    assert loud(200, 0x25) in b"".join(stretch.audio for stretch in child.heard)
    (form,) = told(bridge, "/dialled")
    assert (form["DialCallStatus"], form["DialBridged"]) == ("completed", "true")
    assert int(form["DialCallDuration"]) >= 1
    assert (child.line.caller, child.line.called, child.line.direction) == (
        call.line.caller,
        HUMAN,
        "outbound-dial",
    )
    assert [event.detail for event in seen if event.kind == "transfer"] == [f"{HUMAN} (completed)"]
    assert not call.agent.spurts, "it was not the agent who talked"


async def test_a_whisper_asks_for_a_key_first() -> None:
    documents: list[str | tuple[int, str]] = [
        f'<Response><Dial action="/dialled" callerId="+1999"><Number url="/whisper">{HUMAN}</Number></Dial>'
        "</Response>",
        '<Response><Gather numDigits="1" action="/accept" timeout="3"><Say>Press 1</Say></Gather><Hangup/>'
        "</Response>",
        "<Response/>",
        AGAIN,
    ]
    bridge = Bridge(documents)
    party = Party(keys="1", talk=loud(60, 0x15), hang_up_after_s=0)
    async with serving(bridge) as url, SimulatedCall(line(url, party)) as call:
        assert await call.ended() == "transferred"
    assert bridge.forged == []
    assert [path for path, _ in bridge.requests] == ["/twilio/voice", "/whisper", "/accept", "/dialled"]
    accepted = told(bridge, "/accept")[0]
    assert (accepted["Digits"], accepted["ParentCallSid"]) == ("1", call.call_sid)
    assert (accepted["CallSid"], accepted["From"], accepted["To"]) == (call.children[0].call_sid, "+1999", HUMAN)
    assert accepted["Direction"] == "outbound-dial"
    assert told(bridge, "/dialled")[0]["DialBridged"] == "true"


async def test_a_whisper_that_is_not_accepted_connects_nobody() -> None:
    documents: list[str | tuple[int, str]] = [
        f'<Response><Dial action="/dialled"><Number url="/whisper">{HUMAN}</Number></Dial></Response>',
        '<Response><Gather numDigits="1" action="/accept" timeout="0.1"/><Hangup/></Response>',
        stream(),
    ]
    bridge = Bridge(documents, close_after_a_frame)
    async with serving(bridge) as url, SimulatedCall(line(url, Party())) as call:
        assert await call.ended() == "bridge_hung_up"
    form = told(bridge, "/dialled")[0]
    assert (form["DialCallStatus"], form["DialBridged"]) == ("completed", "false")
    assert len(bridge.peers) == 1, "the caller is back with the agent"


async def test_status_callbacks_of_the_one_who_is_rung() -> None:
    dial = (
        f'<Response><Dial><Number statusCallback="/twilio/status" statusCallbackEvent="initiated ringing answered'
        f' completed">{HUMAN}</Number></Dial></Response>'
    )
    bridge = Bridge([dial])
    async with serving(bridge) as url, SimulatedCall(line(url, Party(hang_up_after_s=0))) as call:
        await call.ended()
    forms = told(bridge, "/twilio/status")
    assert [form["CallStatus"] for form in forms] == ["initiated", "ringing", "in-progress", "completed"]
    assert [form["SequenceNumber"] for form in forms] == ["0", "1", "2", "3"]
    assert {form["ParentCallSid"] for form in forms} == {call.call_sid}
    assert forms[-1]["CallDuration"].isdigit()
    assert bridge.forged == []


async def test_the_first_that_answers_is_talked_to_and_the_others_ring_no_longer() -> None:
    dial = (
        '<Response><Dial action="/dialled"><Number statusCallback="/twilio/status">+1111</Number>'
        "<Sip>sip:a@b.example</Sip></Dial></Response>"
    )
    bridge = Bridge([dial, AGAIN])
    parties = {"+1111": Party(after_s=10), "sip:a@b.example": Party(after_s=0.05, hang_up_after_s=0)}
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN, parties=parties)) as call:
        assert await call.ended() == "transferred"
        assert call.ending is not None
        assert call.ending.detail == "sip:a@b.example"
    assert [form["CallStatus"] for form in told(bridge, "/twilio/status")] == ["canceled"]
    assert [child.status for child in call.children] == ["canceled", "completed"]


async def test_one_after_the_other() -> None:
    numbers = "<Number>+1111</Number><Number>+1222</Number>"
    dial = f'<Response><Dial sequential="true" timeout="0.05">{numbers}</Dial></Response>'
    bridge = Bridge([dial])
    parties = {"+1111": Party("busy"), "+1222": Party(hang_up_after_s=0)}
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN, parties=parties)) as call:
        assert await call.ended() == "transferred"
    assert [child.line.called for child in call.children] == ["+1111", "+1222"]


async def test_the_caller_hangs_up_while_it_rings_and_while_it_talks() -> None:
    bridge = Bridge([DIAL])
    async with serving(bridge) as url, SimulatedCall(line(url, Party(after_s=20))) as call:
        await until(lambda: bool(call.children))
    assert (call.outcome, call.children[0].status) == ("caller_hung_up", "canceled")
    bridge = Bridge([DIAL])
    async with serving(bridge) as url, SimulatedCall(line(url, Party())) as call:
        assert await call.connected()
    assert (call.outcome, call.children[0].status) == ("caller_hung_up", "completed")
    assert told(bridge, "/dialled") == []


async def test_the_time_limit_of_a_talk() -> None:
    bridge = Bridge([f'<Response><Dial timeLimit="0.1">{HUMAN}</Dial></Response>'])
    async with serving(bridge) as url, SimulatedCall(line(url, Party())) as call:
        assert await call.ended() == "transferred"


async def test_keys_are_heard_by_the_other_and_sent_to_a_callee() -> None:
    bridge = Bridge([f'<Response><Dial><Number sendDigits="42">{HUMAN}</Number></Dial></Response>'])

    async def human(leg: SimulatedCall) -> None:
        assert await leg.connected()
        await leg.pause(0.6)
        await leg.hang_up()

    async with serving(bridge) as url, SimulatedCall(line(url, Party(does=human))) as call:
        assert await call.connected()
        await call.digits("7")
        await call.ended()
    heard = b"".join(stretch.audio for stretch in call.children[0].heard)
    assert dtmf.tones("42")[:900] in heard
    assert dtmf.tones("7")[:700] in heard


async def test_a_talk_that_rest_ends_or_leads_elsewhere() -> None:
    bridge = Bridge([DIAL, stream()], close_after_a_frame)
    async with serving(bridge) as url, SimulatedCall(line(url, Party())) as call:
        assert await call.connected()
        call.redirect(twiml=f"<Response><Redirect>{url}/elsewhere</Redirect></Response>")
        await call.ended()
    assert call.children[0].status == "completed"
    assert [path for path, _ in bridge.requests] == ["/twilio/voice", "/elsewhere"], "the action is not asked"

    bridge = Bridge([DIAL, AGAIN, stream()], close_after_a_frame)
    async with serving(bridge) as url, SimulatedCall(line(url, Party())) as call:
        assert await call.connected()
        call.children[0].redirect(url=f"{url}/child")
        await call.ended()
        assert await call.children[0].ended() == "bridge_hung_up"
    assert sorted(path for path, _ in bridge.requests) == ["/child", "/dialled", "/twilio/voice"]
    assert len(bridge.peers) == 1, "the callee talks to the agent now"


async def test_callbacks_that_come_twice_and_late() -> None:
    more = ' statusCallback="{origin}/twilio/status"'
    bridge = Bridge([stream("/ended", more), AGAIN, AGAIN], close_after_a_frame)
    async with serving(bridge) as url:
        twice = replace(line(url, Party()), repeat_requests=True, callback_delay_s=0.5)
        async with SimulatedCall(twice) as call:
            await call.ended()
    paths = [path for path, _ in bridge.requests]
    assert paths.count("/ended") == 2
    assert [form["StreamEvent"] for form in told(bridge, "/twilio/status")].count("stream-stopped") == 2
    assert paths.index("/ended") < paths.index("/twilio/status"), "late: after the action"
    assert bridge.forged == []
    assert len(call.twiml) == 2, "the second answer is not followed"


CONFERENCE = (
    '<Response><Dial action="/left"><Conference statusCallback="/twilio/status"'
    ' statusCallbackEvent="start join leave end"{more}>room 7</Conference></Dial></Response>'
)


async def test_a_conference_of_three() -> None:
    documents = [
        CONFERENCE.replace("{more}", more) for more in (' startConferenceOnEnter="false"', "", ' muted="true"')
    ]
    bridge = Bridge([*documents, AGAIN, AGAIN, AGAIN])
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as first:
        assert await first.connected()
        (room,) = first.exchange.conferences
        started = [room.started]
        assert [member.call_sid for member in room.members] == [first.call_sid]
        async with SimulatedCall(Line(url, TOKEN), exchange=first.exchange) as second:
            assert await second.connected()
            assert [*started, room.started] == [False, True]
            async with SimulatedCall(Line(url, TOKEN), exchange=first.exchange) as third:
                assert await third.connected()
                await asyncio.gather(
                    first.say(loud(100, 0x15)), second.say(loud(100, 0x25)), third.say(loud(100, 0x35))
                )
                await first.pause(0.2)
                heard = [b"".join(stretch.audio for stretch in call.heard) for call in (first, second, third)]
    assert loud(100, 0x25) in heard[0]
    assert loud(100, 0x15) in heard[1]
    assert loud(100, 0x15) not in heard[2], "the third heard both at once"
    assert len(heard[2].strip(b"\xff")) >= 700
    assert not any(bytes([0x35]) in one for one in heard[:2]), "the third was muted"
    events = [form["StatusCallbackEvent"] for form in told(bridge, "/twilio/status")]
    assert events == [
        "participant-join",
        "participant-join",
        "conference-start",
        "participant-join",
        "participant-leave",
        "participant-leave",
        "participant-leave",
        "conference-end",
    ]
    assert bridge.forged == []


async def test_a_conference_ends_with_the_one_it_belongs_to() -> None:
    documents = [CONFERENCE.replace("{more}", more) for more in ("", ' endConferenceOnExit="true"')]
    bridge = Bridge([*documents, "<Response><Hangup/></Response>"])
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as first:
        assert await first.connected()
        async with SimulatedCall(Line(url, TOKEN), exchange=first.exchange) as second:
            assert await second.connected()
        assert await first.ended() == "transferred"
    (left,) = told(bridge, "/left")
    assert (left["CallSid"], left["DialCallStatus"]) == (first.call_sid, "answered")
    last = told(bridge, "/twilio/status")[-1]
    assert last["ReasonConferenceEnded"] == "participant-with-end-conference-on-exit-left"
    assert last["CallSidEndingConference"] == second.call_sid
