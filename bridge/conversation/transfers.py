"""Passing the caller on, and taking them back: steps of a call whose stream is left for a while.

Cold: the stream is left, and the carrier dials. While it does, and while the two talk, the call is *away*; it ends
when they have talked, and comes back on a new stream when they have not. Warm: the caller stays while the other
side is called, told, and asked whether it takes the call; then the stream is left for a conference.
"""

from __future__ import annotations

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import Transfer, Tuning
from bridge.conversation.dialling import may_dial
from bridge.conversation.outage import Outage
from bridge.conversation.passage import with_message
from bridge.conversation.state import Talk

_TOLD_WITHIN_S = 5.0
"""How soon after the caller hung up the carrier tells how the transfer ended, if it does."""
_ASKED_WITHIN_S = 180.0
"""How long it may take, behind the ringing, until somebody was told what a call is about and has pressed a key, or
not. Of whom the carrier has told nothing by then, it tells nothing any more."""
_ASKED_FOR_S = 60.0
"""How long the carrier's voice may take to ask for a message."""
_TALKED = frozenset({"completed", "answered"})


def transfer(talk: Talk, wanted: Transfer) -> None:
    """Pass the caller on as the agent wants it. What else it wanted done, it is asked about again."""
    talk.deferred.clear()
    policy = talk.policy
    if wanted.to != policy.failure_transfer and not may_dial(wanted.to, policy.transfer_allow):
        why = f"transfer.allow does not have {wanted.to}"
        talk.record(journal.ProblemMet(talk.ms(), "agent", "transfer_refused", why))
        talk.record(journal.TransferTried(talk.ms(), wanted.to, "failed", False, 0))
        talk.passage.returned = do.TransferResult(wanted.to, "failed", 0)
        return
    if not wanted.summary or not policy.warm:
        talk.leave(do.LeaveCall("transfer", wanted))
        return
    talk.stop_consulting("canceled")
    talk.passage.consulting = wanted
    talk.passage.consulting_until = talk.now + (wanted.timeout_s or talk.policy.longest_ring_s) + _ASKED_WITHIN_S
    talk.out.append(do.CallOther(wanted))


def other_lost(talk: Talk) -> bool:
    """Somebody is called, and nobody tells how that ends: the caller is not to wait for ever."""
    if talk.passage.consulting is None or talk.now < talk.passage.consulting_until:
        return False
    talk.out.append(do.CancelOther())
    talk.passage.returned = talk.stop_consulting("no-answer")
    return True


def _passing(talk: Talk) -> bool:
    """Tell whether the stream is left, or being left, so that the caller is connected with somebody else."""
    return talk.state in {"leaving", "away"} and talk.left.transfer is not None and talk.passage.returned is None


def take(talk: Talk, event: on.OtherAccepted | on.TransferEnded | on.MessageRecorded) -> None:
    """Take what the carrier tells of who was called, or dialled, or of the message that was left with it."""
    match event:
        case on.OtherAccepted(conference) if talk.passage.consulting is not None:
            wanted, talk.passage.consulting = talk.passage.consulting, None
            talk.leave(do.LeaveCall("transfer", wanted, conference))
        case on.TransferEnded(status) if talk.passage.consulting is not None:
            talk.passage.returned = talk.stop_consulting(status)
        case on.TransferEnded() if _passing(talk):
            _dialled(talk, event)
        case on.TransferEnded() if talk.left.voicemail and talk.state in {"leaving", "away"}:
            finish(talk)  # The carrier does not ask how the call goes on.
        case on.MessageRecorded() if talk.left.voicemail and talk.state in {"leaving", "away", "draining"}:
            _message(talk, event)
        case _:
            pass  # Told twice, or of a call that goes on without it.


