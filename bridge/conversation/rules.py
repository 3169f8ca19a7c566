"""The joint rules of the floor, and the order of all rules.

Each looks at the whole of a live call, and does one thing if it is time for it. A rule speaks of states and not of
events, so that barge-in, for one, holds however the caller came to be speaking while the agent is audible. A rule
returns True when it changed something that another may care about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, TypeAlias

from bridge.conversation import answerer, journal, limits, operator, transfers
from bridge.conversation import commands as do
from bridge.conversation.actions import GatherDigits, HandOff, HangUp, SendDigits, Transfer
from bridge.conversation.caller import count_words, joined
from bridge.conversation.reply import Reply
from bridge.conversation.situation import (
    ASIDE,
    CALLER,
    CERTAIN,
    COMPLETE,
    FREE,
    KEYS,
    OUTAGE,
    OWED,
    PAUSED,
    REPLY,
    situation,
)
from bridge.conversation.state import Talk

Rule: TypeAlias = Callable[[Talk], bool]

_ECHOES_LEARNT = 2
"""After so many echoes the line is known to give back what the agent says."""
_ALARMS_LEARNT = 3
"""After so many false alarms without a word of the agent in between, only words silence it."""


def caller_interrupts(talk: Talk) -> bool:
    """The caller has words enough, and a reply is open that may be cut: the agent has lost the floor."""
    reply = talk.speech.reply
    if reply is None or reply.speculative or not _can_be_cut(talk, reply):
        return False
    if not _insists(talk) and _words_for_floor(talk) < _words_needed(talk):
        return False
    protected = talk.speech.playout.protected_rest(talk.now)
    talk.turn.insisted = not talk.turn.worded and not talk.unanswered
    talk.speech.silence(talk.now)
    talk.close_reply(reply, interrupted=True)
    if protected.strip():
        talk.prompt(protected, protected=True)  # What must be heard is heard before anything is answered.
    return True


def fall_silent(talk: Talk) -> bool:
    """The caller makes a sound, and a reply is open: be silent before it is known what the sound is."""
    reply, turn = talk.speech.reply, talk.turn
    if reply is None or reply.speculative or reply.paused or not turn.speaking or turn.dismissed:
        return False
    if not _can_be_cut(talk, reply) or reply.false_alarms >= _ALARMS_LEARNT:
        return False  # Where it is never quiet, the agent would never come to its next word.
    if talk.echoes >= _ECHOES_LEARNT and turn.over_reply == reply.number:
        return False  # On a line that gives back what the agent says, each of its words would silence it.
    reply.paused = turn.cut = True
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
    heard = len(talk.speech.playout.heard_and_rest(talk.now)[0])
    reply.false_alarms = reply.false_alarms + 1 if heard == reply.heard_at_alarm else 1
    reply.heard_at_alarm = heard
    if talk.speech.playout.begun:
        talk.record(journal.AgentResumed(talk.ms(), turn.number, reply.number))
    return True


def reply_certain(talk: Talk) -> bool:
    """The reply is wanted, so what it notes is kept, and what it says is sent."""
    reply = talk.speech.reply
    if reply is None or reply.speculative:
        return False
    for note in reply.notes:
        talk.record(journal.NoteTaken(talk.ms(), note.data))
    reply.notes.clear()
    for change in reply.changes:
        talk.change(change)
    reply.changes.clear()
    talk.remember(reply.remembers_now)
    reply.remembers_now = None
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
    final = reply.occasion == operator.OCCASION
    if reply.ends_call and not (reply.failed or final) and talk.turn.speaking and talk.meaning() == "words":
        return False  # The caller has begun to say something, and may finish.
    talk.close_reply(reply, interrupted=False)
    if reply.failed and talk.policy.agent and not final:
        _apologise(talk, reply)
        return True
    if reply.occasion != "prompt" and reply.answer.strip():
        # What the bridge itself says is kept: that it sounds says nothing of the service.
        talk.speech.failures = 0
    if talk.unanswered and not final:
        return True  # The caller has said something meanwhile: that is answered before anything is done.
    if reply.fallback and reply.silent:
        talk.say_instead(reply)
        return True
    talk.deferred = reply.actions
    return do_deferred(talk) or True


def do_deferred(talk: Talk) -> bool:
    """What an answer wants done behind its words is due; a call that is left for a while does the rest later."""
    if talk.speech.reply is not None or not talk.deferred:
        return False
    while talk.deferred and talk.state == "live":
        match action := talk.deferred.pop(0):
            case HangUp(reason):
                talk.leave(do.LeaveCall(reason or "agent"))
            case Transfer():
                transfers.transfer(talk, action)
            case HandOff(data):
                talk.leave(do.LeaveCall("handoff", handoff=data))
            case SendDigits(digits):
                talk.leave(do.LeaveCall("digits", digits=digits))
            case GatherDigits():
                talk.digits.begin(action, talk.now)
            case _:
                pass
    return True


def keys_interrupt(talk: Talk) -> bool:
    """The caller presses a key over the agent's speech: it is cut like by words, and what it asks for begins."""
    reply = talk.speech.reply
    if talk.digits.wanted is not None or not talk.digits.keys:
        return False
    if reply is None or reply.speculative or not _can_be_cut_by_key(talk, reply):
        return False
    gather, record = reply.gathers, reply.records
    talk.speech.silence(talk.now)
    talk.close_reply(reply, interrupted=gather is None and record is None)
    if gather is not None:
        talk.digits.begin(gather, talk.now)
    elif record is not None:
        talk.begin_message(record)
    return True


