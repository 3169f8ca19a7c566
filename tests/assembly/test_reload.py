"""A running bridge takes changed settings: new calls go by them, live ones keep what they have."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.agents.base import Agent
from bridge.assembly.profiles import Openers, Profiles
from bridge.assembly.reload import Reloader
from bridge.assembly.shared import Shared
from bridge.call.registry import Registry
from bridge.call.session import Session
from bridge.call.sounds import Sounds
from bridge.conversation.events import RecognizerClosed
from bridge.metrics import Metrics
from bridge.settings import Settings
from bridge.settings.source import load_settings
from bridge.stt.base import RecognizerFactory
from bridge.tts.base import Synthesizer
from bridge.tts.prompts import Prompt, PromptCache
from bridge.tts.tone import ToneVoice
from tests.call.peers import Clock, KeptStore, Recognizers, settle
from tests.scripted_speech import Peer, ScriptedSpeech
from tests.two_people import two_people

TOKEN = "0123456789abcdef0123456789abcdef"
SHOP, DESK = "+15550100002", "+15550100003"


class Closing(Recognizers):
    """Scripted recognisers that remember whether they were closed, and for which settings they were opened."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.closed = 0

    async def close(self) -> None:
        self.closed += 1


class World:
    """Everything that follows the settings, with what was opened for it."""

    def __init__(self, **sections: Any) -> None:
        self.opened: list[Closing] = []
        self.spoken: list[PromptCache] = []
        self.wanted: Mapping[str, Any] = sections
        self.mistake = ""
        settings = self.load()
        self.profiles = Profiles(settings, Openers(self.listen, self.speak, lambda _: Sounds()), Metrics())
        self.registry = Registry(self.profiles.of, KeptStore())
        self.told: list[Settings] = []
        self.reloader = Reloader(
            settings, self.load, self.profiles, self.registry, before=self.told.append, after=self.told.append
        )

    def load(self) -> Settings:
        return load_settings(environment={}, files=(), overrides={"agent": {"kind": "echo"}, **self.wanted})

    def listen(self, settings: Settings) -> RecognizerFactory:
        self.opened.append(Closing(settings))
        return self.opened[-1]

    def speak(self, _: Settings) -> Synthesizer:
        self.spoken.append(PromptCache(ToneVoice(), ()))
        return self.spoken[-1]

    async def take(self, **sections: Any) -> bool:
        self.wanted = sections
        return await self.reloader.reload()

    def call(self, sid: str, called: str) -> Session:
        return self.registry.open(sid, caller="+1", called=called, direction="inbound", parameters={})


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    for session in world.registry.live.values():
        over(session)
    await world.registry.close(within_s=5)
    await world.profiles.close()


def number(called: str, **own: Any) -> dict[str, Any]:
    return {"number": called, **own}


