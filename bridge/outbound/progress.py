"""One call of ours, from its request to its end, as the carrier tells it: late, twice and out of order. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from bridge.outbound.order import Order

Status: TypeAlias = Literal[
    "queued", "dialing", "ringing", "in-progress", "completed", "busy", "no-answer", "failed", "canceled"
]
"""`queued` waits for its turn, `dialing` was handed to the carrier, `in-progress` was answered; then it is over."""

OVER: frozenset[Status] = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})
_RANK: dict[Status, int] = {"queued": 0, "dialing": 1, "ringing": 2, "in-progress": 3}
_OF_CARRIER: dict[str, Status] = {
    "queued": "dialing",
    "initiated": "dialing",
    "ringing": "ringing",
    "in-progress": "in-progress",
    "answered": "in-progress",
    "completed": "completed",
    "busy": "busy",
    "no-answer": "no-answer",
    "failed": "failed",
    "canceled": "canceled",
}
"""The carrier's words ("Twilio: call status callbacks") and ours."""


@dataclass(slots=True)
class OutboundCall:
    """What is known of one call. Times are seconds of the clock that is handed in."""

    id: str
    """Ours; also the id of the call's record, once it is answered."""
    order: Order
    requested_at: float
    created_at: str = ""
    """Wall clock, ISO 8601 in UTC."""
    status: Status = "queued"
    sid: str = ""
    """The carrier's (`CA…`), as soon as anybody has told it."""
    answered_by: str = ""
    """`human`, `machine_…`, `fax` or `unknown`; empty: nobody has told."""
    reason: str = ""
    """Why it ended as it did: a code such as `agent`, `caller`, `voicemail`, `carrier_auth`."""
    detail: str = ""
    """A sentence about that, where something went wrong."""
    duration_s: int | None = None
    """How long it lasted once answered, as the carrier counts it."""
    attempts: int = 0
    """How often the carrier was asked to place it."""
    not_before: float = 0.0
    """When it may be tried again."""
    cancel_wanted: bool = False
    """Whoever asked for it wants it no more."""
    sequence: int = -1
    """Number of the carrier's last callback that counted."""

    @property
    def over(self) -> bool:
        """Tell whether it has come to its end."""
        return self.status in OVER

    @property
    def answered(self) -> bool:
        """Tell whether somebody, or something, has answered."""
        return self.status == "in-progress"

    def is_another(self, sid: str) -> bool:
        """Tell whether the carrier's id is that of another call than the one that is known."""
        return bool(self.sid and sid) and sid != self.sid

    def hear(self, sid: str, status: str, sequence: int | None = None) -> bool:
        """Take what the carrier tells. Returns whether it changed the status.

        Callbacks may come twice, late, and in any order; what was told before something newer does not count, and
        after the end nothing does. Nor does what is told of another call, which the carrier may have placed for a
        request that it did not seem to take.
        """
        told = _OF_CARRIER.get(status)
        if self.over or told is None or self.is_another(sid):
            return False
        self.sid = self.sid or sid
        if sequence is not None:
            if sequence <= self.sequence:
                return False
            self.sequence = sequence
        if told not in OVER and _RANK[told] <= _RANK[self.status]:
            return False
        self.status = told
        return True

    def end(self, status: Status, reason: str, detail: str = "") -> bool:
        """End it from our side. Returns False if it was over already."""
        if self.over:
            return False
        self.status, self.reason, self.detail = status, reason, detail
        return True