def operator_due(talk: Talk) -> bool:
    """Somebody who looks after the call wants something said or done: the agent gives way, the caller does not."""
    if not talk.operated or operator.must_wait(talk, caller_speaks=_says_something(talk)):
        return False
    operator.begin(talk)
    return True


def message_begins(talk: Talk) -> bool:
    """Everything that stands before a message was said and heard: from here on it is the caller's."""
    reply = talk.speech.reply
    if reply is None or reply.records is None or reply.speculative or reply.paused:
        return False
    if reply.failed or not (reply.done and talk.speech.playout.heard_out(talk.now)):
        return False
    talk.close_reply(reply, interrupted=False)
    talk.begin_message(reply.records)
    return True


def message_over(talk: Talk) -> bool:
    """A message is complete: keep it, and tell the agent."""
    message, turn = talk.message, talk.turn
    if not message.watch(talk.now, speaking=_says_more(talk)):
        return False
    if turn.speaking and turn.worded:
        talk.close_turn(incomplete=True)
        turn.given_up = turn.transcript
    turn.dismissed = turn.dismissed or turn.speaking
    words = talk.keep_message()
    reply = talk.speech.open("message", turn.number, words, talk.now)
    talk.ask(reply)
    reply.transcript = ""  # Who goes on before the answer asks something else: the message is not told again.
    return True


def digits_due(talk: Talk) -> bool:
    """Keys were pressed, or a number is together, and nobody is answering."""
    if talk.speech.reply is not None or not talk.policy.agent:
        return False
    if talk.unanswered and not talk.masked:
        return False  # Words that wait for their turn take the keys along.
    if talk.digits.wanted is None and (not talk.digits.keys or (talk.turn.speaking and talk.turn.worded)):
        return False
    if talk.digits.wanted is not None and not talk.digits.complete(talk.now):
        return False
    talk.ask_about_digits()
    return True


def _apologise(talk: Talk, reply: Reply) -> None:
    """The rest of a reply did not come: say so, and when that happens again and again, help on or let go."""
    policy = talk.policy
    transfer = next((action for action in reply.actions if isinstance(action, Transfer)), None)
    if transfer is not None:
        talk.prompt(policy.handover, transfer)  # That much can still be done as the agent wanted it.
    elif talk.agent_failures < policy.failures_allowed and not reply.ends_call:
        talk.prompt(policy.apology)
    elif policy.failure_transfer and not (policy.message_after_failure and talk.passage.helpless):
        talk.prompt(policy.handover, Transfer(policy.failure_transfer))
    elif policy.message_after_failure and not talk.by_machine:
        talk.leave(do.LeaveCall("agent_failed"))  # The carrier's voice says all that there is to say.
    else:
        talk.prompt(policy.farewell, HangUp("agent_failed"))


def question_due(talk: Talk) -> bool:
    """The caller has said something, and nobody is answering."""
    turn = talk.turn
    if talk.speech.reply is not None or not talk.policy.agent:
        return False
    if talk.masked or talk.message.wanted is not None:
        return False  # First the secret, or the message, and then what was said.
    if talk.unanswered and (not turn.speaking or _only_noise(talk)):
        turn.dismissed = turn.dismissed or turn.speaking
        transcript = joined(talk.unanswered)
        talk.unanswered.clear()
        reply = talk.speech.open("turn.ended", talk.unanswered_turn, transcript, talk.now)
        if talk.digits.wanted is None:
            reply.secret = talk.digits.secret
            reply.digits = talk.digits.take()  # Keys that were pressed meanwhile belong to the same question.
        talk.ask(reply, over_speech=talk.over_speech_only)
    elif turn.eager and turn.worded and talk.policy.eager:
        turn.eager = False  # One question for one eager end.
        transcript = joined([*talk.unanswered, turn.transcript])
        talk.ask(talk.speech.open("turn.ended", turn.number, transcript, talk.now, speculative=True))
    else:
        return False
    return True


