"""The joint rules of the clock: what has lasted too long, and what is done about it.

Like the rules of the floor, each looks at the whole of a live call, does one thing if it is time for it, and then
returns True.
"""

from __future__ import annotations

from bridge.conversation import commands as do
from bridge.conversation.actions import HangUp
from bridge.conversation.reply import Reply
from bridge.conversation.state import Talk

_MOST_OUTAGES = 3
"""A caller who was asked to say it again so often is not to be asked once more."""


def call_too_long(talk: Talk) -> bool:
    """The call has lasted as long as any call may."""
    if talk.now < talk.began + talk.policy.max_call_s:
        return False
    talk.leave(do.LeaveCall("limit"))
    return True


def turn_stalled(talk: Talk) -> bool:
    """The caller speaks, and the service says nothing for too long: the end of the turn is not coming."""
    turn = talk.turn
    if not turn.speaking or talk.outage.since is not None:
        return False
    if talk.now < turn.touched_at + talk.policy.turn_stall_s:
        return False
    talk.close_turn(incomplete=True)
    turn.given_up = turn.transcript
    return True


def marks_lost(talk: Talk) -> bool:
    """Marks are so late that they will not come: what was sent before them has sounded."""
    reply = talk.speech.reply
    if reply is not None and not reply.speculative:
        talk.speech.playout.give_up_marks(talk.now)
    return False  # Rules that care look at how far the speech has sounded themselves.


def agent_too_slow(talk: Talk) -> bool:
    """The agent owes a piece of its answer for too long."""
    reply = talk.speech.reply
    if reply is None or reply.done or talk.now < talk.speech.answer_due(reply):
        return False
    talk.out.append(do.CancelReply(reply.number))
    waited_s = talk.speech.answer_due(reply) - reply.heard_from_at
    talk.fail_reply(reply, "agent_timeout", f"no answer within {waited_s:g} s")
    return True


def agent_pauses(talk: Talk) -> bool:
    """The agent stops in mid-stream: speak what it said, and end the utterance before it expires."""
    reply = talk.speech.reply
    if reply is None or reply.done or not (reply.pausing or reply.actions):
        return False
    if talk.now < reply.text_due(talk.policy.text_pause_s):
        return False
    if reply.actions:  # What else it could have to say, nobody would hear.
        talk.out.append(do.CancelReply(reply.number))
        talk.speech.finish_text(reply, talk.now)
    else:
        talk.speech.finish_utterance(reply, talk.now)
    return True


def speech_too_slow(talk: Talk) -> bool:
    """The speech service owes audio for too long."""
    reply, playout = talk.speech.reply, talk.speech.playout
    limit_s = talk.speech.longest_wait_s
    if reply is None or talk.now < reply.audio_at + limit_s or not playout.waiting:
        return False
    unfinished = playout.unfinished
    talk.out.append(do.CancelSpeech(unfinished[0]))
    message = f"no audio within {limit_s:g} s"
    talk.fail_speech(reply, unfinished[0], "speech_timeout", message, final=True)
    return True


def silence_too_long(talk: Talk) -> bool:
    """Nobody says anything: ask whether the caller is there, and in the end let go."""
    if not talk.policy.agent or not _floor_free(talk) or talk.outage.since is not None:
        return False
    if talk.now < talk.patience.next_at:
        return False
    if talk.passage.consulting is not None:  # The caller waits for us, and not the other way round.
        talk.prompt(talk.policy.filler)  # Its end is what the next silence is counted from, even if it is empty.
        return True
    prompt = talk.patience.take_prompt()
    if prompt is None:
        talk.prompt(talk.policy.silence_farewell, HangUp("silence"))
    else:
        talk.ask_about_silence(prompt)
    return True


def limit_near(talk: Talk) -> bool:
    """The call will soon have lasted as long as any call may: say so as soon as nobody else speaks."""
    if talk.limit_told or talk.now < _limit_notice_at(talk) or not _floor_free(talk):
        return False
    talk.limit_told = True
    talk.prompt(talk.policy.limit_notice)
    return True


