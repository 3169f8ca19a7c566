"""Scenarios that speak and understand: with a speech service of a few lines, and with the real local one."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.audio import dtmf, wav
from bridge.errors import SettingsError, SpeechError
from bridge.simulator.caller import Line
from bridge.simulator.listening import is_loud
from bridge.simulator.run import CallOptions, run_call
from bridge.simulator.speech import Speech
from bridge.speech_server.launch import launch_local
from tests.simulator.scripted_bridge import TOKEN, Bridge, Peer, listen, loud, polite_agent, serving, stream


class Service:
    """Understands 100 ms of sound as a word, `one`, `two`, `three`…, and speaks 100 ms for each word."""

    WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight")

    def __init__(self) -> None:
        self.spoken: list[str] = []
        self.keys: set[str | None] = set()
        self.status = 200

    async def speak(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        assert wanted["output_format"] == {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}
        self.keys.add(request.headers.get("X-API-Key"))
        self.spoken.append(wanted["transcript"])
        return web.Response(body=loud(100, 0x15) * len(wanted["transcript"].split()), status=self.status)

    async def recognise(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        audio = wav.read_mulaw(file.file.read(), name="heard")
        words = self.WORDS[: len(audio.replace(b"\xff", b"")) // 800]
        return web.json_response({"type": "transcript", "text": " ".join(words)})


@asynccontextmanager
async def speaking(service: Service) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/tts/bytes", service.speak)
    app.router.add_post("/stt", service.recognise)
    server = TestServer(app)
    await server.start_server()
    try:
        yield str(server.make_url("")).rstrip("/")
    finally:
        await server.close()


def options(url: str, speech: str, path: Path, text: str) -> CallOptions:
    path.joinpath("call.yaml").write_text(text)
    return CallOptions(
        Line(url, TOKEN), scenario=path / "call.yaml", speech_url=speech, speech_key="key", record=path / "call.wav"
    )


async def test_texts_are_spoken_and_words_expected(tmp_path: Path) -> None:
    text = """
    steps:
      - wait_for_agent: {silence_ms: 200}
      - expect_text: ^one two three$
        within_ms: 1500
      - say: hello there
      - expect_text: SIX
        within_ms: 3000
      - expect_text: seven
        within_ms: 1000
      - hang_up
    """
    service, bridge = Service(), Bridge([stream()], polite_agent)
    async with serving(bridge) as url, speaking(service) as speech:
        report = await run_call(options(url, speech, tmp_path, text))
    (failure,) = report.failures
    said = "'one two three four five six'"
    assert failure == f"step 5 (expect_text): within 1000 ms the agent said {said}, which does not fit 'seven'"
    assert service.spoken == ["hello there"]
    assert service.keys == {"key"}
    assert [turn.said for turn in report.turns] == ["hello there"]
    left = wav.read_mulaw((tmp_path / "call.wav").read_bytes(), name="left", channel=0)
    assert loud(200, 0x15) in left


async def test_the_caller_cuts_in_when_the_agent_has_said_something(tmp_path: Path) -> None:
    async def talkative(peer: Peer) -> None:
        await peer.next("start")
        await peer.media(loud(3000))
        await peer.read_to_the_end()

    text = """
    steps:
      - interrupt: {text: wait, when_agent_says: "two", timeout_ms: 3000}
      - expect_text: eight
        within_ms: 100
      - interrupt: {text: wait, when_agent_says: "never", timeout_ms: 500}
    """
    service, bridge = Service(), Bridge([stream()], talkative)
    async with serving(bridge) as url, speaking(service) as speech:
        report = await run_call(options(url, speech, tmp_path, text))
    (turn,) = report.turns
    assert 0.2 <= turn.start_s <= 1.5
    assert [failure.partition(":")[0] for failure in report.failures] == [
        "step 2 (expect_text)",
        "step 3 (interrupt)",
    ]
    assert "did not say 'never' within 500 ms" in report.failures[1]


async def test_nothing_is_understood_of_silence(tmp_path: Path) -> None:
    service, bridge = Service(), Bridge([stream()], listen)
    async with serving(bridge) as url, speaking(service) as speech:
        report = await run_call(options(url, speech, tmp_path, "steps: [{expect_text: hello, within_ms: 200}]"))
    assert "nothing was heard of the agent within 200 ms" in report.failures[0]


async def test_keys_and_transfers_are_expected(tmp_path: Path) -> None:
    async def agent(peer: Peer) -> None:
        await peer.next("start")
        await peer.media(dtmf.tones("42#"))
        for _ in range(40):
            await peer.next("media")

    text = """
    steps:
      - expect_digits: "42#"
      - expect_digits: {keys: "43", within_ms: 700}
      - expect_transfer: {to: '\\+1555333\\d+', status: completed, within_ms: 3000}
      - expect_transfer: {to: '\\+1999', within_ms: 100}
      - expect_text: one two
        within_ms: 3000
      - expect_end: 3000
    parties:
      "+15553334444": {after_ms: 100, does: [{digits: "1"}, {say: good morning}, {pause: 50}, hang_up]}
    """
    documents: list[str | tuple[int, str]] = [
        stream("/ended"),
        '<Response><Dial><Number url="/whisper">+15553334444</Number></Dial></Response>',
        '<Response><Gather numDigits="1" action="/accept"/><Hangup/></Response>',
        "<Response/>",
    ]
    service, bridge = Service(), Bridge(documents, agent)
    async with serving(bridge) as url, speaking(service) as speech:
        report = await run_call(options(url, speech, tmp_path, text))
    assert report.failures == (
        "step 2 (expect_digits): the keys '43' were not heard within 700 ms, but '42#'",
        "step 4 (expect_transfer): there was no transfer to \\+1999 within 100 ms, but to +15553334444 (completed)",
    )
    assert [path for path, _ in bridge.requests] == ["/twilio/voice", "/ended", "/whisper", "/accept"]
    assert report.outcome == "transferred"
    assert "transfer to +15553334444: completed" in str(report)
    assert report.as_dict()["transfers"][0]["bridged"] is True


async def test_a_speech_service_that_fails_is_told_before_anything_is_dialled(tmp_path: Path) -> None:
    given = options("http://127.0.0.1:9", "http://127.0.0.1:9", tmp_path, "steps: [say: hello]")
    with pytest.raises(SpeechError, match="cannot be reached"):
        await run_call(given)
    with pytest.raises(SettingsError, match="--speech URL"):
        await run_call(replace(given, speech_url=""))
    service = Service()
    service.status = 402
    async with speaking(service) as speech:
        with pytest.raises(SpeechError, match="answered /tts/bytes with 402"):
            await run_call(replace(given, speech_url=speech))


@pytest.fixture
async def local_speech() -> AsyncIterator[str]:
    server = await launch_local()
    try:
        yield server.url
    finally:
        await server.close()


async def test_real_speech_is_understood(local_speech: str, tmp_path: Path) -> None:
    async with Speech(local_speech) as speech:
        spoken = await speech.speak(["Thank you for calling. We are open on Monday, and closed on Sunday."])
    (answer,) = spoken.values()

    async def agent(peer: Peer) -> None:
        await peer.next("start")
        for _ in range(2):  # the cut is not waited for: how soon it comes is the recogniser's affair
            heard, quiet = False, 0
            while not heard or quiet < 30:
                audio = base64.b64decode((await peer.next("media"))["media"]["payload"])
                heard, quiet = (heard, quiet + 1) if not is_loud(audio) else (True, 0)
            await peer.media(answer)
        await peer.read_to_the_end()

    text = """
    steps:
      - say: When are you open?
      - interrupt: {text: "Thank you, that is all.", when_agent_says: "thank you"}
      - expect_text: sunday
      - hang_up
    """
    bridge = Bridge([stream()], agent)
    async with serving(bridge) as url:
        report = await run_call(options(url, local_speech, tmp_path, text))
    assert report.ok, str(report)
    assert [turn.said for turn in report.turns] == ["When are you open?", "Thank you, that is all."]
