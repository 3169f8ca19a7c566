"""A speech-to-text session: one speaker of one call, over as many connections as it takes.

A session has one task that connects, reads, and comes back after a drop, and one more per connection that sends.
Turn events are handed on in the very read that brought them. What differs from endpoint to endpoint is behind
`bridge.stt.dialect`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

import structlog
from msgspec import Struct

from bridge.audio.codec import BYTES_PER_MS
from bridge.conversation.actions import Tuning
from bridge.conversation.events import (
    RecognizerClosed,
    RecognizerConnected,
    RecognizerEvent,
    RecognizerFailed,
    RecognizerLost,
)
from bridge.errors import ProtocolError, SpeechError
from bridge.speech.connection import SpeechConnection
from bridge.speech.link import SpeechLink, drop
from bridge.speech.standby import Choice, Standby
from bridge.stt.base import EmitTurn, Recognizer, RecognizerFactory
from bridge.stt.dialect import Connection, Dialect
from bridge.stt.outbox import CATCH_UP_SPEED, Outbox
from bridge.stt.stitching import ONSET_BYTES, SEARCH_BYTES, Stitcher, quiet_point
from bridge.tasks import spawn

_log = structlog.get_logger()

_DELAYS_S: Final = (0.0, 0.2, 0.5, 1.0, 2.0)
"""Before the first, second … attempt to come back; the last one repeats."""
_STEADY_S: Final = 5.0
"""A connection that lasted this long was a good one: the next attempt counts as the first again."""
_SILENT_S: Final = 2.5
"""A turn that was open at a drop is over when all of its audio has gone again and the service has heard no speech
in it for this long. That is evidence, not a guess: a service tells of speech within a second."""
_LOOK_S: Final = 0.25
_CONFIG_S: Final = 2.0
"""An error this soon after new settings were sent is taken for the answer to them."""


class Limits(Struct, frozen=True):
    """How a session handles audio and the end."""

    chunk_ms: int = 100
    """Audio in one message: the service asks for 50 to 200 ms."""
    drain_s: float = 5.0
    """How long `finish` waits for a connection that is down, and for the last words after all audio is sent."""
    keep_s: float = 20.0
    """How much audio is kept to be sent, or sent again; of more, the oldest is lost."""


class Sessions(RecognizerFactory):
    """Opens a session, with a socket of its own, for each speaker. The factory of every dialect."""

    def __init__(self, link: SpeechLink, dialect: Dialect, limits: Limits, standby: Standby | None = None) -> None:
        """`standby`: the service that stands by for the one that `link` leads to; None: there is none."""
        self._link = link
        self._standby = standby
        self._dialect = dialect
        self._limits = limits
        self._sessions: set[Session] = set()

    def open(self, emit: EmitTurn, *, name: str) -> Recognizer:
        """Start a session; see `RecognizerFactory.open`."""
        choice = Choice(self._link, self._standby)
        session = Session(choice, self._dialect, self._limits, emit, name, on_end=self._sessions.discard)
        self._sessions.add(session)
        return session

    async def close(self) -> None:
        """Abort the sessions that are still open."""
        await asyncio.gather(*(session.abort() for session in [*self._sessions]))


class Session(Recognizer):
    """One speaker's session. The `Listener` of its connections."""

    def __init__(
        self,
        choice: Choice,
        dialect: Dialect,
        limits: Limits,
        emit: EmitTurn,
        name: str,
        *,
        on_end: Callable[[Session], None],
    ) -> None:
        self._choice = choice
        self._goes_over = False
        # The settings of the current connection, those that are wanted, and the last with which one came up.
        self._dialect = self._wanted = dialect
        self._proven: Dialect | None = None
        self._limits = limits
        self._emit = emit
        # Behind the call's id may stand whose speech it is.
        self.log = _log.bind(call=name.partition(" ")[0], session=name)
        self._loop = asyncio.get_running_loop()
        self._chunk_bytes = limits.chunk_ms * BYTES_PER_MS
        self._outbox = Outbox(chunk_bytes=self._chunk_bytes, keep_bytes=int(limits.keep_s * 1000) * BYTES_PER_MS)
        self._stitcher = Stitcher()
        self._connection: Connection | None = None
        self._socket: SpeechConnection | None = None
        self._connected_at: float | None = None
        self._configured_at: float | None = None
        self._refused = False
        # Whether it was told that the standby would help, and not yet that it does not.
        self._helped = False
        # Whether a new connection is due between two turns, and whether this one was left for it.
        self._switching = False
        self._left = False
        self._reported: set[tuple[str, str]] = set()
        self._silent_from: float | None = None
        self._look: asyncio.TimerHandle | None = None
        self._finishing = False
        self._finish_by = 0.0
        self._limit: asyncio.Timeout | None = None
        self._task = spawn(self._run(), name=f"stt {name}")
        self._task.add_done_callback(lambda _: on_end(self))

    # --- the recogniser --------------------------------------------------------------------------------------

    def send(self, audio: bytes) -> None:
        """Take audio; see `Recognizer.send`."""
        if self._outbox.add(audio) and self._connection is not None:
            self._connection.wake()

    def forget(self) -> None:
        """Drop what waits and the open turn; see `Recognizer.forget`."""
        self._outbox.clear()
        self._stitcher.forget(self._outbox.sent)
        self._switch_if_idle()

    def tune(self, tuning: Tuning) -> None:
        """Change settings; see `Recognizer.tune`."""
        try:
            self._wanted = self._wanted.tuned(tuning)
        except ProtocolError as error:
            self.log.warning("stt_tuning_refused", reason=error.message)
            # Not from inside the caller's own call: whoever tunes may be in the midst of handling an event.
            self._loop.call_soon(self._pass_on, RecognizerFailed("speech_request", error.message, final=False))
            return
        self._adopt()

    async def finish(self) -> None:
        """Drain and close; see `Recognizer.finish`.

        Waits for `drain_s` at most, counted anew from the moment when all audio was delivered. If audio was waiting
        when the speaker went, or has to go again after a drop, its delivery at catch-up speed comes before that;
        all of it is bounded by the time that the longest audio and two drains take.
        """
        self._finishing = True
        self._finish_by = self._loop.time() + self._limits.keep_s / CATCH_UP_SPEED + 2 * self._limits.drain_s
        self._outbox.flush()
        if self._connection is not None:
            self._connection.finish()
        elif not self._outbox:
            self._task.cancel()  # there is nothing to deliver, so no connection is needed any more
        try:
            async with asyncio.timeout(self._limits.drain_s) as self._limit:
                self.delivered()
                await asyncio.wait([self._task])
        except TimeoutError:
            self.log.warning("stt_drain_cut_off", waiting_bytes=len(self._outbox))
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
        if self._look is not None:
            self._look.cancel()

    # --- the listener ----------------------------------------------------------------------------------------

    def heard(self, event: RecognizerEvent) -> None:
        """Take an event of the connection; see `Listener.heard`."""
        was_open = self._stitcher.open
        self._tell(self._stitcher.take(event, self._outbox.sent), was_open=was_open)

    def troubled(self, error: SpeechError) -> None:
        """Report an error of the connection, each kind once; see `Listener.troubled`."""
        self.log.warning("stt_error", code=error.code, reason=error.message, **_fields(error))
        if self._configured_at is not None and self._loop.time() - self._configured_at < _CONFIG_S:
            # The service does not take new settings on an open socket: it gets them with a new one.
            self._configured_at = None
            self._switching = True
            self._switch_if_idle()
            return
        kind = (error.code, error.details.get("error_code", ""))
        if kind not in self._reported:
            self._reported.add(kind)
            self._pass_on(RecognizerFailed(error.code, error.message, final=False, details=error.details))

    def turn_is_open(self) -> bool:
        """Whether a turn is open; see `Listener.turn_is_open`."""
        return self._stitcher.open or self._stitcher.service_open

    def delivered(self) -> None:
        """Give `finish` the time for what is left to deliver, from now, if there is a connection for it."""
        if self._connection is not None and self._limit is not None and not self._limit.expired():
            waiting_s = len(self._outbox) / BYTES_PER_MS / 1000
            until = self._loop.time() + waiting_s / CATCH_UP_SPEED + self._limits.drain_s
            self._limit.reschedule(min(until, self._finish_by))

    def _tell(self, events: list[RecognizerEvent], *, was_open: bool) -> None:
        if was_open and not self._stitcher.open:
            self._outbox.settle()
        else:
            self._outbox.hold(self._stitcher.hold_from)
        for event in events:
            self._pass_on(event)
        self._switch_if_idle()

    def _pass_on(self, event: RecognizerEvent) -> None:
        self._emit(event)

    # --- connections -----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Connect and talk, again and again, until the session is drained or cannot be helped."""
        attempt = 0
        while True:
            self._connected_at = None
            try:
                await self._talk()
            except SpeechError as error:
                if self._note_outage(error):
                    return
            else:
                self._end_silent_turn()
                return
            if self._finishing and not self._outbox:
                return
            attempt = 0 if self._lasted_s() > _STEADY_S else attempt
            delay = _DELAYS_S[min(attempt, len(_DELAYS_S) - 1)]
            delay *= random.uniform(0.75, 1.25)  # noqa: S311 - spreads calls that were cut off together; no secret
            attempt += 1
            self.log.info("stt_reconnecting", attempt=attempt, delay_s=round(delay, 3))
            await asyncio.sleep(delay)

    def _lasted_s(self) -> float:
        """How long the last connection was good: 0 if it never was."""
        return 0.0 if self._connected_at is None else self._loop.time() - self._connected_at

    async def _talk(self) -> None:
        """One connection, from the handshake to its end. Raises `SpeechError` unless it ended as it should."""
        if not self._stitcher.open:
            self._dialect = self._wanted
        dialect = self._dialect
        link = self._choice.link(dialect.language)
        self._goes_over = False
        try:
            socket = await link.connect(dialect.path, dialect.query())
        except SpeechError as error:
            self._goes_over = self._choice.failed(error, dialect.language)
            raise
        try:
            try:
                request_id = await dialect.greet(socket, link)
            except SpeechError as error:
                self._goes_over = self._choice.failed(error, dialect.language)
                raise
            connection = dialect.connect(socket, link, self._outbox, self)
            self._note_connected(connection, socket, request_id)
            await connection.talk()
        finally:
            self._connection = self._socket = None
            await drop(socket)

    def _note_connected(self, connection: Connection, socket: SpeechConnection, request_id: str) -> None:
        self._connection, self._socket = connection, socket
        self._connected_at = self._loop.time()
        self._configured_at = None
        self._proven = self._dialect
        self._refused = self._switching = self._left = False
        self._choice.worked()
        self._reported.clear()
        standby = self._choice.on_standby
        self.log.info("stt_connected", request_id=request_id, standby=standby, waiting_bytes=len(self._outbox))
        if self._outbox.dropped:
            self.log.warning("stt_audio_lost", bytes=self._outbox.dropped)
        # What waits begins where the last connection's audio is to go again, or later if too much came meanwhile.
        self._stitcher.resumed(self._outbox.sent)
        self._silent_from = None
        self._watch_for_silence()
        self._pass_on(RecognizerConnected(request_id, standby))
        if self._finishing:
            connection.finish()
            self.delivered()
        self._adopt()

    @property
    def _is_helped(self) -> bool:
        """Tell whether it was the first service that did not take the speaker, and another one stands by."""
        return self._goes_over and not self._choice.on_standby

    def _is_full_too(self, error: SpeechError) -> bool:
        """Tell whether the service that was to help has no room either: whoever lets calls in has to know."""
        return error.code == "speech_limit" and self._helped and not self._is_helped

    def _note_outage(self, error: SpeechError) -> bool:
        """Let the last audio wait again, and report. True: it is lost for good."""
        was_up = self._connected_at is not None
        if was_up:
            self._rewind()
        if self._left and was_up:
            return False
        # An error that ends a long good connection is not about its settings, whatever its status says.
        final = error.final and self._lasted_s() <= _STEADY_S and not self._goes_over
        if final and (proven := self._proven) is not None and proven != self._dialect:
            # It is the new settings that are refused. The old ones are good enough to go on with.
            self._wanted = proven
            final = False
        self.log.warning("stt_failed", code=error.code, reason=error.message, final=final, **_fields(error))
        if was_up and not final:
            self._pass_on(RecognizerLost(error.code, error.message))
        elif final or not self._refused or self._is_full_too(error):
            self._refused, self._helped = True, self._is_helped
            self._pass_on(RecognizerFailed(error.code, error.message, final, error.details, self._helped))
        return final

    def _rewind(self) -> None:
        """Go back to where the open turn must be heard again, or, without one, to where one may just have begun."""
        resume_at = self._stitcher.resume_at
        wanted = max(0, self._outbox.sent - ONSET_BYTES) if resume_at is None else resume_at
        before = self._outbox.kept(wanted - SEARCH_BYTES, wanted)
        start = self._outbox.rewind(wanted - len(before) + quiet_point(before))
        self.log.info("stt_rewound", waiting_bytes=len(self._outbox), turn_open=self._stitcher.open, position=start)
        if self._finishing:
            self._outbox.flush()

    # --- a turn whose end nobody tells -------------------------------------------------------------------------

    def _watch_for_silence(self) -> None:
        """Look, now and then, whether a turn that was open at a drop is over without another word."""
        if self._look is not None:
            self._look.cancel()
        if self._connection is None or not self._stitcher.joining:
            return
        now = self._loop.time()
        if not self._stitcher.waiting or len(self._outbox) >= 2 * self._chunk_bytes:
            self._silent_from = None
        elif self._silent_from is None:
            self._silent_from = now
        elif now - self._silent_from >= _SILENT_S:
            self._end_silent_turn()
            return
        self._look = self._loop.call_at(now + _LOOK_S, self._watch_for_silence)

    def _end_silent_turn(self) -> None:
        """End a turn of which this connection heard all the audio that was left, and no word."""
        if self._stitcher.waiting:
            self.log.info("stt_turn_ended_in_silence")
            self._tell(self._stitcher.silence(self._outbox.sent), was_open=True)

    # --- new settings ------------------------------------------------------------------------------------------

    def _adopt(self) -> None:
        """Bring the wanted settings to the connection: at once if it can take them, else between two turns."""
        if self._connection is None or self._wanted == self._dialect:
            return
        if self._connection.adopt(self._wanted):
            self._dialect = self._wanted
            self._configured_at = self._loop.time()
        else:
            self._switching = True
            self._switch_if_idle()

    def _switch_if_idle(self) -> None:
        """Leave the connection for one with the wanted settings, if that is due and no turn is open."""
        if (
            self._switching
            and self._socket is not None
            and not self._left
            and not self._finishing
            and not self.turn_is_open()
        ):
            self.log.info("stt_switching")
            self._left = True
            self._socket.transport.abort()


def _fields(error: SpeechError) -> dict[str, str]:
    """What an error says beside its sentence, for the log."""
    return {name: value for name, value in error.details.items() if name != "message"}


def _nobody(_event: RecognizerEvent) -> None:
    """Where events of an aborted session go."""
