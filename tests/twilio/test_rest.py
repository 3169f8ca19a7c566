from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.errors import CarrierError
from bridge.twilio.rest import CallOverError, NumberWebhooks, TwilioRest

ACCOUNT = "AC" + "1" * 32
TOKEN = "0123456789abcdef0123456789abcdef"
LIVE = "CA" + "2" * 32
OVER = "CA" + "3" * 32
STUCK = "CA" + "4" * 32
BAD = "CA" + "5" * 32
NONSENSE = "CA" + "6" * 32
BASIC = "Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
BASE = f"/2010-04-01/Accounts/{ACCOUNT}"


class FakeTwilio:
    """Two resources of Twilio's REST API."""

    def __init__(self) -> None:
        self.updates: list[tuple[str, dict[str, str]]] = []
        self.asked: list[dict[str, str]] = []
        self.hold = asyncio.Event()
        app = web.Application()
        app.router.add_post(BASE + "/Calls/{sid}.json", self.update)
        app.router.add_get(BASE + "/IncomingPhoneNumbers.json", self.numbers)
        self.server = TestServer(app)

    async def update(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != BASIC:
            return self.error(401, 20003, "Authenticate")
        sid = request.match_info["sid"]
        if sid == OVER:
            return self.error(404, 20404, "The requested resource was not found")
        if sid == BAD:
            return self.error(400, 21218, "Invalid TwiML")
        if sid == NONSENSE:
            return web.Response(text="<html>welcome</html>")
        if sid == STUCK:
            await self.hold.wait()
        form = await request.post()
        self.updates.append((sid, {name: str(value) for name, value in form.items()}))
        return web.json_response({"sid": sid, "status": "completed"})

    async def numbers(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != BASIC:
            return self.error(401, 20003, "Authenticate")
        self.asked.append(dict(request.query))
        numbers: list[dict[str, Any]] = [
            {"phone_number": "+15550001", "voice_url": "https://a.example/twilio/voice", "voice_method": "POST"},
            {"phone_number": "+15550002", "voice_url": None, "voice_method": "GET"},
        ]
        wanted = request.query.get("PhoneNumber")
        return web.json_response(
            {
                "incoming_phone_numbers": [
                    {**number, "sid": "PN1"} for number in numbers if wanted in {None, number["phone_number"]}
                ],
                "next_page_uri": None,
            }
        )

    @staticmethod
    def error(status: int, code: int, message: str) -> web.Response:
        return web.json_response({"code": code, "message": message, "status": status}, status=status)


@pytest.fixture
async def twilio() -> AsyncIterator[FakeTwilio]:
    fake = FakeTwilio()
    await fake.server.start_server()
    yield fake
    fake.hold.set()
    await fake.server.close()


def client(fake: FakeTwilio, token: str = TOKEN, *, timeout_s: float = 5) -> TwilioRest:
    return TwilioRest(ACCOUNT, token, str(fake.server.make_url("/")), timeout_s=timeout_s)


async def test_hang_up_completes_the_call(twilio: FakeTwilio) -> None:
    await client(twilio).hang_up(LIVE)

    assert twilio.updates == [(LIVE, {"Status": "completed"})]


async def test_hanging_up_a_call_that_is_over_is_fine(twilio: FakeTwilio) -> None:
    await client(twilio).hang_up(OVER)

    assert twilio.updates == []


async def test_redirect_sends_the_document(twilio: FakeTwilio) -> None:
    await client(twilio).redirect(LIVE, "<Response><Hangup/></Response>")

    assert twilio.updates == [(LIVE, {"Twiml": "<Response><Hangup/></Response>"})]


async def test_redirecting_a_call_that_is_over_is_told(twilio: FakeTwilio) -> None:
    with pytest.raises(CallOverError, match="not found"):
        await client(twilio).redirect(OVER, "<Response/>")


async def test_a_document_that_twilio_would_refuse_is_not_sent(twilio: FakeTwilio) -> None:
    with pytest.raises(CarrierError, match="4001 characters"):
        await client(twilio).redirect(LIVE, "x" * 4001)

    assert twilio.updates == []


async def test_wrong_credentials_name_the_settings(twilio: FakeTwilio) -> None:
    rest = client(twilio, "wrong")
    for request in (rest.hang_up(LIVE), rest.number_webhooks()):
        with pytest.raises(CarrierError, match=r"BRIDGE_TWILIO__AUTH_TOKEN") as caught:
            await request
        assert caught.value.code == "carrier_auth"
        assert "wrong" not in str(caught.value)


async def test_a_refusal_is_told_in_twilios_words(twilio: FakeTwilio) -> None:
    with pytest.raises(CarrierError, match=r"Twilio answered 400: .*Invalid TwiML") as caught:
        await client(twilio).redirect(BAD, "<Response/>")

    assert caught.value.code == "carrier_request"


async def test_something_that_is_not_twilio_is_told(twilio: FakeTwilio) -> None:
    with pytest.raises(CarrierError, match="does not answer as Twilio's REST API"):
        await client(twilio).hang_up(NONSENSE)


async def test_nobody_there_is_told_with_the_address(unused_tcp_port: int) -> None:
    rest = TwilioRest(ACCOUNT, TOKEN, f"http://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(CarrierError, match=f"127.0.0.1:{unused_tcp_port} could not be reached") as caught:
        await rest.hang_up(LIVE)

    assert caught.value.code == "carrier_unreachable"


async def test_a_slow_answer_is_not_waited_for_for_ever(twilio: FakeTwilio) -> None:
    with pytest.raises(CarrierError, match="Timeout"):
        await client(twilio, timeout_s=0.2).hang_up(STUCK)


async def test_number_webhooks(twilio: FakeTwilio) -> None:
    rest = client(twilio)
    first = NumberWebhooks("+15550001", "https://a.example/twilio/voice", "POST")

    assert await rest.number_webhooks() == [first, NumberWebhooks("+15550002", "", "GET")]
    assert await rest.number_webhooks("+15550001") == [first]
    assert await rest.number_webhooks("+15559999") == []
    assert [query.get("PhoneNumber") for query in twilio.asked] == [None, "+15550001", "+15559999"]
