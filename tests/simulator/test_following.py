from __future__ import annotations

import pytest

from bridge.errors import SettingsError
from bridge.simulator.caller import CallError, CallEvent, Line, SimulatedCall
from bridge.tasks import spawn
from tests.simulator.scripted_bridge import (
    HANG_UP,
    TOKEN,
    Bridge,
    Documents,
    Peer,
    audio_of,
    close_after_a_frame,
    listen,
    loud,
    serving,
    stream,
)
from tests.waiting import until


async def test_when_the_bridge_closes_the_action_is_asked_and_a_new_stream_opened() -> None:
    async def second(peer: Peer) -> None:
        start = await peer.next("start")
        assert start["sequenceNumber"] == "1"
        await peer.media(loud(50))
        await peer.read_to_the_end()

    documents: Documents = [stream("/twilio/stream-ended?x=%20y"), stream("{origin}/twilio/next")]
    bridge = Bridge(documents, close_after_a_frame, second)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        assert await call.wait_agent_speaking(2.0) is not None
        await call.say(loud(100))
    assert [path for path, _ in bridge.requests] == ["/twilio/voice", "/twilio/stream-ended?x=%20y"]
    assert bridge.requests[1][1]["CallStatus"] == "in-progress"
    first, last = bridge.peers
    assert first.stream_sid != last.stream_sid
    assert loud(100) in audio_of(last)
    assert call.heard[0].start_s > 0.02, "call time goes on across streams"
    assert len(call.twiml) == 2
    assert bridge.forged == []


async def test_a_broken_network_ends_the_stream_without_stop() -> None:
    bridge = Bridge([stream("/twilio/stream-ended"), HANG_UP], listen)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        await call.pause(0.1)
        call.drop_stream()
        assert await call.ended() == "bridge_hung_up"
    assert bridge.peers[0].of("stop") == []
    assert bridge.requests[1][0] == "/twilio/stream-ended"


@pytest.mark.parametrize(
    ("document", "status", "outcome", "detail"),
    [
        (HANG_UP, "completed", "bridge_hung_up", "<Hangup/>"),
        ("<Response/>", "completed", "bridge_hung_up", "the TwiML has ended"),
        ('<Response><Reject reason="busy"/></Response>', "completed", "rejected", "busy"),
        (
            "<Response><Say>Hello</Say><Dial>+15553334444</Dial></Response>",
            "completed",
            "transferred",
            "+15553334444",
        ),
        (
            "<Response><Dial><Sip>sip:a@b.example</Sip></Dial><Hangup/></Response>",
            "completed",
            "transferred",
            "sip:a@b.example",
        ),
        ("<Response><Dial>+15553334444</Dial></Response>", "busy", "bridge_hung_up", "the TwiML has ended"),
    ],
)
async def test_calls_that_end_without_a_stream(document: str, status: str, outcome: str, detail: str) -> None:
    bridge = Bridge([document])
    async with serving(bridge) as url:
        call = SimulatedCall(Line(url, TOKEN, dial_status=status))
        await call.place()
        assert await call.ended() == outcome
        assert call.ending is not None
        assert call.ending.detail == detail
        with pytest.raises(CallError, match="over"):
            await call.say(loud(20))


async def test_an_unanswered_transfer_comes_back_to_the_agent() -> None:
    documents: Documents = [
        stream("/twilio/stream-ended"),
        '<Response><Dial action="/twilio/dialled"><Number>+1555</Number></Dial></Response>',
        stream(),
    ]
    bridge = Bridge(documents, close_after_a_frame, close_after_a_frame)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN, dial_status="no-answer")) as call:
        assert await call.ended() == "bridge_hung_up"
    assert bridge.requests[-1] == ("/twilio/dialled", bridge.requests[-1][1])
    assert bridge.requests[-1][1]["DialCallStatus"] == "no-answer"
    assert len(bridge.peers) == 2


async def test_redirects_pauses_and_verbs_it_does_not_act() -> None:
    documents: Documents = [
        '<Response><Enqueue/><Pause length="0"/><Redirect method="GET">/twilio/more?a=1</Redirect></Response>',
        "<Response><Play>https://x.example/a.mp3</Play></Response>",
    ]
    bridge = Bridge(documents)
    seen: list[CallEvent] = []
    async with serving(bridge) as url:
        call = SimulatedCall(Line(url, TOKEN), on_event=seen.append)
        await call.place()
        assert await call.ended() == "bridge_hung_up"
    assert bridge.forged == []
    assert bridge.requests[1][0].startswith("/twilio/more?a=1&CallSid=CA")
    assert [one.text for one in call.problems] == ["<Enqueue> was passed over: the simulator does not act it"]
    assert ("carrier_plays", "https://x.example/a.mp3") in [(event.kind, event.detail) for event in seen]


