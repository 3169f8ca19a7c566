"""The peers of the load, spoken to with the libraries that systems use: websockets and aiohttp."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect

from bridge.audio import codec
from bridge.bench.agent import InstantAgent
from bridge.bench.figures import ASK, ASK_EAGERLY, BARGE_IN, PLAY, SYNTHESIZE
from bridge.bench.load_call import LoadCall
from bridge.bench.peer_server import Routes, serving
from bridge.bench.speech import ScriptedSpeech, line_of
from bridge.bench.talk import Pace, clock
from bridge.bench.tally import Tally
from bridge.simulator.load.cells import CELL_BYTES, agent_cells, caller_cells
from bridge.stt import cartesia_wire as stt
from bridge.tasks import spawn
from bridge.tts import cartesia_wire as tts

QUERY = "?model=ink-2&sample_rate=8000&encoding="


@dataclass
class Peers:
    url: str
    call: LoadCall
    tally: Tally

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1)


@pytest.fixture
async def peers() -> AsyncIterator[Peers]:
    tally = Tally()
    tally.begin_window(0.0)
    call = LoadCall(5, "AC" + "0" * 32, tally, random.Random(1), Pace(turn_s=0.4))
    calls = {5: call}
    routes = Routes()
    ScriptedSpeech(calls.get).add_to(routes)
    InstantAgent(calls.get).add_to(routes)
    async with serving(routes) as url:
        yield Peers(url, call, tally)


@pytest.mark.parametrize("encoding", ["pcm_mulaw", "pcm_s16le"])
async def test_a_recogniser_knows_the_call_by_its_audio_and_gets_every_byte(peers: Peers, encoding: str) -> None:
    audio = caller_cells(5).span(0, 10 * CELL_BYTES)
    async with connect(peers.socket_url + stt.TURNS_PATH + QUERY + encoding) as socket:
        assert isinstance(stt.parse_from_service(await socket.recv()), stt.Connected)
        await socket.send(audio if encoding == "pcm_mulaw" else codec.mulaw_to_linear16(audio))
        await socket.send(stt.encode(stt.Close()))
        with pytest.raises(Exception, match="1000"):
            await socket.recv()
    assert peers.call.up.position == len(audio)
    assert peers.tally.lost_up == 0


async def test_turns_are_told_on_the_calls_own_socket(peers: Peers) -> None:
    async with connect(peers.socket_url + stt.TURNS_PATH + QUERY + "pcm_mulaw") as socket:
        await socket.recv()
        await socket.send(caller_cells(5).span(0, CELL_BYTES))
        peers.call.talk.begin(PLAY)
        peers.call.talk.reached(PLAY, clock())  # the agent has spoken first
        running = spawn(peers.call.talk.run(1), name="talk")
        assert isinstance(stt.parse_from_service(await socket.recv()), stt.TurnStart)
        peers.call.talk.reached(BARGE_IN, clock())
        assert isinstance(stt.parse_from_service(await socket.recv()), stt.TurnUpdate)
        running.cancel()


def request(context: str, text: str, encoding: str = "pcm_mulaw") -> str:
    form = tts.OutputFormat(encoding=encoding)
    return tts.encode(
        tts.Generate(
            context_id=context, model_id="m", transcript=text, voice="v", output_format=form, add_timestamps=True
        )
    )


@pytest.mark.parametrize("encoding", ["pcm_mulaw", "pcm_s16le"])
async def test_a_text_is_spoken_as_cells_of_its_call_with_times_of_its_words(peers: Peers, encoding: str) -> None:
    async with connect(peers.socket_url + tts.TTS_PATH) as socket:
        peers.call.talk.begin(SYNTHESIZE)
        await socket.send(request("c1", "This is line 5 speaking", encoding))
        audio, words = b"", []
        while not isinstance(event := tts.parse_from_service(await socket.recv()), tts.Done):
            if isinstance(event, tts.Chunk):
                audio += event.data
            elif isinstance(event, tts.Timestamps) and event.word_timestamps is not None:
                words += event.word_timestamps.words
    mulaw = audio if encoding == "pcm_mulaw" else codec.linear16_to_mulaw(audio)
    assert mulaw == agent_cells(5, 1).span(0, len(mulaw))
    assert len(mulaw) == pytest.approx(0.48 * 8000, abs=1920)
    assert words == ["This", "is", "line", "5", "speaking"][: len(mulaw) // 1920]
    assert len(peers.tally.samples[SYNTHESIZE]) == 1


async def test_a_cancelled_text_is_spoken_no_further_and_others_are(peers: Peers) -> None:
    async with connect(peers.socket_url + tts.TTS_PATH) as socket:
        await socket.send(request("c1", "Of nobody's line"))
        await socket.recv()
        await socket.send(tts.encode(tts.Cancel("c1")))
        await socket.send(request("c2", "line 5"))
        ends: list[str] = []
        while not ends:
            event = tts.parse_from_service(await socket.recv())
            if isinstance(event, tts.Done):
                ends.append(event.context_id)
    assert ends == ["c2"], "the first one is longer and would have ended later anyway, but never did"


async def ask(peers: Peers, path: str, body: dict[str, Any]) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(peers.url + path, json=body) as response,
    ):
        return response.status, await response.text()


async def test_the_webhook_answers_and_stamps_the_turn_it_was_asked_about(peers: Peers) -> None:
    question = {"type": "turn.ended", "call": {"sid": "x"}, "turn": {"number": 3, "transcript": " of line 5?"}}
    peers.call.talk.begin(ASK)
    status, text = await ask(peers, "/agent", question)
    assert status == 200
    assert line_of(json.loads(text)["say"]) == 5
    assert len(peers.tally.samples[ASK]) == 1

    peers.call.talk.held = True
    peers.call.talk.begin(ASK_EAGERLY)
    await ask(peers, "/agent", question)
    assert len(peers.tally.samples[ASK_EAGERLY]) == 1


async def test_the_webhook_greets_by_the_calls_id_and_has_nothing_to_say_to_others(peers: Peers) -> None:
    greeting = {
        "type": "call.started",
        "call": {"sid": "CA" + "5".zfill(32)},
        "turn": {"number": 0, "transcript": ""},
    }
    assert (await ask(peers, "/agent", greeting))[0] == 200
    assert (await ask(peers, "/agent", {**greeting, "type": "call.ended"}))[0] == 204
    assert (await ask(peers, "/agent", {**greeting, "call": {"sid": "CA" + "6".zfill(32)}}))[0] == 204
    assert (await ask(peers, "/nothing", {}))[0] == 404


@pytest.mark.parametrize("stream", [True, False])
async def test_a_model_answers_with_the_calls_line(peers: Peers, stream: bool) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Question of line 5?"}]
    peers.call.talk.begin(ASK)
    status, text = await ask(peers, "/v1/chat/completions", {"model": "m", "messages": messages, "stream": stream})
    assert status == 200
    if stream:
        events = [line.removeprefix("data: ") for line in text.splitlines() if line]
        assert events[-1] == "[DONE]"
        said = json.loads(events[0])["choices"][0]["delta"]["content"]
    else:
        said = json.loads(text)["choices"][0]["message"]["content"]
    assert line_of(said) == 5
    assert len(peers.tally.samples[ASK]) == 1
