"""How a call stands, for somebody who looks at it from outside. Nothing here decides anything."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from bridge.conversation.state import Talk

Floor: TypeAlias = Literal["listening", "thinking", "talking", "away"]
"""The agent listens, makes up its answer, or is being heard; `away`: no stream carries the call now."""


class Saying(Struct, frozen=True):
    """What is being said to the caller."""

    reply: int
    occasion: str
    """As in `journal.AgentSpoke`."""
    turn: int
    text: str
    """All of the reply so far, verbatim."""
    heard: int
    """Characters of it that have been heard, by what was known at the call's last step."""


def floor(talk: Talk) -> Floor:
    """Tell who has the floor."""
    if talk.state not in {"waiting", "live"}:
        return "away"
    reply = talk.speech.reply
    if reply is None or reply.speculative or reply.paused:
        return "listening"
    return "talking" if talk.speech.playout.begun else "thinking"


def at_rest(talk: Talk) -> bool:
    """Tell whether neither side says, awaits or keys anything: a moment in which the call can change its stream.

    What the caller has just begun to say is not known yet.
    """
    if talk.state != "live" or talk.speech.reply is not None or talk.turn.speaking or talk.unanswered:
        return False
    waits = talk.message.wanted is not None or talk.passage.consulting is not None
    return not (waits or talk.digits.keys or talk.digits.wanted is not None)


def saying(talk: Talk) -> Saying | None:
    """Return what is being said; None: nothing, or nothing of it has left for the phone yet."""
    reply = talk.speech.reply
    if reply is None or not talk.speech.playout.begun:
        return None
    # Of the same moment as the last step: what is known of the speech must not depend on who looks at it.
    heard = talk.speech.playout.heard_before(talk.now, 0.0)
    return Saying(reply.number, reply.occasion, reply.turn, reply.text, heard)
