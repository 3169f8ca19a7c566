from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from aiohttp import web
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from bridge.agents.webhook.agent import WebhookAgent
from bridge.conversation.actions import Action, HangUp, Say
from bridge.errors import SettingsError
from bridge.tasks import spawn
from tests.agents.asking import CUT_IN, STARTED, TURN, hear, turn
from tests.agents.bench import Bench, answers

# --- the request -------------------------------------------------------------------------------------------


async def test_a_question_is_posted_and_signed(bench: Bench) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    seen: list[tuple[dict[str, str], bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((dict(request.headers), await request.read()))
        return web.json_response({"say": "Hello."})

    agent = await bench.agent(handler, secret=secret)
    assert await hear(agent, TURN) == [Say("Hello.")]
    assert await hear(agent, CUT_IN) == [Say("Hello.")]
    (first, body), (second, _) = seen
    event = Webhook(secret).verify(body, first)
    assert (event["type"], event["call"]["from"]) == ("turn.ended", "+15550001111")
    first, second = ({name.lower(): value for name, value in headers.items()} for headers in (first, second))
    assert first["content-type"] == "application/json"
    assert first["user-agent"].startswith("phone-bridge/")
    assert first["traceparent"].split("-")[1] == second["traceparent"].split("-")[1]
    assert first["webhook-id"] != second["webhook-id"]


async def test_proxies_of_the_environment_and_cookies_of_other_calls_are_not_used(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    cookies: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("cookie"))
        response = web.json_response({"say": "Hello."})
        response.set_cookie("caller", "Ann")
        return response

    agent = await bench.agent(handler)
    # By name, since cookies of a bare address are not kept anyway.
    agent = bench.at(agent.url.replace("127.0.0.1", "localhost"))
    await hear(agent, TURN)
    await hear(agent, CUT_IN)
    assert cookies == [None, None]


async def test_150_callers_are_answered_at_the_same_time(bench: Bench) -> None:
    waiting = 0
    all_here = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        nonlocal waiting
        waiting += 1
        if waiting == 150:
            all_here.set()
        await all_here.wait()
        return web.json_response({"say": (await request.json())["turn"]["transcript"]})

    agent = await bench.agent(handler, timeout_seconds=20)
    heard = await asyncio.gather(*(hear(agent, turn(transcript=str(number))) for number in range(150)))
    assert heard == [[Say(str(number))] for number in range(150)]


@pytest.mark.parametrize("url", ["", "agent.example.com", "ftp://example.com/", "http://", "http://host:port/"])
def test_a_url_that_cannot_work_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(SettingsError, match=r"agent\.url"):
        WebhookAgent(url)


# --- answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "chunks", "first", "rest"),
    [
        ("text/plain", (b"Hello \xf0\x9f", b"\x91\x8b there."), Say("Hello "), [Say("👋 there.")]),
        (
            "application/x-ndjson",
            (b'{"say": "One."}\n{"ty', b'pe": "hang_up"}\n'),
            Say("One."),
            [HangUp()],
        ),
        ("text/event-stream", (b"data: One.\n\n", b"data: [DONE]\n\n"), Say("One."), []),
    ],
)
async def test_a_streamed_answer_is_heard_before_it_is_complete(
    bench: Bench, content_type: str, chunks: tuple[bytes, bytes], first: Action, rest: list[Action]
) -> None:
    go_on = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": content_type})
        await response.prepare(request)
        await response.write(chunks[0])
        await go_on.wait()  # set by nothing but the first piece having been heard
        await response.write(chunks[1])
        return response

    agent = await bench.agent(handler)
    heard: list[Action] = []
    async for action in agent.ask(TURN):
        heard.append(action)
        go_on.set()
    assert heard == [first, *rest]


async def test_done_ends_an_answer_that_the_agent_keeps_open(bench: Bench) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: Bye.\n\ndata: [DONE]\n\n")
        await asyncio.Event().wait()
        return response

    assert await hear(await bench.agent(handler), TURN) == [Say("Bye.")]


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_an_empty_answer_says_nothing(bench: Bench, status: int) -> None:
    assert await hear(await bench.agent(answers(status=status, content_type="text/html")), STARTED) == []


async def test_an_unknown_action_is_logged_and_counted_and_the_rest_carried_out(bench: Bench) -> None:
    text = '{"actions": [{"type": "fly"}, {"type": "fly"}, {"type": "play"}, {"say": "Yes."}, {"type": "hang_up"}]}'
    agent = await bench.agent(answers(text=text))
    with capture_logs() as lines:
        assert await hear(agent, TURN) == [Say("Yes."), HangUp()]
    assert bench.refused == ["other", "other", "play"]
    assert [(line["event"], line["call"], line["kind"]) for line in lines] == [
        ("agent_action_refused", "call-1", "fly"),
        ("agent_action_refused", "call-1", "play"),
    ]


# --- cancelling --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answering", [False, True], ids=["before the answer", "amid the answer"])
async def test_cancelling_closes_the_connection_at_once(bench: Bench, *, answering: bool) -> None:
    asked, gone, piece = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/plain"})
        try:
            if answering:
                await response.prepare(request)
                await response.write(b"Hello")
            asked.set()
            await asyncio.Event().wait()
        finally:
            gone.set()  # the test server cancels a handler whose connection closed
        return response

    async def listen() -> None:
        async for _ in agent.ask(TURN):
            piece.set()

    agent = await bench.agent(handler, timeout_seconds=30)
    task = spawn(listen(), name="listen")
    await asyncio.wait_for((piece if answering else asked).wait(), 5)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await asyncio.wait_for(gone.wait(), 1)


async def test_who_stops_listening_closes_the_connection_too(bench: Bench) -> None:
    gone = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/plain"})
        await response.prepare(request)
        try:
            await response.write(b"Hello")
            await asyncio.Event().wait()
        finally:
            gone.set()
        return response

    agent = await bench.agent(handler)
    async with aclosing(agent.ask(TURN)) as pieces:
        assert await anext(pieces) == Say("Hello")
    await asyncio.wait_for(gone.wait(), 1)