def recognizer_away(talk: Talk) -> bool:
    """The speech-to-text service is away for so long that the open turn cannot wait for it."""
    outage, policy = talk.outage, talk.policy
    due = outage.too_long_at(policy.outage_s)
    if outage.noted or due is None or talk.now < due:
        return False
    outage.noted = True
    outage.owed = policy.agent
    outage.words_lost = talk.turn.speaking
    if policy.agent:
        # The caller is asked to say it again: what waits to be recognised would be heard twice.
        talk.out.append(do.ForgetTurn())
    if talk.turn.speaking:
        talk.close_turn(incomplete=True, degraded=True)
        talk.turn.given_up = talk.turn.transcript
    return True


def recognizer_back(talk: Talk) -> bool:
    """The connection to the speech-to-text service has stood for long enough."""
    return talk.end_outage(told=False)


def loss_told(talk: Talk) -> bool:
    """What the caller said got lost: ask to say it again as soon as nobody else speaks."""
    outage = talk.outage
    if not outage.owed or not _floor_free(talk):
        return False
    outage.owed = False
    if outage.words_lost or not outage.connected:
        outage.told += 1
        if not outage.connected:
            outage.told_at, outage.noted = talk.now, False
        talk.prompt(talk.policy.outage)
    return True


def recognizer_gone(talk: Talk) -> bool:
    """The speech-to-text service is away for so long that the call makes no sense any more."""
    if not talk.policy.agent or talk.outage.since is None:
        return False
    if talk.now < talk.outage.since + talk.policy.outage_limit_s and talk.outage.told < _MOST_OUTAGES:
        return False
    talk.leave_for_failure("speech_failed")
    return True


def agent_slow(talk: Talk) -> bool:
    """The caller waits for an answer and hears nothing: say something meanwhile, once."""
    reply = talk.speech.reply
    if reply is None or not _may_be_filled(talk, reply) or talk.now < _filler_at(talk, reply):
        return False
    talk.speech.fill(reply, talk.policy.filler, talk.now)
    return True


def speech_asked_again(talk: Talk) -> bool:
    """The speech service has had a moment to come to itself: ask it for the rest."""
    reply = talk.speech.reply
    return reply is not None and talk.speech.request_held(reply, talk.now)


def _floor_free(talk: Talk) -> bool:
    """Tell whether neither side says anything, waits for an answer, or presses keys."""
    quiet = talk.speech.reply is None and not talk.turn.speaking and not talk.unanswered
    return quiet and talk.message.wanted is None and talk.digits.wanted is None and not talk.digits.keys


def _limit_notice_at(talk: Talk) -> float:
    """Return when the caller is to be told that the call must end; infinity if that is not wanted."""
    policy = talk.policy
    if not policy.agent or not policy.limit_notice or policy.limit_notice_s >= policy.max_call_s:
        return float("inf")
    return talk.began + policy.max_call_s - policy.limit_notice_s


def _may_be_filled(talk: Talk, reply: Reply) -> bool:
    """Tell whether the agent owes the first word of an answer that the caller waits for."""
    if not talk.policy.filler or reply.speculative or reply.done or reply.paused or reply.text:
        return False
    return reply.occasion in {"turn.ended", "digits"} and not reply.actions


def _filler_at(talk: Talk, reply: Reply) -> float:
    return max(reply.asked_at, reply.certain_at) + talk.policy.filler_s


def moments(talk: Talk) -> list[float]:
    """Return when these rules have to look again, if nothing happens before."""
    policy, turn, reply, outage = talk.policy, talk.turn, talk.speech.reply, talk.outage
    due = [talk.began + policy.max_call_s]
    if reply is None and not talk.limit_told and _floor_free(talk):
        due.append(_limit_notice_at(talk))
    if outage.since is not None:
        if not outage.noted and (too_long := outage.too_long_at(policy.outage_s)) is not None:
            due.append(too_long)
        if outage.steady_at is not None:
            due.append(outage.steady_at)
        if policy.agent:
            due.append(outage.since + policy.outage_limit_s)
    elif turn.speaking:
        due.append(turn.touched_at + policy.turn_stall_s)
    if reply is not None:
        due += talk.speech.moments(reply, talk.now)
        if _may_be_filled(talk, reply):
            due.append(_filler_at(talk, reply))
    elif policy.agent and _floor_free(talk) and outage.since is None:
        due.append(talk.patience.next_at)
    return due
