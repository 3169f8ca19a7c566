"""Some bridges behind a load balancer, each started as a user starts it, with a real bus and scripted speech."""

from __future__ import annotations

import asyncio
import contextlib
import os
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bridge.simulator.caller import SimulatedCall
from bridge.simulator.line import Line
from bridge.simulator.rest import FakeTwilioRest
from bridge.tasks import spawn
from tests.bridge_process import TOKEN
from tests.nats_server import Bus
from tests.scripted_speech import ScriptedSpeech
from tests.workers.world import ACCOUNT, OURS, eventually, start, stop

__all__ = ["ACCOUNT", "OURS", "TOKEN", "Balancer", "Nodes", "eventually", "nodes"]


@dataclass
class Bridge:
    """One of them."""

    name: str
    process: Process
    url: str
    folder: Path

    def log(self) -> str:
        return (self.folder / "bridge.log").read_text()

    async def kill(self) -> None:
        """As when its machine loses its power."""
        self.process.kill()
        await self.process.wait()


class Balancer:
    """Gives each request to one of the bridges: to the one that `route` names for its path, or to the next."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        self.route: Callable[[str], int | None] = lambda _: None
        self._next = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.resting: Callable[[int], bool] = lambda _: False
        """Tells of a bridge whether it takes no new requests, as `/readyz` would."""

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._met, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in [*self._tasks]:
            task.cancel()
        if self._tasks:
            await asyncio.wait([*self._tasks])

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = spawn(self._carry(reader, writer), name="balancer")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            there = await self._connected(head.split(b" ")[1].decode())
            if there is None:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            back, forth = there
            if b"upgrade: websocket" not in head.lower():  # So that each request comes by itself.
                head = head[:-2] + b"Connection: close\r\n\r\n"
            forth.write(head)
            try:
                ways = [spawn(_pump(reader, forth), name="to"), spawn(_pump(back, writer), name="from")]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.wait(ways)
            finally:
                forth.close()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _connected(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Connect with one of them; where it is not there, with another."""
        wanted = self.route(path)
        for _ in self.ports:
            port = self.ports[self._next % len(self.ports) if wanted is None else wanted]
            self._next, wanted = self._next + 1, None
            if self.resting(self.ports.index(port)):
                continue
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        return None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


class Nodes:
    """What the tests act on."""

    def __init__(
        self, bridges: list[Bridge], balancer: Balancer, bus: Bus, speech: ScriptedSpeech, rest: FakeTwilioRest
    ) -> None:
        self.bridges, self.balancer, self.bus, self.speech, self.rest = bridges, balancer, bus, speech, rest
        self.given: dict[str, str] = {}
        """The settings of all, as environment."""
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0))

    async def start_again(self, at: int) -> None:
        """Start one that has ended, with its folder and under its name, at whatever port."""
        old = self.bridges[at]
        self.bridges[at] = await _start(old.folder, at, self.given)
        self.balancer.ports[at] = int(self.bridges[at].url.rpartition(":")[2])
        await eventually(lambda: _all_there(self))

    def line(self, **options: Any) -> Line:
        return Line(self.balancer.url, TOKEN, account_sid=ACCOUNT, **options)

    @contextlib.asynccontextmanager
    async def call(self, at: int = 0, **options: Any) -> AsyncIterator[SimulatedCall]:
        """A call whose media stream is at this bridge."""
        route = self.balancer.route
        self.balancer.route = lambda _: at
        self.rest.line = line = self.line(**options)
        async with SimulatedCall(line, exchange=self.rest.exchange) as call:
            for each in range(len(self.bridges)):
                await eventually(lambda each=each: self._has(each, call.call_sid))  # type: ignore[misc]
            self.balancer.route = route
            yield call

    async def _has(self, at: int, sid: str) -> bool:
        return self.bridges[at].process.returncode is not None or sid in await self.seen(at)

    async def ask(self, at: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask the API of one bridge."""
        url = self.bridges[at].url + path
        async with self.http.request(method, url, **({} if body is None else {"json": body})) as response:
            text = "json" in response.content_type
            return response.status, await response.json(content_type=None) if text else await response.text()

    async def seen(self, at: int) -> dict[str, dict[str, Any]]:
        """The live calls that one bridge shows, by the carrier's id."""
        status, found = await self.ask(at, "GET", "/api/v1/live")
        assert status == 200, found
        return {call["sid"]: call for call in found["calls"]}


@contextlib.asynccontextmanager
async def nodes(folder: Path, count: int = 2, *, store: str = "", **environment: str) -> AsyncIterator[Nodes]:
    """Bring everything up, for the length of the block. `store` is the database that all share; empty: none."""
    async with contextlib.AsyncExitStack() as stack:
        bus, balancer = Bus(), Balancer()
        await bus.start()
        stack.push_async_callback(bus.stop)
        await balancer.open()
        stack.push_async_callback(balancer.close)
        speech = await stack.enter_async_context(ScriptedSpeech().running())
        rest = await stack.enter_async_context(FakeTwilioRest(ACCOUNT, TOKEN))
        given = {
            "BRIDGE_SERVER__PUBLIC_URL": balancer.url,
            "BRIDGE_BUS__URL": bus.url,
            "BRIDGE_SPEECH__BASE_URL": speech.url,
            "BRIDGE_SPEECH__API_KEY": "sk_test",
            "BRIDGE_TWILIO__ACCOUNT_SID": ACCOUNT,
            "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN,
            "BRIDGE_TWILIO__API_URL": rest.url,
            "BRIDGE_AGENT__KIND": "echo",
            "BRIDGE_OUTBOUND__FROM_NUMBER": OURS,
            "BRIDGE_API__REQUESTS_PER_SECOND": "10000",
            **({"BRIDGE_STORE__URL": store} if store else {}),
            **environment,
        }
        bridges = await asyncio.gather(*(_start(folder / str(number), number, given) for number in range(count)))
        for bridge in bridges:
            balancer.ports.append(int(bridge.url.rpartition(":")[2]))
        up = Nodes(bridges, balancer, bus, speech, rest)
        up.given = given
        stack.push_async_callback(_stop_all, up)
        stack.push_async_callback(up.http.close)
        rest.line = up.line()
        await eventually(lambda: _all_there(up))
        yield up


async def _start(folder: Path, number: int, given: dict[str, str]) -> Bridge:
    folder.mkdir(exist_ok=True)
    name = f"node-{number}"
    process, url = await start(folder, **given, BRIDGE_SERVER__NODE=name)
    return Bridge(name, process, url, folder)


async def _stop_all(up: Nodes) -> None:
    for bridge in up.bridges:
        await _stop(bridge)


async def _stop(bridge: Bridge) -> None:
    if bridge.process.returncode is None:
        await stop(bridge.process)
    assert "Traceback" not in await asyncio.to_thread(bridge.log), bridge.log()
    if os.environ.get("SHOW_LOGS"):
        print(bridge.name, bridge.log())  # noqa: T201  For who looks for a fault.


async def _all_there(up: Nodes) -> bool:
    """Whether each has heard of all others, and has its database."""
    for bridge in up.bridges:
        async with up.http.get(bridge.url + "/metrics") as response:
            page = await response.text()
            if "phone_bridge_store_up 1.0" not in page:
                return False
            if f"phone_bridge_other_nodes {len(up.bridges) - 1}.0" not in page:
                return False
    return True