async def test_a_long_pause_ends_when_the_caller_hangs_up() -> None:
    bridge = Bridge(['<Response><Pause length="40"/></Response>'])
    async with serving(bridge) as url:
        call = SimulatedCall(Line(url, TOKEN))
        placing = spawn(call.place(), name="test_place")
        await until(lambda: bool(call.twiml))
        await call.hang_up()
        await placing
        assert call.outcome == "caller_hung_up"


async def test_rest_ends_and_redirects_a_call() -> None:
    bridge = Bridge([stream("/twilio/stream-ended"), stream()], listen, listen)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        call.redirect(url=f"{url}/twilio/other")
        await until(lambda: len(bridge.peers) == 2 and bool(bridge.peers[1].of("start")))
        assert len(bridge.peers[0].of("stop")) == 1
        call.redirect(twiml="<Response><Dial>+15556667777</Dial></Response>")
        assert await call.ended() == "transferred"
    assert [path for path, _ in bridge.requests] == ["/twilio/voice", "/twilio/other"], "the action is not asked"
    bridge = Bridge([stream("/twilio/stream-ended")], listen)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        await call.complete()
        assert call.ending is not None
        assert (call.ending.outcome, call.ending.detail) == ("bridge_hung_up", "by REST")
    assert len(bridge.peers[0].of("stop")) == 1


async def test_status_callbacks() -> None:
    more = ' name="main" statusCallback="{origin}/twilio/status"'
    bridge = Bridge([stream(more=more)], listen)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN, report_status=True)) as call:
        await call.pause(0.1)
    told = [form for path, form in bridge.requests if path == "/twilio/status"]
    assert [form.get("StreamEvent", form.get("CallStatus")) for form in told] == [
        "stream-started",
        "stream-stopped",
        "completed",
    ]
    assert told[0]["StreamSid"] == bridge.peers[0].stream_sid
    assert told[0]["StreamName"] == "main"
    assert told[2]["CallDuration"] == "0"
    assert bridge.forged == []
    assert call.problems == []


async def test_a_bridge_behind_a_public_address() -> None:
    bridge = Bridge([stream("https://voice.example.com/twilio/stream-ended"), HANG_UP], close_after_a_frame)
    bridge.public = "https://voice.example.com"
    public = "https://voice.example.com/"
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN, public_url=public)) as call:
        assert await call.ended() == "bridge_hung_up"
    assert bridge.forged == []
    assert [path for path, _ in bridge.requests] == ["/twilio/voice", "/twilio/stream-ended"]


# --- one clear line ---


async def failure(line: Line) -> CallError:
    call = SimulatedCall(line)
    with pytest.raises(CallError) as caught:
        await call.place()
    assert call.outcome == "failed"
    assert "\n" not in caught.value.message
    return caught.value


async def test_a_wrong_token_says_which_setting() -> None:
    bridge = Bridge([stream()], listen)
    async with serving(bridge) as url:
        error = await failure(Line(url, "wrong"))
        assert error.code == "bridge_refused"
        assert "BRIDGE_TWILIO__AUTH_TOKEN" in error.message
        error = await failure(Line(url))
        assert "no auth token was given" in error.message


async def test_nobody_there() -> None:
    bridge = Bridge([])
    async with serving(bridge) as url:
        pass
    error = await failure(Line(url, TOKEN))
    assert (error.code, url in error.message) == ("bridge_unreachable", True)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ((500, "<oops/>"), "status 500"),
        ((200, "hello"), "text/plain"),
        ("<Response><Connect>", "no TwiML"),
        ("<html/>", "<Response>"),
        ("<Response><Connect><Stream/></Connect></Response>", "no url"),
        ('<Response><Connect><Stream url="wss://a?b=1"/></Connect></Response>', "<Parameter>"),
        ('<Response><Connect><Stream url="{ws}/nothing"/></Connect></Response>', "status 404"),
        ('<Response><Connect><Stream url="ws://127.0.0.1:9/"/></Connect></Response>', "cannot reach"),
    ],
)
async def test_answers_no_carrier_could_follow(document: str | tuple[int, str], says: str) -> None:
    bridge = Bridge([document])
    async with serving(bridge) as url:
        error = await failure(Line(url, TOKEN))
    assert says in error.message
    assert error.code in {"bridge_answer", "bridge_unreachable", "bridge_refused"}


async def test_going_round_in_circles_ends() -> None:
    documents: Documents = ["<Response><Redirect>/twilio/voice</Redirect></Response>"] * 60
    bridge = Bridge(documents)
    async with serving(bridge) as url:
        error = await failure(Line(url, TOKEN))
    assert "50 TwiML documents" in error.message


def test_an_address_that_is_none() -> None:
    for url in ("", "127.0.0.1:8080", "ftp://x", "http://"):
        with pytest.raises(SettingsError, match="address"):
            Line(url)
