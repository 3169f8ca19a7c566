"""How a call is held that another process began: as it was, from what its journal tells."""

from __future__ import annotations

from dataclasses import replace

from bridge.agents.base import CallInfo
from bridge.call.outgoing import OutgoingCall
from bridge.conversation.journal import CallArranged
from bridge.conversation.policy import Policy
from bridge.store.base import Reopened


def arranged(info: CallInfo, outgoing: OutgoingCall | None) -> CallArranged | None:
    """Return what another process has to know of how a call came about; None: there is nothing of the kind."""
    if outgoing is not None:
        return CallArranged(0, info.parameters, outgoing.greeting, outgoing.voicemail)
    return CallArranged(0, info.parameters) if info.parameters else None


def info_of(past: Reopened) -> CallInfo:
    """Return who is talking: what an agent is told of that is the same, whichever process asks it."""
    header = past.header
    return CallInfo(
        id=header.id,
        sid=header.sid,
        caller=header.caller,
        called=header.called,
        direction=header.direction,
        parameters=dict(_arranged_of(past).parameters),
        started_at=header.started_at,
        epoch=past.epoch,
    )


def policy_of(past: Reopened, policy: Policy) -> Policy:
    """Return the rules of the call, from those that its number has now."""
    header, given = past.header, _arranged_of(past)
    if header.direction == "outbound":
        policy = OutgoingCall(header.id, voicemail=given.voicemail, greeting=given.greeting).applied_to(policy)
    if by_softphone(past):
        policy = policy.without_carrier()
    return replace(policy, recording=header.recording)


def by_softphone(past: Reopened) -> bool:
    """Tell whether a page of ours is the phone: what stands for the carrier's id was made from the call's own."""
    return past.header.sid == f"CA{past.header.id}"


def _arranged_of(past: Reopened) -> CallArranged:
    return next((entry for entry in past.entries if isinstance(entry, CallArranged)), CallArranged())
