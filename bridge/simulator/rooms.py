"""Where calls hear each other: the two ends of a `<Dial>`, or a conference. Pure: frames in, frames out."""

from __future__ import annotations

import array
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from bridge.audio import codec
from bridge.simulator.voice import FRAME_BYTES, SILENCE

_PRIMED: Final = 2
"""Frames of somebody that must be there before the first is heard: two legs do not tick at the same moment."""
_LOUDEST: Final = 32_767


@dataclass(eq=False, slots=True)
class Member:
    """A call in a room."""

    call_sid: str
    muted: bool = False
    starts: bool = True
    """The conference begins when such a member is in it."""
    ends: bool = False
    """The conference is over when such a member leaves."""
    label: str = ""
    on_removed: Callable[[], None] | None = None
    """Called when the room is left for another reason than `leave`: it has ended, or somebody removed the call."""
    left: bool = False
    _inbox: dict[Member, deque[bytes]] = field(default_factory=dict)
    _flowing: set[Member] = field(default_factory=set)

    def take(self, speaker: Member, frame: bytes) -> None:
        """A frame of another member."""
        self._inbox.setdefault(speaker, deque()).append(frame)

    def hear(self) -> bytes | None:
        """The next 20 ms of all the others together; None once it has left and has heard everything."""
        frames = []
        for speaker, frames_of_one in list(self._inbox.items()):
            if len(frames_of_one) >= _PRIMED or speaker.left:
                self._flowing.add(speaker)
            if not frames_of_one:
                self._flowing.discard(speaker)
                if speaker.left:
                    del self._inbox[speaker]
            elif speaker in self._flowing:
                frames.append(frames_of_one.popleft())
        if self.left and not frames:
            return None
        return mixed(frames)


class Room:
    """Calls that hear each other. A conference waits for a member that starts it; a `<Dial>` does not."""

    def __init__(
        self, name: str, *, sid: str = "", waits: bool = False, on_event: Callable[[str, Member | None], None]
    ) -> None:
        """`on_event` is told `start`, `join`, `leave` and `end`, with the member; a conference has a SID."""
        self.sid = sid
        self.name = name
        self.members: list[Member] = []
        self.started = not waits
        self.over = False
        self.reason = ""
        """Why a conference is over, as its callback tells it."""
        self.ended_by = ""
        """SID of the call whose leaving ended it."""
        self._tell = on_event

    def join(self, member: Member) -> None:
        """Come in; hears the others from here on."""
        self.members.append(member)
        self._tell("join", member)
        if not self.started and member.starts:
            self.started = True
            self._tell("start", None)

    def leave(self, member: Member) -> None:
        """Go; what the others said before is still heard. Does nothing for one that is not in."""
        if member not in self.members:
            return
        self.members.remove(member)
        member.left = True
        self._tell("leave", member)
        if not self.over and (member.ends or not self.members):
            self.ended_by = member.call_sid
            why = "participant-with-end-conference-on-exit-left" if member.ends else "last-participant-left"
            self.end(why)

    def remove(self, member: Member) -> None:
        """Somebody else puts the member out."""
        if member in self.members:
            self.leave(member)
            if member.on_removed is not None:
                member.on_removed()

    def end(self, reason: str = "") -> None:
        """Everybody is put out. May be called twice."""
        if self.over:
            return
        self.over, self.reason = True, reason
        for member in list(self.members):
            self.remove(member)
        self._tell("end", None)

    def said(self, speaker: Member, frame: bytes) -> None:
        """A member has said 20 ms; it may be silence."""
        if self.started and not speaker.muted:
            for other in self.members:
                if other is not speaker:
                    other.take(speaker, frame)


def mixed(frames: Iterable[bytes]) -> bytes:
    """Mu-law frames of 20 ms sounding together."""
    loud = [frame for frame in frames if frame.strip(SILENCE)]
    if len(loud) <= 1:
        return loud[0] if loud else SILENCE * FRAME_BYTES
    total = [0] * FRAME_BYTES
    for frame in loud:
        samples = array.array("h", codec.mulaw_to_linear16(frame))
        total = [one + other for one, other in zip(total, samples, strict=True)]
    clipped = array.array("h", (max(-_LOUDEST, min(_LOUDEST, one)) for one in total))
    return codec.linear16_to_mulaw(clipped.tobytes())
