"""What there is in a live talk, coarsely: a rule need not be asked where there is nothing for it to act on.

Most steps are a piece of speech or a mark, while the caller listens: then few of the rules can have anything to do.
"""

from __future__ import annotations

from typing import Final

from bridge.conversation.state import Talk

FREE: Final = 1
"""No reply is open."""
REPLY: Final = 2
CERTAIN: Final = 4
"""A reply is open, and may be heard."""
OWED: Final = 8
"""A reply is open, and the agent goes on with it."""
COMPLETE: Final = 16
"""A reply is open, to which the agent adds nothing more."""
PAUSED: Final = 32
"""The open reply was silenced, or speech for it waits to be asked for."""
CALLER: Final = 64
"""The caller speaks, or has said something that nobody has answered."""
KEYS: Final = 128
"""Keys were pressed, or are waited for."""
OUTAGE: Final = 256
"""The recogniser is away, or the caller is to be told that it was."""
ASIDE: Final = 512
"""Something that few calls have: a machine at the other end, an operator, a message, a transfer, the agent's own
wish to speak, or what is to be done behind an answer."""


def situation(talk: Talk) -> int:
    """Return what there is, as the sum of the above."""
    reply, digits, outage, passage = talk.speech.reply, talk.digits, talk.outage, talk.passage
    if reply is None:
        there = FREE
    else:
        there = REPLY | (COMPLETE if reply.done else OWED) | (0 if reply.speculative else CERTAIN)
        if reply.paused or talk.speech.held_until is not None:
            there |= PAUSED
    if talk.turn.speaking or talk.unanswered:
        there |= CALLER
    if digits.keys or digits.wanted is not None:
        there |= KEYS
    if outage.since is not None or outage.owed:
        there |= OUTAGE
    if talk.answerer or talk.operated or talk.deferred or talk.floor_wanted or talk.message.wanted is not None:
        there |= ASIDE
    if passage.consulting is not None or passage.returned is not None:
        there |= ASIDE
    return there
