"""What becomes of a call to a number before anybody talks: who takes it, and what is said first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from msgspec import Struct


class Closed(Struct, frozen=True):
    """When nobody takes calls, and what callers hear then."""

    open_at: Callable[[datetime], bool]
    """Tells whether calls are taken at a moment, which knows its time zone."""
    say: str
    """Said by the carrier's own voice; may be empty."""
    forward_to: str = ""
    """Whom callers are then connected with; empty: they are hung up on."""


class Overflow(Struct, frozen=True):
    """What callers get for whom there is no room."""

    kind: Literal["busy", "sentence", "transfer", "queue", "voicemail"] = "busy"
    say: str = ""
    """The sentence, or the last word of a queue."""
    transfer_to: str = ""
    """Number, `sip:` or `client:` address."""
    transfer_say: str = ""
    """Said before; empty: nothing."""
    queue_say: str = ""
    """Said in each round; empty: nothing."""
    wait_s: int = 15
    """From round to round."""
    rounds: int = 8
    """After which a caller is let go."""


class Voicemail(Struct, frozen=True):
    """How callers leave a message with the carrier."""

    say: str = "Please leave a message after the tone."
    """Said before the tone by the carrier's own voice."""
    thanks: str = ""
    """Said behind the message; empty: nothing."""
    max_s: int = 120
    """How long a message may be."""
    silence_s: int = 5
    """Silence of this length ends it."""
    finish_key: str = "#"
    """So does this key."""


class Answering(Struct, frozen=True):
    """How calls to a number are answered."""

    mode: Literal["agent", "log"] = "agent"
    """`log`: the caller is connected with `forward_to`, and both are listened to."""
    forward_to: str = ""
    """Number, `sip:` or `client:` address, or `conference:NAME`."""
    announcement: str = ""
    """Said first, by the carrier's own voice; empty: nothing."""
    recording_announcement: str = ""
    """Said behind it, where the call is recorded from its start; empty: nothing."""
    closed: Closed | None = None
    """None: calls are taken at all times."""
    language: str = "en-US"
    """Of what the carrier's own voice says."""
    caller_id: str = ""
    """Number that the other side is shown; empty: the caller's, or the dialled one where the caller has none."""
    ring_s: int = 30
    """How long the other phone may ring."""
    longest_s: int = 4 * 3600
    """How long two people may talk."""
    overflow: Overflow = Overflow()
    """What callers get while there is no room for them."""
    voicemail: Voicemail = Voicemail()
    """How they leave a message, where they may."""
    not_reached: str = "Sorry, I could not reach them."
    """Said when the other side does not take the call, before hanging up."""

    @property
    def said_first(self) -> str:
        """All that callers hear before anything else; empty: nothing."""
        return " ".join(filter(None, (self.announcement, self.recording_announcement)))
