"""Kills a bridge in mid-call, at moments of chance, and holds what is left against what its agent was asked.

`python -m tests.store.sql.killed_calls --kills 50` does so again and again, with SQLite or, with `--postgres`, with
PostgreSQL; a test does a few. Each bridge is killed with SIGKILL while calls talk to it; the next one, which is the
restart, must bring every turn into the database that the agent was asked about: once, and as it was said.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from aiohttp import ClientError, web
from aiohttp.test_utils import TestServer
from sqlalchemy import text

from bridge.errors import BridgeError
from bridge.simulator.caller import Line, SimulatedCall
from bridge.store.files import read_journal, unfinished
from bridge.store.sql.database import Database
from tests.bridge_process import TOKEN, start_bridge
from tests.postgres import PostgresServer
from tests.scripted_speech import Peer, ScriptedSpeech
from tests.store import wav_reader

SAID = re.compile(r" It is [a-j]+, ça va\? ")
CALLS = 3
"""Calls that talk at the same time."""


@dataclass
class Agent:
    """A webhook that answers with a few words and remembers what it was asked."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    """Call and transcript of each turn whose request arrived, in their order; no speculative ones."""

    async def answer(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        if body["type"] == "turn.ended" and not body["turn"]["speculative"]:
            # A question also holds what the caller had said before, if that was not answered.
            said = [(body["call"]["id"], turn) for turn in SAID.findall(body["turn"]["transcript"])]
            self.asked += [turn for turn in said if turn not in self.asked]
        return web.json_response({"say": "Go on please."})


@dataclass
class World:
    """What outlives the bridges: folder, database, speech service and agent."""

    folder: Path
    url: str
    speech: ScriptedSpeech
    agent: Agent
    agent_url: str
    log: Any
    """A file for what the bridges log."""
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    killed_in: list[int] = field(default_factory=list)
    """How many turns had been asked about when each bridge died."""

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
        """Run a bridge in a process of its own, which is killed at the end of the block."""
        process, url = await start_bridge(
            self.folder,
            self.log,
            BRIDGE_SERVER__RESUME_SECONDS="0",
            BRIDGE_SPEECH__BASE_URL=self.speech.url,
            BRIDGE_SPEECH__API_KEY="sk_test",
            BRIDGE_AGENT__KIND="webhook",
            BRIDGE_AGENT__URL=self.agent_url,
            BRIDGE_STORE__RECORDINGS=str(self.folder),
            BRIDGE_STORE__URL=self.url,
            BRIDGE_API__CONSOLE="false",
            BRIDGE_LOG__LEVEL="warning",
            BRIDGE_LOG__FORMAT="json",
        )
        try:
            yield process, url
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def world(folder: Path, url: str) -> AsyncIterator[World]:
    agent = Agent()
    app = web.Application()
    app.router.add_post("/", agent.answer)
    server = TestServer(app)
    await server.start_server()
    try:
        async with ScriptedSpeech().running() as speech:
            with (folder.parent / f"{folder.name}.log").open("ab") as log:
                yield World(folder, url, speech, agent, str(server.make_url("/")), log)
    finally:
        await server.close()


async def talk_and_kill(world: World, after_s: float) -> None:
    """Start a bridge, let calls talk to it, and kill it `after_s` seconds after the first turn."""
    before = len(world.agent.asked)
    heard = len(world.speech.stt)
    async with world.serving() as (process, url), contextlib.AsyncExitStack() as stack:
        calls = [SimulatedCall(Line(url, TOKEN)) for _ in range(CALLS)]
        await asyncio.gather(*(call.place() for call in calls))
        for call in calls:
            stack.push_async_callback(_end, call)
        await world.speech.listener(heard + CALLS - 1)
        talks = [asyncio.ensure_future(_talk(world, peer)) for peer in world.speech.stt[heard:]]  # noqa: TID251
        async with asyncio.timeout(60):
            while len(world.agent.asked) == before:  # noqa: ASYNC110  Nobody tells.
                await asyncio.sleep(0.002)
        await asyncio.sleep(after_s)
        process.kill()
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
    world.killed_in.append(len(world.agent.asked) - before)


async def _talk(world: World, peer: Peer) -> None:
    """Say one turn after the other: some with an eager end before, some into the agent's answer."""
    chance = random.Random(next(world.numbers))
    while True:
        # In letters: digits of many turns may well look like the number of a card, and be struck out.
        said = f" It is {''.join(chr(ord('a') + int(digit)) for digit in str(next(world.numbers)))}, ça va? "
        await peer.turn("start")
        await peer.turn("update", said)
        if chance.random() < 0.3:
            await peer.turn("eager_end", said)
            await asyncio.sleep(chance.uniform(0, 0.05))
        await peer.turn("end", said)
        if chance.random() < 0.7:
            # Mostly the agent is asked first: a machine that is slow would else never come to it.
            ends = time.monotonic() + 5
            while said not in {turn for _, turn in world.agent.asked} and time.monotonic() < ends:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        await asyncio.sleep(chance.uniform(0.02, 0.3))


