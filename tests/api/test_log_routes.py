"""Listening to calls that began elsewhere: the API on one side, Twilio's REST API and its stream on the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.app import Bridge, running
from bridge.conversation.events import RecognizerClosed
from bridge.settings.source import load_settings
from tests.scripted_speech import ScriptedSpeech
from tests.two_people import TwoPeople

ACCOUNT = "AC" + "1" * 32
TOKEN = "0123456789abcdef0123456789abcdef"
LIVE = "CA" + "2" * 32
OVER = "CA" + "3" * 32
PLACED = "CA" + "4" * 32
BASE = f"/2010-04-01/Accounts/{ACCOUNT}/Calls"


class Twilio:
    """Twilio's REST API, as far as live calls and the streams that listen to them go."""

    def __init__(self) -> None:
        self.calls = {
            LIVE: {"from": "+15550100001", "to": "+15550100005", "status": "in-progress", "direction": "inbound"},
            OVER: {"from": "+1", "to": "+1", "status": "completed", "direction": "inbound"},
            PLACED: {
                "from": "+15550100005",
                "to": "+15550100001",
                "status": "in-progress",
                "direction": "outbound-api",
            },
        }
        self.started: list[tuple[str, dict[str, str]]] = []
        self.stopped: list[tuple[str, str, dict[str, str]]] = []
        self.status = 200
        app = web.Application()
        app.router.add_get(BASE + "/{sid}.json", self.call)
        app.router.add_post(BASE + "/{sid}/Streams.json", self.start)
        app.router.add_post(BASE + "/{sid}/Streams/{name}.json", self.stop)
        self.server = TestServer(app)

    async def call(self, request: web.Request) -> web.Response:
        found = self.calls.get(request.match_info["sid"])
        if found is None:
            return web.json_response({"code": 20404, "message": "not found", "status": 404}, status=404)
        return web.json_response({"sid": request.match_info["sid"], **found})

    async def start(self, request: web.Request) -> web.Response:
        if self.status != 200:
            return web.json_response({"code": 1, "message": "no", "status": self.status}, status=self.status)
        self.started.append((request.match_info["sid"], await fields(request)))
        return web.json_response({"sid": "MZ" + "1" * 32, "status": "in-progress"}, status=201)

    async def stop(self, request: web.Request) -> web.Response:
        self.stopped.append((request.match_info["sid"], request.match_info["name"], await fields(request)))
        return web.json_response({"sid": "MZ" + "1" * 32, "status": "stopped"})


async def fields(request: web.Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs((await request.read()).decode()).items()}


class World:
    def __init__(self, up: Bridge, twilio: Twilio, speech: ScriptedSpeech, folder: Path) -> None:
        self.up, self.twilio, self.speech, self.folder = up, twilio, speech, folder
        self.http = aiohttp.ClientSession()

    async def ask(self, method: str, sid: str, **options: Any) -> tuple[int, dict[str, Any]]:
        url = f"{self.up.url}/api/v1/calls/{sid}/log"
        async with self.http.request(method, url, **options) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else {}

    async def streaming(self, sid: str) -> TwoPeople:
        """Open the stream that was last asked for, as Twilio does."""
        _, form = self.twilio.started[-1]
        call = TwoPeople(self.up.url, TOKEN, self.http, sid, "")
        await call.stream(form["Url"], {form["Parameter1.Name"]: form["Parameter1.Value"]})
        return call

    async def kept(self, sid: str) -> dict[str, Any]:
        if (session := self.up.registry.logs.live.get(sid)) is not None:
            async with asyncio.timeout(10):
                await session.ended.wait()
        (found,) = [path for path in self.folder.rglob("transcript.json") if sid in path.read_text()]
        return json.loads(found.read_text())  # type: ignore[no-any-return]  # It is an object.


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    twilio = Twilio()
    await twilio.server.start_server()
    async with ScriptedSpeech().running() as speech:
        settings = load_settings(
            environment={
                "BRIDGE_SERVER__PORT": "0",
                "BRIDGE_SPEECH__BASE_URL": speech.url,
                "BRIDGE_SPEECH__API_KEY": "sk_test",
                "BRIDGE_TWILIO__ACCOUNT_SID": ACCOUNT,
                "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN,
                "BRIDGE_TWILIO__API_URL": str(twilio.server.make_url("/")).rstrip("/"),
                "BRIDGE_STORE__RECORDINGS": str(tmp_path),
                "BRIDGE_AGENT__KIND": "echo",
            },
            files=(),
        )
        async with running(settings) as up:
            world = World(up, twilio, speech, tmp_path)
            yield world
            await world.http.close()
    await twilio.server.close()


