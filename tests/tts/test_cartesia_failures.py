"""The synthesiser when the service or the network fails."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from bridge.conversation.events import SpeechArrived, SpeechFailed, SpeechFinished, Word, WordsTimed
from tests.tts.scripted import KEY, Build, Heard, Service, nobody_there


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
    assert (failed.utterance, failed.code, failed.final) == (1, code, status == 400)
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
    assert (failed.utterance, failed.code, failed.final) == (1, "speech_unreachable", False)
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
    told = [(entry["log_level"], entry["event"]) for entry in logs if entry["log_level"] != "info"]
    assert told == [("debug", "tts_idle_closed")]
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
    assert (failed.code, failed.final) == ("speech_auth", True)
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
    assert (failed.code, failed.final) == ("speech_unreachable", False)
    assert asyncio.get_running_loop().time() - began < 4


async def test_the_first_audio_is_waited_for_so_long(service: Service, speech: Build, heard: Heard) -> None:
    voice = speech(first_audio_timeout_s=0.2).open(heard, name="call")
    voice.speak(1, "One.", more=True)
    line = await service.line()
    await line.requests(1)
    await line.speak("another-1", b"\x07")  # it is slow, but alive
    (failed,) = await heard.until(1)
    assert isinstance(failed, SpeechFailed)
    assert (failed.utterance, failed.code, failed.final) == (1, "speech_timeout", False)
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


async def test_a_service_that_accepts_and_never_answers_is_asked_on_a_new_socket(
    service: Service, speech: Build, heard: Heard
) -> None:
    voice = speech(first_audio_timeout_s=0.2).open(heard, name="call")
    voice.speak(1, "One.", more=False)
    silent = await service.line()
    (failed,) = await heard.until(1)
    assert isinstance(failed, SpeechFailed)
    assert (failed.code, failed.final) == ("speech_timeout", False)
    await asyncio.wait_for(silent.ended.wait(), 1)
    voice.speak(2, "Two.", more=False)
    second = await service.line(1)
    await second.requests(1)
    await second.speak("call-2", b"\x02", done=True)
    assert (await heard.until(3))[1:] == [SpeechArrived(2, b"\x02"), SpeechFinished(2)]


@pytest.mark.parametrize("code", [1000, 1011, 1012, 1013])
async def test_what_came_before_the_loss_is_told_before_the_failure(
    service: Service, speech: Build, heard: Heard, code: int
) -> None:
    voice = speech().open(heard, name="call")
    voice.speak(1, "One two three.", more=False)
    line = await service.line()
    await line.requests(1)
    await line.speak("call-1", b"\x01", b"\x02")
    words = {"words": ["One", "two"], "start": [0.0, 0.3], "end": [0.2, 0.5]}
    await line.say({"type": "timestamps", "context_id": "call-1", "word_timestamps": words})
    await line.ws.close(code=code)
    *came, failed = await heard.until(4)
    assert came == [
        SpeechArrived(1, b"\x01"),
        SpeechArrived(1, b"\x02"),
        WordsTimed(1, (Word("One", 0.0, 0.2), Word("two", 0.3, 0.5))),
    ]
    assert isinstance(failed, SpeechFailed)
    assert (failed.utterance, failed.final) == (1, False)
    voice.speak(2, "three.", more=False)  # the rest, as a new utterance
    second = await service.line(1)
    assert (await second.requests(1))[0]["context_id"] == "call-2"
    await second.speak("call-1", b"\x09", done=True)  # late, for the context that has failed
    await second.speak("call-2", b"\x03", done=True)
    assert (await heard.until(6))[4:] == [SpeechArrived(2, b"\x03"), SpeechFinished(2)]


@pytest.mark.parametrize(("status", "final"), [(400, False), (402, True), (500, False)])
async def test_an_error_after_audio_is_about_the_context_not_the_request(
    service: Service, speech: Build, heard: Heard, status: int, *, final: bool
) -> None:
    voice = speech().open(heard, name="call")
    voice.speak(1, "One two.", more=False)
    line = await service.line()
    await line.requests(1)
    await line.speak("call-1", b"\x01")
    await line.say({"type": "error", "context_id": "call-1", "message": "no", "status_code": status})
    await line.speak("call-1", b"\x02", done=True)
    failed = (await heard.until(2))[1]
    assert isinstance(failed, SpeechFailed)
    assert failed.final is final
    voice.speak(2, "", more=False)
    assert (await heard.until(3))[2] == SpeechFinished(2)


async def test_a_megabyte_is_taken_and_what_is_beyond_all_measure_is_refused(
    service: Service, speech: Build, heard: Heard
) -> None:
    voice = speech().open(heard, name="call")
    voice.speak(1, "One.", more=False)
    line = await service.line()
    await line.requests(1)
    long = bytes(1_000_000)
    await line.speak("call-1", long)
    assert await heard.until(1) == [SpeechArrived(1, long)]
    await line.speak("call-1", bytes(4_000_000))
    failed = (await heard.until(2))[1]
    assert isinstance(failed, SpeechFailed)
    assert failed.final is False
    voice.speak(2, "Two.", more=False)
    assert (await (await service.line(1)).requests(1))[0]["context_id"] == "call-2"


async def test_a_socket_in_use_is_warmed_only_once_and_again_after_it_was_closed(
    service: Service, speech: Build
) -> None:
    synthesizer = speech()
    synthesizer.warm()
    synthesizer.warm()
    line = await service.line()
    synthesizer.warm()
    await line.ws.close(code=1000)
    await asyncio.wait_for(line.ended.wait(), 1)
    while len(service.lines) < 2:
        await asyncio.sleep(0.01)
        synthesizer.warm()
    await asyncio.sleep(0.05)
    assert len(service.requests) == 2