async def _end(call: SimulatedCall) -> None:
    # Whoever talked to a bridge that died has a broken line.
    with contextlib.suppress(BridgeError, ClientError, OSError, TimeoutError):
        async with asyncio.timeout(5):
            await call.hang_up()


async def restart_and_look(world: World, within_s: float = 90.0) -> int:
    """Start a bridge again, wait until it has caught up, and check everything; returns the number of turns."""
    async with world.serving():
        database = Database(world.url, world.folder)
        await database.open()
        try:
            ends = time.monotonic() + within_s
            while await _behind(world, database) and time.monotonic() < ends:  # noqa: ASYNC110  Nobody tells.
                await asyncio.sleep(0.1)
            await _check_turns(world, database)
        finally:
            await database.close()
    return await asyncio.to_thread(_check_files, world.folder)


async def _behind(world: World, database: Database) -> bool:
    journals = await asyncio.to_thread(lambda: [*world.folder.glob("*/*/journal.jsonl")])
    async with database.reading() as connection:
        rows = await connection.execute(text("SELECT folder, entries FROM calls"))
        entries = {row.folder: row.entries for row in rows}
    for journal in journals:
        _, found = await asyncio.to_thread(read_journal, journal)
        if entries.get(journal.parent.relative_to(world.folder).as_posix()) != len(found):
            return True
    return bool(await asyncio.to_thread(unfinished, world.folder))


async def _check_turns(world: World, database: Database) -> None:
    async with database.reading() as connection:
        asked = text("SELECT call_id, text FROM turns WHERE speaker = 'caller' ORDER BY call_id, seq")
        kept = [(call, said) for call, said in await connection.execute(asked)]
    for one in world.agent.asked:
        assert kept.count(one) == 1, f"{one} is in {kept.count(one)} times"
    assert len(kept) == len({*kept}), "a turn is in twice"
    for call in {call for call, _ in kept}:
        order = [said for other, said in world.agent.asked if other == call]
        assert [said for other, said in kept if other == call and said in order] == order
    for journal in world.folder.glob("*/*/journal.jsonl"):
        header, entries = await asyncio.to_thread(read_journal, journal)
        wanted = [entry.transcript for entry in entries if type(entry).__name__ == "CallerSpoke"]  # type: ignore[union-attr]
        assert [said for call, said in kept if call == header.id] == wanted


def _check_files(folder: Path) -> int:
    recordings = [*folder.glob("*/*/recording.wav")]
    for recording in recordings:
        heard = wav_reader.read(recording.read_bytes())
        assert len(heard.left) == len(heard.right)
    assert unfinished(folder) == []
    return len(recordings)


async def kill_often(
    folder: Path, url: str, moments: list[float], told: Callable[[World], None] | None = None
) -> World:
    """Kill one bridge after the other, and look at what they left; raises AssertionError for what is wrong."""
    async with world(folder, url) as made:
        for moment in moments:
            await talk_and_kill(made, moment)
            if told is not None:
                told(made)
        await restart_and_look(made)
    return made


def _show(world: World) -> None:
    click.echo(f"kill {len(world.killed_in)}: {world.killed_in[-1]} turns asked about since the one before")


@click.command()
@click.option("--kills", type=int, default=50, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--postgres", is_flag=True, help="With a PostgreSQL server instead of SQLite.")
def main(kills: int, seed: int, postgres: bool) -> None:
    """Kill a bridge in mid-call again and again, and look at what is left."""
    chance = random.Random(seed)
    server = PostgresServer() if postgres else None
    try:
        with tempfile.TemporaryDirectory(prefix="killed-") as folder:
            url = server.new_database() if server else ""
            moments = [chance.uniform(0, 5) for _ in range(kills)]
            done = asyncio.run(kill_often(Path(folder), url, moments, _show))
            recordings = _check_files(Path(folder))
    finally:
        if server is not None:
            server.close()
    asked = len(done.agent.asked)
    click.echo(f"{kills} kills: all {asked} turns that were asked about are in, once; {recordings} recordings open")


if __name__ == "__main__":
    main()
