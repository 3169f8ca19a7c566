"""What a model is told of a call: the words that were heard, what it did with its functions, and what happened.

Pure. Servers differ in what they take: some want the system message first and nowhere else, and user and assistant
by turns, the user first. So what happens besides words is told in square brackets, as words of the user.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.agents.base import CallInfo, Interruption, Question
from bridge.agents.openai.wire import ChatMessage

INSTRUCTIONS = (
    "You are talking with somebody on the phone. Answer in one to three short sentences of spoken language: no"
    " lists, no markup, no emoji, numbers and abbreviations as one says them. Ask one question at a time."
)
"""The system message where the settings have none."""

_BRACKETS = (
    "What stands in square brackets is not said by the caller: it tells you what happens in the call. Never read it"
    " out."
)
BEGINNING = "[The call begins.]"

MAX_ENTRIES = 40
"""Rounds of functions that are remembered of a call, the latest."""
MAX_CHARACTERS = 40_000
"""All that is remembered together."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """Something that happened beside the words."""

    position: int
    """How many messages of the conversation stood before it."""
    turn: int
    speculative: bool
    """It belongs to an answer that was perhaps never heard."""
    messages: tuple[ChatMessage, ...]

    @property
    def size(self) -> int:
        """Its length in characters, about."""
        return sum(len(str(message)) for message in self.messages)


class CallMemory:
    """What one call's messages do not hold, for as long as the call lasts."""

    def __init__(self) -> None:
        self.masked = False
        """A secret is being gathered: what the caller keys in next is not remembered."""
        self._kept: deque[Remembered] = deque(maxlen=MAX_ENTRIES)

    @property
    def entries(self) -> tuple[Remembered, ...]:
        """What is remembered, in its order."""
        return tuple(self._kept)

    def begin(self, question: Question) -> None:
        """Forget what belongs to an answer that this question takes the place of: it is asked again."""
        if question.occasion == "turn.ended":
            stale = [entry for entry in self._kept if entry.speculative and entry.turn == question.turn]
            for entry in stale:
                self._kept.remove(entry)

    def keep(self, question: Question, *messages: ChatMessage) -> None:
        """Remember what happened while a question was answered."""
        entry = Remembered(len(question.messages), question.turn, question.speculative, messages)
        self._kept.append(entry)
        while len(self._kept) > 1 and sum(entry.size for entry in self._kept) > MAX_CHARACTERS:
            self._kept.popleft()


def system_message(instructions: str, call: CallInfo) -> ChatMessage:
    """Write the system message: the same for all of a call, so that a server can keep its work on it."""
    facts = [f"The caller's number is {call.caller or 'unknown'}, the number of this line {call.called}."]
    if call.direction == "outbound":
        facts = [f"You have called {call.called}."]
    if call.started_at:
        facts.append(f"The call began at {call.started_at}.")
    if call.parameters:
        facts.append(f"Known of the call: {json.dumps(dict(call.parameters), ensure_ascii=False)}")
    return {"role": "system", "content": "\n\n".join((instructions or INSTRUCTIONS, _BRACKETS, " ".join(facts)))}


def conversation(question: Question, memory: Sequence[Remembered], limit: int) -> list[ChatMessage]:
    """Write the conversation so far and what the question is about, without the system message.

    `limit` is the number of heard messages, the latest; what is remembered from before them is left out.
    """
    heard = [ChatMessage(role=message.role, content=message.content) for message in question.messages]
    first = max(0, len(heard) - limit)
    told: list[ChatMessage] = [{"role": "user", "content": BEGINNING}] if first == 0 else []
    for position in range(first, len(heard) + 1):
        if position > first or first == 0:
            told += [message for entry in memory if entry.position == position for message in entry.messages]
        if position == len(heard) - 1 and heard[position]["role"] == "user" and (note := what_happened(question)):
            told.append({"role": "user", "content": note})
        if position < len(heard):
            told.append(heard[position])
    if not heard or heard[-1]["role"] != "user":
        words = question.transcript.strip() if question.occasion == "turn.ended" else ""
        told += [{"role": "user", "content": text} for text in (what_happened(question), words) if text]
    return _by_turns(told)


def what_happened(question: Question) -> str:
    """Tell, in brackets, what the words do not; empty: nothing."""
    told = []
    if question.interrupted is not None:
        told.append(_cut_off(question.interrupted))
    if question.over_speech:
        told.append("[The caller says this while you go on speaking.]")
    keys = " ".join(question.digits)
    match question.occasion:
        case "call.started":
            told.append("[Greet the caller.]" if question.call.direction != "outbound" else "[They have answered.]")
        case "digits":
            told.append(f"[The caller has pressed the keys {keys}]" if keys else "[The caller has pressed no key.]")
        case "transfer.ended" if question.transfer is not None:
            told.append(f"[Nobody took the call: {question.transfer.status}. The caller is with you again.]")
        case "message":
            told.append(f"[The caller has left a message: {question.transcript.strip() or 'nothing was said'}]")
        case "turn.ended" if keys:
            told.append(f"[The caller has also pressed the keys {keys}]")
        case _:
            pass
    return "\n".join(told)


def _cut_off(cut: Interruption) -> str:
    if cut.unheard.strip():
        return f"[The caller cut you off and did not hear this: {cut.unheard.strip()}]"
    return f"[You were cut off after these words: {cut.heard.strip()}]"


def _by_turns(messages: list[ChatMessage]) -> list[ChatMessage]:
    """Join what one side says in a row, where no function stands in between."""
    joined: list[ChatMessage] = []
    for message in messages:
        last = joined[-1] if joined else {}
        if message["role"] == last.get("role") != "tool" and not ("tool_calls" in message or "tool_calls" in last):
            joined[-1] = {**last, "content": f"{last['content']}\n{message['content']}"}
        else:
            joined.append(message)
    return joined
