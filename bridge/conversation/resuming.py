"""How a call goes on whose process has died: what another makes of what is known of it.

The caller heard the line go dead in the middle of whatever it was. So the bridge says that it is back; what the
caller has said and nobody answered is asked again, and what was waited for is waited for once more.
"""

from __future__ import annotations

from bridge.conversation import commands as do
from bridge.conversation import journal, transfers
from bridge.conversation.actions import GatherDigits, Transfer, Tuning
from bridge.conversation.caller import joined
from bridge.conversation.past import Past, broke_off
from bridge.conversation.reply import Reply
from bridge.conversation.standing import left_of, tuning_of
from bridge.conversation.state import Talk


def restore(talk: Talk, past: Past, began: float, now: float) -> None:
    """Bring a new talk to where the one before stood, as far as the journal tells. Nothing is said or asked yet."""
    talk.began, talk.now = min(began, now), now
    talk.state, talk.until = "broken", now + talk.policy.reattach_s
    talk.messages = [*past.messages, *past.over_speech]
    talk.interruption = past.interruption
    talk.turn.number, talk.echoes = past.turns, past.echoes
    talk.memory = past.memory
    if past.sounding is not None:
        _keep_sounding(talk, past, past.sounding)
    talk.speech.count_from(past.replies)
    talk.message.number = past.messages_left
    talk.limit_told = past.limit_told
    talk.answerer, talk.answerer_taken = past.answerer, bool(past.answerer)
    talk.recording.state = past.recording
    talk.speech.voice = past.standing.voice or None
    talk.speech.language = past.standing.language or None
    talk.tuning = tuning_of(past.standing.tuning)
    talk.unanswered = [text for _, text in past.unanswered]
    talk.unanswered_turn = past.unanswered[-1][0] if past.unanswered else 0
    talk.digits.keys = past.gathered + "".join(key for _, key in past.keys)
    talk.passage.returned = past.returned
    if past.standing.left:
        talk.left = left_of(past.standing.left)
        talk.state, talk.reason = "leaving", talk.left.reason
        if talk.left.for_a_while:
            transfers.stay_away(talk, talk.began + past.standing.at_ms / 1000)


def go_on(talk: Talk, past: Past) -> None:
    """The call has its stream again: say so, and take up what was broken off."""
    policy = talk.policy
    if past.recording == "paused":
        talk.out.append(do.PauseRecording(talk.ms()))
    if talk.tuning != Tuning():
        talk.out.append(do.TuneRecognizer(talk.tuning))
    if not policy.agent and not (policy.greeting and not past.greeted):
        return  # Nobody speaks in such a call.
    if talk.by_machine:
        _tell_machine(talk)
        return
    _give_up_consulting(talk, past)
    if past.standing.message:
        _end_message(talk, past)
    gather = GatherDigits(**past.standing.gather) if past.standing.gather else None
    if gather is not None and not _asks_how(talk, past, gather):
        talk.digits.begin(gather, talk.now)
    _speak(talk, past, gather)


def _asks_how(talk: Talk, past: Past, gather: GatherDigits | None) -> bool:
    """Tell whether the agent is asked how the call goes on: nothing else is open, and it knows where it was."""
    if not talk.memory or past.message_left is not None or talk.passage.returned is not None:
        return False
    return not talk.unanswered and not (talk.digits.keys and gather is None)


def _keep_sounding(talk: Talk, past: Past, spoke: journal.AgentSpoke) -> None:
    """Record what is known to have been heard of the reply that the crash broke off."""
    talk.record(spoke)
    past.replies = max(past.replies, spoke.reply)
    if broke_off(spoke) and spoke.occasion != "prompt":
        talk.interruption = do.Interruption(spoke.heard[spoke.filler :], "")


def _speak(talk: Talk, past: Past, gather: GatherDigits | None) -> None:
    """Say that the call is back, and ask what is open: at once, so that the answer is there when that was said."""
    words = past.message_left
    if words is None and not (talk.unanswered and not talk.masked) and not past.greeted:
        talk.open_call()
        return
    reply = _opened(talk, past, gather)
    if reply is None:
        if talk.policy.resumed:
            talk.prompt(talk.policy.resumed)
        return
    if past.sounding is not None and past.sounding.occasion == reply.occasion:
        reply.repeats = past.sounding.reply
    if talk.policy.resumed:
        talk.speech.fill(reply, talk.policy.resumed, talk.now)
    talk.ask(reply)
    if words is not None:
        reply.transcript = ""  # As in `message_over`: it is not told twice.


def _opened(talk: Talk, past: Past, gather: GatherDigits | None) -> Reply | None:
    """Open the reply to what the agent is to be asked; None: there is nothing of the kind."""
    number, words = talk.turn.number, past.message_left
    if words is not None:
        return talk.speech.open("message", number, words, talk.now)
    if _asks_how(talk, past, gather):
        reply = talk.speech.open("call.resumed", number, "", talk.now)
        _take_up(talk, reply, gather)
    elif talk.unanswered and not talk.masked:
        reply = talk.speech.open("turn.ended", talk.unanswered_turn, joined(talk.unanswered), talk.now)
        talk.unanswered.clear()
        if talk.digits.wanted is None:
            reply.digits = talk.digits.take()
    elif talk.digits.keys and gather is None:
        reply = talk.speech.open("digits", number, "", talk.now)
        reply.digits, reply.gathered = talk.digits.take(), bool(past.gathered)
    else:
        return None
    return reply


def _take_up(talk: Talk, reply: Reply, gather: GatherDigits | None) -> None:
    """Gather what was being gathered behind what the agent says, unless it says what else is to be done.

    What was keyed in of it is forgotten: who is asked for a number once more begins with its first digit.
    """
    if gather is not None:
        talk.digits.take()
        reply.actions.append(gather)
        reply.taken_up = True


def _end_message(talk: Talk, past: Past) -> None:
    """The message that the caller was leaving ends where the call was broken off."""
    talk.message.number += 1
    words = joined(past.message)
    talk.record(
        journal.MessageLeft(talk.message.number, words, past.standing.at_ms, max(past.at_ms, past.standing.at_ms))
    )
    if words.strip():
        talk.messages.append(do.Message("user", words.strip()))
    past.message_left = words


def _give_up_consulting(talk: Talk, past: Past) -> None:
    """Nobody knows of the other side any more that was being called: it was not reached."""
    if not past.standing.consulting:
        return
    wanted = Transfer(**past.standing.consulting)
    talk.record(journal.TransferTried(talk.ms(), wanted.to, "failed", warm=True))
    talk.passage.returned = do.TransferResult(wanted.to, "failed")


def _tell_machine(talk: Talk) -> None:
    if talk.policy.voicemail:
        talk.prompt(talk.policy.voicemail, protected=True)
    else:
        talk.leave(do.LeaveCall("machine"))
