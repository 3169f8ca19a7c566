"""Speech to text by Cartesia's turn-taking socket, `/stt/turns/websocket`, or any server that speaks it.

A session has one task that connects, reads, and comes back after a drop, and one more per connection that sends.
Turn events are handed on in the very read that brought them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog
from websockets.exceptions import ConnectionClosed

from bridge.audio.codec import BYTES_PER_MS
from bridge.conversation.actions import Tuning
from bridge.conversation.events import RecognizerClosed, RecognizerConnected, RecognizerEvent, RecognizerFailed
from bridge.errors import ProtocolError, SettingsError, SpeechError
from bridge.speech_link import DEFAULT_VERSION, SpeechLink, drop
from bridge.stt.base import EmitTurn, Recognizer, RecognizerFactory
from bridge.stt.cartesia_connection import TurnsConnection, greeting
from bridge.stt.cartesia_wire import TURNS_PATH, Close, TurnsParameters, TurnThresholds, encode
from bridge.stt.outbox import CATCH_UP_SPEED, Outbox
from bridge.tasks import spawn

_log = structlog.get_logger()

_DELAYS_S: Final = (0.0, 0.2, 0.5, 1.0, 2.0)
"""Before the first, second … attempt to come back; the last one repeats."""
_STEADY_S: Final = 5.0
"""A connection that lasted this long was a good one: the next attempt counts as the first again."""


@dataclass(frozen=True, slots=True)
class CartesiaTurnsSettings:
    """How to reach the service and what to ask of it. Raises `SettingsError` for a value the service forbids."""

    base_url: str
    """`https://api.cartesia.ai`, or any server that speaks the protocol."""
    api_key: str = field(default="", repr=False)
    version: str = DEFAULT_VERSION
    """`Cartesia-Version`."""
    model: str = "ink-2"
    chunk_ms: int = 100
    """Audio in one message: the service asks for 50 to 200 ms."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further headers of the handshake."""
    keyterms: tuple[str, ...] = ()
    turn_start_threshold: float | None = None
    turn_eager_end_threshold: float | None = None
    turn_end_threshold: float | None = None
    turn_end_timeout_ms: float | None = None
    connect_timeout_s: float = 5.0
    """For the handshake, and again for the `connected` message after it."""
    drain_s: float = 2.0
    """How long `finish` waits for a connection that is down, and for the last words after `close`."""
    keep_s: float = 10.0
    """How much audio is kept while there is no connection; of more, the oldest is lost."""

    def __post_init__(self) -> None:
        try:
            self.query()
        except ProtocolError as error:
            raise SettingsError(f"[stt] of the settings: {error}") from error
        self.link()

    def query(self) -> str:
        """The query of the socket's address."""
        thresholds = TurnThresholds(
            self.turn_start_threshold,
            self.turn_eager_end_threshold,
            self.turn_end_threshold,
            self.turn_end_timeout_ms,
        )
        return TurnsParameters(model=self.model, keyterms=self.keyterms, thresholds=thresholds).query()

    def link(self) -> SpeechLink:
        """The way to the service."""
        return SpeechLink(self.base_url, self.api_key, self.version, self.headers, self.connect_timeout_s)


class CartesiaTurns(RecognizerFactory):
    """Opens a session, with a socket of its own, for each speaker."""

    def __init__(self, settings: CartesiaTurnsSettings) -> None:
        self._settings = settings
        self._sessions: set[_Session] = set()

    def open(self, emit: EmitTurn, *, name: str) -> Recognizer:
        """Start a session; see `RecognizerFactory.open`."""
        session = _Session(self._settings, emit, name, on_end=self._sessions.discard)
        self._sessions.add(session)
        return session

    async def close(self) -> None:
        """Abort the sessions that are still open."""
        await asyncio.gather(*(session.abort() for session in [*self._sessions]))


async def check_stt(settings: CartesiaTurnsSettings) -> None:
    """Connect, wait for `connected` and leave. Raises `SpeechError`, whose sentence names the remedy."""
    link = settings.link()
    socket = await link.connect(TURNS_PATH, settings.query())
    try:
        await greeting(socket, link)
        await socket.send(encode(Close()))
    except ConnectionClosed as closed:
        raise link.error_of_close(closed) from closed
    finally:
        await drop(socket)


