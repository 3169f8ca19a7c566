"""The flow agent: where each call stands, what was prepared in vain, look-ups over HTTP, and faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer
from structlog.testing import capture_logs

from bridge.agents.base import Message, Question
from bridge.agents.flow import steps as flow_steps
from bridge.agents.flow.agent import FlowAgent
from bridge.agents.flow.options import FlowOptions
from bridge.conversation.actions import Action, GatherDigits, HangUp, Say
from bridge.errors import AgentError
from bridge.tasks import spawn
from tests.agents.asking import CALL, ENDED, STARTED, done, hear

MENU = """
    steps:
      ask:
        do: menu
        say: First.
        choices:
          - {key: "1", phrases: [yes], next: second}
          - {phrases: [no], next: bye}
      second:
        do: menu
        say: Second.
        choices: [{key: "2", phrases: [yes], next: third}]
      third:
        do: menu
        say: Third.
        choices: [{key: "3", next: bye}]
      bye: {do: hang_up, say: Bye.}
"""

Open = Callable[..., FlowAgent]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    agents: list[FlowAgent] = []

    def open_flow(text: str, **options: Any) -> FlowAgent:
        file = tmp_path / f"{len(agents)}.yaml"
        file.write_text(dedent(text))
        agents.append(FlowAgent(str(file), FlowOptions(**options)))
        return agents[-1]

    yield open_flow
    for agent in agents:
        await agent.close()


def words(actions: list[Action]) -> str:
    return "".join(action.text for action in actions if isinstance(action, Say))


class Talk:
    """A call's questions as the bridge puts them: with the messages that were heard so far."""

    def __init__(self, agent: FlowAgent, call_id: str = "call-1") -> None:
        self.agent = agent
        self.call = replace(CALL, id=call_id)
        self.messages: list[Message] = []

    async def begin(self) -> str:
        return await self._ask(replace(STARTED, call=self.call))

    async def turn(self, number: int, said: str, *, speculative: bool = False, heard: bool = True) -> str:
        """A turn; `heard`: the answer sounds. A speculative one is not among the messages before it has ended."""
        message = Message("user", said.strip())
        question = Question(
            "turn.ended",
            self.call,
            1,
            turn=number,
            transcript=said,
            speculative=speculative,
            messages=(*self.messages, message),
        )
        if not speculative:
            self.messages.append(message)
        return await self._ask(question, heard=heard and not speculative)

    def released(self, said: str, answer: str, *, heard: bool = True) -> None:
        """The turn ended as foreseen: the answer that was prepared sounds."""
        self.messages.append(Message("user", said.strip()))
        if heard:
            self.messages.append(Message("assistant", answer))

    async def keys(self, digits: str, *, heard: bool = True) -> str:
        question = Question("digits", self.call, 1, digits=digits, messages=tuple(self.messages))
        return await self._ask(question, heard=heard)

    async def _ask(self, question: Question, *, heard: bool = True) -> str:
        answer = words(await hear(self.agent, question))
        if heard and answer:
            self.messages.append(Message("assistant", answer))
        return answer


async def test_each_call_stands_where_it_stands(opened: Open) -> None:
    agent = opened(MENU)
    one, other = Talk(agent, "one"), Talk(agent, "other")
    assert (await one.begin(), await other.begin()) == ("First.", "First.")
    assert await one.turn(1, " Yes.") == "Second."
    assert await other.turn(1, " No.") == "Bye."
    assert await one.keys("2") == "Third."
    assert await hear(agent, replace(ENDED, call=one.call)) == []
    assert await one.keys("3") == "First."  # Nothing is kept of a call that is over.


async def test_an_answer_that_was_prepared_and_taken_counts(opened: Open) -> None:
    talk = Talk(opened(MENU))
    await talk.begin()
    answer = await talk.turn(1, " Yes", speculative=True)
    talk.released(" Yes", answer)
    assert await talk.turn(2, " Yes.") == "Third."


