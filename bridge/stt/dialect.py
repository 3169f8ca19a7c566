"""The seam between a speech-to-text session and one endpoint of a service.

`bridge.stt.session` connects, comes back after a drop, keeps the audio and joins the words of several connections.
What differs from endpoint to endpoint stands behind the two protocols here: a `Dialect` knows the address, the
greeting and the settings; the `Connection` it makes turns audio into turn events on one socket.
"""

from __future__ import annotations

from typing import Any, Protocol

from bridge.conversation.actions import Tuning
from bridge.conversation.events import RecognizerEvent
from bridge.errors import SpeechError
from bridge.speech.connection import SpeechConnection
from bridge.speech.link import SpeechLink
from bridge.stt.outbox import Outbox


class Listener(Protocol):
    """What a connection tells its session. Every call is synchronous, in order, and in the read that caused it."""

    log: Any
    """The session's logger, bound to its name."""

    def heard(self, event: RecognizerEvent) -> None:
        """Take a turn event of this connection, told as if there were no other connection before it."""

    def troubled(self, error: SpeechError) -> None:
        """Take an `error` event. The socket is still open, and may or may not close after it."""

    def turn_is_open(self) -> bool:
        """Whether the speaker has a turn open, here or from an earlier connection: silence has to be sent then."""

    def delivered(self) -> None:
        """Take note that all audio is sent, and after it the word that no more comes."""


class Connection(Protocol):
    """One open, greeted socket at work."""

    def wake(self) -> None:
        """There is audio to send."""

    def finish(self) -> None:
        """Send what waits, then say that no more comes."""

    async def talk(self) -> None:
        """Send and read until the service closes after `finish`.

        Raises `SpeechError` if the socket ends before that. Cancelling stops at once and leaves the socket open.
        """

    def adopt(self, dialect: Dialect) -> bool:
        """Change to the settings of `dialect` on the open socket. False: only a new connection can have them."""


class Dialect(Protocol):
    """One endpoint with its settings. Immutable."""

    @property
    def path(self) -> str:
        """Path of the socket's address."""

    @property
    def language(self) -> str:
        """What the speaker speaks, ISO 639-1."""

    def query(self) -> str:
        """Query of the socket's address, percent-encoded."""

    async def greet(self, socket: SpeechConnection, link: SpeechLink) -> str:
        """Wait until the service is ready; the connection's id, or "" where it has none. Raises `SpeechError`."""

    def connect(self, socket: SpeechConnection, link: SpeechLink, outbox: Outbox, listener: Listener) -> Connection:
        """Put a greeted socket to work: `outbox` holds the audio to send."""

    def tuned(self, tuning: Tuning) -> Dialect:
        """The same with some settings changed. Raises `ProtocolError` for values that the service forbids."""
