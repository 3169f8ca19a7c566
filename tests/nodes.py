"""Kills and stops bridges behind a load balancer, and sees whether their calls go on at the others.

`python -m tests.nodes --calls 20` starts two bridges with one PostgreSQL and one NATS, lets calls in real time talk
to them, kills one with SIGKILL, starts it again, and then stops the other with SIGTERM. It prints how many calls
went on, how long they were without the agent, and how many turns were lost or doubled, by the record and by what
the agent was asked. With `--rolling` it restarts one after the other, as an update does: see `tests.rolling`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]  # It has no types.
import click
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.simulator.caller import SimulatedCall
from tests.bus.world import Nodes, nodes
from tests.postgres import PostgresServer
from tests.resumed_calls import Agent, Talk
from tests.rolling import Rolled, restart_all
from tests.scripted_speech import Peer
from tests.waiting import until


@dataclass
class Seen:
    """What was seen of one end of a bridge."""

    how: str
    calls: int
    there: int
    """Calls that the bridge held which was ended."""
    ended: int = 0
    """Calls that did not go on."""
    back_s: list[float] = field(default_factory=list)
    """For each that it held: from the end to the first word of the agent after it."""
    turns: int = 0
    lost: list[str] = field(default_factory=list)
    """Turns that the record has not, or that nobody was asked about."""
    doubled: list[str] = field(default_factory=list)
    """Turns that the record has twice."""
    asked_again: int = 0
    """Turns about which the agent was asked more than once, as its answer was lost with the bridge."""

    def __str__(self) -> str:
        back = "none had to come back"
        if self.back_s:
            back = f"median {statistics.median(self.back_s):.2f} s, longest {max(self.back_s):.2f} s"
        return (
            f"{self.how}: {self.calls} calls, {self.there} of them there; {self.ended} did not go on\n"
            f"  to the next word of the agent: {back}\n"
            f"  {self.turns} turns: {len(self.lost)} lost {self.lost or ''}, {len(self.doubled)} doubled"
            f" {self.doubled or ''}, {self.asked_again} asked about again"
        )


@contextlib.asynccontextmanager
async def answering() -> AsyncIterator[tuple[Agent, str]]:
    """Run the agent; yields it and its address."""
    agent = Agent()
    app = web.Application()
    app.router.add_post("/", agent.answer)
    server = TestServer(app)
    await server.start_server()
    try:
        yield agent, str(server.make_url("/"))
    finally:
        await server.close()


async def begin(up: Nodes) -> Talk:
    """Place a call wherever the load balancer likes."""
    heard = len(up.speech.stt)
    events: list[str] = []
    call = SimulatedCall(up.line(), on_event=lambda event: events.append(event.kind))
    await call.place()
    # Where the stream comes to another bridge than the call did, that has got an ear ready for nothing.
    await until(lambda: _hearing(up, heard))
    return Talk(call, _hearing(up, heard)[-1], events)


async def end(up: Nodes, agent: Agent, database: str, calls: int, at: int, number: signal.Signals) -> Seen:
    """Let calls talk, end one bridge, and let them go on; returns what was seen."""
    async with contextlib.AsyncExitStack() as stack:
        talks = [await begin(up) for _ in range(calls)]
        for talk in talks:
            stack.push_async_callback(talk.call.hang_up)
        for index, talk in enumerate(talks):
            await talk.say(f"{number.name} first {_letters(index)}")
        await until(lambda: all(_asked(agent, talk.said[-1]) for talk in talks), 30)
        await asyncio.sleep(2)  # The answers are heard.
        there = {sid for sid, call in (await up.seen(at)).items() if "node" not in call}
        seen = Seen(number.name, calls, len(there))
        for index, talk in enumerate(talks):
            if index % 3 == 0:  # The answers to these are lost with the bridge, or heard in part.
                await talk.say(f"{number.name} second {_letters(index)}")
        await until(lambda: all(_asked(agent, talk.said[-1]) for talk in talks), 30)
        heard = len(up.speech.stt)
        moments = [talk.call.now for talk in talks]
        up.balancer.resting = lambda one: one == at  # It has seen by `/readyz`, or by its connections.
        up.bridges[at].process.send_signal(number)
        moved = [(talk, now) for talk, now in zip(talks, moments, strict=True) if talk.call.call_sid in there]
        for talk, moment in moved:
            with contextlib.suppress(TimeoutError):
                await until(functools.partial(_back_or_over, talk), 30)
            after = talk.heard_again()
            if after is None or not talk.call.live:
                seen.ended += 1
            else:
                seen.back_s.append(after - moment)
        await up.bridges[at].process.wait()
        said = [text for talk in talks for text in talk.said]
        for index, peer in enumerate(_hearing(up, heard)):
            said.append(f"{number.name} third {_letters(index)}")
            await peer.say_turn(said[-1])
        seen.turns = len(said)
        with contextlib.suppress(TimeoutError):
            await until(lambda: all(_asked(agent, text) for text in said), 15)
        await asyncio.sleep(3)  # The last answers are heard.
        seen.ended += sum(not talk.call.live for talk in talks if talk.call.call_sid not in there)
        await asyncio.gather(*(talk.call.hang_up() for talk in talks))
    await asyncio.sleep(2)
    await _look(seen, said, agent, database)
    return seen


def _hearing(up: Nodes, heard: int) -> list[Peer]:
    """The ears that were opened since, that hear somebody, and that are not closed again."""
    return [peer for peer in up.speech.stt[heard:] if peer.audio and not peer.writer.is_closing()]


def _back_or_over(talk: Talk) -> bool:
    return talk.heard_again() is not None or not talk.call.live


def _asked(agent: Agent, text: str) -> bool:
    return any(text in one.transcript for one in agent.asked)


async def _look(seen: Seen, said: list[str], agent: Agent, database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch("SELECT text FROM turns WHERE speaker = 'caller'")
    finally:
        await connection.close()
    kept = Counter(row["text"] for row in rows)
    asked = Counter(one.transcript for one in agent.asked if one.kind == "turn.ended")
    seen.lost = [text for text in said if not kept[text] or not any(text in words for words in asked)]
    seen.doubled = [text for text in said if kept[text] > 1]
    seen.asked_again = sum(asked[text] > 1 for text in said)


def _letters(number: int) -> str:
    """A name of its own, without digits: those are looked through for numbers that are to be struck out."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


