"""Who answered a call of ours: what is said to people is not said to machines.

The carrier tells people from answering machines by what they say first, so it may tell while the agent speaks
already. A machine is left the message that the policy has for it, whole, whatever it does meanwhile.
"""

from __future__ import annotations

from bridge.conversation import commands as do
from bridge.conversation import journal, operator
from bridge.conversation.state import Talk


def answerer_told(talk: Talk) -> bool:
    """The carrier has told who answered: go on with people; leave machines a message, or hang up on them."""
    if not talk.answerer or talk.answerer_taken:
        return False
    talk.answerer_taken = True
    talk.record(journal.AnswererTold(talk.ms(), talk.answerer))
    if not talk.by_machine:
        return True
    _stop_talking(talk)
    if talk.answerer == "fax":
        talk.leave(do.LeaveCall("fax"))
    elif talk.policy.voicemail:
        talk.prompt(talk.policy.voicemail, protected=True)
    else:
        talk.leave(do.LeaveCall("machine"))
    return True


def message_left(talk: Talk) -> bool:
    """The machine has heard the whole message: hang up, even if it says something itself.

    What an operator wants to say to it comes before that.
    """
    reply = talk.speech.reply
    if not talk.by_machine or reply is None or not talk.speech.playout.heard_out(talk.now):
        return False
    if talk.operated and reply.occasion != operator.OCCASION:
        talk.close_reply(reply, interrupted=False)
        return True
    talk.leave(do.LeaveCall("voicemail"))
    return True


def _stop_talking(talk: Talk) -> None:
    """Give up what was being said, asked and awaited: nobody is there to hear it or to answer."""
    talk.drop_speculation()
    if (reply := talk.speech.reply) is not None:
        talk.speech.silence(talk.now)
        talk.close_reply(reply, interrupted=True)
    talk.unanswered.clear()
    talk.deferred.clear()
    talk.operated.clear()
    talk.digits.take()
    if talk.message.wanted is not None:
        talk.message.stop(talk.now)
        talk.keep_message()
    talk.stop_consulting("canceled")
    talk.passage.returned = None
    talk.floor_wanted = False
