"""What came of a cell, and what may never come of one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.faults.catalogue import Cell


@dataclass(slots=True)
class Outcome:
    """One row of the table."""

    cell: Cell
    noticed: str = ""
    """What the bridge first told of the fault."""
    noticed_s: float | None = None
    """Seconds from the fault to that; None: the bridge told nothing."""
    heard: str = ""
    """What the caller heard within two seconds of that (of the fault, where nothing was told)."""
    later: str = ""
    """What the bridge said after that, in order."""
    record: str = ""
    """Problems in the journal, and why the call ended."""
    lost: str = ""
    """What is lost; `nothing`."""
    silence_s: float = 0.0
    """The longest silence after the fault in which the caller waited for the bridge."""
    ended: str = ""
    """Who ended the call."""
    wrong: list[str] = field(default_factory=list)
    """What must not be: a call that is stuck, a lost turn, an unhandled exception."""
    seconds: float = 0.0
    """How long the call took."""

    def as_json(self) -> dict[str, Any]:
        """Return the row for programs."""
        cell = self.cell
        return {
            "dependency": cell.dependency,
            "way": cell.way,
            "state": cell.state,
            "impossible": cell.impossible,
            "noticed": self.noticed,
            "noticed_s": self.noticed_s,
            "heard": self.heard,
            "later": self.later,
            "record": self.record,
            "lost": self.lost,
            "longest_silence_s": round(self.silence_s, 1),
            "ended": self.ended,
            "wrong": self.wrong,
            "seconds": round(self.seconds, 1),
        }
