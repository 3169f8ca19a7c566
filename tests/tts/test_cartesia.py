"""The synthesiser against a scripted service over real sockets."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from structlog.testing import capture_logs

from bridge.conversation.events import (
    SpeechArrived,
    SpeechEvent,
    SpeechFailed,
    SpeechFinished,
    Word,
    WordsTimed,
)
from bridge.errors import SettingsError, SpeechError
from bridge.tts.cartesia import CartesiaSpeech, CartesiaSpeechSettings, check_tts

KEY = "sk_car_test"
Build = Callable[..., CartesiaSpeech]


class Line:
    """One connection, as the service sees it."""

    def __init__(self, request: web.Request, ws: web.WebSocketResponse) -> None:
        self.request = request
        self.ws = ws
        self.asked: list[dict[str, Any]] = []
        self.ended = asyncio.Event()
        self._news = asyncio.Event()

    async def requests(self, count: int) -> list[dict[str, Any]]:
        """The first `count` messages of the client, as soon as they are there."""
        while len(self.asked) < count:
            self._news.clear()
            await self._news.wait()
        return self.asked[:count]

    async def say(self, *messages: dict[str, Any] | str) -> None:
        for message in messages:
            await self.ws.send_str(message if isinstance(message, str) else json.dumps(message))

    async def speak(self, context_id: str, *pieces: bytes, done: bool = False) -> None:
        for piece in pieces:
            data = base64.b64encode(piece).decode()
            await self.say(
                {"type": "chunk", "context_id": context_id, "data": data, "done": False, "status_code": 206}
            )
        if done:
            await self.say({"type": "done", "context_id": context_id, "done": True, "status_code": 206})

    def drop(self) -> None:
        """As a network does."""
        if self.request.transport is not None:
            self.request.transport.abort()

    async def listen(self) -> None:
        async for message in self.ws:
            assert message.type is WSMsgType.TEXT
            self.asked.append(json.loads(message.data))
            self._news.set()


class Service:
    def __init__(self) -> None:
        self.url = ""
        self.requests: list[web.Request] = []
        self.lines: list[Line] = []
        self.refusals: list[web.Response] = []
        self._news = asyncio.Condition()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self.refusals:
            return self.refusals.pop(0)
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        line = Line(request, ws)
        async with self._news:
            self.lines.append(line)
            self._news.notify_all()
        try:
            await line.listen()
        finally:
            line.ended.set()
        return ws

    async def line(self, number: int = 0) -> Line:
        async with self._news:
            await self._news.wait_for(lambda: len(self.lines) > number)
        return self.lines[number]


class Heard:
    """What a voice emitted."""

    def __init__(self) -> None:
        self.events: list[SpeechEvent] = []
        self._news = asyncio.Event()

    def __call__(self, event: SpeechEvent) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, count: int) -> list[SpeechEvent]:
        while len(self.events) < count:
            self._news.clear()
            await self._news.wait()
        return self.events[:count]

    def audio(self, utterance: int) -> bytes:
        return b"".join(
            event.audio
            for event in self.events
            if isinstance(event, SpeechArrived) and event.utterance == utterance
        )


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    scripted = Service()
    app = web.Application()
    app.router.add_get("/tts/websocket", scripted.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    scripted.url = f"http://{host}:{port}"
    yield scripted
    for line in scripted.lines:
        line.drop()
    await runner.cleanup()


@pytest.fixture
async def speech(service: Service) -> AsyncIterator[Build]:
    built: list[CartesiaSpeech] = []

    def build(**settings: Any) -> CartesiaSpeech:
        built.append(
            CartesiaSpeech(CartesiaSpeechSettings(**{"base_url": service.url, "api_key": KEY, **settings}))
        )
        return built[-1]

    before = asyncio.all_tasks()
    yield build
    for synthesizer in built:
        await synthesizer.close()
    left = [task.get_name() for task in asyncio.all_tasks() - before if task.get_name().startswith("tts")]
    assert left == []


@pytest.fixture
async def heard() -> Heard:
    return Heard()


async def test_the_handshake_and_the_request(service: Service, speech: Build, heard: Heard) -> None:
    voice = speech(voice="v1").open(heard, name="call")
    voice.speak(1, "Good morning.", more=False)
    line = await service.line()
    assert line.request.headers["X-API-Key"] == KEY
    assert line.request.headers["Cartesia-Version"] == "2026-03-01"
    assert "Sec-WebSocket-Extensions" not in line.request.headers
    assert line.request.rel_url.raw_query_string == ""
    assert await line.requests(1) == [
        {
            "context_id": "call-1",
            "model_id": "sonic-latest",
            "transcript": "Good morning.",
            "voice": {"mode": "id", "id": "v1"},
            "output_format": {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000},
            "continue": False,
            "language": "en",
            "max_buffer_delay_ms": 0,
            "add_timestamps": True,
            "use_normalized_timestamps": False,
        }
    ]


async def test_voice_and_language_of_an_utterance(service: Service, speech: Build, heard: Heard) -> None:
    voice = speech(version="2026-08-14").open(heard, name="call")
    voice.speak(1, "Buenos ", more=True, voice="v2", language="es")
    voice.speak(1, "días.", more=False, voice="v2", language="es")
    for request in await (await service.line()).requests(2):
        assert request["voice"] == {"id": "v2"}
        assert request["language"] == "es"


async def test_audio_and_words_as_they_come(service: Service, speech: Build, heard: Heard) -> None:
    voice = speech().open(heard, name="call")
    voice.speak(1, "Sure, ", more=True)
    voice.speak(1, "here.", more=True)
    voice.speak(1, "", more=False)
    line = await service.line()
    requests = await line.requests(3)
    assert [(r["context_id"], r["transcript"], r["continue"]) for r in requests] == [
        ("call-1", "Sure, ", True),
        ("call-1", "here.", True),
        ("call-1", "", False),
    ]
    await line.speak("call-1", b"\x01\x02\x03", b"")
    words = {"words": ["Sure,", "here."], "start": [0.0, 0.4], "end": [0.3, 0.7]}
    await line.say({"type": "timestamps", "context_id": "call-1", "word_timestamps": words})
    await line.say({"type": "flush_done", "context_id": "call-1", "flush_done": True, "flush_id": 1})
    await line.speak("call-1", b"\x04", done=True)
    assert await heard.until(4) == [
        SpeechArrived(1, b"\x01\x02\x03"),
        WordsTimed(1, (Word("Sure,", 0.0, 0.3), Word("here.", 0.4, 0.7))),
        SpeechArrived(1, b"\x04"),
        SpeechFinished(1),
    ]
    voice.speak(1, "Too late.", more=False)
    voice.speak(2, "Next.", more=False)
    assert (await line.requests(4))[3]["context_id"] == "call-2"


async def test_many_calls_share_one_socket(service: Service, speech: Build) -> None:
    synthesizer, calls = speech(), 120
    listeners = [Heard() for _ in range(calls)]
    for n, listener in enumerate(listeners):
        synthesizer.open(listener, name=f"call{n}").speak(1, f"Number {n}.", more=False)
    line = await service.line()
    await line.requests(calls)
    for part in range(2):
        for n in range(calls):
            await line.speak(f"call{n}-1", bytes([n, part]), done=part == 1)
    for n, listener in enumerate(listeners):
        await listener.until(3)
        assert listener.audio(1) == bytes([n, 0, n, 1])
        assert listener.events[-1] == SpeechFinished(1)
    assert len(service.lines) == 1


async def test_a_cancelled_utterance_is_silent_whatever_comes(
    service: Service, speech: Build, heard: Heard
) -> None:
    voice = speech().open(heard, name="call")
    voice.speak(1, "A long story.", more=True)
    line = await service.line()
    await line.requests(1)
    await line.speak("call-1", b"\x01")
    await heard.until(1)
    voice.cancel(1)
    voice.cancel(1)
    voice.speak(1, "It goes on.", more=False)
    voice.speak(2, "Yes?", more=False)
    requests = await line.requests(3)
    assert requests[1] == {"context_id": "call-1", "cancel": True}
    assert requests[2]["context_id"] == "call-2"
    await line.speak("call-1", b"\x02", done=True)
    await line.say({"type": "error", "context_id": "call-1", "message": "cancelled", "status_code": 400})
    await line.speak("call-2", b"\x03", done=True)
    assert (await heard.until(3))[1:] == [SpeechArrived(2, b"\x03"), SpeechFinished(2)]


async def test_what_was_not_sent_yet_is_taken_back(service: Service, speech: Build, heard: Heard) -> None:
    voice = speech().open(heard, name="call")
    voice.speak(1, "Never mind.", more=False)
    voice.cancel(1)
    voice.speak(2, "Hello.", more=False)
    line = await service.line()
    await line.requests(1)
    await line.speak("call-2", done=True)
    await heard.until(1)
    voice.speak(3, "Never mind, with the socket up.", more=False)
    voice.cancel(3)
    voice.speak(4, "Hello again.", more=False)
    assert [request["context_id"] for request in await line.requests(2)] == ["call-2", "call-4"]


async def test_a_context_that_is_done_is_not_cancelled(service: Service, speech: Build, heard: Heard) -> None:
    voice = speech().open(heard, name="call")
    voice.speak(1, "One moment. ", more=True)
    line = await service.line()
    await line.requests(1)
    await line.speak("call-1", b"\x01", done=True)
    voice.speak(2, "Meanwhile.", more=False)
    await line.requests(2)
    await line.speak("call-2", done=True)
    await heard.until(2)
    voice.cancel(1)
    voice.speak(3, "Next.", more=False)
    assert (await line.requests(3))[2]["context_id"] == "call-3"


@pytest.mark.parametrize("answer", ["done", "error", "nothing", "drop"])
async def test_the_end_told_to_a_context_that_had_expired(
    service: Service, speech: Build, heard: Heard, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr("bridge.tts.cartesia_utterance._EXPIRY_S", 0.05)
    monkeypatch.setattr("bridge.tts.cartesia._CLOSING_LIMIT_S", 0.1)
    voice = speech().open(heard, name="call")
    voice.speak(1, "One.", more=True)
    line = await service.line()
    await line.requests(1)
    await line.speak("call-1", b"\x01")
    await heard.until(1)
    await asyncio.sleep(0.07)
    voice.speak(1, "", more=False)
    assert (await line.requests(2))[1]["transcript"] == ""
    if answer == "done":
        await line.speak("call-1", done=True)
    elif answer == "error":
        await line.say({"type": "error", "context_id": "call-1", "message": "expired", "status_code": 400})
    elif answer == "drop":
        line.drop()
    assert await heard.until(2) == [SpeechArrived(1, b"\x01"), SpeechFinished(1)]


async def test_an_expired_context_may_still_complain(
    service: Service, speech: Build, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.tts.cartesia_utterance._EXPIRY_S", 0.05)
    voice = speech().open(heard, name="call")
    voice.speak(1, "One. ", more=True)
    line = await service.line()
    await line.requests(1)
    await line.speak("call-1", b"\x01")
    await heard.until(1)
    await asyncio.sleep(0.07)
    voice.speak(1, "Two.", more=False)
    assert (await line.requests(2))[1]["context_id"] == "call-1.2"
    await line.say({"type": "error", "context_id": "call-1", "message": "expired", "status_code": 400})
    await line.speak("call-1.2", b"\x02", done=True)
    assert (await heard.until(3))[1:] == [SpeechArrived(1, b"\x02"), SpeechFinished(1)]


async def test_closing_a_voice_cancels_what_it_says(service: Service, speech: Build, heard: Heard) -> None:
    synthesizer = speech()
    voice = synthesizer.open(heard, name="a")
    other = Heard()
    synthesizer.open(other, name="b").speak(1, "Unaffected.", more=False)
    voice.speak(1, "One.", more=True)
    line = await service.line()
    await line.requests(2)
    await voice.close()
    assert (await line.requests(3))[2] == {"context_id": "a-1", "cancel": True}
    await line.speak("a-1", b"\x01", done=True)
    await line.speak("b-1", b"\x02", done=True)
    await other.until(2)
    assert heard.events == []


async def test_nothing_to_say_is_finished_without_the_service(
    service: Service, speech: Build, heard: Heard
) -> None:
    voice = speech().open(heard, name="call")
    voice.speak(1, "", more=False)
    voice.speak(2, "  ", more=True)
    voice.speak(2, "", more=False)
    voice.speak(3, "", more=False)
    assert heard.events == []  # not while the caller is still speaking to us
    voice.cancel(3)
    await asyncio.sleep(0)
    assert heard.events == [SpeechFinished(1), SpeechFinished(2)]
    assert (await service.line()).asked == []


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [(400, "speech_request", "[tts]"), (429, "speech_limit", "limit"), (500, "speech_server", "later")],
)
async def test_an_error_of_an_utterance(
    service: Service, speech: Build, heard: Heard, status: int, code: str, remedy: str
) -> None:
    voice = speech().open(heard, name="call")
    voice.speak(1, "One.", more=False)
    voice.speak(2, "Two.", more=False)
    line = await service.line()
    await line.requests(2)
    await line.say({"type": "error", "context_id": "call-1", "message": f"bad {KEY}", "status_code": status})
    await line.speak("call-1", b"\x01", done=True)
    await line.speak("call-2", b"\x02", done=True)
    failed = (await heard.until(3))[0]
    assert isinstance(failed, SpeechFailed)
    assert (failed.utterance, failed.code) == (1, code)
    assert remedy in failed.message
    assert KEY not in failed.message
    assert heard.events[1:] == [SpeechArrived(2, b"\x02"), SpeechFinished(2)]


async def test_an_error_without_a_context_fails_who_has_no_audio_yet(
    service: Service, speech: Build, heard: Heard
) -> None:
    voice = speech().open(heard, name="call")
    voice.speak(1, "One.", more=False)
    voice.speak(2, "Two.", more=False)
    line = await service.line()
    await line.requests(2)
    await line.speak("call-1", b"\x01")
    await line.say({"type": "error", "title": "Bad", "message": "which one?", "status_code": 400})
    await line.speak("call-1", b"\x02", done=True)
    events = await heard.until(4)
    assert isinstance(events[1], SpeechFailed)
    assert (events[1].utterance, events[1].code) == (2, "speech_request")
    assert events[2:] == [SpeechArrived(1, b"\x02"), SpeechFinished(1)]


async def test_a_lost_socket_fails_who_was_heard_and_asks_again_for_the_rest(
    service: Service, speech: Build, heard: Heard
) -> None:
    voice = speech().open(heard, name="call")
    voice.speak(1, "One.", more=False)
    voice.speak(2, "Two ", more=True)
    voice.speak(2, "and a half.", more=False)
    line = await service.line()
    await line.requests(3)
    await line.speak("call-1", b"\x01")
    await heard.until(1)
    line.drop()
    second = await service.line(1)
    failed = (await heard.until(2))[1]
    assert isinstance(failed, SpeechFailed)
    assert (failed.utterance, failed.code) == (1, "speech_unreachable")
    again = await second.requests(2)
    assert [(r["context_id"], r["transcript"], r["continue"]) for r in again] == [
        ("call-2.2", "Two ", True),
        ("call-2.2", "and a half.", False),
    ]
    await second.speak("call-2.2", b"\x02", done=True)
    assert (await heard.until(4))[2:] == [SpeechArrived(2, b"\x02"), SpeechFinished(2)]


async def test_it_is_asked_again_only_once(service: Service, speech: Build, heard: Heard) -> None:
    voice = speech().open(heard, name="call")
    voice.speak(1, "One.", more=False)
    for number in range(2):
        line = await service.line(number)
        await line.requests(1)
        line.drop()
    (failed,) = await heard.until(1)
    assert isinstance(failed, SpeechFailed)
    voice.speak(2, "Two.", more=False)
    assert (await (await service.line(2)).requests(1))[0]["context_id"] == "call-2"
    assert len(heard.events) == 1


async def test_an_idle_close_is_nothing_to_speak_of(service: Service, speech: Build, heard: Heard) -> None:
    voice = speech().open(heard, name="call")
    line = await service.line()
    with capture_logs() as logs:
        await line.ws.close(code=1000, message=b"connection idle timeout")
        await asyncio.wait_for(line.ended.wait(), 1)
        await asyncio.sleep(0.05)
        assert len(service.lines) == 1  # it stays away until it is needed
        voice.speak(1, "Still there.", more=False)
        second = await service.line(1)
    assert [entry for entry in logs if entry["log_level"] != "info"] == []
    await second.requests(1)
    await second.speak("call-1", b"\x01", done=True)
    assert await heard.until(2) == [SpeechArrived(1, b"\x01"), SpeechFinished(1)]


async def test_a_socket_that_closed_in_the_moment_of_asking(service: Service, speech: Build, heard: Heard) -> None:
    voice = speech().open(heard, name="call")
    line = await service.line()
    closing = asyncio.get_running_loop().create_task(line.ws.close(code=1000))
    voice.speak(1, "Hello?", more=False)
    second = await service.line(1)
    (request,) = await second.requests(1)
    await second.speak(request["context_id"], b"\x01", done=True)
    assert await heard.until(2) == [SpeechArrived(1, b"\x01"), SpeechFinished(1)]
    await closing


async def test_an_agent_that_pauses_over_a_lost_socket(service: Service, speech: Build, heard: Heard) -> None:
    voice = speech().open(heard, name="call")
    voice.speak(1, "One moment. ", more=True)
    line = await service.line()
    voice.speak(2, "Meanwhile.", more=False)
    await line.requests(2)
    await line.speak("call-1", b"\x01", done=True)  # the context has expired
    await line.speak("call-2", done=True)
    assert await heard.until(2) == [SpeechArrived(1, b"\x01"), SpeechFinished(2)]
    line.drop()
    voice.speak(1, "Here I am.", more=False)  # before the loss was noticed
    (request,) = await (second := await service.line(1)).requests(1)
    assert (request["transcript"], request["continue"]) == ("Here I am.", False)
    await second.speak(request["context_id"], b"\x02", done=True)
    assert (await heard.until(4))[2:] == [SpeechArrived(1, b"\x02"), SpeechFinished(1)]


async def test_a_refusal_fails_what_waits(service: Service, speech: Build, heard: Heard) -> None:
    service.refusals = [web.Response(status=401)] * 2  # one for the warm socket, should it be quicker
    voice = speech().open(heard, name="call")
    voice.speak(1, "One.", more=False)
    (failed,) = await heard.until(1)
    assert isinstance(failed, SpeechFailed)
    assert failed.code == "speech_auth"
    assert f"refused by {service.url}" in failed.message
    assert "BRIDGE_SPEECH__API_KEY" in failed.message


async def test_a_service_that_is_busy_for_a_moment(service: Service, speech: Build, heard: Heard) -> None:
    service.refusals = [web.Response(status=503), web.Response(status=429)]
    voice = speech().open(heard, name="call")
    voice.speak(1, "One.", more=False)
    line = await service.line()
    await line.requests(1)
    await line.speak("call-1", b"\x01", done=True)
    assert await heard.until(2) == [SpeechArrived(1, b"\x01"), SpeechFinished(1)]


async def test_a_service_that_is_not_there(speech: Build, heard: Heard) -> None:
    voice = speech(base_url=nobody_there()).open(heard, name="call")
    began = asyncio.get_running_loop().time()
    voice.speak(1, "One.", more=False)
    (failed,) = await heard.until(1)
    assert isinstance(failed, SpeechFailed)
    assert failed.code == "speech_unreachable"
    assert asyncio.get_running_loop().time() - began < 4


async def test_the_first_audio_is_waited_for_so_long(service: Service, speech: Build, heard: Heard) -> None:
    voice = speech(first_audio_timeout_s=0.2).open(heard, name="call")
    voice.speak(1, "One.", more=True)
    line = await service.line()
    await line.requests(1)
    (failed,) = await heard.until(1)
    assert isinstance(failed, SpeechFailed)
    assert (failed.utterance, failed.code) == (1, "speech_timeout")
    assert (await line.requests(2))[1] == {"context_id": "call-1", "cancel": True}
    await line.speak("call-1", b"\x01", done=True)
    voice.speak(1, "Two.", more=False)
    await asyncio.sleep(0.02)
    assert len(heard.events) == 1


async def test_audio_that_stops_coming(service: Service, speech: Build, heard: Heard) -> None:
    voice = speech(first_audio_timeout_s=0.5).open(heard, name="call")
    voice.speak(1, "One two three.", more=False)
    line = await service.line()
    await line.requests(1)
    for n in range(3):
        await asyncio.sleep(0.2)
        await line.speak("call-1", bytes([n]))
    failed = (await heard.until(4))[3]
    assert isinstance(failed, SpeechFailed)
    assert failed.code == "speech_timeout"
    assert heard.audio(1) == b"\0\1\2"


async def test_an_agent_may_take_its_time(service: Service, speech: Build, heard: Heard) -> None:
    voice = speech(first_audio_timeout_s=0.4).open(heard, name="call")
    voice.speak(1, "Let me see. ", more=True)
    line = await service.line()
    await line.requests(1)
    await line.speak("call-1", b"\x01")
    await asyncio.sleep(0.5)
    voice.speak(1, "Yes.", more=False)
    await line.requests(2)
    await line.speak("call-1", b"\x02", done=True)
    assert (await heard.until(3))[1:] == [SpeechArrived(1, b"\x02"), SpeechFinished(1)]


async def test_what_is_not_understood_is_survived_and_logged_once(
    service: Service, speech: Build, heard: Heard
) -> None:
    voice = speech().open(heard, name="call")
    voice.speak(1, "One.", more=False)
    line = await service.line()
    await line.requests(1)
    with capture_logs() as logs:
        await line.say("{", '{"type":"breath"}', '{"type":"chunk","context_id":"call-1","data":"!"}')
        await line.ws.send_bytes(b"\xff")
        await line.say({"type": "phoneme_timestamps", "context_id": "call-1"})
        await line.say({"type": "timestamps", "context_id": "call-1"})
        await line.speak("stranger", b"\x07", done=True)
        await line.speak("call-1", b"\x01", done=True)
        assert await heard.until(2) == [SpeechArrived(1, b"\x01"), SpeechFinished(1)]
    assert len([entry for entry in logs if entry["event"] == "tts_message_ignored"]) == 1


async def test_closing_leaves_nothing(service: Service, speech: Build, heard: Heard) -> None:
    synthesizer = speech()
    voice = synthesizer.open(heard, name="call")
    voice.speak(1, "One.", more=False)
    line = await service.line()
    await synthesizer.close()
    await asyncio.wait_for(line.ended.wait(), 1)
    voice.speak(1, "More.", more=False)
    voice.speak(2, "Two.", more=False)
    synthesizer.open(heard, name="late").speak(1, "Three.", more=False)
    await asyncio.sleep(0.02)
    assert heard.events == []
    assert len(service.requests) == 1


async def test_check_tts(service: Service) -> None:
    settings = CartesiaSpeechSettings(service.url, KEY)

    async def answer() -> None:
        line = await service.line()
        (request,) = await line.requests(1)
        assert request["transcript"] == "ok"
        await line.speak(request["context_id"], b"\x01", done=True)

    await asyncio.gather(check_tts(settings), answer())
    service.refusals = [web.Response(status=402)]
    with pytest.raises(SpeechError, match="account") as refused:
        await check_tts(settings)
    assert (refused.value.code, refused.value.final) == ("speech_plan", True)
    with pytest.raises(SpeechError) as unreachable:
        await check_tts(CartesiaSpeechSettings(nobody_there()))
    assert (unreachable.value.code, unreachable.value.final) == ("speech_unreachable", False)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(SettingsError, match=r"speech\.base_url"):
        CartesiaSpeechSettings("local")


def nobody_there() -> str:
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"
