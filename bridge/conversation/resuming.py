"""How a call goes on whose process has died: what another makes of what is known of it.

The caller heard the line go dead in the middle of whatever it was. So the bridge says that it is back; what the
caller has said and nobody answered is asked again, and what was waited for is waited for once more.
"""

from __future__ import annotations

from bridge.conversation import commands as do
from bridge.conversation import journal
from bridge.conversation.actions import GatherDigits, Transfer, Tuning
from bridge.conversation.caller import joined
from bridge.conversation.past import Past
from bridge.conversation.standing import left_of, tuning_of
from bridge.conversation.state import Talk


def restore(talk: Talk, past: Past, began: float, now: float) -> None:
    """Bring a new talk to where the one before stood, as far as the journal tells. Nothing is said or asked yet."""
    talk.began, talk.now = min(began, now), now
    talk.state, talk.until = "broken", now + talk.policy.reattach_s
    talk.messages = [*past.messages, *past.over_speech]
    talk.interruption = past.interruption
    talk.turn.number, talk.echoes = past.turns, past.echoes
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
    if past.standing.gather:
        talk.digits.begin(GatherDigits(**past.standing.gather), talk.now)
    _speak(talk, past)


def _speak(talk: Talk, past: Past) -> None:
    """Say that the call is back, and ask what is open: at once, so that the answer is there when that was said."""
    words = past.message_left
    if words is not None:
        reply = talk.speech.open("message", talk.turn.number, words, talk.now)
    elif talk.unanswered and not talk.masked:
        reply = talk.speech.open("turn.ended", talk.unanswered_turn, joined(talk.unanswered), talk.now)
        talk.unanswered.clear()
        if talk.digits.wanted is None:
            reply.digits = talk.digits.take()
    elif not past.greeted:
        talk.open_call()
        return
    elif talk.policy.resumed:
        talk.prompt(talk.policy.resumed)
        return
    else:
        return
    if talk.policy.resumed:
        talk.speech.fill(reply, talk.policy.resumed, talk.now)
    talk.ask(reply)
    if words is not None:
        reply.transcript = ""  # As in `message_over`: it is not told twice.


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
