from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from requests.exceptions import ReadTimeout
from twilio.base.exceptions import TwilioRestException  # type: ignore[import-untyped]  # the library has no types
from twilio.http.http_client import TwilioHttpClient  # type: ignore[import-untyped]  # the library has no types
from twilio.rest import Client  # type: ignore[import-untyped]  # the library has no types

from bridge.audio import dtmf
from bridge.simulator.caller import Line, Party, SimulatedCall
from bridge.simulator.rest import FakeTwilioRest, Fault
from tests.simulator.scripted_bridge import TOKEN, Bridge, audio_of, listen, loud, polite_agent, serving, stream
from tests.waiting import until

ACCOUNT = "AC" + "1" * 32
HUMAN, OURS = "+15553334444", "+15550100002"
HANG_UP = "<Response><Hangup/></Response>"
EVENTS = ["initiated", "ringing", "answered", "completed"]


@pytest.fixture
async def rest() -> AsyncIterator[FakeTwilioRest]:
    async with FakeTwilioRest(ACCOUNT, TOKEN) as rest:
        yield rest


async def ask(rest: FakeTwilioRest, request: Callable[[Any], Any], patience_s: float = 5) -> Any:
    """Twilio's own client, which waits for its answers, in a thread."""
    client = Client(ACCOUNT, TOKEN, http_client=TwilioHttpClient(timeout=patience_s))
    client.api.base_url = rest.url
    return await asyncio.to_thread(request, client)


async def call_up(rest: FakeTwilioRest, bridge_url: str, party: Party | None = None, **more: Any) -> SimulatedCall:
    parties = {} if party is None else {HUMAN: party}
    rest.line = Line(bridge_url, TOKEN, parties=parties)
    how = {"url": f"{bridge_url}/outbound", **more}
    made = await ask(rest, lambda client: client.calls.create(to=HUMAN, from_=OURS, **how))
    assert made.status == "queued"
    leg = rest.placed[-1]
    assert leg.call_sid == made.sid
    return leg


def told(bridge: Bridge, path: str) -> list[dict[str, str]]:
    return [form for asked, form in bridge.requests if asked == path]


async def test_a_call_is_placed_held_and_ended(rest: FakeTwilioRest) -> None:
    bridge = Bridge([stream()], polite_agent)
    async with serving(bridge) as url:
        callbacks = {"status_callback": f"{url}/twilio/status", "status_callback_event": EVENTS}
        leg = await call_up(rest, url, Party(after_s=0.05), **callbacks)
        assert await leg.connected()
        await leg.say(loud(100))
        assert await leg.wait_for_agent(3, silence_s=0.1)
        shown = await ask(rest, lambda client: client.calls(leg.call_sid).fetch())
        assert (shown.status, shown.direction, shown.to) == ("in-progress", "outbound-api", HUMAN)
        await ask(rest, lambda client: client.calls(leg.call_sid).update(status="completed"))
        assert await leg.ended() == "bridge_hung_up"
        await until(lambda: len(told(bridge, "/twilio/status")) == 4)
        assert [one.sid for one in await ask(rest, lambda client: client.calls.list(to=HUMAN))] == [leg.call_sid]
    (first,) = told(bridge, "/outbound")
    assert (first["From"], first["To"]) == (OURS, HUMAN)
    assert (first["Direction"], first["CallStatus"]) == ("outbound-api", "in-progress")
    assert "AnsweredBy" not in first
    forms = told(bridge, "/twilio/status")
    assert [form["CallStatus"] for form in forms] == ["initiated", "ringing", "in-progress", "completed"]
    assert forms[-1]["CallDuration"].isdigit()
    assert bridge.forged == []


class AskingBridge(Bridge):
    """Looks at the call whenever it is told of it."""

    def __init__(self, rest: FakeTwilioRest) -> None:
        super().__init__([])
        self.rest = rest
        self.found: list[str] = []

    async def document(self, request: web.Request) -> web.Response:
        self.found.append(self.rest.placed[-1].status)
        return await super().document(request)


@pytest.mark.parametrize("answer", ["busy", "no-answer", "failed"])
async def test_a_call_that_is_not_answered(rest: FakeTwilioRest, answer: Any) -> None:
    bridge = AskingBridge(rest)
    async with serving(bridge) as url:
        await call_up(rest, url, Party(answer), status_callback=f"{url}/twilio/status", timeout=1)
        await until(lambda: bool(bridge.requests))
    assert bridge.found == [answer], "who is told of it finds it so"
    assert [(path, form["CallStatus"]) for path, form in bridge.requests] == [("/twilio/status", answer)]