class TestProfiles:
    async def test_numbers_with_the_same_speech_to_text_share_it(self, world: World) -> None:
        german = {"language": "de"}
        await world.take(
            numbers=[number(SHOP, stt=german), number(DESK, stt=german), number("+15550100004", tts={"voice": "v"})]
        )
        shop, desk, other, rest = (world.profiles.of(f"+1555010000{last}").peers for last in (2, 3, 4, 9))
        assert shop.recognizers is desk.recognizers
        assert other.recognizers is rest.recognizers
        assert shop.recognizers is not rest.recognizers
        assert [one.settings.stt.language for one in world.opened] == ["en", "de"]
        assert shop.synthesizer is other.synthesizer
        assert other.voice == "v"

    async def test_a_log_number_asks_nobody(self, world: World) -> None:
        await world.take(
            turns={"max_call_seconds": 600.0},
            transfer={"caller_id": "+15550100077", "failed": "Nobody there."},
            numbers=[
                number(
                    SHOP,
                    mode="log",
                    forward_to="client:ann",
                    announcement="Hi.",
                    agent={"kind": "webhook", "url": "http://127.0.0.1:1/"},
                    hours={"open": "mon 09:00-10:00", "closed": "Closed.", "closed_forward_to": DESK},
                )
            ],
        )
        profile = world.profiles.of(SHOP)
        assert (profile.agent_kind, profile.peers.agent, profile.policy.agent) == ("log", None, False)
        assert profile.listening.max_call_s == 600
        how = profile.answering
        assert (how.mode, how.forward_to, how.announcement) == ("log", "client:ann", "Hi.")
        assert (how.caller_id, how.not_reached, how.longest_s) == ("+15550100077", "Nobody there.", 600)
        assert how.closed is not None
        assert (how.closed.say, how.closed.forward_to) == ("Closed.", DESK)
        assert world.profiles.of(DESK).answering.closed is None

    async def test_a_new_sentence_is_prepared_and_the_old_ones_are_kept(self, world: World) -> None:
        (cache,) = world.spoken
        world.profiles.start()
        await prepared(cache)
        await world.take(turns={"filler": "A moment."})
        assert world.spoken == [cache]
        await prepared(cache)
        voice = world.profiles.of(SHOP).peers.voice
        for text in ("A moment.", "One moment, please."):
            assert cache.find(Prompt(text, voice, "en")) is not None


async def prepared(cache: PromptCache) -> None:
    async with asyncio.timeout(5):
        while cache.missing:  # noqa: ASYNC110  Nobody is told when it is there.
            await asyncio.sleep(0.001)


