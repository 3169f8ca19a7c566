"""Clients that send what nobody should: told, survived, and without harm to others."""

from __future__ import annotations

import json
import random
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed

from tests.speech_server.clients import (
    kinds,
    manual_socket,
    open_socket,
    read_to_end,
    read_until,
    seconds_of_silence,
    turns_socket,
)

NONSENSE = [
    "",
    "close",
    "{",
    "[]",
    "null",
    '{"type":5}',
    '{"type":"finalise"}',
    '{"type":"config","turn":7}',
    "\0\0",
    "é" * 5000,
]


async def test_nonsense_on_the_turns_socket(server_url: str, sentence: bytes) -> None:
    async with turns_socket(server_url) as socket:
        for text in NONSENSE:
            await socket.send(text)
        await socket.send(sentence + seconds_of_silence(0.5))
        await socket.send('{"type":"close","more":true}')
        messages = await read_to_end(socket)
    assert kinds(messages).count("error") == len(NONSENSE)
    assert all(message["status_code"] == 400 for message in messages if message["type"] == "error")
    assert "foolishness" in messages[-1]["transcript"]


async def test_nonsense_on_the_manual_socket(server_url: str) -> None:
    async with manual_socket(server_url) as socket:
        for text in ("", '{"type":"close"}', "FINALIZE", "x" * 100_000):
            await socket.send(text)
        await socket.send("done")
        assert kinds(await read_to_end(socket)) == ["error"] * 4 + ["done"]


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le", "pcm_f16le", "pcm_s32le", "pcm_alaw"])
async def test_garbage_of_odd_lengths(server_url: str, encoding: str) -> None:
    noise = random.Random(1)
    async with turns_socket(server_url, encoding=encoding, sample_rate=22050) as socket:
        for size in (0, 1, 3, 4097, 60_001):
            await socket.send(noise.randbytes(size))
        await socket.send('{"type":"close"}')
        messages = await read_to_end(socket)
        assert socket.close_code == 1000
    assert "error" not in kinds(messages)


async def test_a_message_that_is_too_large_closes_that_socket_only(server_url: str) -> None:
    for opened in (turns_socket(server_url), open_socket(server_url, "/tts/websocket")):
        async with opened as socket:
            with pytest.raises(ConnectionClosed):
                await socket.send("x" * (2 << 20))
                while True:
                    await socket.recv()
            assert socket.close_code == 1009
    async with aiohttp.ClientSession() as session, session.get(f"{server_url}/healthz") as response:
        assert response.status == 200


async def test_nonsense_on_the_tts_socket(server_url: str) -> None:
    request: dict[str, Any] = {
        "context_id": "c",
        "model_id": "sonic-3",
        "voice": "en-US",
        "transcript": "Hello.",
        "output_format": {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000},
    }
    wrong: list[dict[str, Any]] = [
        {"transcript": 5},
        {"voice": {}},
        {"voice": {"embedding": [1]}},
        {"output_format": {"container": "mp3", "sample_rate": 8000}},
        {"output_format": {"container": "raw", "encoding": "opus", "sample_rate": 8000}},
        {"max_buffer_delay_ms": 10**9},
        {"speed": "warp"},
    ]
    async with open_socket(server_url, "/tts/websocket") as socket:
        for text in ("", "[]", "{", '{"context_id":1}', '{"cancel":true}', "\0"):
            await socket.send(text)
            assert json.loads(await socket.recv())["type"] == "error"
        for change in wrong:
            await socket.send(json.dumps({**request, **change}))
            error = json.loads(await socket.recv())
            assert (error["type"], error["status_code"], error["done"]) == ("error", 400, True)
        await socket.send(b"\xff\xfe\x00")
        assert json.loads(await socket.recv())["type"] == "error"
        await socket.send('{"context_id":"nobody","cancel":true}')
        await socket.send(json.dumps({**request, "context_id": "good"}))
        messages = await read_until(socket, "done")
    assert {message["context_id"] for message in messages} == {"good"}


@pytest.mark.parametrize(
    "text", ["", "   ", "…", "日本語", "<>&<speak>", "x" * 2000, "\0\n\t", '<break time="1s"/>']
)
async def test_texts_that_cannot_be_spoken_end_properly(server_url: str, text: str) -> None:
    async with open_socket(server_url, "/tts/websocket") as socket:
        await socket.send(
            json.dumps(
                {"context_id": "c", "model_id": "m", "voice": "en-US", "transcript": text, "add_timestamps": True}
            )
        )
        assert "error" not in kinds(await read_until(socket, "done"))


async def test_clients_that_vanish(server_url: str, sentence: bytes) -> None:
    async with aiohttp.ClientSession() as session:
        for path in ("/stt/turns/websocket?model=m&encoding=pcm_mulaw&sample_rate=8000", "/tts/websocket"):
            socket = await session.ws_connect(server_url + path)
            await socket.send_bytes(sentence)
            transport = socket.get_extra_info("socket")
            assert transport is not None
            await socket.close()
        async with session.get(f"{server_url}/healthz") as response:
            assert response.status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/tts/bytes", 405),
        ("POST", "/stt/websocket", 405),
        ("POST", "/../etc/passwd", 404),
    ],
)
async def test_wrong_addresses(server_url: str, method: str, path: str, status: int) -> None:
    async with aiohttp.ClientSession() as session, session.request(method, server_url + path) as response:
        assert response.status == status
        assert (await response.json())["title"]


async def test_a_socket_address_without_an_upgrade(server_url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for path in ("/stt/turns/websocket?model=m&encoding=pcm_mulaw&sample_rate=8000", "/tts/websocket"):
            async with session.get(server_url + path) as response:
                assert response.status in {400, 426}
