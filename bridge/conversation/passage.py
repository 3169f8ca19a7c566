"""Passing the caller on: who is asked to take the call, how that went, and what nobody was told of yet."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.conversation.actions import Transfer
from bridge.conversation.commands import TransferResult


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
    away_since: float = 0.0
    """When the stream was left that somebody else's voice took the place of."""