class TestReloading:
    async def test_new_calls_go_by_the_new_settings_and_live_ones_keep_theirs(self, world: World) -> None:
        old = world.call("CA1", SHOP)
        with capture_logs() as logs:
            assert await world.take(stt={"language": "de"}, turns={"filler": "Moment."})
        new = world.call("CA2", SHOP)
        first, second = world.opened
        assert (old.uses(first), old.uses(second)) == (True, False)
        assert (new.uses(first), new.uses(second)) == (False, True)
        assert world.registry.profile_of(SHOP).policy.filler == "Moment."
        taken = next(line for line in logs if line["event"] == "settings_taken")
        assert (taken["changed"], taken["live_calls"]) == (["stt.language", "turns.filler"], 1)
        assert world.told == [world.reloader.settings] * 2

    async def test_what_nobody_uses_any_more_is_closed_when_its_last_call_is_over(self, world: World) -> None:
        old, later = world.call("CA1", SHOP), world.call("CA2", DESK)
        await world.take(stt={"language": "de"})
        await settle()
        (first, second) = world.opened
        for session in (old, later):
            assert first.closed == 0
            over(session)
            await session.ended.wait()
            await settle()
        assert (first.closed, second.closed) == (1, 0)

    async def test_without_calls_it_is_closed_at_once(self, world: World) -> None:
        agent = world.profiles.of(SHOP).peers.agent
        assert agent is not None
        closings: list[int] = []
        agent.close = lambda: note(closings)  # type: ignore[method-assign]  # It is only looked at.
        await world.take(agent={"kind": "none"}, stt={"language": "de"})
        await settle()
        assert (world.opened[0].closed, closings) == (1, [1])
        assert world.profiles.of(SHOP).peers.agent is None

    async def test_what_has_not_changed_stays_open(self, world: World) -> None:
        peers = world.profiles.of(SHOP).peers
        assert await world.take(turns={"filler": "Moment."})
        assert await world.take(turns={"filler": "Moment."}, numbers=[number(SHOP, agent={"greeting": "Hi."})])
        await settle()
        after = world.profiles.of(DESK).peers
        assert (after.agent, after.recognizers, after.synthesizer) == (
            peers.agent,
            peers.recognizers,
            peers.synthesizer,
        )
        assert [one.closed for one in world.opened] == [0]

    async def test_wrong_settings_are_refused_with_their_mistakes(self, world: World) -> None:
        before = world.profiles.of(SHOP)
        with capture_logs() as logs:
            assert not await world.take(
                turns={"filler_seconds": -1}, numbers=[number(SHOP, mode="log"), number(DESK, forward_to="x")]
            )
        mistakes = [line["mistake"] for line in logs if line["event"] == "settings_refused"]
        assert len(mistakes) == 3
        assert any("turns.filler_seconds" in line for line in mistakes)
        assert any("numbers.1.forward_to" in line and "mode log" in line for line in mistakes)
        assert world.profiles.of(SHOP) is before
        assert world.told == []

    async def test_an_agent_that_cannot_work_is_refused_and_nothing_stays_open_for_it(self, world: World) -> None:
        before = world.profiles.of(SHOP)
        with capture_logs() as logs:
            wrong = number(SHOP, agent={"kind": "python", "url": "no_such:agent"})
            assert not await world.take(stt={"language": "de"}, numbers=[wrong])
        assert [line["event"] for line in logs if line["log_level"] == "error"] == ["settings_refused"]
        assert world.profiles.of(SHOP) is before
        assert [one.closed for one in world.opened] == [0, 1]
        assert await world.take(stt={"language": "fr"})

    async def test_a_flow_file_that_was_changed_is_another_flow(self, world: World, tmp_path: Path) -> None:
        flow = tmp_path / "flow.yaml"
        flow.write_text("steps:\n  bye: {do: hang_up, say: Bye.}\n")
        agents: list[Agent | None] = []
        for text in ("steps:\n  bye: {do: hang_up, say: Good-bye.}\n", "steps:\n  bye: {do: hang}\n"):
            assert await world.take(agent={"url": str(flow)}) or len(agents) == 2
            agents.append(world.profiles.of(SHOP).peers.agent)
            assert await world.take(agent={"url": str(flow)})
            assert world.profiles.of(SHOP).peers.agent is agents[-1]
            flow.write_text(text)
        assert agents[0] is not agents[1]
        with capture_logs() as logs:
            assert not await world.take(agent={"url": str(flow)})
        assert any("flow.yaml" in line.get("mistake", "") for line in logs)
        assert world.profiles.of(SHOP).peers.agent is agents[1]

    async def test_what_needs_a_restart_is_named_and_not_taken(self, world: World) -> None:
        with capture_logs() as logs:
            assert await world.take(
                server={"port": 9090, "drain_seconds": 7},
                store={"record_audio": False},
                turns={"filler": "Moment."},
            )
        (line,) = [line for line in logs if line["event"] == "settings_need_a_restart"]
        assert line["settings"] == ["server.port", "server.drain_seconds", "store.record_audio"]
        assert world.reloader.settings.server.port == 8080
        assert world.reloader.settings.turns.filler == "Moment."

    async def test_the_logs_do_not_show_secrets(self, world: World) -> None:
        with capture_logs() as logs:
            await world.take(agent={"kind": "echo", "secret": "whsec_verysecret"}, api={"token": "verysecret"})
        assert "verysecret" not in str(logs)


def over(session: Session) -> None:
    """End a call, whose recogniser has nothing more to say."""
    session.stop("caller")
    session.take(RecognizerClosed())


async def note(closings: list[int]) -> None:
    closings.append(1)


class Failing(Agent):
    """An agent whose end fails."""

    async def close(self) -> None:
        raise ZeroDivisionError


async def test_what_is_let_go_can_be_asked_about_its_last_call_for_a_while() -> None:
    clock, over = Clock(), asyncio.Event()
    shared: Shared[Closing] = Shared("speech to text", linger_s=10)
    thing = shared.get(1, lambda: Closing(Settings()))
    shared.keep([], lambda _: [over])
    over.set()
    await clock.forward(9)
    assert (shared.all, shared.everything, thing.closed) == ([], [thing], 0)
    await clock.forward(2)
    assert (shared.everything, thing.closed) == ([], 1)


