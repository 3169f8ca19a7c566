"""The TwiML that the simulator acts, as values: verbs, and what stands inside them. Pure.

Names and defaults are those of Twilio's reference. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

TRACKS: Final[Mapping[str, tuple[str, ...]]] = {
    "inbound_track": ("inbound",),
    "outbound_track": ("outbound",),
    "both_tracks": ("inbound", "outbound"),
}
"""Value of `<Stream track>` → the tracks that its messages name."""


@dataclass(frozen=True, slots=True)
class Stream:
    """`<Stream>` ("TwiML Voice: Stream")."""

    url: str
    name: str = ""
    track: str = "inbound_track"
    status_callback: str = ""
    status_callback_method: str = "POST"
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Connect:
    """`<Connect><Stream>`: a two-way stream; what follows waits until it is over."""

    stream: Stream
    action: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Start:
    """`<Start><Stream>`: a stream that only listens, beside the verbs that follow."""

    stream: Stream


@dataclass(frozen=True, slots=True)
class Stop:
    """`<Stop><Stream name>`: such a stream is ended."""

    name: str


@dataclass(frozen=True, slots=True)
class Say:
    """`<Say>`: Twilio's own voice speaks. What it says is reported and takes no time here."""

    text: str


@dataclass(frozen=True, slots=True)
class Play:
    """`<Play>`: a file, or digits as tones. A file is reported; tones sound."""

    source: str
    digits: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """`<Pause>`."""

    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Gather:
    """`<Gather>`: keys of the one who is called or calls. (Speech is not recognised: only keys end it.)"""

    nested: tuple[Say | Play | Pause, ...] = ()
    action: str = ""
    """Empty: the document's own URL."""
    method: str = "POST"
    input: str = "dtmf"
    timeout_s: float = 5.0
    """Without a key for so long it is over; counted from the end of what is nested."""
    finish_on_key: str = "#"
    num_digits: int | None = None
    action_on_empty_result: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """`<Record>`: what the caller says, as a voicemail does. Its action is told where the recording would be."""

    action: str = ""
    """Empty: the document's own URL."""
    method: str = "POST"
    timeout_s: float = 5.0
    """Quiet of this length ends it."""
    finish_on_key: str = "1234567890*#"
    max_length_s: float = 3600.0
    play_beep: bool = True
    status_callback: str = ""
    """Told when the recording can be fetched."""
    status_callback_method: str = "POST"


@dataclass(frozen=True, slots=True)
class Target:
    """`<Number>`, `<Sip>` or `<Client>` of a `<Dial>`: somebody to be rung."""

    kind: str
    """`number`, `sip` or `client`."""
    to: str
    url: str = ""
    """What the callee is told before the two are connected."""
    method: str = "POST"
    send_digits: str = ""
    """Keys sent to the callee once it has answered."""
    status_callback: str = ""
    status_callback_method: str = "POST"
    status_callback_events: tuple[str, ...] = ("completed",)


@dataclass(frozen=True, slots=True)
class Conference:
    """`<Conference>` of a `<Dial>`: a room that several calls are in."""

    name: str
    start_on_enter: bool = True
    end_on_exit: bool = False
    muted: bool = False
    label: str = ""
    wait_url: str = ""
    status_callback: str = ""
    status_callback_method: str = "POST"
    status_callback_events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dial:
    """`<Dial>`: the caller is connected with somebody else."""

    parties: tuple[Target | Conference, ...] = ()
    action: str = ""
    method: str = "POST"
    timeout_s: float = 30.0
    """How long the other phone may ring."""
    time_limit_s: float = 14_400.0
    caller_id: str = ""
    sequential: bool = False

    @property
    def targets(self) -> tuple[str, ...]:
        """Numbers, SIP addresses, client or conference names, as written."""
        return tuple(party.name if isinstance(party, Conference) else party.to for party in self.parties)


@dataclass(frozen=True, slots=True)
class Redirect:
    """`<Redirect>`: go on with another document."""

    url: str
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Hangup:
    """`<Hangup>`."""


@dataclass(frozen=True, slots=True)
class Reject:
    """`<Reject>`: the call is not taken at all."""

    reason: str = "rejected"


@dataclass(frozen=True, slots=True)
class UnknownVerb:
    """A verb the simulator does not act; it is reported and passed over."""

    name: str


Verb: TypeAlias = (
    Connect | Start | Stop | Say | Play | Pause | Gather | Record | Dial | Redirect | Hangup | Reject | UnknownVerb
)
