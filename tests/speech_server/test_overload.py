"""More to recognise than the processes can: what is left out, what never is, who waits, who is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import numpy as np
import pytest

from bridge.errors import SpeechError
from bridge.speech_server import samples, stt_sockets, worker
from bridge.speech_server.jobs import Recognize
from bridge.speech_server.listening import Listener, StreamAudio
from bridge.speech_server.server import ServerSettings, start
from bridge.speech_server.turns import Ended, Turns, Updated
from bridge.speech_server.waiting import Load
from bridge.speech_server.worker import InferencePool, Priority
from bridge.tasks import spawn
from tests.speech_server.scripted_pool import LoudIsSpeech, ScriptedPool, scripted_pool, settle


def speech(ms: int) -> bytes:
    return samples.to_linear16(np.full(8 * ms, 0.5, np.float32))


def silence(ms: int) -> bytes:
    return bytes(16 * ms)


class Caller:
    """A stream into a pool."""

    def __init__(self, pool: ScriptedPool) -> None:
        self.told: list[Any] = []
        self.listener = Listener(Turns(), StreamAudio("pcm_s16le", 8000), LoudIsSpeech(), pool, self.told.append)

    async def say(self, audio: bytes) -> None:
        await self.listener.hear(audio)
        await settle()

    @property
    def texts(self) -> list[str]:
        return [output.text for output in self.told if isinstance(output, Ended)]


def length_ms(job: Recognize) -> int:
    return len(job.audio) // 16


async def test_a_preview_that_has_waited_shows_what_was_said_by_then(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted_pool(monkeypatch) as pool:
        (process,) = pool.launched
        busy = spawn(pool.recognize(Recognize(0, b"", 8000, 0), Priority.FINAL), name="busy")
        caller = Caller(pool)
        await caller.say(speech(640))  # now a preview is asked for,
        await caller.say(speech(3200))  # and by now it would be three seconds old
        assert len(pool.given) == 1
        process.answer("")
        await busy
        await settle()
        assert [length_ms(job) for job in pool.given] == [0, 3840]


async def test_previews_are_left_out_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five callers speak and stop while the only process is busy: it never does a preview after that."""
    async with scripted_pool(monkeypatch) as pool:
        (process,) = pool.launched
        busy = spawn(pool.recognize(Recognize(0, b"", 8000, 0), Priority.FINAL), name="busy")
        callers = [Caller(pool) for _ in range(5)]
        for caller in callers:
            await caller.say(speech(1600))
        for caller in callers:
            await caller.say(silence(320))
        process.answer("")
        await busy
        for number in range(5):
            await settle()
            assert len(pool.given) == 2 + number
            assert length_ms(pool.given[-1]) > 1600
            process.answer(f"Text {number}.")
        for caller in callers:
            await caller.say(silence(800))
        assert [caller.texts for caller in callers] == [[f"Text {number}."] for number in range(5)]
        assert not any(isinstance(output, Updated) for caller in callers for output in caller.told)


