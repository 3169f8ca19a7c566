"""Where a call stands in a flow is remembered without its secrets, and another process goes on from there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.agents.base import Message, TransferResult
from bridge.agents.flow.agent import FlowAgent
from bridge.agents.flow.position import MOST_BYTES
from bridge.conversation.actions import Action, GatherDigits, Remember, Say
from tests.agents.asking import CALL, STARTED, hear

SHOP = """
    variables: {shop: Riverside}
    retry: {attempts: 2, no_match: "Sorry?", failed: bye}
    steps:
      number: {do: digits, say: "Your number?", variable: customer, length: 4, next: sure}
      sure: {do: yes_no, say: "Number {customer:digits}, right?", yes: card, no: number}
      card: {do: digits, say: "Your card?", variable: card, length: 6, masked: true, next: pay}
      pay: {do: yes_no, say: "Pay now?", yes: paying, no: bye}
      paying: {do: lookup, url: "http://127.0.0.1:1/", data: {card: "{card}"}, next: after, on_error: after}
      after: {do: yes_no, say: "Anything else?", yes: desk, no: bye}
      desk: {do: transfer, to: "+15550100300", say: "Connecting.", failed: number}
      bye: {do: hang_up, say: "Bye."}
"""

Opened = Callable[..., FlowAgent]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    agents: list[FlowAgent] = []

    def open_flow(text: str = SHOP) -> FlowAgent:
        file = tmp_path / "flow.yaml"
        file.write_text(dedent(text))
        agents.append(FlowAgent(str(file)))
        return agents[-1]

    yield open_flow
    for agent in agents:
        await agent.close()


class Talk:
    """A call whose process may die: what was remembered is all that the next one has, as the journal keeps it."""

    def __init__(self, agent: FlowAgent) -> None:
        self.agent = agent
        self.state: dict[str, Any] = {}
        self.actions: list[Action] = []
        self.messages: list[Message] = []

    def dies(self, agent: FlowAgent) -> None:
        self.agent = agent

    async def ask(self, occasion: Any, **more: Any) -> str:
        self.messages += [Message("user", more["transcript"])] if "transcript" in more else []
        question = replace(STARTED, occasion=occasion, state=self.state, messages=tuple(self.messages), **more)
        self.actions = await hear(self.agent, question)
        self.messages.append(Message("assistant", "What it says is heard."))
        for action in self.actions:
            if isinstance(action, Remember):
                self.state = json.loads(json.dumps(dict(action.state)))
        return "".join(action.text for action in self.actions if isinstance(action, Say))

    async def turn(self, said: str) -> str:
        return await self.ask("turn.ended", transcript=said)

    async def keys(self, digits: str) -> str:
        return await self.ask("digits", digits=digits)


async def test_the_question_is_put_again_with_what_was_answered_before(opened: Opened) -> None:
    talk = Talk(opened())
    await talk.ask("call.started")
    assert await talk.keys("1234") == "Number 1 2 3 4, right?"
    talk.dies(opened())
    assert await talk.ask("call.resumed") == "Number 1 2 3 4, right?"
    talk.dies(opened())
    assert await talk.turn("yes") == "Your card?"


async def test_half_a_number_is_asked_for_anew(opened: Opened) -> None:
    talk = Talk(opened())
    await talk.ask("call.started")
    talk.dies(opened())
    assert await talk.ask("call.resumed") == "Your number?"
    assert GatherDigits(4, "#", 8.0) in talk.actions


async def test_attempts_go_on_to_be_counted(opened: Opened) -> None:
    talk = Talk(opened())
    await talk.ask("call.started")
    assert await talk.turn("hm") == "Sorry? Your number?"
    talk.dies(opened())
    assert await talk.ask("call.resumed") == "Your number?"
    assert await talk.turn("hm") == "Bye."


async def test_how_a_transfer_ended_is_told_to_the_step_that_asked_for_it(opened: Opened) -> None:
    talk = Talk(opened())
    await talk.ask("call.started")
    for answer in ("1234", "1", "445566", "1"):
        await talk.keys(answer)
    assert await talk.keys("1") == "Connecting."
    talk.dies(opened())
    assert await talk.ask("transfer.ended", transfer=TransferResult("+15550100300", "busy")) == "Your number?"


async def test_a_secret_is_remembered_nowhere_and_asked_for_again(opened: Opened) -> None:
    talk = Talk(opened())
    await talk.ask("call.started")
    await talk.keys("1234")
    await talk.turn("yes")
    assert await talk.keys("445566") == "Pay now?"
    assert "445566" not in json.dumps(talk.state)
    talk.dies(opened())
    # The answer belongs to another step: the secret is needed by what comes behind that.
    assert await talk.turn("yes") == "Your card?"
    assert GatherDigits(6, "#", 8.0, masked=True) in talk.actions
    assert await talk.keys("445566") == "Pay now?"
    assert await talk.turn("yes") == "Anything else?"


async def test_a_secret_that_nothing_needs_any_more_is_let_go(opened: Opened) -> None:
    talk = Talk(opened())
    await talk.ask("call.started")
    for answer in ("1234", "1", "445566"):
        await talk.keys(answer)
    assert await talk.keys("1") == "Anything else?"
    talk.dies(opened())
    assert await talk.ask("call.resumed") == "Anything else?"


async def test_a_number_that_was_struck_out_of_the_journal_is_asked_for_again(opened: Opened) -> None:
    flow = SHOP.replace("length: 6, masked: true", "length: 16")
    talk = Talk(opened(flow))
    await talk.ask("call.started")
    for answer in ("1234", "1", "4111111111111111"):
        await talk.keys(answer)
    assert talk.state["variables"]["card"] == "4111111111111111"
    struck = {
        name: value.replace("4111111111111111", "[card number]") for name, value in talk.state["variables"].items()
    }
    talk.state["variables"] = struck
    talk.dies(opened(flow))
    assert await talk.ask("call.resumed") == "Your card?"


async def test_the_values_of_the_beginning_are_those_of_the_file_and_the_call(opened: Opened) -> None:
    flow = """
        variables: {desk: "+442079460101"}
        steps:
          ask: {do: yes_no, say: "Yes?", yes: go, no: go}
          go: {do: transfer, say: "{caller}", to: "{desk}", failed: ask}
    """
    talk = Talk(opened(flow))
    await talk.ask("call.started")
    assert talk.state["variables"] == {}
    talk.dies(opened(flow.replace("0101", "0102")))
    assert await talk.turn("yes") == CALL.caller
    assert any(getattr(action, "to", "") == "+442079460102" for action in talk.actions)


@pytest.mark.parametrize(
    "state",
    [{"at": "gone"}, {"at": "copy"}, {"at": ["sure"]}, {"somebody": "else"}, {"at": "sure", "variables": 3}],
)
async def test_where_it_cannot_go_on_it_begins_again_and_says_so(opened: Opened, state: dict[str, Any]) -> None:
    talk = Talk(opened())
    talk.state = state
    with capture_logs() as logs:
        assert await talk.turn("yes") == "Your number?"
    assert [log["event"] for log in logs] == ["flow_begins_again"]


async def test_what_posts_is_remembered_before_and_not_done_twice(opened: Opened) -> None:
    flow = """
        steps:
          ask: {do: yes_no, say: "Book?", yes: book, no: book}
          book: {do: lookup, say: "Booking.", url: "http://127.0.0.1:1/", method: POST,
                 next: done, on_error: unsure}
          done: {do: hang_up, say: "Booked."}
          unsure: {do: yes_no, say: "It may be booked. Again?", yes: book, no: done}
    """
    talk = Talk(opened(flow))
    await talk.ask("call.started")
    await talk.turn("yes")
    before = next(action for action in talk.actions if isinstance(action, Remember))
    assert (before.state["at"], before.at_once) == ("book", True)
    talk.state = json.loads(json.dumps(dict(before.state)))  # It died while it was booking.
    talk.dies(opened(flow))
    assert await talk.turn("yes") == "It may be booked. Again?"


async def test_values_that_are_too_long_are_left_out_the_longest_first(opened: Opened) -> None:
    steps = "".join(
        f"a{number}: {{do: listen, say: Go., variable: v{number}, next: a{number + 1}}}\n  " for number in range(6)
    )
    talk = Talk(opened(f"steps:\n  {steps}a6: {{do: hang_up}}"))
    await talk.ask("call.started")
    await talk.turn("short")
    for _ in range(4):
        await talk.turn("word " * 790)
    assert len(json.dumps(talk.state)) < MOST_BYTES + 1000
    assert talk.state["variables"]["v0"] == "short"
    assert talk.state["at"] == "a5"
