"""Passing the caller on: who is asked to take the call, how that went, and what nobody was told of yet."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from bridge.conversation.actions import Transfer
from bridge.conversation.commands import LeaveCall, TransferResult
from bridge.conversation.policy import Policy

_FAILURES = frozenset({"agent_failed", "speech_failed"})


def with_message(leave: LeaveCall, policy: Policy) -> LeaveCall:
    """Return how a call is left: where it would end for a failure, for a message to the carrier, if so set."""
    ends = leave.transfer is None and leave.reason in _FAILURES
    if ends and policy.message_after_failure:
        return msgspec.structs.replace(leave, voicemail=True, farewell="")
    return leave


@dataclass(slots=True)
class Passage:
    """What is known of it. Plain data: the steps are in `transfers.py`. Times in seconds."""

    consulting: Transfer | None = None
    """Who is being called for a warm transfer, while the caller waits."""
    consulting_until: float = 0.0
    """When nothing more can come of that."""
    returned: TransferResult | None = None
    """How a transfer ended that did not come about, until the agent is told."""
    transferred: TransferResult | None = None
    """How the transfer ended with which the call did."""
    helpless: bool = False
    """Whom callers are passed on to when all else fails was not reached."""
    away_since: float = 0.0
    """When the stream was left that somebody else's voice took the place of."""
