"""Warm transfers seen from the other side: called, told, asked for a key. Real sockets, a scripted REST API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from xml.etree import ElementTree as ET

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.agents.base import CallInfo
from bridge.conversation import events as on
from bridge.conversation.actions import Transfer
from bridge.errors import CarrierError
from bridge.metrics import Metrics
from bridge.twilio import consult
from bridge.twilio.consult import Consultations, ConsultRules
from bridge.twilio.gate import Gate
from bridge.twilio.rest import NewCall
from bridge.twilio.signature import sign
from bridge.twilio.tokens import StreamTokens
from tests.waiting import until

TOKEN = "0123456789abcdef0123456789abcdef"
INFO = CallInfo("call-1", "CA1", "+15550100001", "+15550100002")
WANTED = Transfer("+15550100009", "Somebody with a broken bike.")


class Rest:
    """Twilio's REST API, as far as it is asked."""

    def __init__(self) -> None:
        self.placed: list[NewCall] = []
        self.ended: list[str] = []
        self.redirected: list[tuple[str, str]] = []
        self.refuses: CarrierError | None = None
        self.hold: asyncio.Event | None = None

    async def create_call(self, call: NewCall) -> str:
        self.placed.append(call)
        if self.hold is not None:
            await self.hold.wait()
        if self.refuses is not None:
            raise self.refuses
        return "CA9"

    async def hang_up(self, call_sid: str) -> None:
        self.ended.append(call_sid)
        if self.refuses is not None:
            raise self.refuses

    async def redirect(self, call_sid: str, twiml: str) -> None:
        self.redirected.append((call_sid, twiml))
        if self.refuses is not None:
            raise self.refuses


class Desk:
    """Consultations on a real listener, and Twilio, which asks and tells."""

    def __init__(self) -> None:
        self.rest = Rest()
        self.told: list[on.OtherAccepted | on.TransferEnded] = []
        self.back: dict[str, str] = {}
        """What the caller of a conference goes on with, by its name."""
        gate = Gate([TOKEN], True, lambda: self.origin, StreamTokens(TOKEN), Metrics())
        rules = ConsultRules(accept_key="5", accept_prompt="Press {key} now.", accept_seconds=7)
        self.consultations = Consultations(gate, self.rest, rules, lambda _, room: self.back.get(room))
        app = web.Application()
        self.consultations.add_to(app)
        self.server = TestServer(app)
        self.http = aiohttp.ClientSession()
        self.origin = ""

    async def call(self, transfer: Transfer = WANTED) -> NewCall:
        self.consultations.call(INFO, transfer, self.told.append)
        await until(lambda: self.rest.placed)
        return self.rest.placed[-1]

    async def post(self, url: str, **form: str) -> ET.Element | None:
        form["CallSid"] = "CA9"
        headers = {"X-Twilio-Signature": sign(TOKEN, url, [*form.items()])}
        async with self.http.post(url, data=form, headers=headers) as response:
            assert response.status in {200, 204}
            text = await response.text()
            return ET.fromstring(text) if text else None

    async def press(self, key: str) -> ET.Element | None:
        asked = await self.post(self.rest.placed[-1].url)
        assert asked is not None
        return await self.post(asked[0].attrib["action"], Digits=key)

    async def status(self, status: str) -> None:
        await self.post(self.rest.placed[-1].status_url, CallStatus=status)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    await desk.server.start_server()
    desk.origin = str(desk.server.make_url("")).rstrip("/")
    yield desk
    await desk.consultations.close()
    await desk.http.close()
    await desk.server.close()


async def test_the_other_side_is_called_told_and_asked(desk: Desk) -> None:
    call = await desk.call()
    assert (call.to, call.from_number, call.ring_seconds) == (WANTED.to, INFO.called, 30)
    document = await desk.post(call.url)
    assert document is not None
    gather, hang_up = document
    assert (gather.tag, gather.attrib["numDigits"], gather.attrib["timeout"]) == ("Gather", "1", "7")
    assert [say.text for say in gather] == [WANTED.summary, "Press 5 now."]
    assert hang_up.tag == "Hangup"
    assert desk.told == []


async def test_an_agent_may_say_which_number_is_shown_and_for_how_long_it_rings(desk: Desk) -> None:
    call = await desk.call(Transfer(WANTED.to, "Hello.", timeout_s=12, caller_id="+15550100777"))
    assert (call.from_number, call.ring_seconds) == ("+15550100777", 12)


