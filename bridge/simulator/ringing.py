"""Rings somebody up: from `initiated` to the answer, with the status callbacks on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from bridge.simulator.legs import rfc2822_now
from bridge.simulator.party import Party

RingStatus: TypeAlias = Literal["in-progress", "busy", "no-answer", "failed", "canceled"]
_SIP: Final = {"completed": "200", "busy": "486", "no-answer": "487", "failed": "404", "canceled": "487"}
_EVENTS: Final = {"initiated": "initiated", "ringing": "ringing", "in-progress": "answered"}
"""Status of a callback → the event that asks for it; all others are `completed`."""


@dataclass(slots=True)
class Progress:
    """The status callbacks of one leg that was rung up ("Voice: status callback")."""

    url: str
    """Absolute; empty: nobody wants to know."""
    method: str
    events: tuple[str, ...]
    form: Callable[..., list[tuple[str, str]]]
    """(status, **more) → the leg's fields."""
    callback: Callable[[str, str, list[tuple[str, str]]], Awaitable[None]]
    status: str = "queued"
    """The last that was reached, whether or not it was told."""
    answered_at: float | None = None
    _number: int = 0

    async def reach(self, status: str) -> None:
        """The leg has come so far; tell it if it was asked for."""
        self.status = status
        now = asyncio.get_running_loop().time()
        if status == "in-progress":
            self.answered_at = now
        number, self._number = self._number, self._number + 1
        if not self.url or _EVENTS.get(status, "completed") not in self.events:
            return
        more = {
            "Timestamp": rfc2822_now(),
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(number),
        }
        if status not in _EVENTS:
            seconds = self.seconds
            more |= {"CallDuration": str(seconds), "Duration": str(-(-seconds // 60))}
            more["SipResponseCode"] = _SIP.get(status, "200")
        await self.callback(self.url, self.method, self.form(status, **more))

    @property
    def seconds(self) -> int:
        """How long ago it was answered; 0 if it was not."""
        if self.answered_at is None:
            return 0
        return round(asyncio.get_running_loop().time() - self.answered_at)


async def ring(party: Party, timeout_s: float, progress: Progress, cancelled: asyncio.Event) -> RingStatus:
    """Let a party's phone ring for at most `timeout_s`; tells how that ended.

    `cancelled` stops it (`canceled`). That status is still to be told, once the leg has it: who is told may ask.
    """
    await progress.reach("initiated")
    await progress.reach("ringing")
    late = party.after_s > timeout_s
    try:
        async with asyncio.timeout(min(party.after_s, timeout_s)):
            await cancelled.wait()
    except TimeoutError:
        if late or party.answer == "no-answer":
            return "no-answer"
        return "in-progress" if party.answer == "answers" else party.answer
    return "canceled"
