"""What a call's journal tells of how its talk stood when the process died that carried it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bridge.conversation import commands as do
from bridge.conversation import journal
from bridge.conversation.policy import Policy
from bridge.conversation.recording import State
from bridge.conversation.standing import left_of

_TALKED = frozenset({"completed", "answered"})
_ANSWERS = frozenset({"turn.ended", "digits"})
"""Occasions of replies with which keys were told to the agent."""


@dataclass(slots=True)
class Past:
    """The talk so far. Plain data: what follows from it is in `resuming.py`."""

    opened: bool = False
    """The media stream was up once."""
    greeted: bool = False
    """Something was said already, by either side."""
    messages: list[do.Message] = field(default_factory=list)
    """The conversation, as the agent gets it."""
    over_speech: list[do.Message] = field(default_factory=list)
    """What was said over a reply that was not over yet."""
    unanswered: list[tuple[int, str]] = field(default_factory=list)
    """Turns, and their words, that nobody has answered."""
    interruption: do.Interruption | None = None
    turns: int = 0
    """Number of the last turn of the caller."""
    replies: int = 0
    memory: Mapping[str, Any] = field(default_factory=dict)
    """What the agent has remembered."""
    sounding: journal.AgentSpoke | None = None
    """What is known of the reply that was being spoken."""
    messages_left: int = 0
    echoes: int = 0
    keys: list[tuple[int, str]] = field(default_factory=list)
    """When keys were pressed of which nobody was told, and which."""
    gathered: str = ""
    """The number of which the agent was not told yet."""
    standing: journal.Standing = field(default_factory=lambda: journal.Standing(0))
    """How the call was held at the end."""
    message: list[str] = field(default_factory=list)
    """What was said so far of the message that the caller was leaving."""
    message_left: str | None = None
    """The message of which the agent was not told yet."""
    returned: do.TransferResult | None = None
    """The transfer that came to nothing, of which the agent was not told yet."""
    answerer: str = ""
    recording: State = "on"
    limit_told: bool = False
    at_ms: int = 0
    """The newest moment that is told of."""

    @property
    def by_machine(self) -> bool:
        """Tell whether a machine has answered."""
        return journal.is_machine(self.answerer)


def read_past(entries: Iterable[journal.Entry], policy: Policy) -> Past:
    """Read what was from a journal, in whatever place it breaks off."""
    kept = [*entries]
    past = Past(recording=journal.recording_after(kept, policy.recording))
    for entry in kept:
        _take(past, entry, policy)
    past.sounding = journal.sounding(kept)
    return past


def _take(past: Past, entry: journal.Entry, policy: Policy) -> None:  # noqa: C901, PLR0912  It is a table.
    past.at_ms = max(past.at_ms, getattr(entry, "at_ms", 0), getattr(entry, "ended_ms", 0))
    match entry:
        case journal.CallerSpoke():
            _hear(past, entry, policy)
        case journal.AgentSpoke():
            _answer(past, entry, policy)
        case journal.AgentRemembered(_, state):
            past.memory, past.greeted = state, True
        case journal.KeyPressed(at_ms, digit) if not past.standing.message and policy.agent:
            past.keys.append((at_ms, digit))
        case journal.DigitsGathered(_, digits):
            past.gathered = digits
            past.keys.clear()
        case journal.MessageLeft(number, transcript):
            past.messages_left = number
            past.message_left = None if entry.url else transcript
            past.message.clear()
            if transcript.strip():
                past.messages.append(do.Message("user", transcript.strip()))
        case journal.Standing():
            _stand(past, entry)
        case journal.TransferTried(_, to, status, warm, duration_s) if status not in _TALKED:
            if not (warm and status == "canceled"):  # Then it was the bridge that gave it up.
                past.returned = do.TransferResult(to, status, duration_s)
        case journal.AnswererTold(_, kind):
            past.answerer = kind
            if past.by_machine:
                past.unanswered.clear()
                past.keys.clear()
                past.returned = None
        case journal.SpeculationDropped(_, _, reply):
            past.replies = max(past.replies, reply)
        case journal.CallOpened():
            past.opened = True
        case journal.StreamResumed():
            _come_back(past)
        case _:
            pass


def _hear(past: Past, spoke: journal.CallerSpoke, policy: Policy) -> None:
    """A turn of the caller: as `Talk.close_turn` takes it."""
    past.turns = spoke.turn
    past.echoes += spoke.meaning == "echo"
    if past.standing.message:
        if spoke.meaning not in {"empty", "echo"}:
            past.message.append(spoke.transcript)
        return
    if spoke.meaning != "words":
        return
    if past.standing.gather and not past.standing.gather.get("masked"):
        past.keys.clear()  # It was said instead.
    if spoke.degraded or not policy.agent or past.by_machine:
        return
    past.greeted = True
    said = do.Message("user", spoke.transcript.strip())
    if spoke.over_speech:
        past.over_speech.append(said)
    else:
        _fall_behind(past)
        past.messages.append(said)
    past.unanswered.append((spoke.turn, spoke.transcript))


def _answer(past: Past, spoke: journal.AgentSpoke, policy: Policy) -> None:
    """A reply that is over: as `Talk.close_reply` keeps it."""
    past.replies = max(past.replies, spoke.reply)
    text = spoke.heard + spoke.unheard
    heard, answer = spoke.heard[spoke.filler :], text[spoke.filler :]
    if broke_off(spoke):
        # Its question is asked once more, and has one answer in the conversation: that which comes then.
        past.interruption = past.interruption if spoke.occasion == "prompt" else do.Interruption(heard, "")
        return
    past.greeted = True
    if heard.strip():
        past.messages.append(do.Message("assistant", heard.strip()))
    _fall_behind(past)
    if spoke.interrupted and spoke.sent_ms is not None and answer and spoke.occasion != "prompt":
        past.interruption = do.Interruption(heard, answer[len(heard) :])
    elif spoke.occasion == "turn.ended" and not spoke.interrupted:
        past.interruption = None
    if text == policy.limit_notice and spoke.occasion == "prompt":
        past.limit_told = bool(spoke.heard.strip())
    past.message_left = None
    if spoke.again:
        return
    if spoke.occasion == "turn.ended":
        past.unanswered = [one for one in past.unanswered if one[0] > spoke.turn]
    if spoke.occasion in _ANSWERS:
        past.keys = [key for key in past.keys if key[0] > spoke.asked_ms]
        past.gathered = ""
    if past.standing.left or spoke.occasion in {"transfer.ended", "prompt"}:
        past.returned = None


def broke_off(spoke: journal.AgentSpoke) -> bool:
    """Tell whether a reply was broken off by the death of the process that spoke it."""
    return spoke.again and bool(spoke.heard[spoke.filler :].strip()) and spoke.occasion != "operator"


def _fall_behind(past: Past) -> None:
    """The reply is over over which something was said: that stands behind it."""
    past.messages += past.over_speech
    past.over_speech.clear()


def _stand(past: Past, entry: journal.Standing) -> None:
    if entry.message and not past.standing.message:
        past.message = [text for _, text in past.unanswered]  # What was said over the words before is part of it.
        past.unanswered.clear()
        past.keys.clear()
    if past.standing.gather and not entry.gather:
        past.keys.clear()
    past.standing = entry


def _come_back(past: Past) -> None:
    """The caller is back on a new stream: as `transfers.come_back`."""
    if past.standing.left:
        if not left_of(past.standing.left).digits:
            past.unanswered.clear()
        if past.standing.gather:
            past.keys.clear()
        past.standing = msgspec.structs.replace(past.standing, left={}, gather={})