def _dialled(talk: Talk, event: on.TransferEnded) -> None:
    """The carrier is done with dialling, or with the talk that came of it."""
    talked = event.status in _TALKED
    left, status = talk.left, "completed" if talked else event.status
    duration_s = event.duration_s
    if talked and left.conference and talk.state == "away":
        duration_s = round(talk.now - talk.passage.away_since)  # Of conferences the carrier does not tell it.
    result = do.TransferResult(left.transfer_to, status, duration_s)
    talk.record(journal.TransferTried(talk.ms(), result.to, status, bool(left.conference), duration_s))
    if not talked:
        talk.passage.helpless = talk.passage.helpless or result.to == talk.policy.failure_transfer
        _let_other_go(talk)
    if talked:
        talk.passage.transferred = result
        finish(talk)
    elif talk.left.reason != "transfer" or not talk.policy.agent:
        # It was our own last resort: there is nobody the caller could come back to.
        talk.left = with_message(do.LeaveCall(talk.left.reason, farewell=talk.policy.farewell), talk.policy)
        talk.out.append(talk.left)
        if not talk.left.voicemail:
            finish(talk)
        elif talk.state == "away":
            talk.until = talk.now + _lasts_s(talk)
    else:
        talk.passage.returned = result
        talk.until = talk.now + talk.policy.reattach_s


def _message(talk: Talk, event: on.MessageRecorded) -> None:
    """The caller is done with the message that the carrier took: keep where it is. The call does not come back."""
    if event.url:
        talk.message.number += 1
        until_ms = talk.ms()
        from_ms = max(0, until_ms - 1000 * event.duration_s)
        talk.record(journal.MessageLeft(talk.message.number, "", from_ms, until_ms, event.url))
    if talk.state != "draining":
        finish(talk)


def _let_other_go(talk: Talk) -> None:
    """Who has accepted the call is not to wait in the conference for a caller who does not come."""
    if talk.left.conference:
        talk.out.append(do.CancelOther())


def go_away(talk: Talk) -> None:
    """The stream is left, and the call goes on without us for a while."""
    talk.state, talk.passage.away_since = "away", talk.now
    talk.until = talk.now + _lasts_s(talk)
    talk.out.append(do.FinishRecognizer())


def stay_away(talk: Talk, since: float) -> None:
    """The process died from which the call went away: there is nothing left here that it could go away from."""
    talk.state, talk.passage.away_since = "away", since
    talk.until = talk.now + _lasts_s(talk)
    talk.out.append(do.FinishRecognizer())  # One is opened for each call, and nobody is there whom it could hear.
    talk.recognizer_closed = True


def _lasts_s(talk: Talk) -> float:
    """How long the call may be away."""
    ring_s = talk.left.transfer.timeout_s or talk.policy.longest_ring_s if talk.left.transfer else 0.0
    lasts_s = ring_s + do.LONGEST_TALK_S if _passing(talk) else 0.0
    if talk.left.voicemail:
        lasts_s = _ASKED_FOR_S + talk.policy.longest_message_s
    return talk.policy.reattach_s + lasts_s


def line_over(talk: Talk, reason: str) -> None:
    """The call that is away is over for the carrier, or we stop: the end, but for how what it was left for went."""
    if reason == "caller" and (_passing(talk) or talk.left.voicemail):
        _let_other_go(talk)
        talk.until = min(talk.until, talk.now + _TOLD_WITHIN_S)
    else:
        talk.reason = talk.reason if reason == "caller" else reason
        finish(talk)


def finish(talk: Talk) -> None:
    """The call does not come back."""
    if talk.state == "leaving":
        talk.drain(talk.reason)  # The stream's own end was not seen yet.
    elif talk.recognizer_closed:
        talk.end()
    else:
        talk.state, talk.until = "draining", talk.now + talk.policy.drain_s


def come_back(talk: Talk) -> None:
    """The caller is back, on a new stream."""
    if talk.turn.speaking:
        talk.close_turn(incomplete=True)
    if not talk.left.digits:
        talk.unanswered.clear()  # What was said into the line that was left is known to the agent, and over.
    if talk.digits.wanted is not None:
        talk.digits.take()
    talk.outage = Outage()
    talk.state, talk.reason, talk.left = "live", "", do.LeaveCall("")
    talk.recognizer_closed = False
    talk.patience.stir(talk.now)
    talk.record(journal.StreamResumed(talk.ms()))
    talk.out.append(do.OpenRecognizer())
    if talk.tuning != Tuning():
        talk.out.append(do.TuneRecognizer(talk.tuning))