class _Session(Recognizer):
    """One speaker's session, over as many connections as it takes."""

    def __init__(
        self, settings: CartesiaTurnsSettings, emit: EmitTurn, name: str, *, on_end: Callable[[_Session], None]
    ) -> None:
        self._settings = settings
        self._link = settings.link()
        self._emit = emit
        self._log = _log.bind(session=name)
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(
            chunk_bytes=settings.chunk_ms * BYTES_PER_MS, keep_bytes=int(settings.keep_s * 1000) * BYTES_PER_MS
        )
        self._connection: TurnsConnection | None = None
        self._connected_at: float | None = None
        self._in_outage = False
        self._finishing = False
        self._limit: asyncio.Timeout | None = None
        self._task = spawn(self._run(), name=f"stt {name}")
        self._task.add_done_callback(lambda _: on_end(self))

    def send(self, audio: bytes) -> None:
        """Take audio; see `Recognizer.send`."""
        if self._outbox.add(audio) and self._connection is not None:
            self._connection.wake()

    def forget(self) -> None:
        """Drop what waits; see `Recognizer.forget`."""
        raise NotImplementedError

    def tune(self, tuning: Tuning) -> None:
        """Change settings; see `Recognizer.tune`."""
        raise NotImplementedError

    async def finish(self) -> None:
        """Drain and close; see `Recognizer.finish`.

        Waits for `drain_s` at most, counted anew from the moment when all audio was delivered. If audio was waiting
        when the speaker went, its delivery at catch-up speed comes before that.
        """
        self._finishing = True
        self._outbox.flush()
        if self._connection is not None:
            self._connection.finish()
        elif not self._outbox:
            self._task.cancel()  # there is nothing to deliver, so no connection is needed any more
        try:
            async with asyncio.timeout(self._settings.drain_s) as self._limit:
                self._extend_limit()
                await asyncio.wait([self._task])
        except TimeoutError:
            self._log.warning("stt_drain_cut_off", waiting_bytes=len(self._outbox))
        except asyncio.CancelledError:
            self._emit = _nobody
            self._task.cancel()
            raise
        finally:
            self._limit = None
        await self._end()
        self._emit(RecognizerClosed())
        self._emit = _nobody

    async def abort(self) -> None:
        """Drop the connection; see `Recognizer.abort`."""
        self._emit = _nobody
        await self._end()

    async def _end(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    def _extend_limit(self) -> None:
        """Give `finish` the time for what is left to deliver, from now, if there is a connection for it."""
        if self._connection is not None and self._limit is not None and not self._limit.expired():
            waiting_s = len(self._outbox) / BYTES_PER_MS / 1000
            self._limit.reschedule(self._loop.time() + waiting_s / CATCH_UP_SPEED + self._settings.drain_s)

    async def _run(self) -> None:
        """Connect and talk, again and again, until the session is drained or cannot be helped."""
        attempt = 0
        while True:
            self._connected_at = None
            try:
                await self._talk()
            except SpeechError as error:
                # An error that ends a long good connection is not about its settings, whatever its status says.
                steady = self._lasted_s() > _STEADY_S
                if self._note_outage(error, final=error.final and not steady):
                    return
            else:
                return
            if self._finishing and not self._outbox:
                return
            attempt = 0 if steady else attempt
            delay = _DELAYS_S[min(attempt, len(_DELAYS_S) - 1)]
            delay *= random.uniform(0.75, 1.25)  # noqa: S311 - spreads calls that were cut off together; no secret
            attempt += 1
            self._log.info("stt_reconnecting", attempt=attempt, delay_s=round(delay, 3))
            await asyncio.sleep(delay)

    def _lasted_s(self) -> float:
        """How long the last connection was good: 0 if it never was."""
        return 0.0 if self._connected_at is None else self._loop.time() - self._connected_at

    async def _talk(self) -> None:
        """One connection, from the handshake to its end. Raises `SpeechError` unless it ended as it should."""
        socket = await self._link.connect(TURNS_PATH, self._settings.query())
        try:
            request_id = await greeting(socket, self._link)
            connection = TurnsConnection(
                socket,
                self._link,
                self._outbox,
                emit=self._pass_on,
                on_close_sent=self._extend_limit,
                log=self._log,
            )
            self._note_connected(connection, request_id)
            await connection.talk()
        finally:
            self._connection = None
            await drop(socket)

    def _note_connected(self, connection: TurnsConnection, request_id: str) -> None:
        self._connection = connection
        self._connected_at = self._loop.time()
        self._in_outage = False
        self._log.info("stt_connected", request_id=request_id, waiting_bytes=len(self._outbox))
        if self._outbox.dropped:
            self._log.warning("stt_audio_lost", bytes=self._outbox.dropped)
        # A turn that was open on the last connection is not taken up here: the service starts afresh and knows
        # nothing of it. Whoever keeps the words of such a turn is told of the new connection by this event; sending
        # the audio of the open turn again would have its place here, before the outbox is emptied.
        self._pass_on(RecognizerConnected(request_id))
        if self._finishing:
            connection.finish()
            self._extend_limit()

    def _note_outage(self, error: SpeechError, *, final: bool) -> bool:
        """Report a lost or refused connection, once until it is back, and again if it is lost for good."""
        self._log.warning("stt_failed", code=error.code, reason=error.message, final=final)
        if final or not self._in_outage:
            self._in_outage = True
            self._pass_on(RecognizerFailed(error.code, error.message, final))
        return final

    def _pass_on(self, event: RecognizerEvent) -> None:
        self._emit(event)


def _nobody(_event: RecognizerEvent) -> None:
    """Where events of an aborted session go."""
