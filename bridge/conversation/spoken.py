"""What the journal is told of a reply: how much of it was heard, while it is spoken and when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.conversation import journal
from bridge.conversation.reply import Reply

if TYPE_CHECKING:
    from bridge.conversation.state import Talk

_FIRST_S: Final = 3.0
"""From when on it is kept how much of a reply was heard so far: short ones are soon over."""
_EVERY_S: Final = 5.0
"""How often from then on: that much of it a crash may take."""


def spoke(
    talk: Talk, reply: Reply, heard: str, unheard: str, *, interrupted: bool, again: bool
) -> journal.AgentSpoke:
    """Return the entry of a reply that is over."""
    moments = (reply.text_first, reply.audio_first, reply.sent_first, reply.mark_first)
    text_ms, audio_ms, sent_ms, mark_ms = (None if m is None else talk.ms(m) for m in moments)
    return journal.AgentSpoke(
        reply=reply.number,
        turn=reply.turn,
        occasion=reply.occasion,
        heard=heard,
        unheard=unheard,
        interrupted=interrupted,
        asked_ms=talk.ms(reply.asked_at),
        ended_ms=talk.ms(),
        text_ms=text_ms,
        audio_ms=audio_ms,
        sent_ms=sent_ms,
        mark_ms=mark_ms,
        speculative=reply.was_speculative,
        filler=min(reply.filler, len(reply.text)),
        again=again,
        standby=reply.standby,
    )


def mark_heard(talk: Talk, reply: Reply) -> None:
    """The phone has told that it played some of a reply: keep now and then how much that is."""
    reply.mark_first = reply.mark_first or talk.now
    if reply.sent_first is None:
        return
    if talk.now < (reply.sent_first + _FIRST_S if reply.told_at is None else reply.told_at + _EVERY_S):
        return
    reply.told_at = talk.now
    heard, rest = talk.speech.playout.heard_and_rest(talk.now)
    if heard.strip() and rest.strip():  # Else it is over, and told of as a whole.
        moments = (talk.ms(reply.asked_at), talk.ms(reply.sent_first))
        about = (reply.number, reply.turn, reply.occasion, heard, *moments)
        talk.record(journal.AgentHeard(talk.ms(), *about, filler=min(reply.filler, len(reply.text))))
