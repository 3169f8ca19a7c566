"""Calls of ours, as the carrier's webhooks and the registry see them: who ordered them is elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bridge.conversation.policy import Policy


@dataclass(frozen=True, slots=True)
class OutgoingCall:
    """What was ordered of a call, for the moment when it is answered."""

    id: str
    """The order's, and the call's from then on."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Handed to the agent with the call."""
    voicemail: str = ""
    """Said to a machine; empty: hang up on it."""
    greeting: str | None = None
    """Said first; None: what the number's settings have."""

    def applied_to(self, policy: Policy) -> Policy:
        """Return the rules of this call, from those of its number."""
        greeting = policy.greeting if self.greeting is None else self.greeting
        return dataclasses.replace(policy, greeting=greeting, voicemail=self.voicemail)


@dataclass(frozen=True, slots=True)
class CarrierReport:
    """What the carrier tells about how far a call is ("Twilio: call status callbacks")."""

    sid: str
    status: str
    """In the carrier's words."""
    sequence: int | None = None
    """Tells late reports from new ones; None where the carrier gives none."""
    duration_s: int | None = None
    """How long the call lasted, once it is over."""
    sip_code: str = ""
    """What the network said, once it is over."""


class Outgoing(Protocol):
    """Who orders calls, and wants to know what becomes of them. Nothing here may wait or raise."""

    def answered(self, call_id: str, sid: str) -> OutgoingCall | None:
        """Somebody answered: return what was ordered, or None when the call is not wanted (any more)."""

    def report(self, call_id: str, report: CarrierReport) -> None:
        """The carrier tells how far the call is."""

    def answerer(self, call_id: str, kind: str) -> None:
        """The carrier tells who answered, in the words of `AnswererKnown`."""
