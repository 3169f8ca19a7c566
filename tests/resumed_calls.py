"""Kills a bridge in mid-call and starts it again, and sees whether its calls go on as if nothing had happened.

`python -m tests.resumed_calls --calls 20` does so again and again and prints figures; a test does it once. Each
round starts `phone-bridge serve` as a process of its own, lets some calls talk to it, kills it with SIGKILL at a
moment of chance, and starts it again at the same port. With `--workers 3` one of three workers is killed, and its
supervisor starts it again. The simulator asks what comes next, as Twilio does when a stream breaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import random
import signal
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from bridge.conversation import journal as j
from bridge.simulator.caller import Line, SimulatedCall
from bridge.store.files import read_journal
from tests.bridge_process import TOKEN, start_bridge
from tests.scripted_speech import Peer, ScriptedSpeech
from tests.waiting import until


@dataclass
class Asked:
    """A question that the agent got."""

    call: str
    kind: str
    turn: int
    transcript: str
    id: str
    messages: list[dict[str, Any]]
    parameters: dict[str, str]


@dataclass
class Agent:
    """A webhook that answers with a few words, and remembers what it was asked. It may be slow."""

    asked: list[Asked] = field(default_factory=list)
    slow_for: str = ""
    """Of a question that holds this, no answer comes."""

    async def answer(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        turn = body.get("turn") or {}
        if not turn.get("speculative"):
            call = body["call"]
            self.asked.append(
                Asked(
                    call["id"],
                    body["type"],
                    turn.get("number", 0),
                    turn.get("transcript", ""),
                    request.headers["webhook-id"],
                    body.get("messages", []),
                    call.get("parameters", {}),
                )
            )
        if self.slow_for and self.slow_for in turn.get("transcript", ""):
            await asyncio.sleep(30)
        return web.json_response({"say": f"I heard {turn.get('transcript', 'you').strip() or 'you'}."})

    def turns(self, call: str) -> list[Asked]:
        """The questions about turns of a call."""
        return [one for one in self.asked if one.call == call and one.kind == "turn.ended"]


@dataclass
class World:
    """What outlives the bridges."""

    folder: Path
    speech: ScriptedSpeech
    agent: Agent
    agent_url: str
    workers: int
    flow: Path | None = None
    """The flow that answers; None: the webhook does."""
    port: int = field(default_factory=unused_port)
    log: Any = None
    names: Any = field(default_factory=itertools.count)
    environment: dict[str, str] = field(default_factory=dict)
    """Further settings."""

    def name(self) -> str:
        """A name that no other turn has, without digits: those are looked through for numbers to be struck out."""
        return "".join(chr(ord("a") + int(digit)) for digit in str(next(self.names)))

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a bridge in a process of its own."""
        process, _ = await start_bridge(
            self.folder,
            self.log,
            BRIDGE_SERVER__PORT=str(self.port),
            BRIDGE_SERVER__WORKERS=str(self.workers),
            BRIDGE_SPEECH__BASE_URL=self.speech.url,
            BRIDGE_SPEECH__API_KEY="sk_test",
            BRIDGE_AGENT__KIND="webhook" if self.flow is None else "flow",
            BRIDGE_AGENT__URL=self.agent_url if self.flow is None else str(self.flow),
            BRIDGE_STORE__RECORDINGS=str(self.folder),
            BRIDGE_API__CONSOLE="false",
            BRIDGE_LOG__LEVEL="info",
            BRIDGE_LOG__FORMAT="json",
            **self.environment,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    @property
    def url(self) -> str:
        """Where the bridge is, whichever process it is."""
        return f"http://127.0.0.1:{self.port}"

    def times_spoken(self, text: str) -> int:
        """How often a text was to be spoken."""
        return sum(text in spoken for spoken in self.speech.spoken.values())

    def journals(self) -> list[Path]:
        """The journals of all calls."""
        return sorted(self.folder.glob("*/*/journal.jsonl"))


@contextlib.asynccontextmanager
async def world(folder: Path, workers: int = 1, flow: str = "") -> AsyncIterator[World]:
    agent, file = Agent(), folder / "flow.yaml"
    if flow:
        file.write_text(flow)
    app = web.Application()
    app.router.add_post("/", agent.answer)
    server = TestServer(app)
    await server.start_server()
    calls = folder / "calls"
    calls.mkdir()
    try:
        async with ScriptedSpeech().running() as speech:
            with (folder / "bridge.log").open("ab") as log:
                url = str(server.make_url("/"))
                yield World(calls, speech, agent, url, workers, file if flow else None, log=log)
    finally:
        await server.close()


@dataclass
class Talk:
    """A call, and the speech service's ear in it."""

    call: SimulatedCall
    peer: Peer
    events: list[str]
    """What has happened to the call."""
    said: list[str] = field(default_factory=list)

    def heard_again(self) -> float | None:
        """When the caller first heard something on the second stream of the call; None: not yet."""
        return self.heard_since(1)

    def heard_since(self, streams: int) -> float | None:
        """The same, behind so many streams."""
        heard = [one for phone in self.call.phones[streams:] for one in phone.heard(self.call.now)]
        return heard[0].start_s if heard else None

    async def say(self, text: str) -> None:
        """Let the caller be understood so."""
        self.said.append(text)
        await self.peer.say_turn(text)


async def begin(world: World) -> Talk:
    """Place a call, and let its greeting pass."""
    heard = len(world.speech.stt)
    events: list[str] = []
    call = SimulatedCall(Line(world.url, TOKEN), on_event=lambda event: events.append(event.kind))
    await call.place()
    return Talk(call, await world.speech.listener(heard), events)


async def kill(world: World, process: asyncio.subprocess.Process, worker: int | None) -> None:
    """Kill the bridge with SIGKILL, or one of its workers."""
    if worker is None:
        process.kill()
        await process.wait()
    else:
        os.kill(await asyncio.to_thread(_workers_of, process.pid, worker), signal.SIGKILL)


def _workers_of(supervisor: int, number: int) -> int:
    """The process of a worker: the supervisor starts them in their order."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return sorted(map(int, children))[number]


@dataclass
class Round:
    """What was seen of one crash."""

    back_s: list[float]
    """For each call that it broke off: from the kill to the first word heard after it."""
    turns: int = 0
    lost: int = 0
    """Turns that the caller had finished, and that are not in the record or were never answered."""
    doubled: int = 0
    """Turns that are in the record twice, or were answered twice."""
    records: int = 0

    def told(self) -> str:
        """What came of it, for people."""
        back = ", ".join(f"{seconds:.2f}" for seconds in sorted(self.back_s))
        went_on = f"{len(self.back_s)} calls went on after {back} s" if back else "no call was broken off"
        return f"{went_on}; {self.turns} turns in {self.records} records: {self.lost} lost, {self.doubled} doubled"


async def crash(world: World, calls: int, after_s: float, worker: int | None = None) -> Round:
    """Let calls talk to a bridge, kill it, and let them go on; returns what was seen."""
    before = {*world.journals()}
    async with contextlib.AsyncExitStack() as stack:
        process = await stack.enter_async_context(world.serving())
        talks = [await begin(world) for _ in range(calls)]
        for talk in talks:
            stack.push_async_callback(talk.call.hang_up)
        for talk in talks:
            await talk.say(f"first {world.name()}")
        await until(lambda: all(_answered(world, talk) for talk in talks))
        await asyncio.sleep(after_s)
        for talk in talks[::2]:
            await talk.say(f"second {world.name()}")
        await until(lambda: all(_in_journal(world, talk.said[-1]) for talk in talks))
        heard = len(world.speech.stt)
        moments = [talk.call.now for talk in talks]
        await kill(world, process, worker)
        if worker is None:
            await stack.enter_async_context(world.serving())
        broken = await _broken_off(talks)
        await until(lambda: len(world.speech.stt) >= heard + len(broken))
        back = []
        for talk, moment in zip(talks, moments, strict=True):
            if talk in broken:
                await until(functools.partial(_is_back, talk))
                back.append((talk.heard_again() or 0.0) - moment)
        said = [text for talk in talks for text in talk.said]
        for peer in world.speech.stt[heard:]:
            said.append(f"third {world.name()}")
            await peer.say_turn(said[-1])
        await until(lambda: all(_in_journal(world, text) for text in said))
        await until(lambda: all(any(text in one.transcript for one in world.agent.asked) for text in said))
        mine = [path for path in world.journals() if path not in before]
        with contextlib.suppress(TimeoutError):
            await until(lambda: not any(map(_unanswered, mine)))
        await asyncio.gather(*(talk.call.hang_up() for talk in talks))
    await until(lambda: all((path.parent / "timeline.svg").exists() for path in world.journals()))
    return await asyncio.to_thread(_look, mine, said, back)


async def _broken_off(talks: list[Talk]) -> list[Talk]:
    """The calls whose stream broke."""
    await asyncio.sleep(0.5)
    return [talk for talk in talks if "stream_ended" in talk.events]


def _is_back(talk: Talk) -> bool:
    assert "call_ended" not in talk.events, f"the call did not come back: {talk.call.ending}"
    return talk.heard_again() is not None


def _answered(world: World, talk: Talk) -> bool:
    return any(talk.said[-1] in one.transcript for one in world.agent.asked)


def _in_journal(world: World, text: str) -> bool:
    return any(f'"{text}"'.encode() in path.read_bytes() for path in world.journals())


def _answers(entries: list[j.Entry]) -> list[int]:
    """The turns that were answered."""
    spoke = [entry for entry in entries if isinstance(entry, j.AgentSpoke)]
    return [one.turn for one in spoke if one.occasion == "turn.ended" and not one.again]


def _unanswered(journal: Path) -> list[str]:
    """What the caller said in a call and nobody has answered: an answer is for all turns up to its own."""
    _, entries = read_journal(journal)
    answered = max(_answers(entries), default=0)
    return [entry.transcript for entry in entries if isinstance(entry, j.CallerSpoke) and entry.turn > answered]


def _look(journals: list[Path], said: list[str], back: list[float]) -> Round:
    seen = Round(back, turns=len(said), records=len(journals))
    spoken: list[str] = []
    for journal in journals:
        _, entries = read_journal(journal)
        turns = [entry for entry in entries if isinstance(entry, j.CallerSpoke)]
        numbers = [turn.turn for turn in turns]
        assert numbers == [*range(1, len(numbers) + 1)], f"turns are numbered {numbers}"
        spoken += [turn.transcript for turn in turns]
        answers = _answers(entries)
        seen.doubled += len(answers) - len({*answers})
        if unanswered := _unanswered(journal):
            click.echo(f"{journal.parent}: nobody has answered {unanswered}")
        seen.lost += len(unanswered)
    seen.lost += sum(text not in spoken for text in said)
    seen.doubled += len(spoken) - len({*spoken})
    return seen


FLOW = """
steps:
  number: {do: digits, say: "Key in your number.", variable: customer, length: 4, next: sure}
  sure: {do: yes_no, say: "It is {customer:digits}?", yes: thanks, no: number}
  thanks: {do: listen, say: "Thank you, {customer:digits}.", variable: rest, next: thanks}
"""


def _was_asked(world: World, question: str, times: int) -> bool:
    return world.times_spoken(question) == times


def _keeps(world: World, keys: int) -> bool:
    return all(_keys_kept(path) == keys for path in world.journals())


def _heard(talk: Talk, phones: int) -> bool:
    return talk.heard_since(phones) is not None


async def crash_in_flow(world: World) -> list[float]:
    """Kill the bridge while a caller keys in a number, and while they are asked for yes or no.

    Returns for each how long the caller heard nothing; raises TimeoutError where the flow does not go on there.
    """
    back: list[float] = []
    async with contextlib.AsyncExitStack() as stack:
        process = await stack.enter_async_context(world.serving())
        talk = await begin(world)
        for asks, keys in (("Key in your number.", "12"), ("It is 1 2 3 4?", "")):
            await until(functools.partial(_was_asked, world, asks, 1))
            assert await talk.call.wait_for_agent(10, silence_s=0.3)
            await talk.call.digits(keys)
            await until(functools.partial(_keeps, world, len(keys)))
            phones, died = len(talk.call.phones), talk.call.now
            await kill(world, process, None)
            process = await stack.enter_async_context(world.serving())
            await until(functools.partial(_was_asked, world, asks, 2))
            await until(functools.partial(_heard, talk, phones))
            back.append((talk.heard_since(phones) or 0.0) - died)
            if keys:
                await talk.call.digits("1234")
            else:
                peer = world.speech.stt[-1]
                await peer.say_turn("yes")
        await until(lambda: world.times_spoken("Thank you, 1 2 3 4.") == 1)
        await talk.call.hang_up()
    return back


def _keys_kept(journal: Path) -> int:
    return journal.read_bytes().count(b'"entry":"key_pressed"') % 6  # Four of them are the number, keyed in anew.


async def crash_often(folder: Path, calls: int, rounds: int, workers: int, seed: int) -> list[Round]:
    """Crash again and again; returns what was seen each time."""
    chance = random.Random(seed)
    seen = []
    async with world(folder, workers) as made:
        for _ in range(rounds):
            worker = None if workers == 1 else chance.randrange(workers)
            seen.append(await crash(made, calls, chance.uniform(0, 2), worker))
            click.echo(f"crash {len(seen)}: {seen[-1].told()}")
    return seen


async def flow_once(folder: Path) -> list[float]:
    """As `crash_in_flow`, in a world of its own."""
    async with world(folder, flow=FLOW) as made:
        return await crash_in_flow(made)


@click.command()
@click.option("--calls", type=int, default=6, show_default=True, help="Calls that talk at the same time.")
@click.option("--rounds", type=int, default=5, show_default=True, help="How often the bridge is killed.")
@click.option("--workers", type=int, default=1, show_default=True, help="With more than 1, one of them is killed.")
@click.option("--seed", type=int, default=1, show_default=True)
def main(calls: int, rounds: int, workers: int, seed: int) -> None:
    """Kill a bridge in mid-call, start it again, and see how its calls go on."""
    with tempfile.TemporaryDirectory(prefix="resumed-") as folder:
        in_flow = asyncio.run(flow_once(Path(folder)))
        click.echo(f"a flow went on at its step: after {' and '.join(f'{seconds:.2f}' for seconds in in_flow)} s")
    with tempfile.TemporaryDirectory(prefix="resumed-") as folder:
        seen = asyncio.run(crash_often(Path(folder), calls, rounds, workers, seed))
    back = [seconds for one in seen for seconds in one.back_s]
    turns, lost, doubled = (sum(getattr(one, name) for one in seen) for name in ("turns", "lost", "doubled"))
    if back:
        click.echo(
            f"{len(back)} calls broken off in {len(seen)} crashes; from the kill to the next word of the agent:"
            f" median {statistics.median(back):.2f} s, longest {max(back):.2f} s"
        )
    click.echo(f"{turns} turns: {lost} lost, {doubled} doubled")
    if lost or doubled:
        sys.exit(1)


if __name__ == "__main__":
    main()
