"""Whether the bridge says that it can take calls, and a local speech server that dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
from types import SimpleNamespace
from typing import Any

import pytest

from bridge.assembly.doors import House
from bridge.errors import BridgeError
from bridge.health import HealthRoutes, Signs
from bridge.settings import Settings
from bridge.settings.sections import SpeechSettings
from bridge.speech import local as local_speech
from bridge.speech.local import SpeechState, open_speech, open_standby
from bridge.speech_server import launch


@pytest.mark.parametrize(
    ("draining", "speech", "status", "says"),
    [
        (False, True, 200, "ready"),
        (False, False, 503, "no_speech"),
        (True, True, 503, "draining"),
        (True, False, 503, "draining"),
    ],
)
async def test_ready_is_who_takes_calls_and_can_speak(draining: bool, speech: bool, status: int, says: str) -> None:
    registry: Any = SimpleNamespace(draining=draining, sessions=[])
    other: Any = SimpleNamespace(up=True)
    signs = Signs(lambda: 0, other, speech_is_up=lambda: speech)
    answer = await HealthRoutes(registry, other, other, signs).ready(other)
    assert answer.status == status
    assert answer.text is not None
    body = json.loads(answer.text)
    assert (body["status"], body["speech"], body["store"]) == (says, "up" if speech else "down", "up")


class Server:
    """A local speech server that dies when told."""

    url, port = "http://127.0.0.1:1", 1

    def __init__(self) -> None:
        self.died = asyncio.Event()

    async def close(self) -> None: ...


async def test_a_service_that_stands_by_is_started_too_and_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    async def launched(_: Any = None) -> Server:
        return Server()

    monkeypatch.setattr(launch, "launch_local", launched)
    settings = Settings(speech=SpeechSettings(base_url="http://127.0.0.1:9", standby="local"))
    async with contextlib.AsyncExitStack() as stack:
        assert await open_speech(settings, stack) == "http://127.0.0.1:9"
        assert await open_standby(settings, stack) == Server.url
        assert await open_standby(Settings(), stack) == ""


@pytest.mark.parametrize(
    ("stands_in", "main", "other", "up", "says"),
    [
        (False, True, False, True, {}),
        (False, False, True, False, {}),
        (True, False, True, True, {"speech": "standby"}),
        (True, True, False, False, {}),
    ],
)
def test_who_speaks_now(stands_in: bool, main: bool, other: bool, up: bool, says: dict[str, str]) -> None:
    worker = SimpleNamespace(speech=SimpleNamespace(up=main), health=dict)
    standby = SimpleNamespace(stands_in=stands_in, up=lambda: other)
    nothing: Any = [None] * 13  # Is not looked at.
    make: Any = House
    house = make(*nothing, standby)
    object.__setattr__(house, "worker", worker)
    assert (house.speech_is_up(), house.health()) == (up, says)


def known(state: SpeechState) -> bool:
    """Whether it is up; a type checker would not believe that it changes."""
    return state.up


async def test_a_local_speech_server_is_known_to_be_away_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    servers: list[Server] = []
    may_start, tried = asyncio.Event(), asyncio.Event()
    may_start.set()

    async def start(settings: object = None) -> Server:
        del settings
        tried.set()
        if not may_start.is_set():
            await may_start.wait()
            tried.clear()
            raise BridgeError("no", code="speech_server_start")
        servers.append(Server())
        return servers[-1]

    monkeypatch.setattr(launch, "launch_local", start)
    monkeypatch.setattr(local_speech, "_PAUSE_S", 0.0)
    state = SpeechState()
    settings: Any = SimpleNamespace(speech=SimpleNamespace(base_url="local"))
    async with contextlib.AsyncExitStack() as stack:
        assert await open_speech(settings, stack, state) == "http://127.0.0.1:1"
        assert known(state)
        may_start.clear()
        tried.clear()
        servers[0].died.set()
        await tried.wait()
        assert not known(state)
        may_start.set()  # This start fails, and the next one does not.
        async with asyncio.timeout(5):
            while not known(state):  # noqa: ASYNC110  Nobody is told when it is there.
                await asyncio.sleep(0)
        assert len(servers) == 2


async def test_speech_from_elsewhere_is_up() -> None:
    state = SpeechState()
    settings: Any = SimpleNamespace(speech=SimpleNamespace(base_url="https://speech.example"))
    async with contextlib.AsyncExitStack() as stack:
        assert await open_speech(settings, stack, state) == "https://speech.example"
    assert state.up
