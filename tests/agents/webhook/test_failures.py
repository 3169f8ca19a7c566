from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from bridge.agents.webhook import end as webhook_end
from bridge.agents.webhook.agent import WebhookAgent, WebhookOptions
from bridge.conversation.actions import Action, Note, Say
from bridge.errors import AgentError
from tests.agents.asking import ENDED, TURN, hear
from tests.agents.bench import Bench, answers, failure

# --- a question about a turn -------------------------------------------------------------------------------


async def test_an_agent_that_is_not_there(bench: Bench, unused_tcp_port: int) -> None:
    error = await failure(bench.at(f"http://user:pass@127.0.0.1:{unused_tcp_port}/agent?key=secret"))
    assert error.code == "agent_unreachable"
    assert f"http://127.0.0.1:{unused_tcp_port}/agent cannot be reached" in error.message
    assert "secret" not in error.message
    assert "pass" not in error.message


async def test_an_agent_whose_name_is_unknown(bench: Bench) -> None:
    assert (await failure(bench.at("http://agent.invalid/"))).code == "agent_unreachable"


async def test_an_agent_that_hangs_up_without_an_answer(bench: Bench) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    error = await failure(bench.at(await bench.raw(hang_up)))
    assert (error.code, "closed the connection" in error.message) == ("agent_unreachable", True)


async def test_an_answer_that_breaks_off(bench: Bench) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\nHello")
        await writer.drain()
        writer.close()

    agent = bench.at(await bench.raw(break_off))
    heard: list[Action] = []
    with pytest.raises(AgentError, match="broke its answer off") as failed:
        async for action in agent.ask(TURN):
            heard.append(action)  # noqa: PERF401 - what came before the failure counts
    assert (failed.value.code, heard) == ("agent_unreachable", [Say("Hello")])


async def test_an_agent_that_does_not_speak_http(bench: Bench) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await writer.drain()
        writer.close()

    assert (await failure(bench.at(await bench.raw(talk)))).code == "agent_answer"


@pytest.mark.parametrize("answering", [False, True], ids=["no byte", "no further byte"])
async def test_a_slow_agent_is_timed_out(bench: Bench, *, answering: bool) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/plain"})
        if answering:
            await response.prepare(request)
            await response.write(b"Well")
        await asyncio.Event().wait()
        return response

    error = await failure(await bench.agent(handler, timeout_seconds=0.2))
    assert (error.code, "sent nothing for 0.2 s" in error.message) == ("agent_timeout", True)


async def test_an_agent_that_cannot_be_connected_to_in_time(bench: Bench) -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # a TLS greeting, which is never answered
        writer.close()

    url = (await bench.raw(swallow)).replace("http://", "https://")
    agent = WebhookAgent(url, options=WebhookOptions(connect_seconds=0.1))
    bench.agents.append(agent)
    error = await failure(agent)
    assert (error.code, "within 0.1 s" in error.message) == ("agent_unreachable", True)


@pytest.mark.parametrize("status", [400, 401, 404, 500, 503])
async def test_an_http_error_is_told_with_its_status_and_without_the_query(bench: Bench, status: int) -> None:
    posts = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal posts
        posts += 1
        return web.Response(status=status, text="Traceback …")

    error = await failure(await bench.agent(handler, path="/agent?key=secret"))
    assert error.code == "agent_status"
    assert f"/agent answered with status {status}" in error.message
    assert "secret" not in error.message
    assert posts == 1, "a question about a turn is never sent twice"


async def test_a_redirect_is_not_followed(bench: Bench) -> None:
    async def handler(request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("/elsewhere")

    error = await failure(await bench.agent(handler))
    assert error.code == "agent_status"
    assert "status 307; redirects are not followed" in error.message


@pytest.mark.parametrize(
    ("content_type", "text"), [("application/json", '{"say": '), ("text/html", "<p>Hello</p>")]
)
async def test_an_answer_that_is_not_understood(bench: Bench, content_type: str, text: str) -> None:
    assert (await failure(await bench.agent(answers(text=text, content_type=content_type)))).code == "agent_answer"


async def test_a_huge_answer_is_broken_off(bench: Bench) -> None:
    sent = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"content-type": "text/plain"})
        await response.prepare(request)
        while True:
            await response.write(b"bla " * 25_000)
            sent += 100_000

    error = await failure(await bench.agent(handler))
    assert (error.code, "longer than 1000000 bytes" in error.message) == ("agent_answer", True)
    assert sent < 10_000_000


# --- the end of a call -------------------------------------------------------------------------------------


async def test_call_ended_is_delivered_again_until_it_is_taken(bench: Bench) -> None:
    ids: list[str] = []
    spans: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        ids.append(request.headers["webhook-id"])
        spans.append(request.headers["traceparent"])
        if len(ids) == 1:
            assert request.transport is not None
            request.transport.abort()
        if len(ids) < 4:
            raise web.HTTPServiceUnavailable
        return web.json_response({"type": "note", "data": {"mood": "good"}})

    agent = await bench.agent(handler)
    assert await hear(agent, ENDED) == [Note({"mood": "good"})]
    assert (len(ids), len(set(ids)), len(set(spans))) == (4, 1, 4)


@pytest.mark.parametrize(("status", "attempts"), [(500, 4), (429, 4), (404, 1), (302, 1)])
async def test_call_ended_is_given_up_in_the_end(bench: Bench, status: int, attempts: int) -> None:
    posts = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal posts
        posts += 1
        return web.Response(status=status)

    error = await failure(await bench.agent(handler), ENDED)
    assert (error.code, posts) == ("agent_status", attempts)


async def test_delivering_call_ended_takes_no_longer_than_its_limit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_end, "END_SECONDS", 0.2)

    async def handler(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    agent = await bench.agent(handler)
    async with asyncio.timeout(2):
        error = await failure(agent, ENDED)
    assert (error.code, "did not take call.ended" in error.message) == ("agent_timeout", True)
