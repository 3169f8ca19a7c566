"""A running bridge, a carrier whose REST API it calls, and a scripted speech service: whole calls of ours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bridge.app import Bridge, running
from bridge.settings.source import load_settings
from bridge.simulator.caller import SimulatedCall
from bridge.simulator.line import Line
from bridge.simulator.party import Party
from bridge.simulator.rest import FakeTwilioRest
from tests.scripted_speech import ScriptedSpeech

ACCOUNT = "AC" + "1" * 32
TOKEN = "0123456789abcdef0123456789abcdef"
HUMAN, OURS = "+15550100001", "+15550100002"


@dataclass
class World:
    """What a test of calls of ours has around it."""

    up: Bridge
    rest: FakeTwilioRest
    speech: ScriptedSpeech
    http: aiohttp.ClientSession
    folder: Path

    async def ask(
        self, method: str, path: str = "", body: Any = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Ask the API below /api/v1/calls; returns status and answer. `Idempotency_Key` is a header."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(method, f"{self.up.url}/api/v1/calls{path}", json=body, headers=named) as got:
            answer: dict[str, Any] = await got.json(content_type=None)
            return got.status, answer

    async def order(self, to: str = HUMAN, **more: Any) -> str:
        """Order a call; returns its id."""
        status, call = await self.ask("POST", body={"to": to, **more})
        assert status == 202, call
        assert call["status"] in {"queued", "dialing"}
        return str(call["id"])

    async def show(self, call_id: str) -> dict[str, Any]:
        """What the API tells of a call."""
        status, call = await self.ask("GET", f"/{call_id}")
        assert status == 200, call
        return call

    async def until(self, call_id: str, *statuses: str) -> dict[str, Any]:
        """Wait until the call has one of these statuses."""
        async with asyncio.timeout(15):
            while (call := await self.show(call_id))["status"] not in statuses:  # noqa: ASYNC110  As it says.
                await asyncio.sleep(0.01)
        return call

    async def over(self, call_id: str) -> dict[str, Any]:
        """Wait until the call is over."""
        return await self.until(call_id, "completed", "busy", "no-answer", "failed", "canceled")

    async def leg(self, number: int = 0) -> SimulatedCall:
        """Wait for the leg of the `number`th call that the carrier was asked for."""
        async with asyncio.timeout(10):
            while len(self.rest.placed) <= number:  # noqa: ASYNC110  Nobody tells.
                await asyncio.sleep(0.005)
        return self.rest.placed[number]

    def parties(self, **more: Any) -> None:
        """Say what becomes of calls: `p15550100001=Party("busy")` is about +15550100001."""
        parties = {"+" + name.removeprefix("p"): party for name, party in more.items()}
        self.rest.line = Line(self.up.url, TOKEN, account_sid=ACCOUNT, parties=parties)

    def party(self, party: Party) -> None:
        """Say who answers at HUMAN."""
        self.parties(**{HUMAN.replace("+", "p"): party})

    def counted(self, name: str, **labels: str) -> float:
        """A figure of the bridge's."""
        return self.up.metrics.registry.get_sample_value(f"phone_bridge_{name}", labels) or 0.0


@contextlib.asynccontextmanager
async def world(folder: Path, **environment: str) -> AsyncIterator[World]:
    """Bring everything up. `environment` is added to the bridge's settings."""
    async with world_of(folder, None, environment) as it:
        yield it


@contextlib.asynccontextmanager
async def world_of(folder: Path, config: Path | None, environment: Mapping[str, str]) -> AsyncIterator[World]:
    """As `world`, with a file of settings."""
    async with contextlib.AsyncExitStack() as stack:
        speech = await stack.enter_async_context(ScriptedSpeech().running())
        rest = await stack.enter_async_context(FakeTwilioRest(ACCOUNT, TOKEN))
        settings = await asyncio.to_thread(
            load_settings,
            environment={
                "BRIDGE_SERVER__PORT": "0",
                "BRIDGE_SPEECH__BASE_URL": speech.url,
                "BRIDGE_SPEECH__API_KEY": "sk_test",
                "BRIDGE_TWILIO__ACCOUNT_SID": ACCOUNT,
                "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN,
                "BRIDGE_TWILIO__API_URL": rest.url,
                "BRIDGE_STORE__RECORDINGS": str(folder),
                "BRIDGE_AGENT__KIND": "echo",
                "BRIDGE_OUTBOUND__FROM_NUMBER": OURS,
                "BRIDGE_OUTBOUND__CALLS_PER_SECOND": "50",
                "BRIDGE_API__REQUESTS_PER_SECOND": "10000",
                **environment,
            },
            files=() if config is None else (config,),
        )
        up = await stack.enter_async_context(running(settings))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        rest.line = Line(up.url, TOKEN, account_sid=ACCOUNT)
        yield World(up, rest, speech, http, folder)


async def true(holds: Callable[[], bool]) -> None:
    """Wait for what nobody tells."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  As it says.
            await asyncio.sleep(0.005)
