"""The recogniser against a scripted service: every byte and every word, in order, whatever the line does."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from bridge.conversation.events import (
    RecognizerClosed,
    RecognizerConnected,
    RecognizerLost,
    TurnEagerlyEnded,
    TurnEnded,
    TurnResumed,
    TurnStarted,
    TurnUpdated,
)
from bridge.errors import SettingsError, SpeechError
from bridge.stt.cartesia_turns import CartesiaTurns, CartesiaTurnsSettings, check_stt

KEY = "sk_car_test"
Build = Callable[..., CartesiaTurns]


def speech(seconds: float, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(int(seconds * 8000))


def frames(audio: bytes) -> list[bytes]:
    return [audio[at : at + 160] for at in range(0, len(audio), 160)]


@pytest.fixture
async def turns(service: Any) -> AsyncIterator[Build]:
    built: list[CartesiaTurns] = []

    def build(**settings: Any) -> CartesiaTurns:
        settings = {"base_url": service.url, "api_key": KEY, **settings}
        built.append(CartesiaTurns(CartesiaTurnsSettings(**settings)))
        return built[-1]

    before = asyncio.all_tasks()
    yield build
    for factory in built:
        await factory.close()
    left = [task.get_name() for task in asyncio.all_tasks() - before if task.get_name().startswith("stt")]
    assert left == []


async def test_the_handshake(service: Any, turns: Build, heard: Any) -> None:
    recognizer = turns(keyterms=("Acme Dental",), headers={"X-Team": "red"}, turn_end_timeout_ms=3000).open(
        heard, name="call"
    )
    line = await service.line()
    assert line.request.path == "/prefix/stt/turns/websocket"
    assert line.request.rel_url.raw_query_string == (
        "model=ink-2&encoding=pcm_mulaw&sample_rate=8000&keyterm=Acme%20Dental&turn_end_timeout_ms=3000"
    )
    headers = line.request.headers
    assert headers["X-API-Key"] == KEY
    assert headers["Cartesia-Version"] == "2026-03-01"
    assert headers["X-Team"] == "red"
    assert "Sec-WebSocket-Extensions" not in headers
    await recognizer.abort()


async def test_every_byte_in_pieces_of_the_chosen_length(service: Any, turns: Build, heard: Any) -> None:
    audio = speech(0.63)
    recognizer = turns(chunk_ms=60).open(heard, name="call")
    await heard.until(1)
    for frame in frames(audio):
        recognizer.send(frame)
    await recognizer.finish()
    line = await service.line()
    assert line.audio == audio
    assert [len(piece) for _, piece in line.pieces] == [480] * 10 + [240]
    assert line.texts == ['{"type":"close"}']
    assert heard.events == [RecognizerConnected("r1"), RecognizerClosed()]


async def test_turns_become_events_in_order_and_verbatim(service: Any, turns: Build, heard: Any) -> None:
    turns().open(heard, name="call")
    line = await service.line()
    await line.say(
        {"type": "turn.start", "request_id": "r1", "turn_id": 3},
        {"type": "turn.update", "transcript": " Two", "request_id": "r1"},
        {"type": "turn.eager_end", "transcript": " Two", "request_id": "r1"},
        {"type": "turn.resume", "request_id": "r1"},
        {"type": "turn.end", "transcript": " Two, please. ", "request_id": "r1"},
        {"type": "turn.start", "request_id": "r1"},
        {"type": "turn.end", "transcript": "", "request_id": "r1"},
    )
    assert await heard.until(8) == [
        RecognizerConnected("r1"),
        TurnStarted(),
        TurnUpdated(" Two"),
        TurnEagerlyEnded(" Two"),
        TurnResumed(),
        TurnEnded(" Two, please. "),
        TurnStarted(),
        TurnEnded(""),
    ]


async def test_audio_that_comes_before_the_service_is_ready_is_kept(service: Any, turns: Build, heard: Any) -> None:
    service.gate.clear()
    audio = speech(0.6)
    recognizer = turns().open(heard, name="call")
    for frame in frames(audio[:2400]):
        recognizer.send(frame)
    line = await service.line()
    for frame in frames(audio[2400:]):
        recognizer.send(frame)
    await asyncio.sleep(0.05)
    assert line.audio == b""
    service.gate.set()
    await recognizer.finish()
    assert line.audio == audio


async def test_a_backlog_is_not_pushed_all_at_once(service: Any, turns: Build, heard: Any) -> None:
    recognizer = turns().open(heard, name="call")
    recognizer.send(speech(1.2))
    await recognizer.finish()
    line = await service.line()
    assert len(line.audio) == 9600
    first, last = line.pieces[0][0], line.pieces[-1][0]
    assert 1.1 / 1.5 - 0.05 < last - first < 2


async def test_too_long_an_outage_loses_the_oldest_audio(service: Any, turns: Build, heard: Any) -> None:
    service.gate.clear()
    audio = speech(1.0)
    recognizer = turns(keep_s=0.4).open(heard, name="call")
    with capture_logs() as logs:
        for frame in frames(audio):
            recognizer.send(frame)
        service.gate.set()
        await recognizer.finish()
    assert (await service.line()).audio == audio[-3200:]
    assert [entry["bytes"] for entry in logs if entry["event"] == "stt_audio_lost"] == [4800]


async def test_the_last_words_come_before_the_end(service: Any, turns: Build, heard: Any) -> None:
    service.last_words = [{"type": "turn.end", "transcript": " Thanks, bye.", "request_id": "r1"}]
    recognizer = turns().open(heard, name="call")
    line = await service.line()
    await line.say({"type": "turn.start"}, {"type": "turn.update", "transcript": " Thanks"})
    await heard.until(3)
    await recognizer.finish()
    assert heard.events[3:] == [TurnEnded(" Thanks, bye."), RecognizerClosed()]
    await recognizer.finish()
    await recognizer.abort()
    assert heard.events.count(RecognizerClosed()) == 1


async def test_a_service_that_never_closes_is_not_waited_for(service: Any, turns: Build, heard: Any) -> None:
    service.hangs_up = False
    service.last_words = [{"type": "turn.end", "transcript": "Bye."}]
    recognizer = turns(drain_s=0.2).open(heard, name="call")
    await heard.until(1)
    recognizer.send(b"\xff" * 100)
    began = asyncio.get_running_loop().time()
    await recognizer.finish()
    assert 0.19 <= asyncio.get_running_loop().time() - began < 2
    assert heard.events[1:] == [TurnEnded("Bye."), RecognizerClosed()]
    await asyncio.wait_for((await service.line()).ended.wait(), 1)  # and the socket is gone


async def test_finishing_a_session_that_never_came_up(turns: Build, heard: Any) -> None:
    recognizer = turns(base_url=nobody_there(), drain_s=0.4).open(heard, name="call")
    recognizer.send(speech(0.2))
    (failed,) = await heard.until(1)
    assert failed.code == "speech_unreachable"
    assert not failed.final
    assert "speech.base_url" in failed.message
    began = asyncio.get_running_loop().time()
    await recognizer.finish()
    assert asyncio.get_running_loop().time() - began < 2
    assert heard.events == [failed, RecognizerClosed()]


async def test_nothing_to_deliver_needs_no_connection(service: Any, turns: Build, heard: Any) -> None:
    service.gate.clear()
    recognizer = turns(drain_s=30).open(heard, name="call")
    line = await service.line()
    await asyncio.wait_for(recognizer.finish(), 1)
    assert heard.events == [RecognizerClosed()]
    service.gate.set()
    await asyncio.wait_for(line.ended.wait(), 1)


async def test_words_said_before_the_connection_survive_a_quick_goodbye(
    service: Any, turns: Build, heard: Any
) -> None:
    service.refusals = [web.Response(status=503), web.Response(status=503)]
    service.last_words = [{"type": "turn.end", "transcript": "Wrong number."}]
    audio = speech(0.25)
    recognizer = turns().open(heard, name="call")
    recognizer.send(audio)
    await recognizer.finish()
    assert (await service.line()).audio == audio
    assert heard.events[1:] == [RecognizerConnected("r1"), TurnEnded("Wrong number."), RecognizerClosed()]


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (400, "speech_request", "check"),
        (401, "speech_auth", "BRIDGE_SPEECH__API_KEY"),
        (402, "speech_plan", "account"),
        (403, "speech_auth", "BRIDGE_SPEECH__API_KEY"),
    ],
)
async def test_what_cannot_be_helped_is_not_tried_again(
    service: Any, turns: Build, heard: Any, status: int, code: str, remedy: str
) -> None:
    service.refusals = [web.json_response({"title": "No", "message": f"Not {KEY}."}, status=status)]
    recognizer = turns().open(heard, name="call")
    (failed,) = await heard.until(1)
    assert (failed.code, failed.final) == (code, True)
    assert remedy in failed.message
    assert service.url.removesuffix("/prefix") in failed.message
    assert KEY not in failed.message
    recognizer.send(speech(1))
    await recognizer.finish()
    assert heard.events == [failed, RecognizerClosed()]
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("status", "code"), [(429, "speech_limit"), (500, "speech_server"), (503, "speech_server")]
)
async def test_what_may_pass_is_tried_again(service: Any, turns: Build, heard: Any, status: int, code: str) -> None:
    service.refusals = [web.Response(status=status, text="Title: Busy"), web.Response(status=status)]
    audio = speech(0.3)
    recognizer = turns().open(heard, name="call")
    recognizer.send(audio)
    failed, connected = await heard.until(2)
    assert (failed.code, failed.final) == (code, False)
    assert "Busy" in failed.message
    assert connected == RecognizerConnected("r1")
    await recognizer.finish()
    assert (await service.line()).audio == audio


async def test_a_drop_is_survived_and_the_audio_of_the_outage_is_kept(
    service: Any, turns: Build, heard: Any
) -> None:
    recognizer = turns().open(heard, name="call")
    first = await service.line()
    await heard.until(1)
    recognizer.send(speech(0.1, seed=1))
    await first.until(lambda line: len(line.audio) == 800)
    await first.say({"type": "turn.start"})
    await heard.until(2)
    service.gate.clear()
    service.greet = [{"type": "connected", "request_id": "r2"}]
    service.refusals = [web.Response(status=503)]
    first.drop()
    lost, failed = (await heard.until(4))[2:]
    recognizer.send(speech(0.35, seed=2))
    second = await service.line(1)
    service.gate.set()
    assert isinstance(lost, RecognizerLost)
    assert lost.code == "speech_unreachable"
    assert (failed.code, failed.final) == ("speech_server", False)
    assert (await heard.until(5))[4] == RecognizerConnected("r2")  # and no end of the open turn
    await recognizer.finish()
    assert second.audio == speech(0.1, seed=1) + speech(0.35, seed=2)  # the open turn is heard again
    assert heard.events[5:] == [TurnEnded(""), RecognizerClosed()]


@pytest.mark.parametrize(("close", "code"), [(1000, "speech_unreachable"), (1011, "speech_server")])
async def test_a_close_nobody_asked_for_is_an_outage(
    service: Any, turns: Build, heard: Any, close: int, code: str
) -> None:
    turns().open(heard, name="call")
    line = await service.line()
    await heard.until(1)
    await line.socket.close(code=close, message=b"idle")
    lost, connected = (await heard.until(3))[1:]
    assert isinstance(lost, RecognizerLost)
    assert lost.code == code
    assert f"({close} idle)" in lost.message
    assert connected == RecognizerConnected("r1")


async def test_every_outage_is_reported_once(service: Any, turns: Build, heard: Any) -> None:
    turns().open(heard, name="call")
    for number in range(3):
        line = await service.line(number)
        await heard.until(2 * number + 1)
        line.drop()
    events = await heard.until(7)
    assert [type(event) for event in events] == [RecognizerConnected, *[RecognizerLost, RecognizerConnected] * 3]


async def test_an_error_in_place_of_the_greeting(service: Any, turns: Build, heard: Any) -> None:
    service.greet = [{"type": "error", "title": "Bad", "message": "no such model", "error_code": "model_not_found"}]
    turns().open(heard, name="call")
    (failed,) = await heard.until(1)
    assert (failed.code, failed.final) == ("speech_request", True)
    assert "no such model" in failed.message


async def test_a_refusal_for_policy_at_the_door_is_final(service: Any, turns: Build, heard: Any) -> None:
    service.greet = []
    service.gate.clear()
    turns().open(heard, name="call")
    line = await service.line()
    await line.socket.close(code=1008, message=b"policy")
    (failed,) = await heard.until(1)
    assert failed.final
    service.gate.set()


async def test_an_error_explains_the_close_after_it(service: Any, turns: Build, heard: Any) -> None:
    turns().open(heard, name="call")
    line = await service.line()
    await line.say({"type": "error", "title": "Oops", "message": "buffer overrun", "status_code": 500})
    await line.socket.close(code=1011)
    failed, lost, connected = (await heard.until(4))[1:]
    assert (failed.code, failed.final) == ("speech_server", False)
    assert isinstance(lost, RecognizerLost)
    assert lost.code == "speech_server"
    assert "buffer overrun" in lost.message
    assert isinstance(connected, RecognizerConnected)


async def test_an_error_that_ends_nothing_is_reported_once(service: Any, turns: Build, heard: Any) -> None:
    turns().open(heard, name="call")
    line = await service.line()
    odd = {
        "type": "error",
        "title": "Hm",
        "message": f"odd {KEY}",
        "status_code": 500,
        "error_code": "odd_one",
        "doc_url": "https://docs",
        "request_id": "r1",
    }
    with capture_logs() as logs:
        await line.say(odd, odd, {"type": "turn.start"})
        failed, started = (await heard.until(3))[1:]
    assert started == TurnStarted()
    assert (failed.code, failed.final) == ("speech_server", False)
    assert failed.details == {
        "title": "Hm",
        "message": "odd ********",
        "status_code": "500",
        "error_code": "odd_one",
        "doc_url": "https://docs",
        "request_id": "r1",
    }
    entries = [entry for entry in logs if entry["event"] == "stt_error"]
    assert len(entries) == 2
    assert entries[0]["error_code"] == "odd_one"
    assert entries[0]["doc_url"] == "https://docs"


async def test_what_is_not_understood_is_survived_and_logged_once(service: Any, turns: Build, heard: Any) -> None:
    turns().open(heard, name="call")
    line = await service.line()
    with capture_logs() as logs:
        await line.say(
            "{", "[]", '{"type":"turn.sigh"}', '{"type":"turn.update","transcript":7}', '{"type":"done"}'
        )
        await line.say({"type": "turn.update", "transcript": "x" * 1_100_000})
        await line.socket.send_bytes(b"\xff\x00")
        await line.say({"type": "turn.start"})
        assert await heard.until(2) == [RecognizerConnected("r1"), TurnStarted()]
    assert len([entry for entry in logs if entry["event"] == "stt_message_ignored"]) == 1
    assert len(service.lines) == 1


async def test_an_open_turn_is_fed_silence_when_the_audio_stops(
    service: Any, turns: Build, heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.stt.cartesia_connection.TURN_GAP_S", 0.1)
    recognizer = turns().open(heard, name="call")
    line = await service.line()
    await heard.until(1)
    recognizer.send(b"\x10" * 800)
    await line.until(lambda line: len(line.audio) == 800)
    recognizer.send(b"\x10" * 100)
    await line.say({"type": "turn.start"})
    began = asyncio.get_running_loop().time()
    await line.until(lambda line: len(line.audio) >= 4000)
    took = asyncio.get_running_loop().time() - began
    assert line.audio[:900] == b"\x10" * 900  # what was waiting for a whole piece goes first
    assert set(line.audio[900:]) == {0xFF}
    assert 0.25 < took < 2  # as much silence as time has passed, at least 0.3 s of it after the turn began
    await line.say({"type": "turn.end", "transcript": ""})
    await heard.until(3)
    await asyncio.sleep(0.15)
    length = len(line.audio)
    await asyncio.sleep(0.25)
    assert len(line.audio) == length  # a closed turn needs none
    await recognizer.abort()


async def test_a_session_without_audio_is_kept_alive(
    service: Any, turns: Build, heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.stt.cartesia_connection.IDLE_GAP_S", 0.1)
    turns(chunk_ms=200).open(heard, name="call")
    line = await service.line()
    await line.until(lambda line: len(line.pieces) == 2)
    assert line.audio == b"\xff" * 1600


async def test_no_silence_is_put_into_live_audio(
    service: Any, turns: Build, heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.stt.cartesia_connection.TURN_GAP_S", 0.4)
    recognizer = turns().open(heard, name="call")
    line = await service.line()
    await line.say({"type": "turn.start"})
    await heard.until(2)
    audio = speech(0.6)
    for frame in frames(audio):
        recognizer.send(frame)
        await asyncio.sleep(0.018)
    await recognizer.finish()
    assert line.audio == audio


async def test_abort_is_silent_and_immediate(service: Any, turns: Build, heard: Any) -> None:
    recognizer = turns().open(heard, name="call")
    line = await service.line()
    await heard.until(1)
    recognizer.send(speech(5))
    await recognizer.abort()
    await asyncio.wait_for(line.ended.wait(), 1)
    recognizer.send(speech(1))
    await recognizer.finish()
    assert heard.events == [RecognizerConnected("r1")]


async def test_cancelling_finish_drops_the_connection(service: Any, turns: Build, heard: Any) -> None:
    service.hangs_up = False
    recognizer = turns(drain_s=30).open(heard, name="call")
    await heard.until(1)
    line = await service.line()
    finishing = asyncio.get_running_loop().create_task(recognizer.finish())
    await line.until(lambda line: bool(line.texts))
    finishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finishing
    await asyncio.wait_for(line.ended.wait(), 1)
    assert heard.events == [RecognizerConnected("r1")]


async def test_a_service_that_says_nothing_is_not_waited_for_long(service: Any, turns: Build, heard: Any) -> None:
    service.greet = []
    turns(connect_timeout_s=0.1).open(heard, name="call")
    (failed,) = await heard.until(1)
    assert (failed.code, failed.final) == ("speech_timeout", False)
    await service.line(1)  # it is tried again


async def test_a_port_that_accepts_but_never_answers(turns: Build, heard: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        turns(base_url=f"http://127.0.0.1:{deaf.getsockname()[1]}", connect_timeout_s=0.1).open(heard, name="call")
        (failed,) = await heard.until(1)
    assert failed.code == "speech_timeout"


async def test_the_key_is_not_carried_to_another_address(service: Any, turns: Build, heard: Any) -> None:
    service.refusals = [web.Response(status=307, headers={"Location": "http://127.0.0.1:1/elsewhere"})]
    turns().open(heard, name="call")
    (failed,) = await heard.until(1)
    assert failed.final
    assert "http://127.0.0.1:1/elsewhere" in failed.message


async def test_more_calls_than_any_pool_would_hold(service: Any, turns: Build) -> None:
    factory, calls = turns(), 150
    closed = asyncio.Semaphore(0)

    def emit(event: object) -> None:
        if isinstance(event, RecognizerClosed):
            closed.release()

    recognizers = [factory.open(emit, name=f"call{n}") for n in range(calls)]
    for _ in range(15):
        for n, recognizer in enumerate(recognizers):
            recognizer.send(bytes([n]) * 160)
    await asyncio.gather(*(recognizer.finish() for recognizer in recognizers))
    assert sorted(line.audio for line in service.lines) == sorted(bytes([n]) * 2400 for n in range(calls))
    for _ in range(calls):
        await asyncio.wait_for(closed.acquire(), 1)


async def test_closing_the_factory_leaves_nothing(service: Any, turns: Build, heard: Any) -> None:
    factory = turns()
    for n in range(3):
        factory.open(heard, name=f"call{n}")
    await heard.until(3)
    await factory.close()
    await asyncio.wait_for(asyncio.gather(*(line.ended.wait() for line in service.lines)), 1)
    assert len(heard.events) == 3


async def test_check_stt(service: Any) -> None:
    settings = CartesiaTurnsSettings(service.url, KEY)
    await check_stt(settings)
    line = await service.line()
    await asyncio.wait_for(line.ended.wait(), 1)
    service.refusals = [web.Response(status=401)]
    with pytest.raises(SpeechError, match="BRIDGE_SPEECH__API_KEY") as refused:
        await check_stt(settings)
    assert refused.value.final
    with pytest.raises(SpeechError) as unreachable:
        await check_stt(CartesiaTurnsSettings(nobody_there()))
    assert unreachable.value.code == "speech_unreachable"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"base_url": "local"}, "speech.base_url"),
        ({"base_url": "https://"}, "speech.base_url"),
        ({"base_url": "http://localhost:99999"}, "speech.base_url"),
        ({"turn_end_threshold": 0.9}, "turn_end_threshold"),
        ({"keyterms": ("",)}, "key term"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        CartesiaTurnsSettings(**{"base_url": "http://localhost", **wrong})


def test_the_key_is_not_shown() -> None:
    assert KEY not in repr(CartesiaTurnsSettings("http://localhost", KEY))


def nobody_there() -> str:
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"
