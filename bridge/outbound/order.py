"""What may be asked of a call of ours, and which numbers may be called. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from bridge.errors import BridgeError

DetectMachines: TypeAlias = Literal["off", "sync", "async"]
"""Whether the carrier tells people from machines: not at all, before the agent speaks, or meanwhile."""

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
"""With the shortest numbers that the world's numbering plans have; shorter ones are mistakes."""
_DRESSING = re.compile(r"[\s().-]")


class OrderRefused(BridgeError):  # noqa: N818  (it names the outcome: nothing went wrong on our side)
    """A call that is not placed.

    Codes: `number_invalid`, `number_not_allowed`, `from_missing`, `voicemail_unheard`.
    """

    def __init__(self, code: str, fault: str, message: str) -> None:
        super().__init__(message, code=code)
        self.field = fault
        """Which of the order's fields is to be mended."""


@dataclass(frozen=True, slots=True)
class Order:
    """One call to be placed, with everything that was left open filled in."""

    to: str
    """E.164."""
    from_number: str
    """E.164: one of the account's numbers."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Handed to the agent with the call."""
    voicemail: str = ""
    """Said to a machine; empty: hang up on it."""
    detect_machines: DetectMachines = "off"
    ring_seconds: int = 40
    greeting: str | None = None
    """Said when the call is answered; None: what the number's settings have."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all calls of ours: `[outbound]` of the settings."""

    from_number: str = ""
    allow: tuple[str, ...] = ("+*",)
    ring_seconds: int = 40
    detect_machines: DetectMachines = "off"
    voicemail: str = ""

    def order(
        self,
        to: str,
        *,
        from_number: str = "",
        parameters: Mapping[str, str] | None = None,
        voicemail: str | None = None,
        detect_machines: DetectMachines | None = None,
        ring_seconds: int | None = None,
        greeting: str | None = None,
    ) -> Order:
        """Return the order, filled in and checked. Raises `OrderRefused`."""
        called = self._callable(to)
        detect = self.detect_machines if detect_machines is None else detect_machines
        if voicemail and detect == "off":
            raise OrderRefused(
                "voicemail_unheard",
                "voicemail",
                "a message for answering machines needs them to be told from people: set detect_machines to sync"
                " or async (or outbound.detect_machines, BRIDGE_OUTBOUND__DETECT_MACHINES)",
            )
        return Order(
            to=called,
            from_number=self._shown(from_number),
            parameters=dict(parameters or {}),
            voicemail=self.voicemail if voicemail is None else voicemail,
            detect_machines=detect,
            ring_seconds=self.ring_seconds if ring_seconds is None else ring_seconds,
            greeting=greeting,
        )

    def _callable(self, to: str) -> str:
        number = e164(to)
        if not number:
            raise OrderRefused(
                "number_invalid", "to", f"{to!r} is no phone number: wanted one such as +15551234567, + included"
            )
        if not any(_matches(number, pattern) for pattern in self.allow):
            raise OrderRefused(
                "number_not_allowed",
                "to",
                f"{number} may not be called: outbound.allow (BRIDGE_OUTBOUND__ALLOW) is"
                f" {', '.join(self.allow) or 'empty'}",
            )
        return number

    def _shown(self, from_number: str) -> str:
        if not from_number and not self.from_number:
            raise OrderRefused(
                "from_missing",
                "from",
                "no number to call from: give one of the Twilio account's, here or as outbound.from_number"
                " (BRIDGE_OUTBOUND__FROM_NUMBER)",
            )
        number = e164(from_number or self.from_number)
        if not number:
            raise OrderRefused(
                "number_invalid",
                "from",
                f"{from_number or self.from_number!r} is no phone number: wanted one such as +15551234567",
            )
        return number


def e164(text: str) -> str:
    """Return the number without the blanks, dashes and brackets people write; empty when it is none."""
    bare = _DRESSING.sub("", text)
    return bare if _E164.fullmatch(bare) else ""


def _matches(number: str, pattern: str) -> bool:
    if pattern.endswith("*"):
        return number.startswith(pattern[:-1])
    return number == pattern
