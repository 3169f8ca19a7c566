"""The manual socket: against a scripted service, and against the offline speech server with recorded speech."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jiwer
import pytest
from aiohttp import WSMsgType, web

from bridge.audio import codec, wav
from bridge.conversation import events as on
from bridge.conversation.actions import Tuning
from bridge.errors import ProtocolError, SettingsError, SpeechError
from bridge.stt.base import Recognizer
from bridge.stt.cartesia_connection import CartesiaConnection
from bridge.stt.cartesia_manual import CartesiaManual, CartesiaManualSettings, ManualDialect, check_manual
from bridge.tasks import spawn
from tests.serving import served

VOICE = bytes([0x90] * 4 + [0x10] * 4) * 100
"""100 ms of a loud tone: speech for the energy detector."""


class Told:
    """What a recogniser emitted, and when."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.times: list[float] = []
        self._news = asyncio.Event()

    def __call__(self, event: on.RecognizerEvent) -> None:
        self.events.append(event)
        self.times.append(asyncio.get_running_loop().time())
        self._news.set()

    async def until(self, kind: type) -> Any:
        while not isinstance(last := self.events[-1] if self.events else None, kind):
            self._news.clear()
            await self._news.wait()
        return last

    def turns(self) -> list[Any]:
        return [event for event in self.events if not isinstance(event, on.RecognizerConnected | on.TurnUpdated)]

    def at(self, kind: type) -> float:
        return next(at for event, at in zip(self.events, self.times, strict=True) if isinstance(event, kind))


class Service:
    """A scripted `/stt/websocket`: answers each text frame by `script`, and keeps what came."""

    def __init__(self) -> None:
        self.url = ""
        self.queries: list[str] = []
        self.audio = b""
        self.words: list[str] = []
        self.greeting: list[str] = []
        self.script: Callable[[str], list[dict[str, Any]]] = lambda _: []
        self.sockets: list[web.WebSocketResponse] = []

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        self.queries.append(request.rel_url.raw_query_string)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        for text in self.greeting:
            await socket.send_str(text)
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                self.audio += message.data
            elif message.type is WSMsgType.TEXT:
                self.words.append(message.data)
                for answer in self.script(message.data):
                    await socket.send_json(answer)
                if message.data == "close":
                    break
        return socket


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    scripted = Service()
    app = web.Application()
    app.router.add_get("/stt/websocket", scripted.handle)
    async with served(app) as scripted.url:
        yield scripted


def final(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "transcript", "is_final": True, "text": text, "request_id": "r", **more}


def answers(**texts: list[dict[str, Any]]) -> Callable[[str], list[dict[str, Any]]]:
    def script(word: str) -> list[dict[str, Any]]:
        said = texts.pop(word, [])
        return [*said, {"type": "flush_done"}] if word == "finalize" else [*said, {"type": "done"}]

    return script


def settings(service: Service, **changes: Any) -> CartesiaManualSettings:
    return CartesiaManualSettings(service.url, **{"detector": "energy", **changes})