async def end_both(folder: Path, calls: int) -> list[Seen]:
    """Kill one, start it again, and stop the other."""
    postgres = await asyncio.to_thread(PostgresServer)
    try:
        database = await asyncio.to_thread(postgres.new_database)
        async with answering() as (agent, url):
            given = {"BRIDGE_AGENT__KIND": "webhook", "BRIDGE_AGENT__URL": url}
            async with nodes(folder, 2, store=database, **given) as up:
                killed = await end(up, agent, database, calls, 0, signal.SIGKILL)
                click.echo(str(killed))
                await up.start_again(0)
                up.balancer.resting = lambda _: False
                stopped = await end(up, agent, database, calls, 1, signal.SIGTERM)
                click.echo(str(stopped))
                return [killed, stopped]
    finally:
        await asyncio.to_thread(postgres.close)


async def restart_both(folder: Path, calls: int) -> Rolled:
    """Restart one after the other, as an update does."""
    async with answering() as (agent, url):
        return await restart_all(folder, calls, agent, url)


@click.command()
@click.option("--calls", type=int, default=10, show_default=True, help="Calls that talk at the same time.")
@click.option("--rolling", is_flag=True, help="Restart one bridge after the other instead, as an update does.")
def main(calls: int, *, rolling: bool) -> None:
    """Kill one of two bridges in mid-call, stop the other, and see how their calls go on."""
    with tempfile.TemporaryDirectory(prefix="nodes-") as folder:
        if rolling:
            sys.exit(0 if asyncio.run(restart_both(Path(folder), calls)).well else 1)
        seen = asyncio.run(end_both(Path(folder), calls))
    if any(one.ended or one.lost or one.doubled for one in seen):
        sys.exit(1)


if __name__ == "__main__":
    main()
