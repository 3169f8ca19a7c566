"""`<Start><Stream>`, `<Gather>`, `<Record>` and `<Play digits>`, over real sockets."""

from __future__ import annotations

import asyncio
import base64

import pytest

from bridge.audio import dtmf, wav
from bridge.simulator.caller import CallEvent, Line, Party, SimulatedCall
from bridge.simulator.gathering import beep
from tests.simulator.scripted_bridge import HANG_UP, TOKEN, Bridge, Documents, Peer, listen, loud, serving, stream
from tests.waiting import until

HUMAN = "+15553334444"


def tap(more: str = "", track: str = "both_tracks") -> str:
    return (
        f'<Start><Stream url="{{ws}}/twilio/media" track="{track}" name="log"{more}>'
        '<Parameter name="token" value="t1"/></Stream></Start>'
    )


def track_of(peer: Peer, track: str) -> bytes:
    messages = [one["media"] for one in peer.of("media") if one["media"]["track"] == track]
    assert [one["chunk"] for one in messages] == [str(number + 1) for number in range(len(messages))]
    assert [int(one["timestamp"]) for one in messages] == [20 * number for number in range(len(messages))]
    return b"".join(base64.b64decode(one["payload"]) for one in messages)


async def test_both_sides_of_a_talk_are_streamed_whole_and_apart() -> None:
    documents: Documents = [f"<Response>{tap()}<Dial>{HUMAN}</Dial></Response>"]
    bridge = Bridge(documents, listen)
    party = Party(after_s=0.1, talk=loud(300, 0x15), hang_up_after_s=0.1)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN, parties={HUMAN: party})) as call:
        assert await call.connected()
        await call.say(loud(200, 0x25))
        assert await call.ended() == "transferred"
    (peer,) = bridge.peers
    start = peer.of("start")[0]
    assert start["start"]["tracks"] == ["inbound", "outbound"]
    assert start["start"]["customParameters"] == {"token": "t1"}
    caller, callee = track_of(peer, "inbound"), track_of(peer, "outbound")
    assert len(caller) == len(callee)
    assert loud(200, 0x25) in caller
    assert loud(300, 0x15) in callee
    assert 0x15 not in caller
    assert 0x25 not in callee
    assert callee.index(0x15) > 0.1 * 8000 - 320, "silence before it answers"
    assert peer.of("dtmf") == []
    numbers = [int(message["sequenceNumber"]) for _, message in peer.received if "sequenceNumber" in message]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(peer.of("stop")) == 1
    assert bridge.forged == []
    assert call.problems == []


@pytest.mark.parametrize("track", ["inbound_track", "outbound_track"])
async def test_beside_a_two_way_stream_the_agent_is_the_outbound_track(track: str) -> None:
    two_way = stream().replace("<Response>", f"<Response>{tap(track=track)}", 1)

    async def agent(peer: Peer) -> None:
        await peer.next("start")
        await peer.media(loud(200, 0x35))
        await peer.read_to_the_end()

    bridge = Bridge([two_way], listen, agent)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        await call.say(loud(100, 0x25))
        await call.digits("5")
        await call.pause(0.2)
    listening, two_way_peer = bridge.peers
    said, heard = loud(100, 0x25), loud(200, 0x35)
    if track == "inbound_track":
        assert said in track_of(listening, "inbound")
        assert not track_of(listening, "outbound")
    else:
        assert heard in track_of(listening, "outbound")
        assert not track_of(listening, "inbound")
    assert listening.of("dtmf") == []
    assert len(two_way_peer.of("dtmf")) == 1


async def test_nothing_may_be_sent_on_it_and_it_is_stopped_by_name() -> None:
    async def script(peer: Peer) -> None:
        await peer.next("start")
        await peer.media(loud(20))
        await peer.mark("x")
        await peer.read_to_the_end()

    more = ' statusCallback="{origin}/twilio/status"'
    documents: Documents = [
        f'<Response>{tap(more)}<Pause length="0.2"/><Stop><Stream name="log"/></Stop>'
        '<Stop><Stream name="log"/></Stop><Hangup/></Response>'
    ]
    bridge = Bridge(documents, script)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        assert await call.ended() == "bridge_hung_up"
    assert [(one.code, one.count) for one in call.problems] == [("31924", 2), ("not_acted", 1)]
    told = [form["StreamEvent"] for path, form in bridge.requests if path == "/twilio/status"]
    assert told == ["stream-started", "stream-stopped"]
    assert call.heard == [] or not any(stretch.audio.strip(b"\xff") for stretch in call.heard)


async def test_a_stream_that_cannot_be_opened_does_not_stop_the_call() -> None:
    more = ' statusCallback="{origin}/twilio/status"'
    documents: Documents = [f"<Response>{tap(more).replace('/twilio/media', '/nothing')}{HANG_UP[10:]}"]
    bridge = Bridge(documents)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        assert await call.ended() == "bridge_hung_up"
    assert [one.code for one in call.problems] == ["31920"]
    assert [form["StreamEvent"] for path, form in bridge.requests if path == "/twilio/status"] == ["stream-error"]


async def test_a_bridge_that_closes_it_does_not_end_the_call() -> None:
    async def script(peer: Peer) -> None:
        await peer.next("media")

    documents: Documents = [f'<Response>{tap()}<Pause length="20"/></Response>']
    bridge = Bridge(documents, script)
    seen: list[CallEvent] = []
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN), on_event=seen.append) as call:
        await until(lambda: "listening_ended" in [event.kind for event in seen])
        assert call.live


