"""Questions to ask an agent, and how to hear the whole answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bridge.agents.base import Agent, CallInfo, Interruption, Message, Question
from bridge.agents.webhook.wire import asking_of, delivery_headers, question_id
from bridge.conversation.actions import Action, Remember

CALL = CallInfo(
    id="call-1",
    sid="CA0123456789abcdef0123456789abcdef",
    caller="+15550001111",
    called="+15552223333",
    parameters={"campaign": "spring"},
    started_at="2026-11-21T05:00:00Z",
)
TURN = Question(
    occasion="turn.ended",
    call=CALL,
    reply=2,
    turn=1,
    transcript=" What are your hours?",
    messages=(Message("assistant", "Hello."), Message("user", " What are your hours?")),
)
STARTED = Question(occasion="call.started", call=CALL, reply=1)
ENDED = Question(occasion="call.ended", call=CALL, reply=9, outcome={"reason": "caller", "duration_ms": 61_000})
CUT_IN = replace(TURN, reply=3, turn=2, interrupted=Interruption(heard="We are open", unheard=" every day."))


def turn(**changes: Any) -> Question:
    """Make a question about a turn of the caller."""
    return replace(TURN, **changes)


def headers_of(question: Question, body: bytes, *, key: bytes, now: float) -> dict[str, str]:
    """Return the headers with which a question is posted."""
    named, call = question_id(question), question.call.id
    return delivery_headers(named, call, body, key=key, now=now, version="1", asking=asking_of(question))


async def hear(agent: Agent, question: Question) -> list[Action]:
    """Ask and wait for the whole answer."""
    return [action async for action in agent.ask(question)]


async def done(agent: Agent, question: Question) -> list[Action]:
    """Ask for the whole answer, and leave out what the agent remembers."""
    return [action for action in await hear(agent, question) if not isinstance(action, Remember)]
