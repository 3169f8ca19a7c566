"""The joint rules: each looks at the whole of a live call, and does one thing if it is time for it.

A rule speaks of states and not of events, so that barge-in, for one, holds however the caller came to be
speaking while the agent is audible. A rule returns True when it changed something that another may care about.
"""

from __future__ import annotations

from bridge.conversation import commands as do
from bridge.conversation import journal
from bridge.conversation.actions import HangUp, Transfer
from bridge.conversation.reply import Reply
from bridge.conversation.state import Talk


def call_too_long(talk: Talk) -> bool:
    """The call has lasted as long as any call may."""
    if talk.now < talk.began + talk.policy.max_call_s:
        return False
    talk.leave(do.LeaveCall("limit"))
    return True


def turn_stalled(talk: Talk) -> bool:
    """The caller speaks, and the service says nothing for too long: the end of the turn is not coming."""
    turn = talk.turn
    if not turn.speaking or talk.now < turn.touched_at + talk.policy.turn_stall_s:
        return False
    talk.close_turn(incomplete=True)
    turn.given_up = turn.transcript
    return True


def caller_interrupts(talk: Talk) -> bool:
    """The caller has words, and a reply is open that may be cut: the agent has lost the floor."""
    reply = talk.speech.reply
    if reply is None or reply.speculative or not _can_be_cut(talk, reply):
        return False
    # Before anything is audible there is nothing to listen to: then an "okay" is meant for the agent.
    listed = talk.policy.backchannels if talk.speech.playout.begun else ()
    if not talk.unanswered and not talk.turn.claims_floor(listed):
        return False
    talk.speech.silence(talk.now)
    talk.close_reply(reply, interrupted=True)
    return True


def fall_silent(talk: Talk) -> bool:
    """The caller makes a sound, and a reply is open: be silent before it is known what the sound is."""
    reply, turn = talk.speech.reply, talk.turn
    if reply is None or reply.speculative or reply.paused or not turn.speaking or turn.dismissed:
        return False
    if not _can_be_cut(talk, reply):
        return False
    reply.paused = True
    if talk.speech.silence(talk.now):
        talk.record(journal.AgentSilenced(talk.ms(), turn.number, reply.number))
    return True


def speak_on(talk: Talk) -> bool:
    """The reply was silenced, and no words came: it was a false alarm."""
    reply, turn = talk.speech.reply, talk.turn
    if reply is None or not reply.paused:
        return False
    if turn.speaking and talk.now >= _false_alarm_at(talk):
        turn.dismissed = True
    if turn.speaking and not turn.dismissed:
        return False
    reply.paused = False
    if talk.speech.playout.begun:
        talk.record(journal.AgentResumed(talk.ms(), turn.number, reply.number))
    return True


def agent_too_slow(talk: Talk) -> bool:
    """The agent owes a piece of its answer for too long."""
    reply = talk.speech.reply
    if reply is None or reply.done or talk.now < reply.heard_from_at + talk.policy.agent_timeout_s:
        return False
    talk.out.append(do.CancelReply(reply.number))
    talk.fail_reply(reply, "agent_timeout", f"no answer within {talk.policy.agent_timeout_s:g} s")
    return True


def agent_pauses(talk: Talk) -> bool:
    """The agent stops in mid-stream: speak what it said, and end the utterance before it expires."""
    reply = talk.speech.reply
    if reply is None or reply.done or not reply.pausing:
        return False
    if talk.now < reply.text_due(talk.policy.text_pause_s):
        return False
    talk.speech.finish_utterance(reply, talk.now)
    return True


def speech_too_slow(talk: Talk) -> bool:
    """The speech service owes audio for too long."""
    reply, unfinished = talk.speech.reply, talk.speech.playout.unfinished
    if reply is None or not unfinished or talk.now < reply.audio_at + talk.policy.speech_timeout_s:
        return False
    talk.out.append(do.CancelSpeech(unfinished[0]))
    message = f"no audio within {talk.policy.speech_timeout_s:g} s"
    talk.fail_speech(reply, unfinished[0], "speech_timeout", message)
    return True