async def test_who_presses_the_key_waits_in_a_conference_of_its_own(desk: Desk) -> None:
    await desk.call()
    document = await desk.press("5")
    assert document is not None
    (accepted,) = desk.told
    assert isinstance(accepted, on.OtherAccepted)
    conference = document[0][0]
    assert (conference.tag, conference.text) == ("Conference", accepted.conference)
    assert INFO.sid in accepted.conference
    assert len(accepted.conference) > len(INFO.sid) + 16


async def test_asked_twice_about_the_key_it_is_told_once(desk: Desk) -> None:
    await desk.call()
    first, second = await desk.press("5"), await desk.press("5")
    assert first is not None
    assert second is not None
    assert ET.tostring(first) == ET.tostring(second)
    assert len(desk.told) == 1


async def test_another_key_is_no(desk: Desk) -> None:
    await desk.call()
    document = await desk.press("1")
    assert document is not None
    assert [verb.tag for verb in document] == ["Hangup"]
    await desk.status("completed")
    assert desk.told == [on.TransferEnded("declined")]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("busy", "busy"),
        ("no-answer", "no-answer"),
        ("failed", "failed"),
        ("canceled", "canceled"),
        ("completed", "declined"),
    ],
)
async def test_who_takes_nothing_is_told_of_once(desk: Desk, status: str, told: str) -> None:
    await desk.call()
    for each in ("initiated", "ringing", status, status, "completed"):
        await desk.status(each)
    assert desk.told == [on.TransferEnded(told)]
    document = await desk.post(desk.rest.placed[-1].url)  # Late: the call is answered after all that.
    assert document is not None
    assert [verb.tag for verb in document] == ["Hangup"]


async def test_a_carrier_that_refuses_is_a_failure_at_once(desk: Desk) -> None:
    desk.rest.refuses = CarrierError("no", code="carrier_auth")
    await desk.call()
    await until(lambda: desk.told)
    assert desk.told == [on.TransferEnded("failed")]


async def test_a_caller_who_is_gone_is_looked_for_no_longer(desk: Desk) -> None:
    await desk.call()
    desk.consultations.cancel(INFO)
    await until(lambda: desk.rest.ended == ["CA9"])
    await desk.status("completed")
    assert desk.told == []


async def test_who_has_accepted_is_hung_up_on_when_the_call_says_that_nobody_comes(desk: Desk) -> None:
    await desk.call()
    await desk.press("5")
    await until(lambda: next(iter(desk.consultations._open.values())).call_sid)
    desk.consultations.cancel(INFO)
    await until(lambda: desk.rest.ended == ["CA9"])
    await desk.status("completed")
    assert desk.told == [on.OtherAccepted(desk.told[0].conference)]  # type: ignore[union-attr]  # that it is one
    assert not desk.consultations._open


async def test_even_while_the_call_is_being_placed(desk: Desk) -> None:
    desk.rest.hold = asyncio.Event()
    await desk.call()
    desk.consultations.cancel(INFO)
    assert desk.rest.ended == []
    desk.rest.hold.set()
    await until(lambda: desk.rest.ended == ["CA9"])
    assert desk.told == []


async def test_a_bridge_that_stops_hangs_up_on_who_is_asked(desk: Desk) -> None:
    await desk.call()
    await until(lambda: next(iter(desk.consultations._open.values())).call_sid)
    await desk.consultations.close()
    assert desk.rest.ended == ["CA9"]


@pytest.mark.parametrize("there", [True, False])
async def test_who_hangs_up_before_the_caller_came_leaves_nobody_alone(
    desk: Desk, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consult, "_JOINED_WITHIN_S", 0.05)
    await desk.call()
    await desk.press("5")
    (accepted,) = desk.told
    assert isinstance(accepted, on.OtherAccepted)
    if there:
        desk.back[accepted.conference] = "<Response/>"
    await desk.status("completed")
    await desk.consultations.close()
    assert desk.rest.redirected == ([(INFO.sid, "<Response/>")] if there else [])


@pytest.mark.parametrize("comes", [True, False])
async def test_who_has_accepted_does_not_wait_for_a_caller_who_is_gone(
    desk: Desk, comes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consult, "_COMES_WITHIN_S", 0.05)
    await desk.call()
    await desk.press("5")
    (accepted,) = desk.told
    assert isinstance(accepted, on.OtherAccepted)
    if comes:
        desk.consultations.joined("another")
        desk.consultations.joined(accepted.conference)
        await asyncio.sleep(0.1)
        assert (desk.rest.ended, desk.told) == ([], [accepted])
    else:
        await until(lambda: desk.rest.ended == ["CA9"])
        assert desk.told == [accepted, on.TransferEnded("failed")]
        await desk.status("completed")
    assert len(desk.told) == (1 if comes else 2)