async def test_no_more_than_four_tracks() -> None:
    documents: Documents = [f"<Response>{tap() * 2}{tap(track='inbound_track')}</Response>"]
    bridge = Bridge(documents, listen, listen)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        await call.ended()
    assert [one.code for one in call.problems] == ["tracks"]


async def test_keys_are_gathered() -> None:
    gather = '<Gather action="/keys" numDigits="4" timeout="2"><Say>PIN</Say><Play digits="1"/></Gather>'
    bridge = Bridge([f"<Response>{gather}</Response>", HANG_UP])
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        await call.digits("1234")
        assert await call.ended() == "bridge_hung_up"
    assert [(path, form.get("Digits")) for path, form in bridge.requests] == [
        ("/twilio/voice", None),
        ("/keys", "1234"),
    ]
    assert bridge.forged == []


@pytest.mark.parametrize(
    ("attributes", "keys", "digits"),
    [
        ("", "12#", "12"),
        ('finishOnKey="*"', "1#*", "1#"),
        ('timeout="0.3"', "77", "77"),
        ('numDigits="1"', "5", "5"),
    ],
)
async def test_what_ends_a_gather(attributes: str, keys: str, digits: str) -> None:
    bridge = Bridge([f'<Response><Gather action="/keys" {attributes}/></Response>', HANG_UP])
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        await call.digits(keys)
        await call.ended()
    assert bridge.requests[1][1]["Digits"] == digits


@pytest.mark.parametrize(
    ("attributes", "asked"), [("", ["/twilio/voice"]), ('actionOnEmptyResult="true"', ["/twilio/voice", "/keys"])]
)
async def test_without_a_key_the_next_verb_runs(attributes: str, asked: list[str]) -> None:
    bridge = Bridge([f'<Response><Gather action="/keys" timeout="0.1" {attributes}/><Hangup/></Response>', HANG_UP])
    seen: list[CallEvent] = []
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN), on_event=seen.append) as call:
        await call.ended()
    assert [path for path, _ in bridge.requests] == asked
    assert call.ending is not None
    assert call.ending.detail == "<Hangup/>"
    assert [event.kind for event in seen if event.kind.startswith("gather")] == ["gather", "gathered"]


async def test_a_gather_that_the_caller_leaves() -> None:
    bridge = Bridge(['<Response><Gather action="/keys"/></Response>'])
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        assert await call.asked_for_keys()
    assert call.outcome == "caller_hung_up"


async def test_a_message_is_recorded() -> None:
    record = '<Record action="/message" timeout="0.2" finishOnKey="#" playBeep="false"/>'
    bridge = Bridge([f"<Response>{record}</Response>", f"<Response>{record}<Hangup/></Response>", HANG_UP])
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        await call.say(loud(300))
        await call.ended()
    (form,) = [form for path, form in bridge.requests if path == "/message"]
    assert form["RecordingDuration"] == "1"
    assert form["RecordingUrl"].endswith(form["RecordingSid"])


RECORD = '<Record action="/message" timeout="0.3" finishOnKey="#" recordingStatusCallback="/ready"/>'


async def test_a_tone_comes_before_a_message_and_its_sound_can_be_fetched_behind_it() -> None:
    bridge = Bridge([f"<Response>{RECORD}</Response>", HANG_UP])
    seen: list[CallEvent] = []
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN), on_event=seen.append) as call:
        await until(lambda: any(event.kind == "recording" for event in seen))
        await call.say(loud(300, 0x25))
        await call.digits("#")
        await call.ended()
    assert beep() in b"".join(stretch.audio for stretch in call.heard)
    asked, told = (form for path, form in bridge.requests if path in {"/message", "/ready"})
    assert (asked["Digits"], asked["CallStatus"]) == ("#", "in-progress")
    assert (told["RecordingStatus"], told["RecordingSource"]) == ("completed", "RecordVerb")
    assert told["RecordingUrl"] == asked["RecordingUrl"]
    sound = wav.read_mulaw(call.exchange.recordings.files[asked["RecordingSid"]], name="the message")
    said = sound.strip(b"\xff")
    assert said == loud(300, 0x25)[: len(said)]
    assert len(said) >= 8 * 260, "but for the frame in which it began"


async def test_who_hangs_up_in_a_message_has_left_what_they_said() -> None:
    bridge = Bridge([f"<Response>{RECORD.replace('0.3', '9')}</Response>"])
    seen: list[CallEvent] = []
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN), on_event=seen.append) as call:
        await until(lambda: any(event.kind == "recording" for event in seen))
        await call.say(loud(300, 0x25))
    (form,) = (form for path, form in bridge.requests if path == "/message")
    assert (form["Digits"], form["CallStatus"], form["RecordingDuration"]) == ("hangup", "completed", "1")


async def test_tones_that_are_played_are_heard_and_told() -> None:
    bridge = Bridge(['<Response><Play digits="w12#"/></Response>'])
    seen: list[CallEvent] = []
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN), on_event=seen.append) as call:
        async with asyncio.timeout(5):
            await call.ended()
    assert dtmf.tones("12#") in b"".join(stretch.audio for stretch in call.heard)
    assert ("carrier_plays", "digits w12#") in [(event.kind, event.detail) for event in seen]
