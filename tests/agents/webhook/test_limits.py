"""What an agent may take, and how its connection is used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from bridge.agents.webhook.agent import WebhookAgent, WebhookOptions
from bridge.conversation.actions import Action, Say
from bridge.errors import AgentError
from tests.agents.asking import CUT_IN, ENDED, STARTED, TURN, hear
from tests.agents.bench import Bench, answers, failure

Writer = asyncio.StreamWriter


def limited(bench: Bench, url: str, *, answer_seconds: float, timeout_seconds: float = 5.0) -> WebhookAgent:
    options = WebhookOptions(connect_seconds=0.3, answer_seconds=answer_seconds)
    agent = WebhookAgent(url, timeout_seconds=timeout_seconds, options=options)
    bench.agents.append(agent)
    return agent


async def heard_until_failure(agent: WebhookAgent) -> tuple[list[Action], AgentError]:
    heard: list[Action] = []
    with pytest.raises(AgentError) as failed:
        async for action in agent.ask(TURN):
            heard.append(action)  # noqa: PERF401 - what came before the failure counts
    return heard, failed.value


def dripping(content_type: bytes, text: bytes) -> Callable[[asyncio.StreamReader, Writer], Awaitable[None]]:
    """An agent whose answer comes a byte at a time, and never ends."""

    async def drip(reader: asyncio.StreamReader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: " + content_type + b"\r\n\r\n")
        try:
            for number in range(10_000):
                writer.write(text[number % len(text) : number % len(text) + 1])
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        finally:
            writer.close()

    return drip


# --- time --------------------------------------------------------------------------------------------------


async def test_an_answer_that_drips_is_cut_off_and_what_came_is_spoken(bench: Bench) -> None:
    agent = limited(bench, await bench.raw(dripping(b"text/plain", b"Well, ")), answer_seconds=0.5)
    started = time.monotonic()
    heard, error = await heard_until_failure(agent)
    assert 0.4 < time.monotonic() - started < 1.5
    assert (error.code, "did not end its answer within 0.5 s" in error.message) == ("agent_timeout", True)
    assert "".join(action.text for action in heard if isinstance(action, Say)).startswith("Well, W")


@pytest.mark.parametrize("content_type", [b"application/json", b"text/event-stream"])
async def test_an_answer_that_drips_without_a_word_is_cut_off_too(bench: Bench, content_type: bytes) -> None:
    agent = limited(bench, await bench.raw(dripping(content_type, b": \n")), answer_seconds=0.3)
    heard, error = await heard_until_failure(agent)
    assert (heard, error.code) == ([], "agent_timeout")


async def test_the_head_of_an_answer_may_not_drip_either(bench: Bench) -> None:
    async def drip(reader: asyncio.StreamReader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
        try:
            for _ in range(200):
                writer.write(b"o")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        finally:
            writer.close()

    agent = limited(bench, await bench.raw(drip), answer_seconds=60, timeout_seconds=0.2)
    started = time.monotonic()
    assert (await failure(agent)).code == "agent_timeout"
    assert time.monotonic() - started < 2


async def test_a_listener_who_takes_its_time_is_not_counted_against_the_agent(bench: Bench) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text='{"say": "One."}\n{"say": "Two."}\n', content_type="application/x-ndjson")

    agent = limited(bench, (await bench.agent(handler)).url, answer_seconds=0.2)
    heard = []
    async for action in agent.ask(TURN):
        heard.append(action)
        await asyncio.sleep(0.15)
    assert heard == [Say("One."), Say("Two.")]


# --- odd answers -------------------------------------------------------------------------------------------


async def test_a_webpage_of_10_mb_is_refused_at_its_first_bytes(bench: Bench) -> None:
    text = "<html>" + "x" * 10_000_000
    error = await failure(await bench.agent(answers(text=text, content_type="text/html")))
    assert (error.code, "content type text/html" in error.message) == ("agent_answer", True)


@pytest.mark.parametrize(
    ("content_type", "body", "heard"),
    [
        ("text/plain", b"Gr\xfc\xdfe.", [Say("Gr\ufffd\ufffde.")]),
        ("application/x-ndjson", b'{"say": "\xff"}\n{"say": "Two."}\n', [Say("Two.")]),
        ("text/event-stream", b"data: \xff\n\n", [Say("\ufffd")]),
    ],
)
async def test_bytes_that_are_no_utf_8(bench: Bench, content_type: str, body: bytes, heard: list[Action]) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"content-type": content_type})

    assert await hear(await bench.agent(handler), TURN) == heard


async def test_json_that_is_no_utf_8_is_not_understood(bench: Bench) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b'{"say": "\xff"}', headers={"content-type": "application/json"})

    assert (await failure(await bench.agent(handler))).code == "agent_answer"


async def test_an_endless_stream_of_nothing_is_broken_off(bench: Bench) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(b": still here\n" * 5_000)

    error = await failure(await bench.agent(handler))
    assert (error.code, "longer than 1000000 bytes" in error.message) == ("agent_answer", True)


# --- the connection ----------------------------------------------------------------------------------------


class Counted:
    """Counts connections and requests."""

    def __init__(self) -> None:
        self.connections: set[object] = set()
        self.requests = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self.connections.add(request.transport)
        self.requests += 1
        match self.requests % 3:
            case 0:
                return web.Response(status=204)
            case 1:
                return web.json_response({"say": "Hello."})
            case _:
                response = web.StreamResponse(headers={"content-type": "text/plain"})
                await response.prepare(request)
                for word in ("One ", "two ", "three."):
                    await response.write(word.encode())
                return response


async def test_one_connection_serves_a_whole_call(bench: Bench) -> None:
    counted = Counted()
    agent = await bench.agent(counted.answer)
    for question in (STARTED, *[TURN, CUT_IN] * 10, ENDED):
        await hear(agent, question)
    assert (counted.requests, len(counted.connections)) == (22, 1)


async def test_an_answer_that_ends_with_done_leaves_its_connection_to_the_next(bench: Bench) -> None:
    connections: set[object] = set()

    async def handler(request: web.Request) -> web.StreamResponse:
        connections.add(request.transport)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: Hello.\n\ndata: [DONE]\n\n")
        await asyncio.sleep(0.002)  # the end comes in a packet of its own
        return response

    agent = await bench.agent(handler)
    for _ in range(5):
        assert await hear(agent, TURN) == [Say("Hello.")]
    assert len(connections) == 1


async def test_an_agent_that_refuses_keeps_its_connection(bench: Bench) -> None:
    ports: set[object] = set()

    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername"))
        return web.Response(status=204 if len(ports) > 1 else 404)

    agent = await bench.agent(handler)
    for _ in range(3):
        await failure(agent)
    # An error page that was not read to its end closes the connection; an empty one does not have to.
    assert len(ports) == 1


async def test_a_question_that_was_lost_with_an_old_connection_is_not_sent_again(bench: Bench) -> None:
    asked = 0

    async def answer_once(reader: asyncio.StreamReader, writer: Writer) -> None:
        nonlocal asked
        for reply in (b"HTTP/1.1 204 No Content\r\n\r\n", b""):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            await reader.readexactly(int(length.partition(b":")[2]))
            asked += 1
            writer.write(reply)
            await writer.drain()
        writer.close()

    agent = bench.at(await bench.raw(answer_once))
    assert await hear(agent, TURN) == []
    assert (await failure(agent, CUT_IN)).code == "agent_unreachable"
    assert asked == 2
