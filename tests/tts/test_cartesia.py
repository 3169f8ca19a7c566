"""The synthesiser against a scripted service over real sockets."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from bridge.conversation.events import SpeechArrived, SpeechFinished, Word, WordsTimed
from bridge.errors import SettingsError, SpeechError
from bridge.tts.cartesia import CartesiaSpeechSettings, check_tts
from tests.tts.scripted import KEY, Build, Heard, Service, nobody_there


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
    voice.speak(3, "With the socket up it goes at once.", more=False)
    voice.cancel(3)
    voice.speak(4, "Hello again.", more=False)
    sent = await line.requests(4)
    assert [request["context_id"] for request in sent] == ["call-2", "call-3", "call-3", "call-4"]
    assert sent[2]["cancel"] is True


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


async def test_words_as_they_come_are_one_context(service: Service, speech: Build, heard: Heard) -> None:
    voice = speech(max_buffer_delay_ms=3000).open(heard, name="call")
    pieces = ["Su", "re, he", "re", " it ", "is", "."]
    for piece in pieces:
        voice.speak(1, piece, more=True)
    voice.speak(1, "", more=False)
    line = await service.line()
    requests = await line.requests(7)
    assert [request["transcript"] for request in requests] == [*pieces, ""]
    assert [request["continue"] for request in requests] == [True] * 6 + [False]
    assert {request["context_id"] for request in requests} == {"call-1"}
    assert {request["max_buffer_delay_ms"] for request in requests} == {3000}
    words = {"words": ["Sure,", "here"], "start": [0.0, 0.4], "end": [0.3, 0.7]}
    await line.say({"type": "timestamps", "context_id": "call-1", "word_timestamps": words})
    words = {"words": ["it", "is."], "start": [0.7, 0.9], "end": [0.8, 1.0]}
    await line.say({"type": "timestamps", "context_id": "call-1", "word_timestamps": words})
    await line.speak("call-1", b"\x01", done=True)
    assert await heard.until(4) == [
        WordsTimed(1, (Word("Sure,", 0.0, 0.3), Word("here", 0.4, 0.7))),
        WordsTimed(1, (Word("it", 0.7, 0.8), Word("is.", 0.9, 1.0))),
        SpeechArrived(1, b"\x01"),
        SpeechFinished(1),
    ]


async def test_an_access_token_takes_the_place_of_the_key(service: Service, speech: Build, heard: Heard) -> None:
    speech(access_token="token").open(heard, name="call")
    line = await service.line()
    assert "X-API-Key" not in line.request.headers
    assert line.request.query["access_token"] == "token"
