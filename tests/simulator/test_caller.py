from __future__ import annotations

import asyncio
import itertools
import statistics
import time

import aiohttp
import pytest

from bridge.audio import wav
from bridge.simulator.caller import CallError, CallEvent, Line, SimulatedCall
from bridge.simulator.phone import Stretch
from tests.simulator.scripted_bridge import (
    TOKEN,
    Bridge,
    Peer,
    audio_of,
    close_after_a_frame,
    listen,
    loud,
    serving,
    stream,
)


async def test_the_opening_of_a_call_as_twilio_does_it() -> None:
    bridge = Bridge([stream()], listen)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN, caller="+15551112222")) as call:
        await call.pause(0.1)
        assert call.live
    assert bridge.forged == []
    path, form = bridge.requests[0]
    assert path == "/twilio/voice"
    assert form["CallSid"] == call.call_sid
    assert len(call.call_sid) == 34
    assert (form["From"], form["Caller"], form["CallStatus"]) == ("+15551112222", "+15551112222", "ringing")
    assert form["CallerCity"] == ""
    assert len(form) == 25
    first, second = bridge.peers[0].received[:2]
    assert first[1] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    start = second[1]
    assert start["start"]["customParameters"] == {"token": "t&1"}
    assert start["start"]["callSid"] == call.call_sid
    assert start["streamSid"] == start["start"]["streamSid"]
    assert bridge.peers[0].received[-1][1]["stop"]["callSid"] == call.call_sid
    assert bridge.peers[0].socket.close_code == 1000
    assert call.outcome == "caller_hung_up"
    assert not call.problems


async def test_frames_are_on_time_numbered_and_silent_when_nobody_speaks() -> None:
    bridge = Bridge([stream()], listen)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        await call.pause(1.05)
    peer = bridge.peers[0]
    media = peer.of("media")
    times = [at for at, message in peer.received if message["event"] == "media"]
    assert 50 <= len(media) <= 55
    steps = [after - before for before, after in itertools.pairwise(times)]
    assert statistics.median(steps) == pytest.approx(0.02, abs=0.002)
    assert times[49] - times[0] == pytest.approx(49 * 0.02, abs=0.05), "the clock does not drift"
    assert [message["media"]["timestamp"] for message in media] == [str(20 * n) for n in range(len(media))]
    numbers = [int(message["sequenceNumber"]) for _, message in peer.received[1:]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert set(audio_of(peer)) == {0xFF}


async def test_a_stalled_loop_is_caught_up_with() -> None:
    bridge = Bridge([stream()], listen)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        await call.pause(0.2)
        time.sleep(0.3)  # noqa: ASYNC251  # the stall itself
        await call.pause(0.5)
        assert len(bridge.peers[0].of("media")) * 0.02 == pytest.approx(call.now, abs=0.1)


async def test_speech_arrives_byte_for_byte_and_at_its_time() -> None:
    speech = bytes(range(1, 251)) * 13 + b"\x01"  # no multiple of a frame
    bridge = Bridge([stream()], listen)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        said, again = await asyncio.gather(call.say(speech, at=0.15), call.say(b"\x02" * 100, label="more"))
        assert said.start_s == pytest.approx(0.15, abs=1 / 8000)
        assert said.start_s is not None
        assert said.end_s == pytest.approx(said.start_s + len(speech) / 8000)
        assert again.start_s == pytest.approx(said.end_s)
        now = call.now
    assert again.end_s is not None
    assert now >= again.end_s, "a frame is sent when it is over, not before"
    heard = audio_of(bridge.peers[0])
    assert heard.strip(b"\xff") == speech + b"\x02" * 100
    assert heard.index(speech) == pytest.approx(1200, abs=100)
    assert call.sent[0].audio[: len(heard)] == heard
    assert [one.label for one in call.said] == ["", "more"]


async def test_marks_return_when_the_audio_was_played_and_at_once_after_clear() -> None:
    async def script(peer: Peer) -> None:
        await peer.next("start")
        await peer.media(loud(200))
        await peer.media(loud(100))
        await peer.mark("played")
        assert (await peer.next("mark"))["mark"] == {"name": "played"}
        await peer.media(loud(5000))
        await peer.mark("cut 1")
        await peer.mark("cut 2")
        for _ in range(5):
            await peer.next("media")
        await peer.send("clear")
        await peer.mark("after")
        names = [(await peer.next("mark"))["mark"]["name"] for _ in range(3)]
        assert names == ["cut 1", "cut 2", "after"]
        await peer.read_to_the_end()

    bridge = Bridge([stream()], script)
    seen: list[CallEvent] = []
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN), on_event=seen.append) as call:
        assert await call.wait_agent_speaking(2.0) == pytest.approx(0.0, abs=0.2)
        assert await call.wait_until_agent_silent(0.7, 3.0)
    peer = bridge.peers[0]
    assert peer.time_of("mark", 0) - peer.time_of("start") == pytest.approx(0.3, abs=0.08)
    assert peer.time_of("mark", 3) - peer.time_of("mark", 1) < 0.05
    assert [(mark.name, mark.heard) for mark in call.marks] == [
        ("played", True),
        ("cut 1", False),
        ("cut 2", False),
        ("after", True),
    ]
    assert 0.3 < sum(len(one.audio) for one in call.heard) / 8000 < 0.3 + 0.5
    assert len(call.clears) == 1
    kinds = [event.kind for event in seen]
    assert [kind for kind in kinds if kind in {"agent_started", "clear", "agent_stopped"}] == [
        "agent_started",
        "clear",
        "agent_stopped",
    ]
    stopped = seen[kinds.index("agent_stopped")]
    assert stopped.at_s == pytest.approx(call.agent.spurts[-1].end_s)


