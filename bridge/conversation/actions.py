"""What an agent can do with a call: one vocabulary for every kind of agent.

An agent's answer is a sequence of these. They are carried out in order: an action that stands behind
speech waits until that speech was heard, so "Good-bye." followed by `HangUp` never cuts the good-bye off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Say:
    """Speak `text` to the caller.

    Pieces of one answer are joined exactly as they come: spaces and punctuation are the agent's.
    """

    text: str
    interruptible: bool = True
    """False: the caller's voice does not cut this text off (a legal notice)."""
    voice: str | None = None
    """Voice id of the speech service; None is the voice of the settings."""
    language: str | None = None
    """Language tag such as `en`; None is the language of the settings."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call once everything said before this was heard."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Connect the caller with somebody else (cold) once everything said before this was heard."""

    to: str
    """A phone number in E.164 form (`+15551234567`) or a SIP address (`sip:desk@example.com`)."""


@dataclass(frozen=True, slots=True)
class Note:
    """Keep data with the call's record; nothing is heard."""

    data: Mapping[str, Any] = field(default_factory=dict)
    """Anything JSON can hold, by key. A later note's keys are added to the earlier ones."""


Action: TypeAlias = Say | HangUp | Transfer | Note
