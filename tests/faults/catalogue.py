"""Every cell of the fault table: what fails, in which way, and what goes on in the call at that moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

COLD: Final = "before the bridge"
BEFORE: Final = "before the greeting"
AGENT_SPEAKS: Final = "agent speaks"
CALLER_SPEAKS: Final = "caller speaks"
THINKING: Final = "agent thinks"
SILENCE: Final = "silence"
TRANSFER: Final = "transfer"
END: Final = "at the end"

STATES: Final = (COLD, BEFORE, AGENT_SPEAKS, CALLER_SPEAKS, THINKING, SILENCE, TRANSFER, END)
"""What goes on when the fault begins. `before the bridge`: it is there when the bridge is started, and nothing is
kept from better times; `at the end`: the caller hangs up in the middle of a sentence."""

STT_STANDBY: Final = "speech to text, with a standby"
TTS_STANDBY: Final = "text to speech, with a standby"
VOICEMAIL: Final = "all speech, with voicemail"

FEWER: Final[Mapping[str, tuple[str, ...]]] = {
    STT_STANDBY: (COLD, CALLER_SPEAKS, THINKING),
    TTS_STANDBY: (COLD, AGENT_SPEAKS, THINKING),
    VOICEMAIL: (COLD, THINKING),
}
"""The states that are looked at of what fails as it does without: who stands in does so in all of them."""

WAYS: Final[Mapping[str, tuple[str, ...]]] = {
    "speech to text": ("refuses", "drops", "stalls", "rubbish", "429"),
    "text to speech": ("refuses", "drops", "stalls", "rubbish", "429"),
    "agent": ("refuses", "drops", "stalls", "rubbish", "429", "500"),
    "database": ("locked",),
    "disk": ("full",),
    "bus": ("away", "restarts"),
    "stream": ("drops", "half-open", "stalls", "duplicate", "late stop"),
    "carrier's REST": ("away", "500", "429"),
    STT_STANDBY: ("refuses", "drops", "stalls", "429"),
    TTS_STANDBY: ("refuses", "drops", "stalls", "429"),
    VOICEMAIL: ("refuses", "stalls"),
}
"""What may fail, and how. `drops` breaks what is open, once (an agent: each answer, in its middle); all else lasts
until the call is over."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One call in which one thing fails."""

    dependency: str
    way: str
    state: str

    @property
    def name(self) -> str:
        """As `--only` finds it."""
        return f"{self.dependency} / {self.way} / {self.state}"

    @property
    def impossible(self) -> str:
        """Why there is no such call; empty: there is."""
        match self.dependency, self.way, self.state:
            case "stream", _, "before the bridge":
                return "there is no stream before there is a call"
            case "stream", _, "transfer":
                return "the caller talks with somebody else: no stream is open"
            case "stream", "late stop", state if state != END:
                return "a stop comes at the end only"
            case "carrier's REST", _, state if state == END:
                return "the carrier asks what comes next, so that nothing has to be asked of it"
            case "carrier's REST", _, state if state not in {BEFORE, TRANSFER}:
                return "nothing is asked of it in this state"
            case _:
                return ""


def all_cells() -> list[Cell]:
    """Return every cell, in the order of the table."""
    return [
        Cell(what, way, state) for what, ways in WAYS.items() for way in ways for state in FEWER.get(what, STATES)
    ]
