"""Who is signed out, or whose cookie is too old, follows nothing any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from bridge.simulator.caller import SimulatedCall
from tests.scripted_speech import ScriptedSpeech
from tests.test_calls import bridge, line, live

TOKEN = "a token of the api"


@contextlib.asynccontextmanager
async def signed_in(url: str) -> AsyncIterator[tuple[aiohttp.ClientSession, dict[str, str]]]:
    """A browser, and the headers with which it may change something."""
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
        http.post(url + "/api/v1/session", json={"token": TOKEN}) as answer,
    ):
        assert answer.status == 200
        yield http, {"X-CSRF-Token": (await answer.json())["csrf"]}


async def ends(following: aiohttp.ClientResponse) -> str:
    async with asyncio.timeout(5):
        return (await following.content.read()).decode()


@pytest.fixture
async def speech() -> AsyncIterator[ScriptedSpeech]:
    async with ScriptedSpeech().running() as service:
        yield service


async def test_signing_out_ends_the_events_and_the_sound_of_this_browser_alone(
    speech: ScriptedSpeech, tmp_path: Path
) -> None:

    async with (
        bridge(tmp_path, speech.url, None, BRIDGE_API__TOKEN=TOKEN) as up,
        SimulatedCall(line(up)) as call,
        signed_in(up.url) as (http, csrf),
        signed_in(up.url) as (other, _),
    ):
        session = await live(up, call.call_sid)
        mine = await http.get(up.url + "/api/v1/events")
        theirs = await other.get(up.url + "/api/v1/events")
        origin = {"Origin": up.url}
        listening = await http.ws_connect(f"{up.url}/api/v1/calls/{session.info.id}/listen", headers=origin)
        async with http.delete(up.url + "/api/v1/session", headers=csrf) as answer:
            assert answer.status == 204
        assert ": you are signed out" in await ends(mine)
        async with asyncio.timeout(5):
            while (await listening.receive()).type not in {WSMsgType.CLOSE, WSMsgType.CLOSED}:
                pass
        assert listening.close_code == 1008
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await theirs.content.read()
        theirs.close()


async def test_a_cookie_that_grows_too_old_ends_what_it_follows(
    speech: ScriptedSpeech, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("bridge.api.cookies.LASTS_S", 1)
    async with (
        bridge(tmp_path, speech.url, None, BRIDGE_API__TOKEN=TOKEN) as up,
        signed_in(up.url) as (http, _),
    ):
        assert ": you are signed out" in await ends(await http.get(up.url + "/api/v1/events"))
