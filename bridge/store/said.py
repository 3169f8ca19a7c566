"""What was said in a call, line by line, with what there is to know about each line. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from bridge.conversation.journal import CallerSpoke, Entry, Line, PartySpoke, transcript
from bridge.store.base import CallHeader

Speaker: TypeAlias = Literal["caller", "agent", "callee"]
SPEAKERS: Final[tuple[Speaker, ...]] = ("caller", "agent", "callee")

_AWAY: Final = "(the speech service was away: words are missing)"


class Said(Struct, frozen=True):
    """A line of the transcript, and what there is to know about it."""

    line: Line
    degraded: bool
    """Words of the caller's turn are missing, because the speech-to-text service was away."""

    @property
    def remark(self) -> str:
        """What is to be said of the line to a reader; empty for most."""
        line = self.line
        remark = ""
        if line.unheard:
            # Between quotes the text stands as it was meant, spaces included: heard and unheard join to the whole.
            remark = f'{"— cut off;" if line.interrupted else "—"} not heard: "{line.unheard}"'
        elif line.interrupted:
            remark = "— cut off"
        if self.degraded:
            remark = " ".join(filter(None, (remark, "—" if line.text or remark else "", _AWAY)))
        return remark


def said(entries: Iterable[Entry]) -> list[Said]:
    """The transcript's lines in their order; a degraded turn is told of even when none of its words is known."""
    found: list[Said] = []
    for entry in entries:
        degraded = isinstance(entry, CallerSpoke | PartySpoke) and entry.degraded
        lines = transcript([entry])
        if not lines and isinstance(entry, CallerSpoke | PartySpoke) and degraded:
            party = entry.party if isinstance(entry, PartySpoke) else "caller"
            lines = [Line(party, "", entry.started_ms, entry.ended_ms)]
        found += [Said(line, degraded) for line in lines]
    return sorted(found, key=lambda one: one.line.started_ms)


def speaker_name(header: CallHeader, speaker: Speaker) -> str:
    """What a speaker is called: where two people talk, with their number or address."""
    if header.agent_kind == "log":
        return {
            "caller": f"Caller {header.name_of('caller')}",
            "callee": f"Callee {header.name_of('callee')}",
            "agent": "Agent",
        }[speaker]
    # Whom we called ourselves is not the caller.
    return {
        "caller": "Called" if header.direction == "outbound" else "Caller",
        "callee": "Callee",
        "agent": "Agent",
    }[speaker]
