"""Whole files to text, over real HTTP; what stands at the other end is scripted."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import BodyPartReader, web
from aiohttp.test_utils import TestServer

from bridge.audio.wav import write_mulaw
from bridge.errors import SpeechError
from bridge.speech.link import SpeechLink
from bridge.stt.cartesia_batch import CartesiaBatch, HeardFile, HeardWord

FILE = write_mulaw(b"\x55" * 800)
ANSWER = {
    "type": "transcript",
    "text": " Hello,  there.",
    "duration": 0.1,
    "words": [{"word": "Hello,", "start": 0.01, "end": 0.0504}, {"word": "there.", "start": 0.06, "end": 0.1}],
}


class Service:
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: Any = ANSWER
        self.status = 200
        self.fields: dict[str, bytes] = {}
        self.headers: dict[str, str] = {}
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            self.fields[part.name or ""] = bytes(await part.read())
            self.fields[f"{part.name}: name"] = (part.filename or "").encode()
        if isinstance(self.answer, bytes):
            return web.Response(body=self.answer, status=self.status)
        return web.json_response(self.answer, status=self.status)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/proxy/stt", service.handle)
    async with TestServer(app) as server:
        service.url = str(server.make_url("/proxy"))
        yield service


@contextlib.asynccontextmanager
async def batch(url: str, *, timeout_s: float = 5, **link: Any) -> AsyncIterator[CartesiaBatch]:
    batch = CartesiaBatch(SpeechLink(url, **link), language="es", timeout_s=timeout_s)
    try:
        yield batch
    finally:
        await batch.close()


async def test_a_file_becomes_text_with_the_times_of_its_words(service: Service) -> None:
    async with batch(service.url, api_key="sk_1") as stt:
        heard = await stt.transcribe(FILE, name="caller.wav")
    assert heard == HeardFile(" Hello,  there.", (HeardWord("Hello,", 10, 50), HeardWord("there.", 60, 100)))
    fields = service.fields
    assert (fields["file"], fields["file: name"]) == (FILE, b"caller.wav")
    assert (fields["model"], fields["language"]) == (b"ink-whisper", b"es")
    assert fields["timestamp_granularities[]"] == b"word"
    assert (service.headers["x-api-key"], service.headers["cartesia-version"]) == ("sk_1", "2026-03-01")


async def test_text_without_times_is_text(service: Service) -> None:
    service.answer = {"text": "Hola."}
    async with batch(service.url.replace("http", "ws"), api_key="sk_1", access_token="t1") as stt:
        assert await stt.transcribe(FILE, name="a.wav") == HeardFile("Hola.")
    assert service.headers["authorization"] == "Bearer t1"
    assert "x-api-key" not in service.headers


@pytest.mark.parametrize(
    ("status", "answer", "code", "told"),
    [
        (401, {"message": "bad key sk_secret"}, "speech_auth", "BRIDGE_SPEECH__API_KEY"),
        (413, {"title": "too large"}, "speech_request", "too large"),
        (503, b"<html>", "speech_server", "try again later"),
        (302, b"", "speech_request", "302"),
        (200, b"no JSON", "speech_request", "check speech.base_url"),
        (200, {"words": []}, "speech_request", "check speech.base_url"),
        (200, b"", "speech_request", "check speech.base_url"),
    ],
)
async def test_what_goes_wrong_is_told_with_its_remedy(
    service: Service, status: int, answer: Any, code: str, told: str
) -> None:
    service.status, service.answer = status, answer
    async with batch(service.url, api_key="sk_secret") as stt:
        with pytest.raises(SpeechError) as failed:
            await stt.transcribe(FILE, name="a.wav")
    assert failed.value.code == code
    assert told in failed.value.message
    assert "sk_secret" not in failed.value.message


async def test_a_service_that_is_down_is_told() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    async with batch(f"http://127.0.0.1:{port}") as stt:
        with pytest.raises(SpeechError, match="cannot reach the speech service") as failed:
            await stt.transcribe(FILE, name="a.wav")
    assert failed.value.code == "speech_unreachable"


@pytest.mark.parametrize(("usual_s", "own_s"), [(0.2, None), (20, 0.2)])
async def test_a_service_that_does_not_answer_is_given_up(usual_s: float, own_s: float | None) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        async with batch(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout_s=usual_s) as stt:
            with pytest.raises(SpeechError, match=r"within 0\.2 s") as failed:
                await stt.transcribe(FILE, name="a.wav", timeout_s=own_s)
    assert failed.value.code == "speech_timeout"