async def test_a_call_that_is_taken_back_while_it_rings(rest: FakeTwilioRest) -> None:
    bridge = Bridge([])
    async with serving(bridge) as url:
        leg = await call_up(rest, url, Party(after_s=60), status_callback=f"{url}/twilio/status")
        await until(lambda: leg.status == "ringing")
        with pytest.raises(TwilioRestException) as caught:
            await ask(rest, lambda client: client.calls(leg.call_sid).update(twiml=HANG_UP))
        assert caught.value.code == 21220
        await ask(rest, lambda client: client.calls(leg.call_sid).update(status="canceled"))
        await until(lambda: bool(bridge.requests))
    assert told(bridge, "/twilio/status")[0]["CallStatus"] == "canceled"


async def test_who_answered_is_told_with_the_request(rest: FakeTwilioRest) -> None:
    bridge = Bridge([HANG_UP])
    party = Party(answered_by="machine_end_beep", detection_s=0.1)
    async with serving(bridge) as url:
        leg = await call_up(rest, url, party, machine_detection="DetectMessageEnd")
        await until(lambda: leg.status == "completed")
    form = told(bridge, "/outbound")[0]
    assert (form["AnsweredBy"], form["MachineDetectionDuration"]) == ("machine_end_beep", "100")
    assert leg.answered_by == "machine_end_beep"


async def test_who_answered_is_told_later(rest: FakeTwilioRest) -> None:
    bridge = Bridge([stream(), "<Response/>"], listen)
    async with serving(bridge) as url:
        how = {"machine_detection": "Enable", "async_amd": "true", "async_amd_status_callback": f"{url}/amd"}
        await call_up(rest, url, Party(answered_by="machine_start", detection_s=0.1), **how)
        await until(lambda: bool(told(bridge, "/amd")))
        await rest.placed[0].hang_up()
    assert "AnsweredBy" not in told(bridge, "/outbound")[0]
    assert set(told(bridge, "/amd")[0]) == {"CallSid", "AccountSid", "AnsweredBy", "MachineDetectionDuration"}
    assert bridge.forged == []


async def test_inline_twiml_and_keys_after_the_answer(rest: FakeTwilioRest) -> None:
    bridge = Bridge([])
    async with serving(bridge) as url:
        twiml = '<Response><Play digits="9"/><Pause length="20"/></Response>'
        how: dict[str, Any] = {"url": None, "twiml": twiml, "send_digits": "1", "machine_detection": "Enable"}
        leg = await call_up(rest, url, **how)
        await until(lambda: bool(leg.twiml))
        await leg.pause(0.3)
        assert leg.answered_by is None, "keys make the detection be ignored"
        heard = b"".join(stretch.audio for stretch in leg.heard)
        assert dtmf.tones("1")[:700] in heard
        assert dtmf.tones("9")[:700] in heard
    assert bridge.requests == []


async def test_a_stream_that_only_listens_is_started_and_stopped(rest: FakeTwilioRest) -> None:
    more = ' statusCallback="{origin}/twilio/status"'
    bridge = Bridge([stream(more=more)], listen, listen)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        rest.attach(call)
        ws = f"{url.replace('http', 'ws')}/twilio/media"
        made = await ask(
            rest,
            lambda client: client.calls(call.call_sid).streams.create(
                url=ws,
                name="log",
                track="both_tracks",
                status_callback=f"{url}/twilio/status",
                parameter1_name="token",
                parameter1_value="t&1",
            ),
        )
        assert (made.name, made.status) == ("log", "in-progress")
        await call.say(loud(60, 0x15))
        await ask(rest, lambda client: client.calls(call.call_sid).streams("log").update(status="stopped"))
        with pytest.raises(TwilioRestException) as caught:
            await ask(rest, lambda client: client.calls(call.call_sid).streams("log").update(status="stopped"))
        assert (caught.value.status, caught.value.code) == (404, 20404)
        assert call.live
    tap = bridge.peers[1]
    assert tap.stream_sid == made.sid
    (start,) = tap.of("start")
    assert start["start"]["tracks"] == ["inbound", "outbound"]
    assert start["start"]["customParameters"] == {"token": "t&1"}
    assert loud(60, 0x15) in audio_of(tap).replace(b"\xff" * 160, b"")
    assert len(tap.of("stop")) == 1