def result_due(talk: Talk) -> bool:
    """Somebody was not reached, the caller is there, and nobody speaks: tell the agent."""
    result = talk.passage.returned
    if result is None or not _nobody_speaks(talk):
        return False
    talk.passage.returned = None
    reply = talk.speech.open("transfer.ended", talk.turn.number, "", talk.now)
    reply.fallback, reply.transfer = talk.policy.transfer_failed, result
    talk.ask(reply)
    return True


def floor_due(talk: Talk) -> bool:
    """The agent wants to say something, and nobody speaks; or what is being said may be replaced by it."""
    reply = talk.speech.reply
    if not talk.floor_wanted:
        return False
    if reply is not None and _can_be_replaced(talk, reply):
        talk.speech.silence(talk.now)
        talk.close_reply(reply, interrupted=False)
    elif not _nobody_speaks(talk):
        return False
    talk.floor_wanted = False
    talk.ask(talk.speech.open("volunteered", talk.turn.number, "", talk.now))
    return True


def _can_be_replaced(talk: Talk, reply: Reply) -> bool:
    """Tell whether the agent's own wish may cut the reply: nothing is to be done or answered behind it."""
    if reply.speculative or reply.actions or talk.unanswered:
        return False
    return talk.speech.playout.preemptible(talk.now)


def _nobody_speaks(talk: Talk) -> bool:
    """Tell whether neither the agent nor the caller has the floor, and nothing waits to be answered."""
    if talk.speech.reply is not None or talk.unanswered or talk.message.wanted is not None:
        return False
    return not talk.turn.speaking or _only_noise(talk)


def _can_be_cut_by_key(talk: Talk, reply: Reply) -> bool:
    """Tell whether a key may cut the reply now."""
    playout = talk.speech.playout
    return playout.keys_cut(talk.now) and not (reply.done and playout.heard_out(talk.now))


def _can_be_cut(talk: Talk, reply: Reply) -> bool:
    """Tell whether the caller may cut the reply now: it is not protected, and there is something left of it."""
    playout = talk.speech.playout
    if playout.words_needed(talk.now, default=1) is None:
        return False
    return not (reply.done and playout.heard_out(talk.now))


def _words_needed(talk: Talk) -> int:
    """Return how many words take the floor now. Before anything is audible there is nothing to protect."""
    playout = talk.speech.playout
    return (playout.words_needed(talk.now, default=1) or 1) if playout.begun else 1


def _words_for_floor(talk: Talk) -> int:
    """Return how many words the caller has said since the agent was last asked, signs of listening left out."""
    words = sum(map(count_words, talk.unanswered))
    if talk.turn.speaking and talk.meaning() == "words":
        words += count_words(talk.turn.transcript)
    return words


def _insists(talk: Talk) -> bool:
    """Tell whether the caller's voice goes on for so long that it counts without words."""
    reply = talk.speech.reply
    if not talk.policy.barge_in_s or not talk.turn.speaking or talk.meaning() == "echo":
        return False
    if not talk.speech.playout.begun or (reply is not None and reply.ends_call):
        return False  # There is nothing to take the floor from, or only a good-bye.
    return talk.now >= _insists_at(talk)


def _insists_at(talk: Talk) -> float:
    return talk.turn.started_at + talk.policy.barge_in_s


def _only_noise(talk: Talk) -> bool:
    """Tell whether a turn is open that has brought no word for so long that nobody need wait for it."""
    turn = talk.turn
    return turn.speaking and not turn.worded and (turn.dismissed or talk.now >= _false_alarm_at(talk))


def _says_something(talk: Talk) -> bool:
    """Tell whether a turn is open that has words, or may still bring some."""
    return talk.turn.speaking and not _only_noise(talk)


def _false_alarm_at(talk: Talk) -> float:
    """Return until when a turn without words to answer keeps the agent silent."""
    since = talk.turn.touched_at if talk.turn.worded else talk.turn.started_at
    return since + talk.policy.false_alarm_s