async def test_an_answer_that_was_prepared_in_vain_leaves_no_trace(opened: Open) -> None:
    talk = Talk(opened(MENU))
    await talk.begin()
    assert await talk.turn(1, " No", speculative=True) == "Bye."
    assert await talk.turn(1, " No, yes", speculative=True) == "Sorry, I did not understand that. First."
    assert await talk.turn(1, " Well, yes.") == "Second."
    assert await talk.turn(2, " yes", speculative=True) == "Third."
    # The turn was noise in the end: it is no message, and the next event finds the call where it was.
    assert await talk.keys("2") == "Third."


async def test_a_caller_who_goes_on_before_the_answer_asks_one_question(opened: Open) -> None:
    talk = Talk(opened(MENU))
    await talk.begin()
    assert await talk.turn(1, " Yes", heard=False) == "Second."
    assert await talk.turn(2, " Yes or rather not, yes", heard=False) == "Second."
    talk.released(" No", "", heard=False)
    assert await talk.keys("1", heard=False) == "Sorry, I did not understand that. Second."


async def test_keys_that_come_again_with_more_are_one_answer(opened: Open) -> None:
    talk = Talk(opened(MENU))
    await talk.begin()
    assert await talk.keys("1", heard=False) == "Second."
    assert await talk.keys("12", heard=False) == "Third."
    assert await talk.keys("123") == "Bye."


async def test_an_answer_in_the_moment_in_which_the_wait_was_over_counts(opened: Open) -> None:
    talk = Talk(opened(MENU.replace("say: First.", "say: First.\n        retry: {attempts: 1, failed: bye}")))
    await talk.begin()
    assert await talk.keys("", heard=False) == "Bye."
    assert await talk.turn(1, " Yes.") == "Second."


LOOKUP = """
    steps:
      ask: {{do: menu, say: Which., choices: [{{key: "1", next: look}}, {{phrases: [look], next: look}}]}}
      look:
        do: lookup
        say: Wait.
        method: {method}
        url: {url}
        data: {{number: "{{digits}}"}}
        results: {{name: name}}
        timeout_s: 0.3
        next: found
        on_error: lost
      found: {{do: hang_up, say: "Hello {{name}}."}}
      lost: {{do: hang_up, say: "Lost: {{error}}."}}
"""


class Service:
    """What the flow asks."""

    def __init__(self) -> None:
        self.answer: Callable[[], web.StreamResponse] = lambda: web.json_response({"name": "Ann"})
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.reached = asyncio.Event()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        data = await request.json() if request.method == "POST" else dict(request.query)
        self.asked.append((request.method, data))
        self.reached.set()
        await self.hold.wait()
        return self.answer()


@pytest.fixture
async def service(aiohttp_server: AiohttpServer) -> AsyncIterator[tuple[Service, str]]:
    service = Service()
    app = web.Application()
    app.router.add_route("*", "/", service.serve)
    server = await aiohttp_server(app)
    yield service, str(server.make_url("/"))
    service.hold.set()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_lookup_is_carried_out(opened: Open, service: tuple[Service, str], method: str) -> None:
    talk = Talk(opened(LOOKUP.format(url=service[1], method=method)))
    await talk.begin()
    assert await talk.keys("1") == "Wait.Hello Ann."
    assert service[0].asked == [(method, {"number": "1"})]


@pytest.mark.parametrize(
    ("answer", "heard"),
    [
        (lambda: web.Response(status=500), "Lost: status 500."),
        (lambda: web.Response(status=302, headers={"Location": "/"}), "Lost: status 302."),
        (lambda: web.Response(text="<html>"), "Lost: the answer is no JSON."),
        (lambda: web.Response(body=b"[" * 100_000), "Lost: the answer is no JSON."),
        (lambda: web.Response(body=b"\xff"), "Lost: the answer is no JSON."),
        (lambda: web.Response(body=b" " * 1_000_001), "Lost: the answer is longer than 1000000 bytes."),
        (web.Response, "Lost: no field name."),
    ],
)
async def test_whatever_a_service_answers_the_call_goes_on(
    opened: Open, service: tuple[Service, str], answer: Callable[[], web.StreamResponse], heard: str
) -> None:
    service[0].answer = answer
    talk = Talk(opened(LOOKUP.format(url=service[1], method="GET")))
    await talk.begin()
    with capture_logs() as logs:
        assert await talk.keys("1") == "Wait." + heard
    assert len(logs) == ("field" not in heard)