async def test_a_live_call_is_listened_to_until_that_is_stopped(world: World) -> None:
    status, answer = await world.ask("POST", LIVE)
    assert (status, answer) == (
        201,
        {"sid": LIVE, "stream": "MZ" + "1" * 32, "from": "+15550100001", "to": "+15550100005"},
    )
    sid, form = world.twilio.started[0][0], {**world.twilio.started[0][1]}
    token = form.pop("Parameter1.Value")
    ws = "ws" + world.up.url.removeprefix("http")
    assert (sid, form) == (
        LIVE,
        {
            "Url": f"{ws}/twilio/media",
            "Name": "listener",
            "Track": "both_tracks",
            "StatusCallback": f"{world.up.url}/twilio/status",
            "StatusCallbackMethod": "POST",
            "Parameter1.Name": "token",
        },
    )
    assert len(token) < 499
    call = await world.streaming(LIVE)
    await call.talk(b"\x01" * 1600, b"\x02" * 1600)
    for number in (0, 1):
        peer = await world.speech.listener(number)
        heard = await peer.has_audio(800)
        await peer.say_turn("It is me." if heard.startswith(b"\x01") else "Who is it?")
    status, answer = await world.ask("POST", LIVE)
    assert (status, answer["code"]) == (409, "log_running")

    assert await world.ask("DELETE", LIVE) == (204, {})
    assert world.twilio.stopped == [(LIVE, "listener", {"Status": "stopped"})]
    transcript = await world.kept(LIVE)
    assert {(line["name"], line["text"]) for line in transcript["lines"]} == {
        ("+15550100001", "It is me."),
        ("+15550100005", "Who is it?"),
    }
    assert transcript["ended"]["reason"] == "log_stopped"
    status, answer = await world.ask("DELETE", LIVE)
    assert (status, answer["code"]) == (404, "log_unknown")
    # It may begin again: then it is another record of the same call.
    assert (await world.ask("POST", LIVE))[0] == 201


async def test_a_stream_that_breaks_is_started_again(world: World) -> None:
    await world.ask("POST", LIVE, json={"from": "Ann", "to": "Tom"})
    call = await world.streaming(LIVE)
    await call.talk(b"\x01" * 800, b"\x02" * 800)
    peers = [await world.speech.listener(number) for number in (0, 1)]
    assert call.socket is not None
    await call.socket.close()
    async with asyncio.timeout(5):
        while len(world.twilio.started) < 2:  # noqa: ASYNC110  Nobody is told when it is there.
            await asyncio.sleep(0.005)
    call = await world.streaming(LIVE)
    await call.talk(b"\x01" * 800, b"\x02" * 800)
    for peer in peers:
        await peer.has_audio(1600)  # The same sessions go on.
        await peer.say_turn("Still here.")
    await call.hang_up()
    transcript = await world.kept(LIVE)
    assert sorted((line["name"], line["text"]) for line in transcript["lines"]) == [
        ("Ann", "Still here."),
        ("Tom", "Still here."),
    ]
    assert len(world.speech.stt) == 2


async def test_in_a_call_that_the_account_has_placed_the_phone_at_its_end_is_who_was_called(world: World) -> None:
    await world.ask("POST", PLACED, json={"to": "Tom"})
    call = await world.streaming(PLACED)
    await call.talk(b"\x01" * 1600, b"")
    for number in (0, 1):
        peer = await world.speech.listener(number)
        await peer.say_turn("Tom's." if (await peer.has_audio(800)).startswith(b"\x01") else "Ours.")
    await call.hang_up()
    transcript = await world.kept(PLACED)
    assert {(line["speaker"], line["name"], line["text"]) for line in transcript["lines"]} == {
        ("callee", "Tom", "Tom's."),
        ("caller", "+15550100005", "Ours."),
    }
    assert transcript["ended"]["reason"] == "over"


@pytest.mark.parametrize(
    ("sid", "options", "status", "code"),
    [
        (OVER, {}, 404, "call_unknown"),
        ("CA" + "9" * 32, {}, 404, "call_unknown"),
        ("CA1", {}, 422, "invalid"),
        (LIVE, {"json": {"who": "me"}}, 422, "invalid"),
        (LIVE, {"data": "x=1", "headers": {"Content-Type": "text/plain"}}, 415, "content_type"),
        (LIVE, {"headers": {"X-Forwarded-For": "1.2.3.4"}}, 401, "unauthorized"),
    ],
)
async def test_what_cannot_be_is_told(
    world: World, sid: str, options: dict[str, Any], status: int, code: str
) -> None:
    found, answer = await world.ask("POST", sid, **options)
    assert (found, answer["code"]) == (status, code)
    assert world.twilio.started == []


async def test_a_refusing_carrier_is_told_of(world: World) -> None:
    world.twilio.status = 401
    status, answer = await world.ask("POST", LIVE)
    assert (status, answer["code"]) == (502, "carrier_auth")
    assert "BRIDGE_TWILIO__AUTH_TOKEN" in answer["detail"]
    world.up.registry.draining = True
    status, answer = await world.ask("POST", LIVE)
    assert (status, answer["code"]) == (503, "draining")


async def test_an_agents_call_has_its_record_already(world: World) -> None:
    session = world.up.registry.open(LIVE, caller="+1", called="+2", direction="inbound", parameters={})
    status, answer = await world.ask("POST", LIVE)
    assert (status, answer["code"]) == (409, "agent_call")
    session.stop("caller")
    session.take(RecognizerClosed())


async def test_without_credentials_the_remedy_is_told(tmp_path: Path) -> None:
    async with ScriptedSpeech().running() as speech:
        settings = load_settings(
            environment={
                "BRIDGE_SERVER__PORT": "0",
                "BRIDGE_SPEECH__BASE_URL": speech.url,
                "BRIDGE_STORE__RECORDINGS": str(tmp_path),
                "BRIDGE_AGENT__KIND": "none",
            },
            files=(),
        )
        async with (
            running(settings) as up,
            aiohttp.ClientSession() as http,
            http.post(f"{up.url}/api/v1/calls/{LIVE}/log") as response,
        ):
            assert response.status == 503
            assert "BRIDGE_TWILIO__ACCOUNT_SID" in (await response.json(content_type=None))["detail"]
