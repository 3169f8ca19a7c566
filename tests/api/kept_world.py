"""A bridge that has kept some calls: real folders, made by the store itself, and a database that follows them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bridge.conversation import journal as j
from bridge.store.base import CallHeader
from bridge.store.files import FileStore
from bridge.store.vault import NO_KEYS, Keys
from bridge.store.writer import DiskThread
from tests.outbound.world import World, world_of

ONE, TWO, THREE, OPEN = "a" * 32, "b" * 32, "c" * 32, "d" * 32
SECONDS = 3
"""Of the recording of the first call."""


@dataclass
class Kept:
    """The bridge, and how it is asked."""

    world: World
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.world.up.url

    async def ask(
        self, path: str, method: str = "GET", query: dict[str, Any] | None = None, body: Any = None, **headers: str
    ) -> tuple[int, bytes, aiohttp.ClientResponse]:
        """Ask below /api/v1."""
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self.world.http.request(
            method, f"{self.url}/api/v1{path}", params=query, json=body, headers=sent
        ) as got:
            return got.status, await got.read(), got

    async def json(self, path: str, query: dict[str, Any] | None = None, status: int = 200) -> Any:
        got, body, response = await self.ask(path, query=query)
        assert got == status, body
        kind = "application/json" if status < 400 else "application/problem+json"
        assert response.content_type == kind
        return await response.json(content_type=None)


def header(call_id: str, minute: int, **more: Any) -> CallHeader:
    fields: dict[str, Any] = {
        "id": call_id,
        "sid": "CA" + call_id,
        "caller": "+15550100001",
        "called": "+15550100002",
        "direction": "inbound",
        "started_at": f"2026-03-01T12:{minute:02}:00.000+00:00",
        "agent_kind": "webhook",
    }
    return CallHeader(**{**fields, **more})


FIRST: tuple[j.Entry, ...] = (
    j.CallOpened(),
    j.AgentSpoke(1, 0, "call.started", "Hello there.", "", False, 0, 900, 10, 20, 30, 40),
    j.CallerSpoke(1, "I want a refund", 1000, 1900, 1800),
    j.AgentSpoke(
        2, 1, "turn.ended", "We are open", " from nine to five.", True, 1900, 2500, 1950, 2000, 2010, 2020
    ),
    j.KeyPressed(2600, "5"),
    j.NoteTaken(2700, {"intent": "refund"}),
    j.MessageLeft(1, "Ring me back", 1000, 2000),
    j.CallClosed(3000, "caller"),
)


async def fill(folder: Path, keys: Keys = NO_KEYS) -> None:
    """Keep some calls, as a bridge does that ran here before."""
    store = FileStore(folder, disk=DiskThread(), keys=keys)
    first = store.open(header(ONE, 1))
    for entry in FIRST:
        first.append(entry)
    for at_ms in range(0, SECONDS * 1000, 20):
        first.caller_audio(at_ms, bytes([0x80 + at_ms % 97]) * 160)
        if at_ms == 500:
            first.agent_audio(at_ms, b"\x10" * 4000)
    await first.close()
    other = {
        "caller": "+15559998888",
        "direction": "outbound",
        "agent_kind": "log",
        "other": "+1777",
        "recording": "off",
    }
    second = store.open(header(TWO, 2, **other))
    second.append(j.CallOpened())
    second.append(j.PartySpoke("callee", 1, "Ärger — “quoted”, <b> & 日本語 \u202eRTL", 100, 900))
    second.append(j.CallClosed(5000, "callee"))
    await second.close()
    third = store.open(header(THREE, 3))
    third.append(j.CallOpened())
    third.append(j.CallerSpoke(1, "refund please", 10, 20))
    await third.close()  # Its record breaks off.
    await store.close()


@contextlib.asynccontextmanager
async def kept(
    folder: Path, *, config: Path | None = None, token: str = "", keys: Keys = NO_KEYS, **environment: str
) -> AsyncIterator[Kept]:
    """Run a bridge over these calls, once its database has them. `token` is sent with every request."""
    await fill(folder, keys)
    async with world_of(folder, config, environment) as it:
        found = Kept(it, {"Authorization": f"Bearer {token}"} if token else {})
        async with asyncio.timeout(20):
            while len((await found.json("/calls"))["items"]) < 3:  # noqa: ASYNC110  Nobody tells.
                await asyncio.sleep(0.02)
        yield found