def reply_certain(talk: Talk) -> bool:
    """The reply is wanted, so what it notes is kept, and what it says is sent."""
    reply = talk.speech.reply
    if reply is None or reply.speculative:
        return False
    for note in reply.notes:
        talk.record(journal.NoteTaken(talk.ms(), note.data))
    reply.notes.clear()
    if not reply.paused:
        talk.speech.play(reply, talk.now)
    return False  # Neither gives another rule anything to do.


def reply_over(talk: Talk) -> bool:
    """Everything was said and heard: do what stands behind the words."""
    reply = talk.speech.reply
    if reply is None or reply.speculative or reply.paused or not reply.done:
        return False
    if not talk.speech.playout.heard_out(talk.now):
        return False
    talk.close_reply(reply, interrupted=False)
    if reply.failed and talk.policy.agent:
        if talk.agent_failures >= talk.policy.failures_allowed:
            talk.prompt(talk.policy.farewell, HangUp("agent_failed"))
        else:
            talk.prompt(talk.policy.apology)
        return True
    if talk.unanswered:
        return True  # The caller has said something meanwhile: that is answered before anything is done.
    for action in reply.actions:
        match action:
            case HangUp(reason):
                talk.leave(do.LeaveCall(reason or "agent"))
            case Transfer(to):
                talk.leave(do.LeaveCall("transfer", transfer_to=to))
            case _:
                pass
    return True


def question_due(talk: Talk) -> bool:
    """The caller has said something, and nobody is answering."""
    turn = talk.turn
    if talk.speech.reply is not None or not talk.policy.agent:
        return False
    if talk.unanswered and not turn.speaking:
        transcript = "".join(talk.unanswered)
        talk.unanswered.clear()
        talk.ask(talk.speech.open("turn.ended", talk.unanswered_turn, transcript, talk.now))
    elif turn.eager and turn.worded and talk.policy.eager:
        turn.eager = False  # One question for one eager end.
        transcript = "".join([*talk.unanswered, turn.transcript])
        talk.ask(talk.speech.open("turn.ended", turn.number, transcript, talk.now, speculative=True))
    else:
        return False
    return True


def silence_too_long(talk: Talk) -> bool:
    """Nobody says anything: ask whether the caller is there, and in the end let go."""
    if not talk.policy.agent or talk.speech.reply is not None or talk.turn.speaking:
        return False
    if talk.now < talk.patience.next_at:
        return False
    prompt = talk.patience.take_prompt()
    if prompt is None:
        talk.prompt(talk.policy.silence_farewell, HangUp("silence"))
    else:
        talk.prompt(prompt)
    return True


def _can_be_cut(talk: Talk, reply: Reply) -> bool:
    """Tell whether the caller may cut the reply now: it is not protected, and there is something left of it."""
    playout = talk.speech.playout
    return not playout.guarded(talk.now) and not (reply.done and playout.heard_out(talk.now))


def _false_alarm_at(talk: Talk) -> float:
    """Return until when a turn without words to answer keeps the agent silent."""
    since = talk.turn.touched_at if talk.turn.worded else talk.turn.started_at
    return since + talk.policy.false_alarm_s


def moments(talk: Talk) -> list[float]:
    """Return when the joint rules of a live call have to look again, if nothing happens before."""
    due = [talk.began + talk.policy.max_call_s]
    turn, reply = talk.turn, talk.speech.reply
    if turn.speaking:
        due.append(turn.touched_at + talk.policy.turn_stall_s)
    if reply is not None:
        due += talk.speech.moments(reply, talk.now)
        if reply.paused and turn.speaking:
            due.append(_false_alarm_at(talk))
    elif talk.policy.agent and not turn.speaking:
        due.append(talk.patience.next_at)
    return due


RULES = (
    call_too_long,
    turn_stalled,
    caller_interrupts,
    fall_silent,
    speak_on,
    agent_too_slow,
    agent_pauses,
    speech_too_slow,
    reply_certain,
    reply_over,
    question_due,
    silence_too_long,
)
"""In this order: ends before beginnings, the caller before the agent."""