async def test_callers_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """One who speaks all the time gets as many previews as the others, and no more."""
    async with scripted_pool(monkeypatch) as pool:
        (process,) = pool.launched
        callers = [Caller(pool) for _ in range(3)]
        lengths = (640, 1280, 1920)  # by which the callers can be told apart
        for caller, ms in zip(callers, lengths, strict=True):
            await caller.say(speech(ms))
        for _ in range(8):
            for caller in callers:
                await caller.say(speech(640))
            process.answer("and so on")
            await settle()
        whose = [(length_ms(job) - 640) // 640 % 3 for job in pool.given]
        assert len(pool.given) == 9
        for start in range(0, 9, 3):
            assert len({*whose[start : start + 3]}) == 3


async def test_a_text_that_is_late_costs_no_words_and_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a turn's text is waited for, the stream is not heard further: its audio waits where it is."""
    async with scripted_pool(monkeypatch) as pool:
        (process,) = pool.launched
        busy = spawn(pool.recognize(Recognize(0, b"", 8000, 0), Priority.FINAL), name="busy")
        caller = Caller(pool)
        talk = b"".join(speech(1600) + silence(1600) for _ in range(3))
        hearing = spawn(caller.say(talk), name="talk")
        await settle()
        assert not hearing.done()
        process.answer("")
        await busy
        for text in ("One.", "Two.", "Three."):
            while pool.given[-1].voiced_ms < 1500:
                await settle()
                if pool.given[-1].voiced_ms < 1500:
                    process.answer("")  # a preview
            process.answer(text)
            await settle()
        await hearing
        assert caller.texts == ["One.", " Two.", " Three."]


async def test_the_queue_is_as_long_as_there_are_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted_pool(monkeypatch) as pool:
        callers = [Caller(pool) for _ in range(4)]
        for _ in range(20):
            for caller in callers:
                spawn(caller.listener.hear(speech(640) + silence(96)), name="talk")
            await settle()
        assert len(pool._waiting) <= 4
        for caller in callers:
            caller.listener.abort()
        await settle()
        assert len(pool._waiting) == 0


async def test_two_processes_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted_pool(monkeypatch, 2) as pool:
        asked = [spawn(pool.recognize(Recognize(0, b"", 8000, 0), Priority.FINAL), name="asked") for _ in range(3)]
        await settle()
        first, second = pool.launched
        assert (len(first.jobs), len(second.jobs)) == (1, 1)
        second.answer("two")
        await settle()
        assert len(second.jobs) == 2
        second.answer("three")
        first.answer("one")
        assert await asyncio.gather(*asked) == ["one", "two", "three"]


async def test_a_process_that_dies_takes_no_words_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted_pool(monkeypatch) as pool:
        asked = [spawn(pool.recognize(Recognize(0, b"", 8000, 0), Priority.FINAL), name="asked") for _ in range(2)]
        await settle()
        pool.launched[0].kill()
        await settle()
        pool.launched[1].answer("first")
        await settle()
        pool.launched[1].answer("second")
        assert await asyncio.gather(*asked) == ["first", "second"]


async def test_a_job_that_kills_processes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted_pool(monkeypatch) as pool:
        asked = spawn(pool.recognize(Recognize(0, b"", 8000, 0), Priority.FINAL), name="asked")
        for number in range(2):
            await settle()
            pool.launched[number].kill()
        with pytest.raises(SpeechError, match="died"):
            await asked


async def test_a_server_that_is_behind_takes_no_more_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(pool: InferencePool) -> None:
        del pool

    monkeypatch.setattr(InferencePool, "start", at_once)
    monkeypatch.setattr("bridge.speech_server.app.Voices", lambda *_: None)
    monkeypatch.setattr(stt_sockets.SttSockets, "language", lambda *_: "en")
    behind = 0.0
    monkeypatch.setattr(InferencePool, "behind_s", property(lambda _: behind))
    server = await start(ServerSettings(port=0))
    try:
        address = server.url + "/stt/turns/websocket?model=ink-2&encoding=pcm_mulaw&sample_rate=8000"
        async with aiohttp.ClientSession() as session, session.ws_connect(address) as taken:
            behind = 4.2
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(address)
            assert refused.value.status == 429
            behind = 0.3
            async with session.ws_connect(address):
                pass
            await taken.send_str('{"type":"close"}')
            assert (await taken.receive_json())["type"] == "connected"
    finally:
        await server.close()


async def test_a_busy_pool_begins_no_preview_until_it_has_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_LOOK_AGAIN", 0.0)
    async with scripted_pool(monkeypatch) as pool:
        (process,) = pool.launched
        share = 0.9
        monkeypatch.setattr(Load, "share", lambda *_: share)
        caller, other = Caller(pool), Caller(pool)
        await caller.say(speech(1600))
        assert pool.given == []
        await other.say(speech(1600) + silence(320))
        assert len(pool.given) == 1
        process.answer("Words.")
        await settle()
        assert len(pool.given) == 1
        share = 0.1
        await asyncio.sleep(0.001)
        await settle()
        assert len(pool.given) == 2
