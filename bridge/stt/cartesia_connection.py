"""One connection to `/stt/turns/websocket`: greeting, reader, sender, and silence where audio is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from bridge.audio.codec import silence
from bridge.conversation.events import TurnEagerlyEnded, TurnEnded, TurnResumed, TurnStarted, TurnUpdated
from bridge.errors import ProtocolError, SpeechError
from bridge.speech_link import SpeechLink
from bridge.stt.base import EmitTurn
from bridge.stt.cartesia_wire import (
    Close,
    Connected,
    Error,
    ServiceMessage,
    TurnEagerEnd,
    TurnEnd,
    TurnResume,
    TurnStart,
    TurnUpdate,
    Unknown,
    encode,
    parse_from_service,
)
from bridge.stt.outbox import Outbox
from bridge.tasks import spawn

TURN_GAP_S: Final = 0.5
"""The service needs to hear silence to end a turn, so an open turn never goes longer without audio."""
IDLE_GAP_S: Final = 10.0
"""Without any audio the service would close the session in time."""
_KEEPALIVE_MS: Final = 100
_MAX_TEXT_BYTES: Final = 2**20
"""A longer message is not read: no turn has so many words."""


async def greeting(socket: ClientConnection, link: SpeechLink) -> str:
    """Wait for `connected` and return its request id. Raises `SpeechError`; nothing else may come first."""
    try:
        async with asyncio.timeout(link.connect_timeout_s):
            while True:
                match _parse_or_none(await socket.recv(decode=False)):
                    case Connected(request_id):
                        return request_id
                    case Error() as error:
                        raise _meaning(error, link)
                    case _:
                        pass  # not worth a complaint before the service has even said hello
    except TimeoutError:
        raise link.timeout("no `connected` message", link.connect_timeout_s) from None
    except ConnectionClosed as closed:
        lost = link.error_of_close(closed)
        # Refused for policy at the door: that is the key or the account, and it stays so.
        refused = closed.rcvd is not None and closed.rcvd.code == 1008
        raise SpeechError(lost.message, code=lost.code, final=refused) from closed


class TurnsConnection:
    """An open, greeted socket at work. Times are those of the event loop's clock, in seconds."""

    def __init__(
        self,
        socket: ClientConnection,
        link: SpeechLink,
        outbox: Outbox,
        *,
        emit: EmitTurn,
        on_close_sent: Callable[[], None],
        log: Any,
    ) -> None:
        """`outbox` holds the audio to send; `on_close_sent` is called when all of it is gone and `close` too."""
        self._socket = socket
        self._link = link
        self._outbox = outbox
        self._emit = emit
        self._on_close_sent = on_close_sent
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._finishing = False
        self._close_sent = False
        self._complained = False
        self._reported: SpeechError | None = None
        self._turn_open = False
        # The service has audio, the speaker's or silence, up to this moment.
        self._covered_until = self._loop.time()
        self._gap_timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """There is audio to send."""
        self._wake.set()

    def finish(self) -> None:
        """Send what waits, then `close`."""
        self._finishing = True
        self._wake.set()

    async def talk(self) -> None:
        """Send and read until the service closes after our `close`.

        Raises `SpeechError` if the socket ends before that. Cancelling stops at once; the socket stays open.
        """
        self._outbox.restart(self._loop.time())
        self._watch_for_gap()
        sender = spawn(self._send_all(), name="stt sender")
        try:
            while True:
                self._take(await self._socket.recv(decode=False))
        except ConnectionClosed as closed:
            if not self._close_sent:
                raise self._reported or self._link.error_of_close(closed) from closed
        finally:
            if self._gap_timer is not None:
                self._gap_timer.cancel()
            sender.cancel()
            await asyncio.wait([sender])

    # --- sending ---------------------------------------------------------------------------------------------

    async def _send_all(self) -> None:
        """The sender: one piece after the other at the pace of the outbox, and `close` when all is sent."""
        while True:
            now = self._loop.time()
            if (piece := self._outbox.take(now)) is not None:
                try:
                    await self._socket.send(piece)
                except ConnectionClosed:
                    self._outbox.put_back(piece)
                    return  # the reader is told as well, and reports
                self._covered_until = now
            elif (at := self._outbox.ready_at()) is not None:
                await asyncio.sleep(at - now)
            elif self._finishing:
                await self._send_close()
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _send_close(self) -> None:
        try:
            await self._socket.send(encode(Close()))
        except ConnectionClosed:
            return
        self._close_sent = True
        self._on_close_sent()

    def _watch_for_gap(self) -> None:
        """The one timer: fill up with silence when the speaker's audio has stopped.

        It is not touched when audio is sent; it looks when it fires and sets itself to when it would be due next.
        """
        if self._gap_timer is not None:
            self._gap_timer.cancel()
        if self._finishing:
            return
        now = self._loop.time()
        limit = TURN_GAP_S if self._turn_open else IDLE_GAP_S
        if self._outbox.ready_at() is not None:
            self._covered_until = now  # audio is there and only waits for its time to go
        elif (gap := now - self._covered_until) >= limit:
            self._outbox.add(silence(gap * 1000 if self._turn_open else _KEEPALIVE_MS))
            self._outbox.flush()
            self._covered_until = now
            self._wake.set()
        self._gap_timer = self._loop.call_at(self._covered_until + limit, self._watch_for_gap)

    # --- reading ---------------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        """Act on one message, at once: a barge-in must not wait for anything."""
        match message := self._parse(data):
            case TurnStart():
                self._turn_open = True
                self._watch_for_gap()
                self._emit(TurnStarted())
            case TurnUpdate(transcript):
                self._emit(TurnUpdated(transcript))
            case TurnEagerEnd(transcript):
                self._emit(TurnEagerlyEnded(transcript))
            case TurnResume():
                self._emit(TurnResumed())
            case TurnEnd(transcript):
                self._turn_open = False
                self._emit(TurnEnded(transcript))
            case Error():
                # Whether the socket closes after an error is the service's choice. If it does, this is the reason
                # to report; if it does not, the session goes on and the log has it.
                self._reported = _meaning(message, self._link)
                self._log.warning("stt_error", code=self._reported.code, reason=self._reported.message)
            case None | Connected():
                pass
            case _:
                self._complain(f"unexpected {message.__struct_config__.tag} message")

    def _parse(self, data: bytes) -> ServiceMessage | None:
        """The message, or None after a complaint."""
        if len(data) > _MAX_TEXT_BYTES:
            self._complain(f"a message of {len(data)} bytes")
            return None
        try:
            message = parse_from_service(data)
        except ProtocolError as error:
            self._complain(error.message)
            return None
        if isinstance(message, Unknown):
            self._complain(f"unknown type {message.type[:40]!r}")
            return None
        return message

    def _complain(self, reason: str) -> None:
        """Log what was not understood, once per connection: a peer that errs does so all the time."""
        if not self._complained:
            self._complained = True
            self._log.warning("stt_message_ignored", reason=reason)


def _parse_or_none(data: bytes) -> ServiceMessage | Unknown | None:
    try:
        return parse_from_service(data)
    except ProtocolError:
        return None


def _meaning(error: Error, link: SpeechLink) -> SpeechError:
    """What an `error` message on the socket means."""
    return link.error_of_message(error.status_code, error.error_code, error.text)
