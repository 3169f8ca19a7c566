"""What is known of a simulated call: what was sent, what was heard, what went wrong, and when. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bridge.audio import wav
from bridge.simulator.listening import Listener, Spurt
from bridge.simulator.phone import BYTES_PER_S, Clearing, PassedMark, Phone, Stretch

_JOINED_S = 0.001


@dataclass(frozen=True, slots=True)
class CallEvent:
    """Something to show of a call while it goes on."""

    at_s: float
    """Call time: seconds since the first media stream began (0 before)."""
    kind: str
    """`twiml`, `stream_started`, `stream_ended`, `agent_started`, `agent_stopped`, `clear`, `mark`, `caller_said`,
    `digits`, `carrier_says`, `carrier_plays`, `gather`, `gathered`, `recording`, `recorded`, `listening_started`,
    `listening_ended`, `dialling`, `transfer`, `joined`, `left`, `problem`, `call_ended`."""
    detail: str = ""


@dataclass(slots=True)
class Problem:
    """Something the bridge did that Twilio would refuse or warn of."""

    at_s: float
    code: str
    """Twilio's number where there is one, such as `31951`."""
    text: str
    """What it was, the first time."""
    count: int = 1


class CallRecord:
    """Collects what happens in one call. All times are call times in seconds."""

    def __init__(self, on_event: Callable[[CallEvent], None] | None = None) -> None:
        self.problems: list[Problem] = []
        self.marks: list[PassedMark] = []
        """Marks that have gone back to the bridge."""
        self.phones: list[Phone] = []
        """The playback of each stream of the call."""
        self.agent = Listener(on_start=self._agent_started)
        self._on_event = on_event
        self._sent: list[tuple[float, bytearray]] = []
        self._others: list[tuple[float, bytearray]] = []  # heard, but not of a two-way stream
        self._agent_talks = False

    def report(self, at_s: float, kind: str, detail: str = "") -> None:
        """Tell whoever watches the call."""
        if self._on_event is not None:
            self._on_event(CallEvent(at_s, kind, detail))

    def problem(self, at_s: float, code: str, text: str) -> None:
        """Note a problem; one of a kind is reported once and counted from then on, as Twilio does."""
        for known in self.problems:
            if known.code == code:
                known.count += 1
                return
        self.problems.append(Problem(at_s, code, text))
        self.report(at_s, "problem", f"{code}: {text}")

    def mark_returned(self, at_s: float, mark: PassedMark) -> None:
        """A mark has gone back to the bridge."""
        self.marks.append(mark)
        self.report(at_s, "mark", mark.name if mark.heard else f"{mark.name} (cleared)")

    def add_sent(self, start_s: float, frame: bytes) -> None:
        """The caller's side has sent a frame."""
        _join(self._sent, start_s, frame)

    def add_heard(self, start_s: float, frame: bytes) -> None:
        """The caller has heard something that came from no two-way stream: somebody else, or tones."""
        _join(self._others, start_s, frame)

    def tick(self, now: float) -> None:
        """Time has passed: notice that the agent has stopped talking."""
        if self._agent_talks and not self.agent.talking(now):
            self._agent_talks = False
            self.report(self.agent.spurts[-1].end_s, "agent_stopped")

    def heard(self, now: float) -> list[Stretch]:
        """What the caller has heard by `now`."""
        of_streams = [stretch for phone in self.phones for stretch in phone.heard(now)]
        return sorted([*of_streams, *self.others], key=lambda stretch: stretch.start_s)

    @property
    def others(self) -> list[Stretch]:
        """Of this, what came from no two-way stream: the party the caller was connected with, or tones."""
        return [Stretch(start, bytes(audio)) for start, audio in self._others]

    @property
    def sent(self) -> list[Stretch]:
        """What the caller's side has sent, silence included."""
        return [Stretch(start, bytes(audio)) for start, audio in self._sent]

    @property
    def clears(self) -> list[Clearing]:
        """Every clear that took effect."""
        return [clearing for phone in self.phones for clearing in phone.clears]

    def recording(self, now: float) -> bytes:
        """A stereo WAV file (mu-law): left what the caller sent, right what the caller heard, at true times."""
        return wav.write_mulaw(laid_out(self.sent), laid_out(self.heard(now)))

    def _agent_started(self, spurt: Spurt) -> None:
        if self._agent_talks:  # it stopped and started again between two looks
            self.report(self.agent.spurts[-2].end_s, "agent_stopped")
        self._agent_talks = True
        self.report(spurt.start_s, "agent_started")


def _join(stretches: list[tuple[float, bytearray]], start_s: float, frame: bytes) -> None:
    if stretches:
        start, audio = stretches[-1]
        if abs(start + len(audio) / BYTES_PER_S - start_s) < _JOINED_S:
            audio += frame
            return
    stretches.append((start_s, bytearray(frame)))


def laid_out(stretches: list[Stretch]) -> bytes:
    """One piece of mu-law audio from call time 0 on, with silence between the stretches."""
    audio = bytearray()
    for stretch in stretches:
        at = max(0, round(stretch.start_s * BYTES_PER_S))
        # Rounding may put a stretch one sample before the end of the last: then it follows it.
        audio += b"\xff" * (at - len(audio))
        audio += stretch.audio
    return bytes(audio)
