"""A model that fails: what the call is told, and how soon."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from bridge.agents.base import Question
from bridge.agents.breaker import BreakerLimits
from bridge.agents.openai import requests as openai_requests
from bridge.agents.openai.chat import OpenAIAgent
from bridge.agents.openai.options import HttpToolOptions, OpenAIOptions
from bridge.conversation.actions import Action, Say
from bridge.errors import AgentError, SettingsError
from tests.agents.asking import TURN, hear, turn
from tests.agents.openai.model_server import DONE, ModelServer, calls, event, says


async def failure(agent: OpenAIAgent, question: Question = TURN) -> tuple[list[Action], AgentError]:
    heard: list[Action] = []
    with pytest.raises(AgentError) as failed:
        async for action in agent.ask(question):
            heard.append(action)  # noqa: PERF401 - what came before the failure counts
    return heard, failed.value


# --- statuses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (401, '{"error": {"message": "Incorrect API key: sk-secret", "type": "x"}}', "Incorrect API key: ********"),
        (404, '{"object": "error", "message": "The model `x` does not exist."}', "The model `x` does not exist."),
        (422, '{"detail": [{"msg": "field required", "loc": ["body"]}]}', "field required"),
        (429, '{"error": "slow down"}', "slow down"),
        (500, "<html>Bad gateway</html>", "answered with status 500"),
        (503, "Loading\n model", "Loading model"),
    ],
)
async def test_a_bad_status_is_told_with_the_servers_reason(
    model: ModelServer, status: int, body: str, told: str
) -> None:
    model.answers = [web.Response(status=status, text=body)]
    _, error = await failure(model.agent(api_key="sk-secret"))
    assert error.code == "agent_status"
    assert f"/v1/chat/completions answered with status {status}" in error.message
    assert error.message.endswith(told)
    assert "sk-secret" not in error.message
    assert len(model.asked) == 1


async def test_a_redirect_is_not_followed(model: ModelServer) -> None:
    model.answers = [web.Response(status=307, headers={"location": model.url})]
    _, error = await failure(model.agent())
    assert (error.code, "redirects are not followed" in error.message) == ("agent_status", True)


@pytest.mark.parametrize(
    ("said", "then"),
    [
        ("Unsupported parameter: 'max_tokens' is not supported with this model.", "max_completion_tokens"),
        ("max_tokens: Extra inputs are not permitted", "max_completion_tokens"),
    ],
)
async def test_a_server_that_wants_the_limit_by_its_other_name_gets_it(
    model: ModelServer, said: str, then: str
) -> None:
    model.answers = [web.json_response({"error": {"message": said}}, status=400), says("Yes.")]
    agent = model.agent(max_tokens=9)
    assert await hear(agent, TURN) == [Say("Yes.")]
    assert await hear(agent, TURN) == [Say("Yes.")]
    assert [body.get(then) for body in model.asked] == [None, 9, 9], "also from then on"
    assert "max_tokens" not in model.asked[-1]


async def test_a_limit_that_is_refused_by_both_names_is_told(model: ModelServer) -> None:
    model.answers = [
        web.json_response({"error": {"message": f"{name} is too large"}}, status=400)
        for name in ("max_tokens", "max_completion_tokens")
    ]
    _, error = await failure(model.agent())
    assert error.message.endswith("max_completion_tokens is too large")
    assert len(model.asked) == 2


# --- connections -------------------------------------------------------------------------------------------


async def test_a_server_that_is_not_there(unused_tcp_port: int) -> None:
    agent = OpenAIAgent(f"http://127.0.0.1:{unused_tcp_port}/v1?key=secret")
    _, error = await failure(agent)
    await agent.close()
    assert (error.code, "cannot be reached" in error.message) == ("agent_unreachable", True)
    assert "secret" not in error.message


async def test_a_connection_that_was_closed_while_idle_is_made_anew(model: ModelServer) -> None:
    agent = model.agent()
    assert await hear(agent, TURN) == [Say("Hello.")]

    async def vanish(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    model.answers = [vanish, says("Yes.")]
    assert await hear(agent, TURN) == [Say("Yes.")]
    model.answers = [vanish]
    assert (await failure(agent))[1].code == "agent_unreachable", "but only once"


async def test_private_addresses_are_refused_where_they_are_not_allowed(model: ModelServer) -> None:
    _, error = await failure(model.agent(allow_private=False))
    assert (error.code, model.asked) == ("agent_target", [])


# --- slowness ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [[], ["Well"]], ids=["first word", "next word"])
async def test_a_model_that_hangs_is_timed_out(model: ModelServer, before: list[Any]) -> None:
    model.answers = [[*before, asyncio.Event()]]
    heard, error = await failure(model.agent(timeout_seconds=0.5))
    assert (heard, error.code) == ([Say(text) for text in before], "agent_timeout")
    async with asyncio.timeout(5):
        await model.closed.wait()


async def test_signs_of_life_without_a_word_do_not_extend_the_wait(model: ModelServer) -> None:
    async def ping(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(b": processing\n\n" + event({"reasoning_content": "Hm."}))
            await asyncio.sleep(0.02)

    model.answers = [ping]
    _, error = await failure(model.agent(timeout_seconds=0.5))
    assert (error.code, "gave nothing to say for 0.5 s" in error.message) == ("agent_timeout", True)


async def test_a_tool_uses_up_the_time_of_the_answer(model: ModelServer) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    model.tools["slow"] = hang
    model.answers = [calls(("slow", {})), [asyncio.Event()]]
    agent = model.agent(timeout_seconds=0.3, tools=(model.tool("slow", "slow", timeout_seconds=30),))
    started = asyncio.get_running_loop().time()
    _, error = await failure(agent)
    assert error.code == "agent_timeout"
    assert asyncio.get_running_loop().time() - started < 5, "0.3 s, and not 30"


async def test_an_answer_that_trickles_on_is_ended(model: ModelServer) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(event({"content": "a"}))
            await asyncio.sleep(0.02)

    model.answers = [drip]
    heard, error = await failure(model.agent(answer_seconds=0.6))
    assert error.code == "agent_timeout"
    assert "did not end its answer within 0.6 s" in error.message
    assert set(heard) == {Say("a")}


async def test_an_answer_without_end_is_broken_off(model: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_requests, "MIN_ANSWER_BYTES", 10_000)

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(b"data: " + b"x" * 60_000)

    model.answers = [flood]
    _, error = await failure(model.agent(max_tokens=1))
    assert (error.code, "answer without end" in error.message) == ("agent_answer", True)


# --- answers that make no sense ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "code", "told"),
    [
        ([b"data: {\n\n", DONE], "agent_answer", "not understood"),
        ([b"hello\n\n"], "agent_answer", "not understood"),
        ([], "agent_answer", "not understood"),
        ([{"role": "assistant"}], "agent_unreachable", "broke its answer off"),
        (["Well", *calls(("hang_up", {}))[:-2]], "agent_unreachable", "broke its answer off"),
        ([b'data: {"error": {"message": "overloaded", "code": 503}}\n\n'], "agent_status", "overloaded"),
        ([b'event: error\ndata: {"error": {"type": "rate_limit_error"}}\n\n'], "agent_status", "429"),
        ([b'data: {"object": "error", "message": "out of memory"}\n\n'], "agent_status", "out of memory"),
        ([event({}, "content_filter"), DONE], "agent_answer", "content_filter"),
        ([event({"reasoning_content": "Hm"}, "length"), DONE], "agent_answer", "raise openai.max_tokens"),
    ],
)
async def test_a_stream_that_is_no_answer(model: ModelServer, steps: Any, code: str, told: str) -> None:
    model.answers = [steps]
    _, error = await failure(model.agent())
    assert (error.code, told in error.message) == (code, True), error.message


async def test_words_are_an_answer_though_the_server_tells_no_end(model: ModelServer) -> None:
    model.answers = [["Hello ", "there."]]
    assert await hear(model.agent(), TURN) == [Say("Hello "), Say("there.")]


async def test_an_error_behind_words_comes_after_them(model: ModelServer) -> None:
    model.answers = [["Well", b'data: {"error": {"message": "overloaded"}}\n\n']]
    heard, error = await failure(model.agent())
    assert (heard, error.code) == ([Say("Well")], "agent_status")


async def test_a_page_in_place_of_an_answer(model: ModelServer) -> None:
    model.answers = [web.Response(text="<p>Hello</p>", content_type="text/html")]
    _, error = await failure(model.agent())
    assert (error.code, "content type text/html; see that agent.url is right" in error.message) == (
        "agent_answer",
        True,
    )


async def test_a_malformed_event_among_others_is_counted_and_survived(model: ModelServer) -> None:
    model.answers = [["One ", b"data: {]\n\n", b'data: {"a": 1}\n\n', *says("two.")]]
    refused: list[str] = []
    with capture_logs() as lines:
        heard = await hear(model.agent(on_refused=refused.append), TURN)
    assert heard == [Say("One "), Say("two.")]
    assert refused == ["malformed", "malformed"]
    assert [line["event"] for line in lines] == ["agent_action_refused"], "logged once"


async def test_an_answer_that_was_cut_off_is_spoken_and_logged(model: ModelServer) -> None:
    model.answers = [["And so", event({}, "length"), DONE]]
    with capture_logs() as lines:
        assert await hear(model.agent(), TURN) == [Say("And so")]
    assert [(line["event"], line["reason"]) for line in lines] == [("agent_answer_cut_off", "length")]


# --- again and again ---------------------------------------------------------------------------------------


async def test_a_model_that_fails_again_and_again_is_left_alone(model: ModelServer) -> None:
    async def fail(request: web.Request) -> web.Response:
        return web.Response(status=500)

    model.answers = [fail]
    states: list[str] = []
    agent = OpenAIAgent(
        model.url, on_breaker=states.append, options=OpenAIOptions(breaker=BreakerLimits(failures=2, pause_s=60))
    )
    codes = [(await failure(agent))[1].code for _ in range(3)]
    await agent.close()
    assert codes == ["agent_status", "agent_status", "agent_breaker_open"]
    assert (len(model.asked), states) == (2, ["open"])


async def test_a_held_answer_is_no_failure(model: ModelServer) -> None:
    model.answers = [calls(("book", {}))]
    tool = model.tool("book", "book", method="POST")
    agent = model.agent(tools=(tool,), breaker=BreakerLimits(failures=1))
    for _ in range(3):
        assert (await failure(agent, turn(speculative=True)))[1].code == "agent_held"


# --- settings that cannot work -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"actions": ("fly",)}, "openai.actions (BRIDGE_OPENAI__ACTIONS) has 'fly': wanted some of transfer,"),
        ({"tools": (HttpToolOptions("note", "d", "http://h/"),)}, "note: an action has that name"),
        ({"tools": (HttpToolOptions("a", "d", "http://h/"),) * 2}, "a: another tool has that name"),
        ({"tools": (HttpToolOptions("a", "d", "ftp://h/"),)}, "a: url is 'ftp://h/': wanted an http(s) URL"),
        ({"tools": (HttpToolOptions("a", "d", "http://{host}/"),)}, "arguments only behind its host"),
        (
            {"tools": (HttpToolOptions("a", "d", "http://h/{b}"),)},
            "a: url has {b}, which is none of its parameters",
        ),
        (
            {"tools": (HttpToolOptions("a", "d", "http://h/", parameters={"type": "string"}),)},
            'wanted a JSON Schema with type = "object"',
        ),
        (
            {"tools": (HttpToolOptions("a", "d", "http://h/", parameters={"type": "object", "required": 1}),)},
            "a: parameters are no JSON Schema",
        ),
    ],
)
def test_options_that_cannot_work_are_wrong_settings(options: Any, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        OpenAIAgent("http://127.0.0.1:1/v1", options=OpenAIOptions(**options))
    assert told in refused.value.message


@pytest.mark.parametrize("url", ["", "api.example.com", "ftp://example.com/"])
def test_a_url_that_cannot_work_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(SettingsError, match=r"agent\.url"):
        OpenAIAgent(url)


def test_secrets_do_not_show_when_options_are_printed() -> None:
    tool = HttpToolOptions("a", "d", "http://h/", headers={"authorization": "Bearer secret"})
    assert "secret" not in repr(OpenAIOptions(api_key="secret", tools=(tool,)))
    assert json.dumps(tool.headers), "but are there"
