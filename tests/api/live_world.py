"""A bridge with a scripted speech service, simulated calls, and somebody who looks at them by the API."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from bridge.api.live_routes import LiveDocument
from bridge.app import Bridge, running
from bridge.settings.source import load_settings
from bridge.simulator.caller import Line
from bridge.tasks import spawn
from tests.scripted_speech import ScriptedSpeech

SIGNATURE = "0123456789abcdef0123456789abcdef"


class Follower:
    """Follows the events, as a browser does."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self._url = http, url
        self.events: list[dict[str, Any]] = []
        self.comments: list[str] = []
        self.last_id = ""
        self.ended = asyncio.Event()
        self.begun = asyncio.Event()
        self.heard = asyncio.Event()
        self.status = 0
        self._more = asyncio.Event()

    async def run(self, after: str = "", **query: str) -> None:
        headers = {"Last-Event-ID": after} if after else {}
        async with self._http.get(self._url + "/api/v1/events", params=query, headers=headers) as response:
            self.status = response.status
            self.begun.set()
            if response.status == 200:
                assert response.content_type == "text/event-stream"
                async for frame in _frames(response.content):
                    self._take(frame)
        self.ended.set()
        self._more.set()

    def _take(self, frame: str) -> None:
        data = ""
        for line in frame.splitlines():
            name, _, value = line.partition(":")
            match name:
                case "":
                    self.comments.append(value.strip())
                case "id":
                    self.last_id = value.strip()
                case "data":
                    data = value
                case _:
                    pass
        self.heard.set()
        if data:
            self.events.append(json.loads(data))
        self._more.set()

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Wait for an event of this kind that holds this, and return it."""
        async with asyncio.timeout(10):
            while True:
                for event in self.events:
                    if event["type"] == kind and all(event.get(name) == value for name, value in fields.items()):
                        return event
                assert not self.ended.is_set(), f"no {kind} {fields} among {self.events}"
                self._more.clear()
                await self._more.wait()

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]


async def _frames(content: aiohttp.StreamReader) -> AsyncIterator[str]:
    frame = ""
    async for line in content:
        text = line.decode()
        if text == "\n":
            yield frame
            frame = ""
        else:
            frame += text


class LiveWorld:
    """What the tests act on."""

    def __init__(self, up: Bridge, speech: ScriptedSpeech, folder: Path) -> None:
        self.up, self.speech, self.folder = up, speech, folder
        self.http = aiohttp.ClientSession()
        self._following: list[asyncio.Task[None]] = []

    def line(self, **options: Any) -> Line:
        return Line(self.up.url, SIGNATURE, **options)

    async def follow(self, after: str = "", http: aiohttp.ClientSession | None = None, **query: str) -> Follower:
        """Follow the events; with a session of its own, who does so outlives this world."""
        follower = Follower(http or self.http, self.up.url)
        task = spawn(follower.run(after, **query), name="follower")
        if http is None:
            self._following.append(task)
        async with asyncio.timeout(5):
            await follower.begun.wait()
        return follower

    async def live(self, calls: int = 1) -> list[dict[str, Any]]:
        """Wait until so many calls are live, and return them."""
        async with asyncio.timeout(10):
            while True:
                async with self.http.get(self.up.url + "/api/v1/live") as response:
                    document = await response.json()
                LiveDocument.model_validate(document, strict=True, extra="forbid")
                found: list[dict[str, Any]] = document["calls"]
                if len(found) == calls:
                    return found
                await asyncio.sleep(0.02)

    async def act(self, call: str, name: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        url = f"{self.up.url}/api/v1/calls/{call}/{name}"
        options = {} if body is None else {"json": body}
        async with self.http.post(url, **options) as response:
            return response.status, await response.json()

    async def journal(self, sid: str) -> list[dict[str, Any]]:
        """Wait until a call is kept, and return its journal."""
        if (session := self.up.registry.live.get(sid)) is not None:
            async with asyncio.timeout(10):
                await session.ended.wait()
        (path,) = [path for path in self.folder.rglob("journal.jsonl") if sid in path.read_text()]
        return [json.loads(text) for text in path.read_text().splitlines()[1:]]

    async def close(self) -> None:
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        await self.http.close()


@contextlib.asynccontextmanager
async def live_world(folder: Path, **environment: str) -> AsyncIterator[LiveWorld]:
    async with ScriptedSpeech().running() as speech:
        settings = load_settings(
            environment={
                "BRIDGE_SERVER__PORT": "0",
                "BRIDGE_SPEECH__BASE_URL": speech.url,
                "BRIDGE_SPEECH__API_KEY": "sk_test",
                "BRIDGE_TWILIO__AUTH_TOKEN": SIGNATURE,
                "BRIDGE_STORE__RECORDINGS": str(folder),
                "BRIDGE_AGENT__KIND": "echo",
                **environment,
            },
            files=(),
        )
        async with running(settings) as up:
            world = LiveWorld(up, speech, folder)
            try:
                yield world
            finally:
                await world.close()
