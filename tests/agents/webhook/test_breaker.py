"""When an agent that fails is left alone: the machine on its own, and at work."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from bridge.agents.breaker import Breaker, BreakerLimits
from bridge.agents.webhook.agent import WebhookAgent, WebhookOptions
from bridge.conversation.actions import Say
from tests.agents.asking import ENDED, TURN, hear
from tests.agents.bench import Bench, failure

LIMITS = BreakerLimits(failures=3, window_s=60, pause_s=30)

# --- the machine -------------------------------------------------------------------------------------------


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(LIMITS)
    assert [breaker.failed(at) for _ in range(3)] == [False, False, True]
    return breaker


def test_it_opens_after_failures_in_a_row_and_says_so_once() -> None:
    breaker = opened(at=100)
    assert not breaker.failed(100.5), "one that was under way"
    assert (breaker.state(100), breaker.allow(100), breaker.allow(129.9)) == ("open", False, False)
    assert breaker.seconds_left(110) == 20


def test_a_success_between_failures_starts_the_count_anew() -> None:
    breaker = Breaker(LIMITS)
    breaker.failed(0)
    breaker.failed(1)
    assert not breaker.succeeded(), "it was closed all the time"
    assert [breaker.failed(2), breaker.failed(3), breaker.failed(4)] == [False, False, True]


@pytest.mark.parametrize(("last", "opens"), [(60.0, True), (60.1, False)])
def test_failures_far_apart_do_not_add_up(last: float, *, opens: bool) -> None:
    breaker = Breaker(LIMITS)
    assert [breaker.failed(0), breaker.failed(30), breaker.failed(last)] == [False, False, opens]


def test_after_the_pause_one_question_tries_and_the_others_wait_for_it() -> None:
    breaker = opened()
    assert breaker.state(30) == "half_open"
    assert [breaker.allow(30), breaker.allow(30), breaker.allow(31)] == [True, False, False]


def test_a_trial_that_succeeds_closes_it() -> None:
    breaker = opened()
    breaker.allow(30)
    assert breaker.succeeded()
    assert (breaker.state(30), breaker.allow(30), breaker.allow(30)) == ("closed", True, True)
    assert not breaker.failed(31), "the old failures are forgotten"


def test_a_trial_that_fails_keeps_it_open_for_another_pause() -> None:
    breaker = opened()
    breaker.allow(30)
    assert not breaker.failed(40), "it was open before"
    assert (breaker.allow(69), breaker.allow(70)) == (False, True)


def test_a_trial_that_was_cancelled_leaves_it_to_the_next() -> None:
    breaker = opened()
    breaker.allow(30)
    breaker.dropped()
    assert breaker.allow(30)


def test_without_a_number_of_failures_it_never_opens() -> None:
    breaker = Breaker(BreakerLimits(failures=0))
    assert not any(breaker.failed(0) for _ in range(100))
    assert breaker.allow(0)


# --- at work -----------------------------------------------------------------------------------------------


class Sick:
    """An agent that fails until it is well."""

    def __init__(self, status: int = 500) -> None:
        self.asked = 0
        self.well = False
        self.status = status

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        return web.json_response({"say": "Hello."}) if self.well else web.Response(status=self.status)


async def watched(bench: Bench, sick: Sick, states: list[str], *, pause_s: float = 30.0) -> WebhookAgent:
    url = (await bench.agent(sick.answer)).url
    options = WebhookOptions(breaker=BreakerLimits(failures=3, window_s=60, pause_s=pause_s))
    agent = WebhookAgent(url, on_breaker=states.append, end_pauses=(0.01,), options=options)
    bench.agents.append(agent)
    return agent


async def test_questions_fail_at_once_while_it_is_open_and_one_line_tells_of_it(bench: Bench) -> None:
    sick, states = Sick(), list[str]()
    agent = await watched(bench, sick, states)
    with capture_logs() as lines:
        codes = [(await failure(agent)).code for _ in range(6)]
    assert codes == ["agent_status"] * 3 + ["agent_breaker_open"] * 3
    assert (sick.asked, states) == (3, ["open"])
    assert [(line["event"], line["log_level"]) for line in lines] == [("agent_breaker_opened", "warning")]
    assert "is left alone for 30 s more" in (await failure(agent)).message


async def test_a_dead_agent_costs_a_caller_nothing_once_it_is_known(bench: Bench) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    url = (await bench.agent(hang)).url
    options = WebhookOptions(breaker=BreakerLimits(failures=2))
    agent = WebhookAgent(url, timeout_seconds=0.2, options=options)
    bench.agents.append(agent)
    await asyncio.gather(failure(agent), failure(agent))
    started = time.monotonic()
    assert (await failure(agent)).code == "agent_breaker_open"
    assert time.monotonic() - started < 0.1


async def test_it_is_asked_again_after_the_pause(bench: Bench) -> None:
    sick, states = Sick(), list[str]()
    agent = await watched(bench, sick, states, pause_s=0.1)
    for _ in range(3):
        await failure(agent)
    sick.well = True
    await asyncio.sleep(0.12)
    assert await hear(agent, TURN) == [Say("Hello.")]
    assert states == ["open", "closed"]


@pytest.mark.parametrize("status", [401, 404])
async def test_an_agent_that_refuses_is_there(bench: Bench, status: int) -> None:
    sick, states = Sick(status), list[str]()
    agent = await watched(bench, sick, states)
    assert {(await failure(agent)).code for _ in range(6)} == {"agent_status"}
    assert states == []


async def test_a_caller_who_cuts_in_says_nothing_about_the_agent(bench: Bench) -> None:
    async def talk(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/plain"})
        await response.prepare(request)
        await response.write(b"Well")
        await asyncio.Event().wait()
        return response

    url = (await bench.agent(talk)).url
    agent = WebhookAgent(url, options=WebhookOptions(breaker=BreakerLimits(failures=1)))
    bench.agents.append(agent)
    for _ in range(3):
        async with aclosing(agent.ask(TURN)) as pieces:
            assert await anext(pieces) == Say("Well")


async def test_the_end_of_a_call_is_delivered_all_the_same(bench: Bench) -> None:
    sick, states = Sick(), list[str]()
    agent = await watched(bench, sick, states)
    for _ in range(3):
        await failure(agent)
    sick.well = True
    assert await hear(agent, ENDED) == [Say("Hello.")]
