"""Both realtime speech-to-text endpoints, with real recognition."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from bridge.audio import wav
from bridge.tasks import spawn
from tests.speech_server.clients import (
    assert_legal,
    kinds,
    manual_socket,
    open_socket,
    read_to_end,
    read_until,
    seconds_of_silence,
    turns_socket,
)

SAID = ["it", "was", "the", "age", "of", "foolishness"]


def words(text: str) -> list[str]:
    return "".join(letter for letter in text.lower() if letter.isalpha() or letter == " ").split()


async def test_recorded_speech_becomes_turns(server_url: str, sentence: bytes) -> None:
    async with turns_socket(server_url) as socket:
        for _ in range(2):
            await socket.send(seconds_of_silence(0.5) + sentence + seconds_of_silence(1.5))
        await socket.send('{"type":"close"}')
        messages = await read_to_end(socket)
        assert socket.close_code == 1000
    assert_legal(messages)
    first, second = [message["transcript"] for message in messages if message["type"] == "turn.end"]
    assert words(first) == words(second) == SAID
    assert not first.startswith(" ")
    assert second.startswith(" ")
    assert "turn.eager_end" in kinds(messages)


async def test_a_turn_in_real_time(server_url: str, sentence: bytes) -> None:
    """20 ms frames at their pace: updates come while there is speech, and the end within its time."""
    audio = sentence + seconds_of_silence(2)
    loop = asyncio.get_running_loop()
    async with turns_socket(server_url) as socket:
        reader = spawn(read_until(socket, "turn.end"), name="reader")
        began = loop.time()
        for count, at in enumerate(range(0, len(audio), 160)):
            await asyncio.sleep(max(0.0, began + count * 0.02 - loop.time()))
            if reader.done():
                break
            await socket.send(audio[at : at + 160])
        messages = await reader
        took = loop.time() - began
    assert kinds(messages)[:2] == ["connected", "turn.start"]
    assert words(messages[-1]["transcript"]) == SAID
    assert 0.7 < took - len(sentence) / 8000 < 1.6


async def test_the_drain_brings_the_last_words(server_url: str, sentence: bytes) -> None:
    async with turns_socket(server_url) as socket:
        await socket.send(sentence)
        await socket.send('{"type":"close"}')
        messages = await read_to_end(socket)
    assert_legal(messages)
    assert words(messages[-1]["transcript"]) == SAID


async def test_silence_and_noise_are_no_turns(server_url: str) -> None:
    async with turns_socket(server_url) as socket:
        await socket.send(seconds_of_silence(3) + bytes(range(0x60, 0x70)) * 1000)
        await socket.send('{"type":"close"}')
        assert kinds(await read_to_end(socket)) == ["connected"]


async def test_a_lower_end_threshold_waits_longer(server_url: str, sentence: bytes) -> None:
    """Two sentences with a pause of 1.2 s: two turns by default, one for a patient listener."""
    for threshold, turns in ((0.2, 2), (0.08, 1)):
        async with turns_socket(server_url, turn_end_threshold=threshold) as socket:
            await socket.send(sentence + seconds_of_silence(1.2) + sentence + seconds_of_silence(3.5))
            await socket.send('{"type":"close"}')
            messages = await read_to_end(socket)
        assert_legal(messages)
        assert kinds(messages).count("turn.end") == turns


async def test_config_in_mid_session(server_url: str, sentence: bytes) -> None:
    async with turns_socket(server_url) as socket:
        await socket.send('{"type":"config","turn":{"end_threshold":0.08,"eager_end_threshold":0.35}}')
        await socket.send(sentence + seconds_of_silence(1.2) + sentence)
        await socket.send('{"type":"config","turn":{"end_threshold":0.9}}')
        await socket.send('{"type":"close"}')
        messages = await read_to_end(socket)
    (error,) = [message for message in messages if message["type"] == "error"]
    assert error["status_code"] == 400
    assert kinds(messages).count("turn.end") == 1


async def test_linear_audio_of_another_rate(server_url: str, assets: Path) -> None:
    recording = wav.parse((assets / "beckett.wav").read_bytes(), name="beckett.wav")
    async with turns_socket(server_url, encoding="pcm_s16le", sample_rate=recording.sample_rate) as socket:
        # Odd pieces: a sample may be cut in two.
        for at in range(0, len(recording.data), 33_333):
            await socket.send(recording.data[at : at + 33_333])
        await socket.send('{"type":"close"}')
        messages = await read_to_end(socket)
    assert_legal(messages)
    assert "failed" in "".join(message["transcript"] for message in messages if message["type"] == "turn.end")


async def test_manual_finalize(server_url: str, sentence: bytes) -> None:
    async with manual_socket(server_url) as socket:
        await socket.send(sentence)
        await socket.send("finalize")
        first = await read_until(socket, "flush_done")
        await socket.send("finalize")
        assert kinds(await read_until(socket, "flush_done")) == ["flush_done"]
        await socket.send(sentence)
        await socket.send("close")
        rest = await read_to_end(socket)
        assert socket.close_code == 1000
    final = first[-2]
    assert (final["is_final"], final["language"]) == (True, "en")
    assert words(final["text"]) == SAID
    assert [word["word"] for word in final["words"]] == final["text"].split()
    assert 0 <= final["words"][0]["start"] < final["words"][-1]["end"] <= final["duration"]
    assert kinds(rest)[-2:] == ["transcript", "done"]
    assert rest[-2]["text"].startswith(" It")


async def test_manual_finalizes_at_a_silence(server_url: str, sentence: bytes) -> None:
    async with manual_socket(server_url, max_silence_duration_secs=0.6) as socket:
        await socket.send(sentence + seconds_of_silence(1))
        while not (message := json.loads(await socket.recv()))["is_final"]:
            pass
    assert words(message["text"]) == SAID


@pytest.mark.parametrize(
    ("path", "query", "says"),
    [
        ("/stt/turns/websocket", {}, "model"),
        ("/stt/turns/websocket", {"model": "ink-2", "encoding": "mp3", "sample_rate": 8000}, "encoding"),
        ("/stt/turns/websocket", {"model": "ink-2", "encoding": "pcm_mulaw", "sample_rate": 4000}, "sample_rate"),
        ("/stt/turns/websocket", {"model": "ink-2", "encoding": "pcm_mulaw", "sample_rate": "x"}, "sample_rate"),
        (
            "/stt/turns/websocket",
            {"model": "ink-2", "encoding": "pcm_mulaw", "sample_rate": 8000, "turn_end_threshold": 0.7},
            "turn_end_threshold",
        ),
        (
            "/stt/websocket",
            {"model": "ink-2", "encoding": "pcm_mulaw", "sample_rate": 8000, "language": "de"},
            "language",
        ),
    ],
)
async def test_bad_parameters_are_refused_at_the_handshake(
    server_url: str, path: str, query: dict[str, object], says: str
) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with open_socket(server_url, path, **query):
            pass
    response = caught.value.response
    assert response.status_code == 400
    body = json.loads(response.body or b"")
    assert says in body["message"]
    assert set(body) == {"error_code", "title", "message", "request_id"}
    assert response.headers["X-Request-Id"] == body["request_id"]