async def test_a_conference_by_rest(rest: FakeTwilioRest) -> None:
    room = "<Response><Dial><Conference>room</Conference></Dial></Response>"
    bridge = Bridge([room, "<Response/>"])
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN), exchange=rest.exchange) as caller:
        rest.line = Line(url, TOKEN, parties={HUMAN: Party(talk=loud(100, 0x15))})
        assert await caller.connected()
        added = await ask(
            rest,
            lambda client: client.conferences("room").participants.create(
                from_=OURS, to=HUMAN, label="expert", end_conference_on_exit=True
            ),
        )
        leg = rest.placed[0]
        assert added.call_sid == leg.call_sid
        assert await leg.connected()
        (found,) = await ask(rest, lambda client: client.conferences.list(friendly_name="room"))
        assert (found.sid, found.status) == (added.conference_sid, "in-progress")
        people = await ask(rest, lambda client: client.conferences(found.sid).participants.list())
        assert [one.call_sid for one in people] == [caller.call_sid, leg.call_sid]
        muted = await ask(
            rest, lambda client: client.conferences(found.sid).participants("expert").update(muted=True)
        )
        assert muted.muted is True
        await ask(rest, lambda client: client.conferences(found.sid).update(status="completed"))
        assert await caller.ended() == "transferred"
        assert await leg.ended() == "transferred"


async def test_somebody_is_put_out_of_a_conference(rest: FakeTwilioRest) -> None:
    room = "<Response><Dial><Conference>room</Conference></Dial></Response>"
    bridge = Bridge([room, room])
    async with (
        serving(bridge) as url,
        SimulatedCall(Line(url, TOKEN), exchange=rest.exchange) as one,
        SimulatedCall(Line(url, TOKEN), exchange=rest.exchange) as other,
    ):
        assert await one.connected()
        assert await other.connected()
        assert await ask(rest, lambda client: client.conferences("room").participants(one.call_sid).delete())
        assert await one.ended() == "transferred"
        assert other.live


@pytest.mark.parametrize("status", [401, 404, 429, 500])
async def test_faults_come_once_and_only_where_they_are_wanted(rest: FakeTwilioRest, status: int) -> None:
    rest.faults.append(Fault(status, path="/Calls", method="POST"))
    assert await ask(rest, lambda client: client.calls.list()) == []
    with pytest.raises(TwilioRestException) as caught:
        await ask(rest, lambda client: client.calls.create(to=HUMAN, from_=OURS, twiml=HANG_UP))
    assert caught.value.status == status
    assert rest.created == []
    await ask(rest, lambda client: client.calls.create(to=HUMAN, from_=OURS, twiml=HANG_UP))
    assert len(rest.created) == 1


async def test_an_answer_that_never_comes_though_it_was_done(rest: FakeTwilioRest) -> None:
    rest.faults.append(Fault(hangs=True, done=True))
    with pytest.raises(ReadTimeout):
        await ask(rest, lambda client: client.calls.create(to=HUMAN, from_=OURS, twiml=HANG_UP), 0.2)
    assert len(rest.created) == 1


async def test_a_sid_that_comes_after_the_stream(rest: FakeTwilioRest) -> None:
    bridge = Bridge([stream()], listen)
    async with serving(bridge) as url:
        rest.line = Line(url, TOKEN)
        rest.faults.append(Fault(delay_s=0.2))
        made = await ask(rest, lambda client: client.calls.create(to=HUMAN, from_=OURS, url=f"{url}/outbound"))
        assert bridge.peers, "the stream was there first"
        assert made.sid == rest.placed[0].call_sid
        await rest.placed[0].hang_up()


async def test_what_it_refuses(rest: FakeTwilioRest) -> None:
    for twiml, code in (("<Answer/>", 20001), ("x" * 4001, 20001), (None, 21205)):

        def create(client: Any, twiml: str | None = twiml) -> Any:
            return client.calls.create(to=HUMAN, from_=OURS, twiml=twiml)

        with pytest.raises(TwilioRestException) as caught:
            await ask(rest, create)
        assert (caught.value.status, caught.value.code) == (400, code)
    with pytest.raises(TwilioRestException) as caught:
        await ask(rest, lambda client: client.messages.create(to=HUMAN, from_=OURS, body="hello"))
    assert (caught.value.status, caught.value.code) == (404, 20404)
