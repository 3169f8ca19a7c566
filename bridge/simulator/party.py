"""Who is rung up: what happens when a number is dialled by `<Dial>` or by REST, as a script.

    Line(url, token, parties={
        "+15553334444": Party("busy"),
        "+15553335555": Party(after_s=2.0, keys="1", talk=audio, hang_up_after_s=0.5),
        "+15553336666": Party(does=human),          # async def human(leg: SimulatedCall) -> None
    })

A script gets the leg, a `SimulatedCall` like the caller's: `await leg.asked_for_keys()` and `await leg.connected()`
wait for what their names say, `leg.digits`, `leg.say` and `leg.hang_up` do something, and `leg.heard` is what the
party has heard. The legs of a call are in `SimulatedCall.children`, those made by REST in `FakeTwilioRest.placed`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Answer: TypeAlias = Literal["answers", "busy", "no-answer", "failed", "canceled"]
"""What a ringing ends in. A party that answers later than the caller's patience is `no-answer` too."""


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody who may be rung up. What it does is done in the order of the fields."""

    answer: Answer = "answers"
    after_s: float = 0.0
    """Rings so long before that."""
    keys: str = ""
    """Pressed once it is asked for keys (a whisper's or document's `<Gather>`), or else once it is connected."""
    talk: bytes = b""
    """Said, as mu-law, once it is connected with somebody or with the bridge's stream."""
    hang_up_after_s: float | None = None
    """It hangs up so long after it was connected and has done all of the above; None stays on the line."""
    answered_by: str = "human"
    """The verdict of answering-machine detection, where that is asked for: `human`, `machine_start`,
    `machine_end_beep`, `fax`, `unknown`…"""
    detection_s: float = 0.0
    """How long that verdict takes."""
    does: Callable[[Any], Awaitable[None]] | None = None
    """Instead of keys, talk and hanging up: a script of your own, given the leg (a `SimulatedCall`)."""