def moments(talk: Talk) -> list[float]:
    """Return when the joint rules of a live call have to look again, if nothing happens before."""
    due = limits.moments(talk)
    if talk.passage.consulting is not None:
        due.append(talk.passage.consulting_until)
    if talk.digits.due is not None and talk.speech.reply is None:
        due.append(talk.digits.due)
    turn, reply = talk.turn, talk.speech.reply
    if talk.message.wanted is not None:
        due += message_moments(talk)
    if reply is not None and turn.speaking:
        if reply.paused:
            due.append(_false_alarm_at(talk))
        if talk.policy.barge_in_s and talk.now < _insists_at(talk):
            due.append(_insists_at(talk))
    waiting = talk.unanswered or talk.floor_wanted or talk.passage.returned is not None
    silenced = turn.speaking and not _only_noise(talk) and not turn.worded
    if (talk.operated or (reply is None and waiting)) and silenced:
        due.append(_false_alarm_at(talk))  # If that has passed, it is something else that is waited for.
    return due


def message_moments(talk: Talk) -> list[float]:
    """Return when a message has to be looked at again; an open turn without words may turn out to be noise."""
    speaking = _says_more(talk)
    due = talk.message.due(speaking=speaking)
    moments = [] if due is None else [due]
    noise = speaking and not talk.turn.worded and talk.message.over_at is None
    return [*moments, _false_alarm_at(talk)] if noise else moments


def _says_more(talk: Talk) -> bool:
    """Tell whether words of a message may still come.

    Who ends it by a key has just spoken: words that a slow recogniser has not yet told are waited for.
    """
    turn = talk.turn
    ended = talk.message.over_at is not None
    return _says_something(talk) or (ended and turn.speaking and not turn.dismissed)


RULES: Final[tuple[Rule, ...]] = (
    limits.call_too_long,
    answerer.answerer_told,
    answerer.message_left,
    transfers.other_lost,
    limits.recognizer_back,
    limits.recognizer_gone,
    limits.recognizer_away,
    limits.turn_stalled,
    limits.marks_lost,
    caller_interrupts,
    fall_silent,
    keys_interrupt,
    operator_due,
    speak_on,
    limits.agent_too_slow,
    limits.agent_slow,
    limits.agent_pauses,
    limits.speech_asked_again,
    limits.speech_too_slow,
    reply_certain,
    message_begins,
    reply_over,
    do_deferred,
    limits.loss_told,
    message_over,
    question_due,
    digits_due,
    result_due,
    floor_due,
    limits.limit_near,
    limits.silence_too_long,
)
"""In this order: ends before beginnings, the caller before the agent."""

_NEEDS: Final[Mapping[Rule, int]] = {
    answerer.answerer_told: ASIDE,
    answerer.message_left: ASIDE | REPLY,
    transfers.other_lost: ASIDE,
    limits.recognizer_back: OUTAGE,
    limits.recognizer_gone: OUTAGE,
    limits.recognizer_away: OUTAGE,
    limits.turn_stalled: CALLER,
    limits.marks_lost: CERTAIN,
    caller_interrupts: CERTAIN | CALLER,
    fall_silent: CERTAIN | CALLER,
    keys_interrupt: CERTAIN | KEYS,
    operator_due: ASIDE,
    speak_on: PAUSED,
    limits.agent_too_slow: OWED,
    limits.agent_slow: OWED | CERTAIN,
    limits.agent_pauses: OWED,
    limits.speech_asked_again: PAUSED,
    limits.speech_too_slow: REPLY,
    reply_certain: CERTAIN,
    message_begins: CERTAIN | COMPLETE,
    reply_over: CERTAIN | COMPLETE,
    do_deferred: FREE | ASIDE,
    limits.loss_told: FREE | OUTAGE,
    message_over: ASIDE,
    question_due: FREE,
    digits_due: FREE | KEYS,
    result_due: FREE | ASIDE,
    floor_due: ASIDE,
    limits.limit_near: FREE,
    limits.silence_too_long: FREE,
}
"""What there must be for a rule to find anything to do. A rule that finds nothing to do changes none of it."""


def rules_of(talk: Talk) -> tuple[Rule, ...]:
    """Return the rules that may find something to do in a live talk as it is, in their order."""
    return rules_in(situation(talk))


@cache
def rules_in(there: int) -> tuple[Rule, ...]:
    """Return the rules that may find something to do in a situation, in their order."""
    return tuple(rule for rule in RULES if there & (needed := _NEEDS.get(rule, 0)) == needed)