async def test_lag_delays_both_ways() -> None:
    async def script(peer: Peer) -> None:
        await peer.next("start")
        await peer.mark("echo")
        await peer.next("mark")
        await peer.read_to_the_end()

    bridge = Bridge([stream()], script)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN, lag_ms=100)) as call:
        await call.pause(0.4)
    peer = bridge.peers[0]
    assert peer.time_of("mark") - peer.time_of("start") == pytest.approx(0.2, abs=0.06)
    assert peer.time_of("media") - peer.time_of("start") == pytest.approx(0.12, abs=0.06)


async def test_digits_come_in_order() -> None:
    bridge = Bridge([stream()], listen)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        await call.digits("1w2#")
    peer = bridge.peers[0]
    assert [message["dtmf"] for message in peer.of("dtmf")] == [
        {"track": "inbound_track", "digit": digit} for digit in "12#"
    ]
    assert peer.time_of("dtmf", 1) - peer.time_of("dtmf", 0) > 0.5


async def test_what_twilio_would_refuse_is_a_problem_and_the_call_goes_on() -> None:
    async def script(peer: Peer) -> None:
        await peer.next("start")
        await peer.socket.send_bytes(b"\x00")
        await peer.socket.send_str("{")
        await peer.send("media", media={"playload": ""})
        await peer.send("clear", why="x")
        await peer.media(b"RIFF" + loud(20))
        await peer.mark("alive")
        await peer.next("mark")
        await peer.read_to_the_end()

    bridge = Bridge([stream()], script)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        await call.pause(0.2)
    assert [(one.code, one.count) for one in call.problems] == [("31950", 1), ("31951", 3), ("wav_header", 1)]
    assert [mark.name for mark in call.marks] == ["alive"]


async def test_the_recording_has_both_sides_at_their_times() -> None:
    async def script(peer: Peer) -> None:
        await peer.next("start")
        for _ in range(10):
            await peer.next("media")
        await peer.media(loud(100, 0x11))
        await peer.read_to_the_end()

    bridge = Bridge([stream()], script)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        await call.say(loud(60, 0x12), at=0.1)
        await call.pause(0.4)
    file = call.recording()
    left, right = (wav.read_mulaw(file, name="recording", channel=channel) for channel in (0, 1))
    assert left[800:1280] == loud(60, 0x12)
    assert set(left[:800]) == {0xFF}
    (heard,) = call.heard
    assert heard.audio == loud(100, 0x11)
    assert right[round(heard.start_s * 8000) :][:800] == heard.audio
    assert heard.start_s == pytest.approx(0.2, abs=0.06)


async def test_the_end_of_the_call_ends_what_waits_for_it() -> None:
    bridge = Bridge([stream()], close_after_a_frame)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        with pytest.raises(CallError, match="before all was said"):
            await call.say(loud(60_000))
        assert await call.wait_agent_speaking(30) is None
        assert not await call.wait_for_agent(30)
        await call.pause(30)
    assert len(call.said[0].audio) - call.said[0].offset > 0


async def test_a_cancelled_say_says_no_more() -> None:
    bridge = Bridge([stream()], listen)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await call.say(loud(10_000))
        await call.say(loud(40, 0x22))
    heard = audio_of(bridge.peers[0]).strip(b"\xff")
    assert heard.endswith(loud(40, 0x22))
    assert len(heard) < 8 * 400


async def test_many_calls_share_a_session() -> None:
    bridge = Bridge([stream()] * 110, *[listen] * 110)
    async with serving(bridge) as url, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        calls = [SimulatedCall(Line(url, TOKEN), session=session) for _ in range(110)]
        await asyncio.gather(*(call.place() for call in calls))
        await asyncio.gather(*(call.hang_up() for call in calls))
    assert {call.outcome for call in calls} == {"caller_hung_up"}
    assert isinstance(calls[0].heard, list)
    assert all(isinstance(one, Stretch) for one in calls[0].sent)
