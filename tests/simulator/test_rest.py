from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException  # type: ignore[import-untyped]  # the library has no types
from twilio.rest import Client  # type: ignore[import-untyped]  # the library has no types

from bridge.simulator.caller import Line, SimulatedCall
from bridge.simulator.rest import FakeTwilioRest
from tests.simulator.scripted_bridge import TOKEN, Bridge, listen, serving, stream

ACCOUNT = "AC" + "1" * 32


@pytest.fixture
async def rest() -> AsyncIterator[FakeTwilioRest]:
    async with FakeTwilioRest(ACCOUNT, TOKEN) as rest:
        yield rest


async def ask(
    rest: FakeTwilioRest, request: Callable[[Any], Any], token: str = TOKEN, account: str = ACCOUNT
) -> Any:
    """Twilio's own client, which waits for its answers, in a thread."""
    client = Client(account, token)
    client.api.base_url = rest.url
    return await asyncio.to_thread(request, client)


async def refused(rest: FakeTwilioRest, request: Callable[[Any], Any], **who: str) -> TwilioRestException:
    with pytest.raises(TwilioRestException) as caught:
        await ask(rest, request, **who)
    return caught.value


async def test_a_call_is_ended_and_cannot_be_ended_twice(rest: FakeTwilioRest) -> None:
    bridge = Bridge([stream("/twilio/stream-ended")], listen)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN, account_sid=ACCOUNT)) as call:
        rest.attach(call)
        assert (await ask(rest, lambda client: client.calls(call.call_sid).fetch())).status == "in-progress"
        ended = await ask(rest, lambda client: client.calls(call.call_sid).update(status="completed"))
        assert (ended.sid, ended.status) == (call.call_sid, "completed")
        assert await call.ended() == "bridge_hung_up"
        error = await refused(rest, lambda client: client.calls(call.call_sid).update(status="completed"))
        assert (error.status, error.code) == (404, 20404)
    assert len(bridge.peers[0].of("stop")) == 1
    assert [path for path, _ in bridge.requests] == ["/twilio/voice"]
    assert rest.requests[1] == (
        "POST",
        f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{call.call_sid}.json",
        {"Status": ["completed"]},
    )


async def test_a_call_is_redirected(rest: FakeTwilioRest) -> None:
    bridge = Bridge([stream(), stream()], listen, listen)
    async with serving(bridge) as url, SimulatedCall(Line(url, TOKEN)) as call:
        rest.attach(call)
        error = await refused(rest, lambda client: client.calls(call.call_sid).update(twiml="<Response"))
        assert error.status == 400
        error = await refused(rest, lambda client: client.calls(call.call_sid).update(twiml="x" * 4001))
        assert error.status == 400
        assert call.live
        twiml = "<Response><Dial>+15553334444</Dial></Response>"
        await ask(rest, lambda client: client.calls(call.call_sid).update(twiml=twiml))
        assert await call.ended() == "transferred"


async def test_credentials_and_accounts_are_checked(rest: FakeTwilioRest) -> None:
    sid = "CA" + "2" * 32
    error = await refused(rest, lambda client: client.calls(sid).fetch(), token="wrong")
    assert (error.status, error.code) == (401, 20003)
    error = await refused(rest, lambda client: client.calls(sid).fetch(), account="AC" + "9" * 32)
    assert error.status == 401
    error = await refused(rest, lambda client: client.calls(sid).fetch())
    assert (error.status, error.code) == (404, 20404)
    assert len(rest.requests) == 1, "what has no credentials is not taken down"


async def test_outbound_calls_are_taken_down(rest: FakeTwilioRest) -> None:
    events = ["answered", "completed"]
    made = await ask(
        rest,
        lambda client: client.calls.create(
            to="+15551112222", from_="+15553334444", url="https://a.example/x", status_callback_event=events
        ),
    )
    assert made.sid.startswith("CA")
    assert (made.status, made.direction, made.to) == ("queued", "outbound-api", "+15551112222")
    assert rest.created == [
        {
            "To": ["+15551112222"],
            "From": ["+15553334444"],
            "Url": ["https://a.example/x"],
            "StatusCallbackEvent": events,
        }
    ]
    error = await refused(rest, lambda client: client.calls.create(to="+1555", from_="+1556"))
    assert error.code == 21205


async def test_numbers_are_listed(rest: FakeTwilioRest) -> None:
    rest.numbers = [
        {"phone_number": "+15551112222", "voice_url": "https://a.example/x", "voice_method": "POST"},
        {"phone_number": "+15553334444", "voice_url": "", "voice_method": "POST"},
    ]
    found = await ask(rest, lambda client: client.incoming_phone_numbers.list(phone_number="+15551112222"))
    assert [number.voice_url for number in found] == ["https://a.example/x"]
    assert len(await ask(rest, lambda client: client.incoming_phone_numbers.list())) == 2
