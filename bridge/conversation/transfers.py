"""Passing the caller on, and taking them back: steps of a call whose stream is left for a while.

Cold: the stream is left, and the carrier dials. While it does, and while the two talk, the call is *away*; it ends
when they have talked, and comes back on a new stream when they have not. Warm: the caller stays while the other
side is called, told, and asked whether it takes the call; then the stream is left for a conference.
"""

from __future__ import annotations

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import Transfer
from bridge.conversation.outage import Outage
from bridge.conversation.state import Talk

_LONGEST_TALK_S = 4 * 3600.0 + 120
"""The carrier ends a dialled call after four hours (Twilio: `<Dial>`, `timeLimit`)."""
_TOLD_WITHIN_S = 5.0
"""How soon after the caller hung up the carrier tells how the transfer ended, if it does."""
_TALKED = frozenset({"completed", "answered"})


def transfer(talk: Talk, wanted: Transfer) -> None:
    """Pass the caller on as the agent wants it. What else it wanted done, it is asked about again."""
    talk.deferred.clear()
    if not wanted.summary or not talk.policy.warm:
        talk.leave(do.LeaveCall("transfer", wanted))
        return
    talk.stop_consulting("canceled")
    talk.consulting = wanted
    talk.out.append(do.CallOther(wanted))


def take(talk: Talk, event: on.OtherAccepted | on.TransferEnded) -> None:
    """Take what the carrier tells of who was called, or dialled."""
    match event:
        case on.OtherAccepted(conference) if talk.state == "live" and talk.consulting is not None:
            wanted, talk.consulting = talk.consulting, None
            talk.leave(do.LeaveCall("transfer", wanted, conference))
        case on.TransferEnded(status) if talk.consulting is not None:
            talk.returned = talk.stop_consulting(status)
        case on.TransferEnded() if talk.passing and talk.returned is None:
            _dialled(talk, event)
        case _:
            pass  # Told twice, or of a call that goes on without it.


def _dialled(talk: Talk, event: on.TransferEnded) -> None:
    """The carrier is done with dialling, or with the talk that came of it."""
    talked = event.status in _TALKED
    result = talk.note_transfer("completed" if talked else event.status, event.duration_s)
    if talked:
        talk.transferred = result
        finish(talk)
    elif talk.left.reason != "transfer" or not talk.policy.agent:
        # It was our own last resort: there is nobody the caller could come back to.
        talk.left = do.LeaveCall(talk.left.reason, farewell=talk.policy.farewell)
        talk.out.append(talk.left)
        finish(talk)
    else:
        talk.returned = result
        talk.until = talk.now + talk.policy.reattach_s


def go_away(talk: Talk) -> None:
    """The stream is left, and the call goes on without us for a while."""
    talk.state = "away"
    ring_s = talk.left.transfer.timeout_s or talk.policy.longest_ring_s if talk.left.transfer else 0.0
    lasts_s = ring_s + _LONGEST_TALK_S if talk.passing and talk.returned is None else 0.0
    talk.until = talk.now + talk.policy.reattach_s + lasts_s
    talk.out.append(do.FinishRecognizer())


def line_over(talk: Talk, reason: str) -> None:
    """The call that is away is over for the carrier, or we stop: the end, but for how the transfer went."""
    if reason == "caller" and talk.passing and talk.returned is None:
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
    talk.unanswered.clear()  # What was said into the line that was left is known to the agent, and over.
    talk.outage = Outage()
    talk.state, talk.reason, talk.left = "live", "", do.LeaveCall("")
    talk.recognizer_closed = False
    talk.patience.stir(talk.now)
    talk.record(journal.StreamResumed(talk.ms()))
    talk.out.append(do.OpenRecognizer())