async def talk(recognizer: Recognizer, *, voice_ms: int, silence_ms: int) -> None:
    """Twice as fast as in life; the session slows it down to its own pace."""
    for piece in (
        [codec.silence(100)] * 3 + [VOICE] * (voice_ms // 100) + [codec.silence(100)] * (silence_ms // 100)
    ):
        recognizer.send(piece)
        await asyncio.sleep(0.05)


async def test_a_turn_and_what_goes_over_the_wire(service: Service) -> None:
    told = Told()
    service.script = answers(finalize=[final("Hello")], close=[final(" there.")])
    factory = CartesiaManual(
        settings(service, keyterms=("Mr. Ray",), language="en", encoding="pcm_s16le", headers={"X-Own": "1"})
    )
    recognizer = factory.open(told, name="caller")
    await talk(recognizer, voice_ms=400, silence_ms=1200)
    await told.until(on.TurnEnded)
    recognizer.send(VOICE * 2)
    await recognizer.finish()
    await factory.close()
    assert service.queries == ["model=ink-2&encoding=pcm_s16le&sample_rate=8000&language=en&keyterm=Mr.%20Ray"]
    assert service.words == ["finalize", "close"]
    quiet = codec.mulaw_to_linear16(codec.silence(300))
    assert service.audio.startswith(quiet + codec.mulaw_to_linear16(VOICE * 4) + quiet)
    assert told.turns() == [
        on.TurnStarted(),
        on.TurnEagerlyEnded("Hello"),
        on.TurnEnded("Hello"),
        on.TurnStarted(),
        on.TurnEnded(" there."),
        on.RecognizerClosed(),
    ]


async def test_whatever_else_the_service_says_is_survived(service: Service) -> None:
    told = Told()
    service.greeting = ['{"type":"connected","request_id":"r"}', "hello", '{"type":"new"}', '{"type":"turn.start"}']
    listed = {"words": ["Good", "bye."], "start": [0.1, 0.2], "end": [0.2, 0.3]}
    service.script = answers(
        finalize=[final("Good", words=[{"word": "Good", "start": 0.1, "end": 0.2}]), final("bye.", words=[listed])],
        close=[{"type": "flush_done"}, final("", words=7)],
    )
    factory = CartesiaManual(settings(service))
    recognizer = factory.open(told, name="caller")
    await talk(recognizer, voice_ms=300, silence_ms=1200)
    await told.until(on.TurnEnded)
    await recognizer.finish()
    await factory.close()
    assert told.turns() == [
        on.TurnStarted(),
        on.TurnEagerlyEnded("Goodbye."),
        on.TurnEnded("Goodbye."),
        on.RecognizerClosed(),
    ]


async def test_an_open_turn_ends_though_the_line_has_gone_quiet(service: Service) -> None:
    told = Told()
    service.script = answers(finalize=[final("Hello.")])
    factory = CartesiaManual(settings(service))
    recognizer = factory.open(told, name="caller")
    await talk(recognizer, voice_ms=400, silence_ms=0)
    assert (await asyncio.wait_for(told.until(on.TurnEnded), 5)).transcript == "Hello."
    await recognizer.abort()
    await factory.close()


async def test_another_language_waits_for_the_end_of_the_turn(service: Service) -> None:
    told = Told()
    service.script = lambda word: [final("Ja."), {"type": "flush_done" if word == "finalize" else "done"}]
    factory = CartesiaManual(settings(service, model="ink-whisper", language="en"))
    recognizer = factory.open(told, name="caller")
    await talk(recognizer, voice_ms=400, silence_ms=0)
    recognizer.tune(Tuning(language="de"))
    await talk(recognizer, voice_ms=400, silence_ms=1200)
    await told.until(on.TurnEnded)
    assert len(service.queries) == 1
    told.events.clear()
    await told.until(on.RecognizerConnected)
    assert [query.rpartition("=")[2] for query in service.queries] == ["en", "de"]
    service.audio = b""
    await talk(recognizer, voice_ms=400, silence_ms=1200)
    assert (await told.until(on.TurnEnded)).transcript == "Ja."
    assert VOICE * 4 in service.audio
    await recognizer.abort()
    await factory.close()


async def test_check(service: Service) -> None:
    service.greeting = ["nonsense"]
    service.script = answers()
    await check_manual(settings(service))
    service.greeting = [json.dumps({"type": "error", "status_code": 401, "message": "bad key"})]
    with pytest.raises(SpeechError, match="bad key") as caught:
        await check_manual(settings(service))
    assert caught.value.final


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"encoding": "opus"}, "encoding is 'opus'"),
        ({"model": "ink-whisper", "keyterms": ("Ray",)}, "keyterms is .* ink-whisper cannot"),
        ({"language": "de"}, "language is 'de', and ink-2 cannot do that"),
        ({"min_volume": 0.2}, "min_volume is 0.2, and ink-2 cannot"),
        ({"base_url": "nowhere"}, "base_url"),
    ],
)
def test_wrong_settings(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        CartesiaManualSettings(**{"base_url": "http://localhost", **wrong})


def dialect(**changes: Any) -> ManualDialect:
    made = CartesiaManual(CartesiaManualSettings("http://localhost", **changes))._dialect
    assert isinstance(made, ManualDialect)
    return made


def test_tuning_asks_for_another_connection_only_if_something_changes() -> None:
    old = dialect(keyterms=("Ray",), language="en")
    new = old.tuned(Tuning(model="ink-whisper", language="de"))
    assert new.query() == "model=ink-whisper&encoding=pcm_mulaw&sample_rate=8000&language=de"
    assert new != old
    assert old.tuned(Tuning(start_threshold=0.7, language="en")) == old
    assert new.tuned(Tuning(model="ink-2", keyterms=("Ray",))).query().endswith("sample_rate=8000&keyterm=Ray")


@pytest.mark.parametrize(
    "tuning",
    [Tuning(language="de"), Tuning(keyterms=("",)), Tuning(model="ink-whisper", keyterms=("Ray",))],
)
def test_forbidden_tuning(tuning: Tuning) -> None:
    with pytest.raises(ProtocolError):
        dialect().tuned(tuning)


# --- recorded speech and the offline speech server -----------------------------------------------------------


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    command = [sys.executable, "-m", "bridge.speech_server", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.send_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def dickens() -> bytes:
    """A man who reads from "A Tale of Two Cities" over the phone."""
    spec = find_spec("moonshine_voice")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "assets" / "two_cities.wav"
    return wav.read_mulaw(path.read_bytes(), name=path.name)


def part(sound: bytes, from_s: float, to_s: float) -> bytes:
    return sound[int(from_s * 8000) : int(to_s * 8000)]


async def speak(recognizer: Recognizer, sound: bytes) -> float:
    """In real time, as the phone does; the moment of the first frame."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for start in range(0, len(sound), 160):
        recognizer.send(sound[start : start + 160])
        await asyncio.sleep(max(0.0, began + (start + 160) / 8000 - loop.time()))
    return began


def error_rate(said: str, heard: str) -> float:
    return float(jiwer.wer(said, re.sub(r"[^a-z ]", "", heard.lower()).strip()))


@dataclass
class Sentence:
    """What a caller says, with silence around it; it shall be one turn, whatever happens to the socket."""

    sound: bytes
    words: str
    told: Told = field(default_factory=Told)

    async def say(self, url: str, *, drop_after_s: float | None = None, **changes: Any) -> None:
        told = self.told
        factory = CartesiaManual(CartesiaManualSettings(url, **changes))
        recognizer = factory.open(told, name=str(changes))
        await told.until(on.RecognizerConnected)
        talking = spawn(speak(recognizer, codec.silence(500) + self.sound + codec.silence(2500)), name="caller")
        if drop_after_s is not None:
            await asyncio.sleep(0.5 + drop_after_s)
            (session,) = factory._sessions
            assert isinstance(session._connection, CartesiaConnection)
            session._connection._socket.transport.abort()
        began = await talking
        await recognizer.finish()
        await factory.close()
        (ended,) = [event for event in told.events if isinstance(event, on.TurnEnded)]
        assert error_rate(self.words, ended.transcript) <= 0.1
        assert told.events.count(on.TurnStarted()) == 1
        frames = range(0, len(self.sound), 80)
        first_s = next(i for i in frames if codec.level_db(self.sound[i : i + 80]) > -40) / 8000
        assert 0 < told.at(on.TurnStarted) - began - 0.5 - first_s < 0.5


async def test_a_sentence_is_one_turn(server_url: str, dickens: bytes) -> None:
    words = "it was the spring of hope it was the winter of despair"
    one, two = (Sentence(part(dickens, 17, 21.15), words) for _ in range(2))
    await asyncio.gather(
        # A long pause, so that the answer is in before it is over, however busy the machine.
        one.say(server_url, detector="energy", pause_ms=1500),
        two.say(server_url, detector="silero", pause_ms=1500, encoding="pcm_f16le"),
    )
    for sentence in (one, two):
        kinds = [type(event) for event in sentence.told.turns()]
        assert kinds[-3:] == [on.TurnEagerlyEnded, on.TurnEnded, on.RecognizerClosed]


async def test_a_sentence_is_one_turn_though_the_socket_is_dropped_in_it(server_url: str, dickens: bytes) -> None:
    one, two = (Sentence(part(dickens, 6.4, 8.2), "it was the age of foolishness") for _ in range(2))
    await asyncio.gather(
        one.say(server_url, drop_after_s=0.7, detector="energy"), two.say(server_url, drop_after_s=1.5)
    )
    for sentence in (one, two):
        assert any(isinstance(event, on.RecognizerLost) for event in sentence.told.events)


async def test_the_last_word_before_the_hang_up_is_kept(server_url: str, dickens: bytes) -> None:
    told = Told()
    factory = CartesiaManual(CartesiaManualSettings(server_url))
    recognizer = factory.open(told, name="caller")
    await told.until(on.RecognizerConnected)
    await speak(recognizer, part(dickens, 6.4, 8.2))
    await recognizer.finish()
    await factory.close()
    assert [type(event) for event in told.events[-2:]] == [on.TurnEnded, on.RecognizerClosed]
    assert error_rate("it was the age of foolishness", told.events[-2].transcript) == 0