async def test_a_fault_at_the_end_of_one_thing_is_logged_and_ends_there() -> None:
    shared: Shared[Agent] = Shared("agent")
    shared.get(1, Failing)
    with capture_logs() as logs:
        shared.keep([], lambda _: [])
        await settle()
    assert [line["event"] for line in logs] == ["shared_leaves", "shared_not_closed"]
    await shared.close()


# --- a real process ----------------------------------------------------------------------------------------


def toml(folder: Path, speech: str, *, language: str, forward_to: str = DESK, port: int = 0) -> str:
    return f"""
[server]
port = {port}
[twilio]
auth_token = "{TOKEN}"
[speech]
base_url = "{speech}"
api_key = "sk_test"
[agent]
kind = "echo"
[store]
recordings = "{folder / "calls"}"
[log]
format = "json"
[[numbers]]
number = "{SHOP}"
mode = "log"
forward_to = "{forward_to}"
announcement = "In {language}."
"""


@contextlib.asynccontextmanager
async def serving(config: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run `phone-bridge serve`, and return the process and its address."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", "serve", "--config", str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            ready = (await process.stdout.readline()).decode()
        yield process, ready.rsplit(" ", 1)[-1].strip()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def logged(process: asyncio.subprocess.Process, event: str) -> dict[str, Any]:
    """Read the log up to the next line of this event."""
    assert process.stderr is not None
    async with asyncio.timeout(15):
        while line := await process.stderr.readline():
            found: dict[str, Any] = json.loads(line)
            if found["event"] == event:
                return found
    raise AssertionError(f"the log ended without {event}")


async def test_a_live_call_lives_through_a_change_of_the_file(tmp_path: Path) -> None:
    config = tmp_path / "bridge.toml"
    async with ScriptedSpeech().running() as speech:
        config.write_text(toml(tmp_path, speech.url, language="English"))
        async with (
            serving(config) as (process, url),
            two_people(url, TOKEN, called=SHOP) as old,
            two_people(url, TOKEN, called=SHOP, sid="CA" + "8" * 32) as new,
        ):
            document = await old.begin()
            assert document[0].text == "In English."
            await old.talk(b"\x01" * 1600, b"\x02" * 1600)
            caller = await callers(speech, b"\x01")

            config.write_text(toml(tmp_path, speech.url, language="German", forward_to="boss"))
            process.send_signal(signal.SIGHUP)
            refused = await logged(process, "settings_refused")
            assert "numbers.1.forward_to" in refused["mistake"]
            assert (await old.ask("/twilio/voice"))[0].text == "In English."

            config.write_text(
                toml(tmp_path, speech.url, language="German", forward_to="sip:ann@pbx.example.com", port=9)
            )
            process.send_signal(signal.SIGHUP)
            taken = await logged(process, "settings_taken")
            assert (taken["changed"], taken["live_calls"]) == (["numbers"], 1)
            assert (await logged(process, "settings_need_a_restart"))["settings"] == ["server.port"]

            document = await new.begin()
            assert (document[0].text, document[2][0].tag) == ("In German.", "Sip")
            # The call that lives is the one it was: the same sockets, and its words are kept.
            await old.talk(b"\x03" * 800, b"\x04" * 800)
            await caller.has_audio(2400)
            await caller.say_turn("Still here.")
            await old.hang_up()
            await new.hang_up()
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 15) == 0
    texts = [path.read_text() for path in tmp_path.rglob("transcript.txt")]
    assert len(texts) == 2
    assert sum("Still here." in text and f"connected with {DESK}" in text for text in texts) == 1
    assert sum("connected with sip:ann@pbx.example.com" in text for text in texts) == 1


async def callers(speech: ScriptedSpeech, first: bytes) -> Peer:
    for number_ in (0, 1):
        peer = await speech.listener(number_)
        if (await peer.has_audio(800)).startswith(first):
            return peer
    raise AssertionError("nobody hears the caller")