async def test_a_service_that_is_slow_or_away_or_not_allowed(opened: Open, service: tuple[Service, str]) -> None:
    service[0].hold.clear()
    slow = Talk(opened(LOOKUP.format(url=service[1], method="GET")))
    await slow.begin()
    assert await slow.keys("1") == "Wait.Lost: no answer within 0.3 s."
    shorter = Talk(opened(LOOKUP.format(url=service[1], method="GET"), timeout_seconds=0.1))
    await shorter.begin()
    assert await shorter.keys("1") == "Wait.Lost: no answer within 0.1 s."
    away = Talk(opened(LOOKUP.format(url="http://127.0.0.1:1/", method="GET")))
    await away.begin()
    assert await away.keys("1") == "Wait.Lost: ClientConnectorError."
    refused = Talk(opened(LOOKUP.format(url=service[1], method="GET"), allow_private=False))
    await refused.begin()
    assert "private network" in await refused.keys("1")


async def test_nothing_is_posted_on_suspicion(opened: Open, service: tuple[Service, str]) -> None:
    agent = opened(LOOKUP.format(url=service[1], method="POST"))
    assert agent.acts_at_once
    talk = Talk(agent)
    await talk.begin()
    with pytest.raises(AgentError, match="waits for the end of the turn"):
        await talk.turn(1, " Look", speculative=True)
    assert service[0].asked == []
    assert await talk.turn(1, " Look.") == "Wait.Hello Ann."
    reading = opened(LOOKUP.format(url=service[1], method="GET"))
    assert not reading.acts_at_once


async def test_a_lookup_that_is_cancelled_is_made_again(opened: Open, service: tuple[Service, str]) -> None:
    service[0].hold.clear()
    talk = Talk(opened(LOOKUP.replace("timeout_s: 0.3", "timeout_s: 20").format(url=service[1], method="GET")))
    await talk.begin()
    asking = spawn(talk.keys("1"), name="asking")
    await service[0].reached.wait()
    asking.cancel()
    await asyncio.wait([asking])
    service[0].hold.set()
    talk.messages.append(Message("assistant", "Wait."))
    assert await talk.turn(1, " Hello?") == "Hello Ann."


async def test_a_fault_leads_where_the_flow_says(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> flow_steps.Taken:
        raise RuntimeError("a bug")

    agent = opened("\n    on_error: bye" + MENU)
    monkeypatch.setattr(flow_steps, "take", broken)
    with capture_logs() as logs:
        assert await done(agent, STARTED) == [Say("Bye.", barge_in="never"), HangUp("")]
    assert [log["event"] for log in logs] == ["flow_failed"]
    with pytest.raises(AgentError, match=r"failed at the step ask") as raised:
        await hear(opened(MENU), STARTED)
    assert raised.value.code == "agent_crashed"
    monkeypatch.setattr(flow_steps, "failed", broken)
    with pytest.raises(AgentError, match="failed at the step ask"):
        await hear(agent, replace(STARTED, call=replace(CALL, id="another")))


async def test_lookups_that_never_end_are_ended(opened: Open, service: tuple[Service, str]) -> None:
    text = "".join(
        f"""
      look{n}: {{do: lookup, url: "{service[1]}", next: look{n + 1}, on_error: look{n + 1}}}"""
        for n in range(12)
    )
    agent = opened(f"    steps:{text}\n      look12: {{do: hang_up}}\n")
    with pytest.raises(AgentError, match="more than 10 look-ups"):
        await hear(agent, STARTED)


async def test_the_reception_answers() -> None:
    agent = FlowAgent(str(Path(__file__).parents[3] / "config" / "flows" / "reception.yaml"))
    actions = await done(agent, STARTED)
    assert actions[0] == Say("Hello, this is Northwind Supplies. ")
    assert not isinstance(actions[-1], GatherDigits) or "For sales" in words(actions)
    await agent.close()
