"""What somebody who looks after a call says and does in the agent's place.

It is a reply like the agent's own, so that everything holds for it that holds for those: barge-in, what was heard,
what is done behind the words. But the operator's word is final: what is to be done is done whatever the caller says
meanwhile, and what the caller still waits to hear from the agent is asked again behind it.
"""

from __future__ import annotations

from bridge.conversation.actions import Action, HandOff, Note, Play, Say, SendDigits, Set, Transfer
from bridge.conversation.caller import joined
from bridge.conversation.journal import AnswererTold, NoteTaken
from bridge.conversation.reply import Reply
from bridge.conversation.state import Talk

OCCASION = "operator"
"""What such a reply answers."""


def take(talk: Talk, actions: tuple[Action, ...]) -> None:
    """Note and set at once; the rest waits for the floor. A call that is being left takes nothing any more."""
    for action in actions:
        match action:
            case Note(data):
                talk.record(NoteTaken(talk.ms(), data))
            case Set():
                talk.change(action)
            case _ if talk.state in {"waiting", "live", "broken"}:
                talk.operated.append(action)
                if talk.by_machine and isinstance(action, Transfer | HandOff):
                    # No machine is passed on: who listens hears that it is a person whom the carrier took for one.
                    talk.answerer = "human"
                    talk.record(AnswererTold(talk.ms(), talk.answerer))


def must_wait(talk: Talk, *, caller_speaks: bool) -> bool:
    """Tell whether what is to be heard has to wait: for the caller, or until a machine has the whole message.

    What makes no sound need not.
    """
    if not any(isinstance(action, Say | Play | SendDigits) for action in talk.operated):
        return False
    if talk.by_machine:
        return talk.speech.reply is not None and talk.speech.reply.occasion != OCCASION
    return caller_speaks or talk.message.wanted is not None


def begin(talk: Talk) -> None:
    """The operator has the floor. Behind words of theirs that are still being said, it is only more of them."""
    actions, talk.operated = talk.operated, []
    reply = talk.speech.reply
    if reply is None or reply.occasion != OCCASION:
        reply = _open(talk)
    elif reply.text:
        talk.speech.space(reply)
    for action in actions:
        talk.speech.act(reply, action, talk.now)
    talk.speech.finish_text(reply, talk.now)


def _open(talk: Talk) -> Reply:
    """Take the agent's place. What nobody has answered yet is kept with the reply, until that is over."""
    secret = talk.masked
    talk.drop_speculation()
    if (cut := talk.speech.reply) is not None:
        talk.speech.silence(talk.now)
        talk.close_reply(cut, interrupted=False, again=True)
    talk.deferred.clear()
    turn = talk.unanswered_turn if talk.unanswered else talk.turn.number
    reply = talk.speech.open(OCCASION, turn, joined(talk.unanswered), talk.now)
    talk.unanswered.clear()
    if talk.digits.wanted is None:
        reply.secret = talk.digits.secret
        reply.digits = talk.digits.take()
        talk.digits.secret = secret  # Who was asked for one gives it still, though nobody gathers it any more.
    return reply
