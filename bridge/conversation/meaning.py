"""What the caller means by a turn: words to be answered, or a noise, a sign of attention, the agent's own voice."""

from __future__ import annotations

from bridge.conversation.caller import CallerTurn, is_backchannel
from bridge.conversation.echo import is_echo
from bridge.conversation.journal import Meaning
from bridge.conversation.policy import Policy
from bridge.conversation.speech import Speech


def meaning_of(turn: CallerTurn, speech: Speech, policy: Policy, now: float) -> Meaning:
    """Judge what the caller has said in this turn so far, while the agent's `speech` stands as it does."""
    reply = speech.reply
    if not turn.worded:
        return "empty"
    if _is_echo(turn, speech, now):
        return "echo"
    if reply is None or reply.speculative or not speech.playout.begun:
        return "words"
    if not is_backchannel(turn.transcript, policy.backchannels):
        return "words"
    # "Okay" over the agent's last word or two, or to a question of it, answers; before that it shows attention.
    asked = reply.done or reply.text.rstrip().endswith(("?", "？"))
    almost_over = asked and speech.unheard_words(reply, now) <= 2
    return "words" if almost_over else "backchannel"


def _is_echo(turn: CallerTurn, speech: Speech, now: float) -> bool:
    """Tell whether the turn's words are those of the reply that sounded when it began."""
    reply = speech.reply
    if turn.over_text is not None:
        return is_echo(turn.transcript, turn.over_text, "", cut=turn.cut)
    if reply is None or turn.over_reply != reply.number:
        return False
    heard = len(speech.playout.heard_and_rest(now)[0])
    return is_echo(turn.transcript, reply.text[turn.over_from : heard], reply.text[heard:], cut=turn.cut)
