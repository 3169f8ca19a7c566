"""What a store of calls must do. This is all you must write: a `Store` and its `CallRecord`.

A record takes what happens in one call, as it happens, and never makes the call wait: all but `settled`
and `close` returns at once, whatever the disk or the database behind it is doing. What goes wrong there is logged,
and the call goes on.

All times of a record count from one moment, the start of the call's first media stream. A call that comes back on a
new stream goes on counting: the carrier's timestamps of the new stream need the time that has passed added to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct

from bridge.conversation.journal import Entry, Party


@dataclass(frozen=True, slots=True)
class CallHeader:
    """What is known of a call when it begins."""

    id: str
    """The bridge's own id of the call."""
    sid: str
    """The carrier's id (`CA…`)."""
    caller: str
    """The caller's number as the carrier gave it."""
    called: str
    """The number dialled."""
    direction: str
    """`inbound` or `outbound`."""
    started_at: str
    """Wall clock when the media stream began, ISO 8601 in UTC."""
    agent_kind: str
    """What answers: `webhook`, `python`, `echo`, …; `log` where two people talk and nobody else does."""
    other: str = ""
    """Whom the caller is connected with, where two people talk: number, address or conference."""
    recording: Literal["on", "paused", "off"] = "on"
    """Whether its sound is kept: `paused` begins without, `off` has no recording at all."""

    def name_of(self, party: Party) -> str:
        """What one of two people who talk is called: by their number or address."""
        return self.caller if party == "caller" else self.other or self.called


class CallFiles(Struct, frozen=True):
    """Where a finished call lies."""

    folder: Path
    journal: Path
    """Everything that happened, one JSON line an entry; the other texts can be made again from it."""
    trace: Path
    """Every event and what was done about it, for playing the call again."""
    transcript_text: Path
    """For people."""
    transcript_json: Path
    """For programs."""
    recording: Path | None
    """Stereo WAV, mu-law, 8000 Hz: left the caller, right what the caller heard of the agent, or the person they
    talked with. None: nothing was recorded. Its name ends with `.enc` where it is encrypted; `vault` reads both."""
    timeline: Path
    """A picture of the call (SVG)."""


class CallRecord(Protocol):
    """What is kept of one call. All methods are called on the event loop."""

    def append(self, entry: Entry) -> None:
        """Keep an entry of the journal. Never waits and never raises.

        An entry that was handed over outlives the death of the process, but for the few milliseconds that it takes
        to leave it.
        """

    def trace(self, line: bytes) -> None:
        """Keep a line of the call's trace, beside the journal. Never waits and never raises."""

    def caller_audio(self, at_ms: int, audio: bytes) -> None:
        """Keep what the caller said (mu-law, 8000 Hz, mono). Never waits and never raises.

        `at_ms` is the carrier's timestamp of the audio: ms since the stream began. Late, doubled and lost pieces
        are expected.
        """

    def callee_audio(self, at_ms: int, audio: bytes) -> None:
        """Keep what the person said whom the caller is connected with; otherwise as `caller_audio`.

        A call has such a person or an agent, not both: they share the right side of the recording.
        """

    def agent_audio(self, at_ms: float, audio: bytes) -> None:
        """Keep what was handed to the phone at `at_ms`, to be played after what it still held.

        Never waits and never raises. Audio that has not sounded when the call ends is not kept: nobody heard it.
        """

    def agent_cleared(self, at_ms: float) -> None:
        """Take back what had not sounded by `at_ms`: the phone dropped it. Never waits and never raises."""

    async def settled(self) -> None:
        """Wait until all entries that were handed over so far have left the process, whose death then loses none.

        Takes as long as the disk does: the caller sets the limit. What could not be written is not waited for.
        Cancelling stops the waiting only. Never raises.
        """

    def pause_audio(self, at_ms: float) -> None:
        """From then on keep silence in place of both sides, also of what was handed to the phone before.

        Never waits and never raises. What was said earlier and comes later is kept still.
        """

    def resume_audio(self, at_ms: float) -> None:
        """From then on keep again what both sides say. Never waits and never raises."""

    async def close(self) -> CallFiles:
        """Finish the record: once this returns, all of it is durable. Anything that comes later is ignored.

        Closing twice returns the same. Being cancelled stops the waiting, not the work.
        """


@dataclass(frozen=True, slots=True)
class Reopened:
    """The record of a call that a process left unfinished when it died, and that is this one's from now on."""

    header: CallHeader
    entries: tuple[Entry, ...]
    """All that is kept of the call so far, in order; the last is the `CallTakenOver` with which it goes on here."""
    epoch: int
    """Which process of the call's this is: 2 for the first that goes on with it, and higher each time. No two have
    the same: who holds a lower one has been overtaken, and nothing more of it is kept."""
    at_ms: int
    """Time of the call when it was taken over."""
    record: CallRecord
    """The same record, which goes on: times still count from the start of the call's first media stream."""


class Store(Protocol):
    """Keeps calls; one per process."""

    def open(self, header: CallHeader) -> CallRecord:
        """Begin the record of a call. Returns at once; never raises."""

    async def reopen(self, sid: str) -> Reopened | None:
        """Take over the call with this id of the carrier's from a process that has died, or has given it away.

        None: there is no such call, it is over or finished, two people talk in it, or a process holds it that is
        alive. Of several that ask at the same moment, in whatever processes, one gets it. That is settled, and the
        new epoch kept in the journal (`CallTakenOver`), before this returns. Never raises: what is wrong is logged.
        """

    async def close(self) -> None:
        """Wait until all that was handed over is written, and let go; the calls' records are closed by then."""
