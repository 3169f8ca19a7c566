"""Keys, tokens, limits and idle sockets: a server that is not open to everybody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosedOK

from bridge.errors import SettingsError
from bridge.speech_server.server import RunningServer, ServerSettings, start
from bridge.tasks import spawn
from tests.speech_server.clients import open_socket, read_until, turns_socket

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "sk_local_secret"
TURNS = "/stt/turns/websocket?model=ink-2&encoding=pcm_mulaw&sample_rate=8000"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RunningServer]:
    settings = ServerSettings(
        port=0,
        api_key=KEY,
        max_streams=1,
        max_files=1,
        max_contexts=1,
        stt_idle_seconds=0.3,
        tts_idle_seconds=0.3,
        voice="en-GB",
    )
    running = await start(settings)
    yield running
    await running.close()
    await running.close()


async def status_of(server: RunningServer, path: str, method: str = "GET", **arguments: Any) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, server.url + path, **arguments) as response,
    ):
        return response.status, await response.json()


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"headers": {"X-API-Key": "wrong"}},
        {"headers": {"Authorization": "Bearer wrong"}},
        {"headers": {"Authorization": f"Basic {KEY}"}},
        {"params": {"access_token": "wrong"}},
        {"params": {"access_token": KEY}},
        {"headers": {"X-API-Key": "é"}},
    ],
)
async def test_without_the_key_nobody_comes_in(server: RunningServer, arguments: dict[str, Any]) -> None:
    for path in ("/stt/turns/websocket", "/stt/websocket", "/tts/websocket", "/voices"):
        status, answer = await status_of(server, path, **arguments)
        assert status == 401
        assert answer["title"] == "Unauthorized"
        assert KEY not in json.dumps(answer)
    for path in ("/stt", "/tts/bytes", "/tts/sse", "/access-token"):
        status, _ = await status_of(server, path, "POST", **arguments)
        assert status == 401


async def test_health_needs_no_key(server: RunningServer) -> None:
    status, answer = await status_of(server, "/healthz")
    assert (status, answer["status"]) == (200, "ok")


@pytest.mark.parametrize("headers", [{"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}])
async def test_the_key_lets_in(server: RunningServer, headers: dict[str, str]) -> None:
    status, _ = await status_of(server, "/voices", headers=headers)
    assert status == 200


async def test_a_token_lets_in_until_it_expires(server: RunningServer) -> None:
    async def minted(seconds: float) -> tuple[int, Any]:
        wish = {"grants": {"stt": True}, "expires_in": seconds}
        return await status_of(server, "/access-token", "POST", headers={"X-API-Key": KEY}, json=wish)

    _, answer = await minted(0.2)
    token = answer["token"]
    assert (await status_of(server, "/voices", params={"access_token": token}))[0] == 200
    assert (await status_of(server, "/voices", headers={"Authorization": f"Bearer {token}"}))[0] == 200
    await asyncio.sleep(0.25)
    assert (await status_of(server, "/voices", params={"access_token": token}))[0] == 401
    assert (await minted(7200))[0] == 400


async def test_one_stream_more_than_allowed_is_refused(server: RunningServer) -> None:
    async with aiohttp.ClientSession(headers={"X-API-Key": KEY}) as session:
        socket = await session.ws_connect(server.url + TURNS)
        status, answer = await status_of(server, TURNS, headers={"X-API-Key": KEY})
        assert (status, answer["error_code"]) == (429, "concurrency_limited")
        await socket.send_str('{"type":"close"}')
        async for _ in socket:
            pass
        again = await session.ws_connect(server.url + TURNS)
        await again.close()


async def test_one_file_more_than_allowed_is_refused(server: RunningServer) -> None:
    sent = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b'--part\r\nContent-Disposition: form-data; name="language"\r\n\r\n'
        await sent.wait()
        yield b"en\r\n--part--\r\n"

    headers = {"X-API-Key": KEY, "Content-Type": "multipart/form-data; boundary=part"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def post(data: Any) -> int:
            async with session.post(server.url + "/stt", data=data) as response:
                return response.status

        first = spawn(post(slowly()), name="first")
        while (status := await post(b"--part--\r\n")) == 400:  # noqa: ASYNC110  Nobody is told when it is there.
            await asyncio.sleep(0.01)
        assert status == 429
        sent.set()
        assert await first == 400
        assert await post(b"--part\r\nno header\r\n\r\n--part--\r\n") == 400


async def test_one_context_more_than_allowed_is_refused(server: RunningServer) -> None:
    def request(context: str, **fields: Any) -> str:
        return json.dumps(
            {"context_id": context, "model_id": "m", "voice": "en-US", "transcript": "Hello.", **fields}
        )

    async with aiohttp.ClientSession(headers={"X-API-Key": KEY}) as session:
        socket = await session.ws_connect(server.url + "/tts/websocket")
        await socket.send_str(request("a", **{"continue": True}))
        assert (await socket.receive_json())["type"] == "chunk"
        await socket.send_str(request("b"))
        while (message := await socket.receive_json())["type"] == "chunk":
            pass
        assert (message["context_id"], message["status_code"]) == ("b", 429)
        await socket.send_str('{"context_id":"a","cancel":true}')
        await socket.send_str(request("c"))
        while (message := await socket.receive_json())["context_id"] != "c" or message["type"] != "done":
            pass
        await socket.close()


async def test_idle_sockets_are_closed(server: RunningServer) -> None:
    for opened, code in (
        (turns_socket(server.url, access_token=await token(server)), 1001),
        (open_socket(server.url, "/tts/websocket", access_token=await token(server)), 1000),
    ):
        async with opened as socket:
            with pytest.raises(ConnectionClosedOK):
                await read_until(socket, "never")
            assert socket.close_code == code


async def token(server: RunningServer) -> str:
    _, answer = await status_of(server, "/access-token", "POST", headers={"X-API-Key": KEY}, json={})
    return str(answer["token"])


async def test_a_port_that_is_taken(server: RunningServer) -> None:
    with pytest.raises(OSError, match="address already in use"):
        await start(ServerSettings(port=server.port))


async def test_a_voice_that_is_not_there() -> None:
    with pytest.raises(SettingsError, match=r"'nobody'.*en-US"):
        await start(ServerSettings(port=0, voice="nobody"))
