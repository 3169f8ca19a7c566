"""Whole calls that a ConversationRelay app answers: a simulated carrier, a scripted speech service, the bridge."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # the library has no types

from bridge.simulator.caller import SimulatedCall
from tests.agents.relay.apps.clinic import clinic
from tests.agents.relay.apps.hotel import ANSWERS, hotel
from tests.agents.relay.bench import serving
from tests.scripted_speech import ScriptedSpeech
from tests.test_calls import TOKEN, bridge, kept, line

DESK = "+15550100300"


@pytest.fixture
async def speech() -> AsyncIterator[ScriptedSpeech]:
    async with ScriptedSpeech().running() as service:
        yield service


class Hotel:
    """The hotel's app with its hand-off webhook, as its author runs it."""

    def __init__(self) -> None:
        self.log: list[dict[str, Any]] = []
        self.closed: list[int | None] = []
        self.handed: list[dict[str, str]] = []
        self.status = 200
        self.app = hotel(TOKEN, self.log, self.closed)
        self.app.router.add_post("/next", self._next)
        self.url = ""

    async def _next(self, request: web.Request) -> web.Response:
        form = await request.post()
        if not RequestValidator(TOKEN).validate(
            str(request.url), form, request.headers.get("X-Twilio-Signature", "")
        ):
            return web.Response(status=403)
        self.handed.append({name: str(value) for name, value in form.items()})
        if self.status != 200:
            return web.Response(status=self.status)
        document = f"<Response><Dial><Number>{DESK}</Number></Dial></Response>"
        return web.Response(text=document, content_type="text/xml")

    @property
    def settings(self) -> dict[str, str]:
        return {
            "BRIDGE_AGENT__KIND": "relay",
            "BRIDGE_AGENT__URL": f"ws{self.url.removeprefix('http')}/relay",
            "BRIDGE_RELAY__ACTION_URL": f"{self.url}/next",
            "BRIDGE_AGENT__PRIVATE_SOUNDS": "true",
        }

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.log if message["type"] == kind]

    async def until(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many messages of a type have come."""
        async with asyncio.timeout(10):
            while len(self.of_type(kind)) < count:  # noqa: ASYNC110  The app tells nobody.
                await asyncio.sleep(0.005)
        return self.of_type(kind)


@pytest.fixture
async def desk(aiohttp_server: AiohttpServer) -> Hotel:
    hotel_ = Hotel()
    server = await aiohttp_server(hotel_.app)
    hotel_.url = str(server.make_url("")).rstrip("/")
    return hotel_


async def test_a_barge_in_becomes_an_interrupt_with_what_was_heard(
    speech: ScriptedSpeech, tmp_path: Path, desk: Hotel
) -> None:
    async with bridge(tmp_path, speech.url, **desk.settings) as up, SimulatedCall(line(up)) as call:
        peer = await speech.listener()
        await peer.say_turn(" Have you a room?")
        began = await call.wait_agent_speaking(10)
        assert began is not None
        await call.pause(began + 1.6 - call.now)
        await peer.turn("start")
        assert await call.wait_until_agent_silent(0.2, 5)
        heard_s = sum(len(stretch.audio) for stretch in call.heard) / 8000
        await peer.turn("update", " Stop")
        (interrupt,) = await desk.until("interrupt")
        await peer.turn("end", " Stop, I have a key.")
        await desk.until("prompt", 2)
        # Keys over a text that is not to be interrupted are not told of, as with Twilio.
        assert await call.wait_for_agent(10, silence_s=0.4, after=call.now)
        await call.digits("4071")
        await desk.until("dtmf", 4)
        assert await call.wait_for_agent(10, silence_s=0.4, after=call.now)
        await call.hang_up()
        journal = await kept(up, call, tmp_path)

    kinds = [message["type"] for message in desk.log]
    assert kinds == ["setup", "prompt", "interrupt", "prompt", *["dtmf"] * 4]
    setup = desk.log[0]
    assert (setup["callSid"], setup["direction"], setup["callType"]) == (call.call_sid, "inbound", "PSTN")
    assert [message["voicePrompt"] for message in desk.of_type("prompt")] == [
        "Have you a room?",
        "Stop, I have a key.",
    ]
    heard = interrupt["utteranceUntilInterrupt"]
    assert heard
    assert ANSWERS["room"].startswith(heard)
    assert abs(len(heard.split()) - heard_s / 0.25) <= 3
    assert abs(interrupt["durationUntilInterruptMs"] - heard_s * 1000) < 1000
    assert "".join(message["digit"] for message in desk.of_type("dtmf")) == "4071"
    spoken = [entry["heard"] for entry in journal if entry["entry"] == "agent_spoke"]
    assert [text.strip() for text in spoken if text.strip()] == [heard, ANSWERS["key"], "Thank you, 4 0 7 1."]
    (handed,) = desk.handed
    assert (handed["SessionStatus"], handed["CallStatus"], handed["CallSid"]) == (
        "completed",
        "completed",
        call.call_sid,
    )
    assert "HandoffData" not in handed


async def test_the_end_of_a_session_hands_the_call_to_the_apps_own_webhook(
    speech: ScriptedSpeech, tmp_path: Path, desk: Hotel
) -> None:
    greeting = {"BRIDGE_RELAY__WELCOME_GREETING": "Welcome to the hotel."}
    async with (
        bridge(tmp_path, speech.url, **desk.settings, **greeting) as up,
        SimulatedCall(line(up)) as call,
    ):
        peer = await speech.listener()
        assert await call.wait_for_agent(10, silence_s=0.3)
        await peer.say_turn("Give me a person.")
        async with asyncio.timeout(15):
            assert await call.ended() == "transferred"
        journal = await kept(up, call, tmp_path)

    assert DESK in call.twiml[-1].text
    assert [entry["heard"] for entry in journal if entry["entry"] == "agent_spoke"] == [
        "Welcome to the hotel.",
        "I'll get somebody.",
    ]
    (handed,) = desk.handed
    assert handed["CallSid"] == call.call_sid
    assert handed["SessionId"] == desk.log[0]["sessionId"]
    assert handed["SessionStatus"] == "ended"
    assert handed["HandoffData"] == '{"reason": "wants a person"}'
    assert int(handed["SessionDuration"]) >= 1
    assert desk.closed == [1000]


async def test_a_hand_off_webhook_that_fails_ends_the_call_with_words(
    speech: ScriptedSpeech, tmp_path: Path, desk: Hotel
) -> None:
    desk.status = 500
    async with bridge(tmp_path, speech.url, **desk.settings) as up, SimulatedCall(line(up)) as call:
        await (await speech.listener()).say_turn("Give me a person.")
        async with asyncio.timeout(15):
            assert await call.ended() == "bridge_hung_up"
        await kept(up, call, tmp_path)

    assert "call again later" in call.twiml[-1].text
    assert len(desk.handed) == 1


@contextlib.contextmanager
def nobody() -> Any:
    """A port of this machine at which nobody listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


async def test_an_app_that_is_not_there_ends_in_an_apology_and_the_webhook(
    speech: ScriptedSpeech, tmp_path: Path, desk: Hotel
) -> None:
    with nobody() as port:
        settings = {**desk.settings, "BRIDGE_AGENT__URL": f"ws://127.0.0.1:{port}/relay"}
        async with bridge(tmp_path, speech.url, **settings) as up, SimulatedCall(line(up)) as call:
            async with asyncio.timeout(15):
                assert await call.ended() == "transferred"
            journal = await kept(up, call, tmp_path)

    (handed,) = desk.handed
    assert (handed["SessionStatus"], handed["ErrorCode"]) == ("failed", "64102")
    assert "cannot be reached" in handed["ErrorMessage"]
    spoken = [entry["heard"] for entry in journal if entry["entry"] == "agent_spoke"]
    assert spoken == ["Sorry, something went wrong on my side. Please try again."]


async def test_an_app_that_never_ends_its_talk_cycles_is_interrupted_and_answers_again(
    speech: ScriptedSpeech, tmp_path: Path
) -> None:
    sessions: list[list[dict[str, Any]]] = []
    async with serving(clinic(TOKEN, sessions)) as host:
        settings = {
            "BRIDGE_AGENT__KIND": "relay",
            "BRIDGE_AGENT__URL": f"ws://{host}/cr/north",
            "BRIDGE_RELAY__PARAMETERS": "name=Ann",
            "BRIDGE_RELAY__PARTIAL_PROMPTS": "true",
        }
        async with bridge(tmp_path, speech.url, **settings) as up, SimulatedCall(line(up)) as call:
            peer = await speech.listener()
            assert await call.wait_for_agent(10, silence_s=1.2)
            asked = call.now
            await peer.say_turn("I need a doctor who knows about knees.")
            began = await call.wait_agent_speaking(10, after=asked)
            assert began is not None
            await call.pause(began + 0.8 - call.now)
            asked = call.now
            await peer.say_turn("Friday.")
            assert await call.wait_for_agent(10, silence_s=0.6, after=asked)
            await peer.say_turn("Good-bye.")
            async with asyncio.timeout(10):
                assert await call.ended() == "bridge_hung_up"
            journal = await kept(up, call, tmp_path)

    spoken = [(entry["heard"], entry["unheard"]) for entry in journal if entry["entry"] == "agent_spoke"]
    assert spoken[0] == ("Hello Ann.", "")
    assert spoken[1][0].strip()
    assert spoken[1][1].endswith("Which day suits you? ")
    assert spoken[2] == ("You said: Friday. Which day suits you? ", "")
    (session,) = sessions
    told = [(message.get("type"), message.get("last")) for message in session[1:]]
    talk = [("prompt", False), ("prompt", True)]
    assert told[:3] == [("setup", None), *talk]
    assert sorted(map(str, told[3:6])) == sorted(map(str, [("interrupt", None), *talk]))
    assert told.index(("interrupt", None)) < 5, "the interruption comes before the words that made it"
