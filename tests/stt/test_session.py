"""What a session does beside hearing: giving a turn up, changing settings in mid-call, tokens, encodings."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from bridge.audio import codec
from bridge.conversation.actions import Tuning
from bridge.conversation.events import (
    RecognizerConnected,
    RecognizerFailed,
    RecognizerLost,
    TurnEnded,
    TurnStarted,
    TurnUpdated,
)
from bridge.errors import SpeechError
from bridge.stt.cartesia_turns import CartesiaTurns, CartesiaTurnsSettings, check_stt

Build = Callable[..., CartesiaTurns]


def speech(seconds: float, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(int(seconds * 8000))


@pytest.fixture
async def turns(service: Any) -> AsyncIterator[Build]:
    built: list[CartesiaTurns] = []

    def build(**settings: Any) -> CartesiaTurns:
        built.append(CartesiaTurns(CartesiaTurnsSettings(**{"base_url": service.url, **settings})))
        return built[-1]

    yield build
    for factory in built:
        await factory.close()


async def test_the_beginning_of_a_turn_that_nobody_told_of_is_heard_again(
    service: Any, turns: Build, heard: Any
) -> None:
    recognizer = turns().open(heard, name="call")
    line = await service.line()
    audio = speech(3)
    recognizer.send(audio)
    await line.until(lambda line: len(line.audio) == 24000)
    line.drop()
    assert [type(event) for event in await heard.until(3)] == [
        *(RecognizerConnected, RecognizerLost, RecognizerConnected),
    ]
    again = await service.line(1)
    recognizer.send(speech(0.1, seed=2))
    await again.until(lambda line: len(line.audio) >= 8000)
    await recognizer.finish()
    assert (audio + speech(0.1, seed=2)).endswith(again.audio)
    assert 8000 <= len(again.audio) - 800 <= 12000


async def test_a_turn_that_has_ended_is_not_heard_again(service: Any, turns: Build, heard: Any) -> None:
    recognizer = turns().open(heard, name="call")
    line = await service.line()
    recognizer.send(speech(0.5))
    await line.until(lambda line: len(line.audio) == 4000)
    await line.say({"type": "turn.start"}, {"type": "turn.end", "transcript": "Yes."})
    await heard.until(3)
    line.drop()
    await heard.until(5)
    recognizer.send(speech(0.2, seed=2))
    again = await service.line(1)
    await recognizer.finish()
    assert again.audio == speech(0.2, seed=2)


async def test_a_line_that_breaks_before_the_last_words(service: Any, turns: Build, heard: Any) -> None:
    service.hangs_up = False
    recognizer = turns().open(heard, name="call")
    line = await service.line()
    recognizer.send(speech(0.5))
    await line.say({"type": "turn.start"}, {"type": "turn.update", "transcript": " Thank"})
    await heard.until(3)
    finishing = asyncio.get_running_loop().create_task(recognizer.finish())
    await line.until(lambda line: bool(line.texts))
    service.hangs_up = True
    service.last_words = [{"type": "turn.start"}, {"type": "turn.end", "transcript": " Thank you."}]
    line.drop()
    await finishing
    assert (await service.line(1)).audio == speech(0.5)
    assert [event for event in heard.events if isinstance(event, TurnEnded)] == [TurnEnded(" Thank you.")]


async def test_forget_gives_up_the_audio_and_the_turn(service: Any, turns: Build, heard: Any) -> None:
    recognizer = turns().open(heard, name="call")
    line = await service.line()
    recognizer.send(speech(0.3))
    await line.say({"type": "turn.start"}, {"type": "turn.update", "transcript": " Two"})
    await heard.until(3)
    service.refusals = [web.Response(status=503)]
    line.drop()
    await heard.until(5)
    recognizer.send(speech(0.3, seed=2))
    recognizer.forget()
    recognizer.send(speech(0.2, seed=3))
    again = await service.line(1)
    await heard.until(6)
    await again.say({"type": "turn.start"}, {"type": "turn.end", "transcript": " Three"})
    assert (await heard.until(8))[6:] == [TurnStarted(), TurnEnded(" Three")]
    await recognizer.finish()
    assert again.audio == speech(0.2, seed=3)


async def test_what_is_still_told_of_a_forgotten_turn_is_nobodys(service: Any, turns: Build, heard: Any) -> None:
    recognizer = turns().open(heard, name="call")
    line = await service.line()
    await line.say({"type": "turn.start"}, {"type": "turn.update", "transcript": " Two"})
    await heard.until(3)
    recognizer.forget()
    await line.say({"type": "turn.end", "transcript": " Two."}, {"type": "turn.start"})
    assert (await heard.until(4))[3:] == [TurnStarted()]


async def test_silence_in_place_of_the_rest_ends_the_turn(
    service: Any, turns: Build, heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.stt.session._SILENT_S", 0.3)
    monkeypatch.setattr("bridge.stt.cartesia_connection.TURN_GAP_S", 0.1)
    recognizer = turns().open(heard, name="call")
    line = await service.line()
    recognizer.send(speech(0.5))
    await line.say({"type": "turn.start"}, {"type": "turn.update", "transcript": " Two"})
    await heard.until(3)
    line.drop()
    assert (await heard.until(6))[5] == TurnEnded(" Two")
    again = await service.line(1)
    assert again.audio.startswith(speech(0.5))
    assert set(again.audio[4000:]) == {0xFF}  # a turn that is open only here is fed silence as well


# --- settings in mid-call


async def test_thresholds_are_changed_on_the_open_socket(service: Any, turns: Build, heard: Any) -> None:
    recognizer = turns().open(heard, name="call")
    line = await service.line()
    await heard.until(1)
    await line.say({"type": "turn.start"})
    await heard.until(2)
    recognizer.tune(Tuning(end_threshold=0.1, end_timeout_ms=3000))
    await line.until(lambda line: bool(line.texts))
    assert json.loads(line.texts[0]) == {"type": "config", "turn": {"end_threshold": 0.1, "end_timeout_ms": 3000}}
    line.drop()
    again = await service.line(1)
    assert "turn_end_threshold=0.1&turn_end_timeout_ms=3000" in again.request.rel_url.raw_query_string


async def test_a_service_that_knows_no_config_gets_the_settings_with_a_new_connection(
    service: Any, turns: Build, heard: Any
) -> None:
    recognizer = turns().open(heard, name="call")
    line = await service.line()
    await line.say({"type": "turn.start"})
    await heard.until(2)
    recognizer.tune(Tuning(end_threshold=0.1))
    await line.until(lambda line: bool(line.texts))
    await line.say({"type": "error", "title": "Bad", "message": "unknown command", "status_code": 400})
    await line.say({"type": "turn.end", "transcript": "Yes."})
    events = await heard.until(4)
    assert events == [RecognizerConnected("r1"), TurnStarted(), TurnEnded("Yes."), RecognizerConnected("r1")]
    assert "turn_end_threshold=0.1" in (await service.line(1)).request.rel_url.raw_query_string


async def test_key_terms_wait_for_the_end_of_the_turn_and_no_audio_is_lost(
    service: Any, turns: Build, heard: Any
) -> None:
    recognizer = turns().open(heard, name="call")
    line = await service.line()
    await line.say({"type": "turn.start"})
    await heard.until(2)
    recognizer.tune(Tuning(keyterms=("Acme Dental",)))
    recognizer.send(speech(0.2))
    await line.until(lambda line: len(line.audio) == 1600)
    assert len(service.lines) == 1
    service.gate.clear()
    await line.say({"type": "turn.update", "transcript": "Yes"}, {"type": "turn.end", "transcript": "Yes."})
    await heard.until(4)
    recognizer.send(speech(0.2, seed=2))
    again = await service.line(1)
    service.gate.set()
    assert (await heard.until(5))[2:] == [TurnUpdated("Yes"), TurnEnded("Yes."), RecognizerConnected("r1")]
    assert "keyterm=Acme%20Dental" in again.request.rel_url.raw_query_string
    await recognizer.finish()
    assert again.audio == speech(0.2, seed=2)


async def test_settings_that_the_service_refuses_do_not_cost_the_session(
    service: Any, turns: Build, heard: Any
) -> None:
    recognizer = turns().open(heard, name="call")
    await heard.until(1)
    service.refusals = [web.Response(status=400, text="no such model")]
    recognizer.tune(Tuning(model="ink-9"))
    failed, connected = (await heard.until(3))[1:]
    assert (failed.code, failed.final) == ("speech_request", False)
    assert connected == RecognizerConnected("r1")
    assert [request.query["model"] for request in service.requests] == ["ink-2", "ink-9", "ink-2"]


@pytest.mark.parametrize(
    "wrong", [Tuning(end_threshold=0.45), Tuning(start_threshold=1.0), Tuning(keyterms=("x" * 1201,))]
)
async def test_forbidden_settings_change_nothing(service: Any, turns: Build, heard: Any, wrong: Tuning) -> None:
    recognizer = turns().open(heard, name="call")
    await heard.until(1)
    recognizer.tune(wrong)
    failed = (await heard.until(2))[1]
    assert isinstance(failed, RecognizerFailed)
    assert not failed.final
    assert len(service.lines) == 1


# --- tokens and encodings


async def test_a_token_goes_in_place_of_the_key_and_is_never_shown(service: Any, turns: Build, heard: Any) -> None:
    settings: dict[str, Any] = {"access_token": "tok/en", "api_key": "sk_key"}
    turns(**settings).open(heard, name="call")
    line = await service.line()
    assert line.request.query["access_token"] == "tok/en"
    assert "X-API-Key" not in line.request.headers
    service.refusals = [web.json_response({"message": "bad tok/en tok%2Fen", "error_code": "x"}, status=401)]
    with capture_logs() as logs, pytest.raises(SpeechError, match="BRIDGE_SPEECH__ACCESS_TOKEN") as refused:
        await check_stt(CartesiaTurnsSettings(service.url, **settings))
    assert "tok" not in refused.value.message.replace("token", "")
    assert refused.value.details == {"status_code": "401", "message": "bad ******** ********", "error_code": "x"}
    assert "tok/en" not in repr(CartesiaTurnsSettings(service.url, **settings)) + repr(logs)


async def test_audio_is_converted_on_its_way(service: Any, turns: Build, heard: Any) -> None:
    recognizer = turns(encoding="pcm_s16le").open(heard, name="call")
    line = await service.line()
    recognizer.send(speech(0.2))
    await recognizer.finish()
    assert line.request.query["encoding"] == "pcm_s16le"
    assert line.audio == codec.mulaw_to_linear16(speech(0.2))
    assert [len(piece) for _, piece in line.pieces] == [1600, 1600]
