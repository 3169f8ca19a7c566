"""The section of the settings that says how many calls are taken, and what becomes of those that are not."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field, ValidationInfo, field_validator

from bridge.settings.base import Section
from bridge.settings.values import dial_target

OverflowKind: TypeAlias = Literal["busy", "sentence", "transfer", "queue", "voicemail"]


class AdmissionSettings(Section):
    """How many calls are taken, and what becomes of the others."""

    max_calls: int = Field(default=0, ge=0, le=100_000)
    """Calls at the same time in each process; 0: no such limit."""
    speech_streams: int = Field(default=0, ge=0, le=100_000)
    """Streams of speech to text that the plan has for each process: one a call; 0: learned from its refusals."""
    max_lag_ms: float = Field(default=250, ge=0, le=60_000)
    """Milliseconds that the event loop may be late, smoothed, while calls are still taken; 0: any."""
    overflow: OverflowKind = "busy"
    """What callers beyond that get: `busy`, a `sentence`, a `transfer`, a `queue`, or `voicemail`."""
    overflow_say: str = "All our lines are busy at the moment. Please call again later. Good-bye."
    """Said by the carrier's own voice: the sentence, or the last word of a queue."""
    overflow_transfer: str = Field(default="", validate_default=True)
    """Number or SIP address for `transfer`."""
    transfer_say: str = "All our lines are busy, so I'll connect you with somebody else."
    """Said before `transfer`; empty: nothing."""
    queue_say: str = "All our lines are busy. Please hold the line."
    """Said in each round of the `queue`; empty: nothing."""
    queue_seconds: int = Field(default=15, ge=1, le=120)
    """Seconds from round to round of the `queue`."""
    queue_rounds: int = Field(default=8, ge=1, le=100)
    """Rounds of the `queue` after which a caller is let go."""
    ready_when_full: bool = True
    """Answer /readyz with 200 while calls are turned away; false, where a balancer has other bridges for them."""

    @field_validator("overflow_transfer")
    @classmethod
    def _overflow_transfer(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("overflow") == "transfer" and not value:
            raise ValueError("admission.overflow is transfer: wanted the number that callers are connected with")
        return dial_target(value) if value else ""
