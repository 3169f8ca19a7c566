"""What both of Cartesia's speech-to-text sockets share: sending, reading, errors, silence for missing audio."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Final

from websockets.exceptions import ConnectionClosed

from bridge.audio.codec import silence
from bridge.errors import ProtocolError, SpeechError
from bridge.speech.connection import SpeechConnection
from bridge.speech.link import SpeechLink
from bridge.stt.cartesia_wire import Connected, Error, ServiceMessage, Unknown, parse_from_service
from bridge.stt.dialect import Connection, Dialect, Listener
from bridge.stt.outbox import Outbox
from bridge.tasks import spawn

TURN_GAP_S: Final = 0.5
"""The service needs to hear silence to end a turn, so an open turn never goes longer without audio."""
IDLE_GAP_S: Final = 10.0
"""Without any audio the service would close the session in time."""
_LATE_S: Final = 0.1
"""A timer that is later than this shows that this process stood still: what came meanwhile is still to be read."""
_KEEPALIVE_MS: Final = 100
_MAX_TEXT_BYTES: Final = 2**20
"""A longer message is not read: no turn has so many words."""


async def greeting(socket: SpeechConnection, link: SpeechLink) -> str:
    """Wait for `connected` and return its request id. Raises `SpeechError`; nothing else may come first."""
    try:
        async with asyncio.timeout(link.connect_timeout_s):
            while True:
                match _parse_or_none(await socket.receive()):
                    case Connected(request_id):
                        return request_id
                    case Error() as error:
                        raise meaning(error, link)
                    case _:
                        pass  # not worth a complaint before the service has even said hello
    except TimeoutError:
        raise link.timeout("no `connected` message", link.connect_timeout_s) from None
    except ConnectionClosed as closed:
        lost = link.error_of_close(closed)
        # Refused for policy at the door: that is the key or the account, and it stays so.
        refused = closed.rcvd is not None and closed.rcvd.code == 1008
        raise SpeechError(lost.message, code=lost.code, final=refused) from closed


class CartesiaConnection(Connection, ABC):
    """An open socket at work. Times are those of the event loop's clock, in seconds.

    A dialect says what `_take` does with a message, which frame ends the audio, and may look at each piece of audio
    that has gone (`_went`), or send text frames between two pieces (`_command`).
    """

    close_frame: str
    """The text frame after the last audio."""

    def __init__(self, socket: SpeechConnection, link: SpeechLink, outbox: Outbox, listener: Listener) -> None:
        """`outbox` holds the audio to send; `listener` is told what comes."""
        self._socket = socket
        self._link = link
        self._outbox = outbox
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        # There is a sender only while it has something to do, and may be one only while this talks.
        self._sender: asyncio.Task[None] | None = None
        self._at_rest = False
        self._commands: list[str] = []
        self._finishing = False
        self._close_sent = False
        self._complained = False
        self._reported: SpeechError | None = None
        # The service has audio, the speaker's or silence, up to this moment.
        self._covered_until = self._loop.time()
        self._gap_timer: asyncio.TimerHandle | None = None
        # What it is set to. Not every event loop's handle can tell: uvloop's of a moment that is past does not.
        self._gap_due = 0.0
        # The gap that was given more time, by where it begins.
        self._waited_from: float | None = None

    def wake(self) -> None:
        """There is audio to send: it goes at once if nothing is in its way, else a sender sees to it."""
        if self._at_rest and not self._send_at_once():
            self._start_sender()

    def finish(self) -> None:
        """Send what waits, then the close frame."""
        self._finishing = True
        self._start_sender()

    def adopt(self, dialect: Dialect) -> bool:
        """See `Connection.adopt`. Without more knowledge nothing can be changed on an open socket."""
        del dialect
        return False

    async def talk(self) -> None:
        """Send and read until the service closes; see `Connection.talk`."""
        self._outbox.restart(self._loop.time())
        self._watch_for_gap()
        self._at_rest = True
        self._start_sender()
        try:
            await self._socket.read(self._read)
        except ConnectionClosed as closed:
            # Even after the close frame a line may break before the last words are told.
            broke_off = closed.rcvd is None and self._listener.turn_is_open()
            if not self._close_sent or broke_off:
                raise self._reported or self._link.error_of_close(closed) from closed
        finally:
            if self._gap_timer is not None:
                self._gap_timer.cancel()
            self._at_rest = False
            if self._sender is not None:
                self._sender.cancel()
                await asyncio.wait([self._sender])

    # --- for the dialect -------------------------------------------------------------------------------------

    @abstractmethod
    def _take(self, message: ServiceMessage) -> None:
        """Act on one message, at once: a barge-in must not wait for anything. `connected` and `error` are done."""

    def _went(self, piece: bytes) -> None:
        """Look at a piece of audio (mu-law) that has just been sent."""

    def _encoded(self, piece: bytes) -> bytes:
        """The piece (mu-law) as the service wants it."""
        return piece

    def _command(self, text: str) -> None:
        """Send a text frame before the next piece of audio. Never waits."""
        self._commands.append(text)
        self._start_sender()

    def _complain(self, reason: str) -> None:
        """Log what was not understood, once per connection: a peer that errs does so all the time."""
        if not self._complained:
            self._complained = True
            self._listener.log.warning("stt_message_ignored", reason=reason)

    def _watch_for_gap(self) -> None:
        """The one timer: fill up with silence when the speaker's audio has stopped. To be called when a turn opens.

        It is not touched when audio is sent; it looks when it fires and sets itself to when it would be due next.
        Where it fires late, what the speaker said meanwhile may lie unread: silence in the midst of that would end
        the turn. So the gap is looked at once more, after as long again.
        """
        now = self._loop.time()
        late = False
        if self._gap_timer is not None:
            late = now - self._gap_due > _LATE_S
            self._gap_timer.cancel()
        if self._finishing:
            return
        turn_is_open = self._listener.turn_is_open()
        limit = TURN_GAP_S if turn_is_open else IDLE_GAP_S
        if self._outbox.ready_at() is not None:
            self._covered_until = now  # audio is there and only waits for its time to go
        elif (gap := now - self._covered_until) >= limit:
            if late and self._waited_from != self._covered_until:
                self._waited_from = self._covered_until
                self._look_for_gap_at(now + limit)
                return
            self._outbox.add(silence(gap * 1000 if turn_is_open else _KEEPALIVE_MS))
            self._outbox.flush()
            self._covered_until = now
            self._start_sender()
        self._look_for_gap_at(self._covered_until + limit)

    def _look_for_gap_at(self, moment: float) -> None:
        self._gap_timer, self._gap_due = self._loop.call_at(moment, self._watch_for_gap), moment

    # --- sending ---------------------------------------------------------------------------------------------

    def _start_sender(self) -> None:
        if self._at_rest:
            self._at_rest = False
            self._sender = spawn(self._send_all(), name="stt sender")

    async def _send_all(self) -> None:
        """Send at the pace of the outbox until nothing waits, and the close frame when all is sent.

        Unless the connection is gone, or all was sent, another may begin when this one has ended.
        """
        while True:
            now = self._loop.time()
            if self._commands:
                if not await self._send_text(self._commands.pop(0)):
                    return
            elif (piece := self._outbox.take(now)) is not None:
                try:
                    await self._socket.send(self._encoded(piece))
                except ConnectionClosed:
                    self._outbox.put_back(piece)
                    return  # the reader is told as well, and reports
                self._covered_until = now
                self._went(piece)
            elif (at := self._outbox.ready_at()) is not None:
                await asyncio.sleep(at - now)
            elif self._finishing:
                if await self._send_text(self.close_frame):
                    self._close_sent = True
                    self._listener.delivered()
                return
            else:
                self._at_rest, self._sender = True, None
                return

    def _send_at_once(self) -> bool:
        """Send what may go now, without a sender. False: there is something that only a sender can do.

        A piece every 60 to 100 ms is what a call costs most: this saves a task and a lock for each. While the
        network has not taken what was written before, a sender waits for it.
        """
        now = self._loop.time()
        if self._commands or self._finishing:
            return False
        while self._socket.has_room and (piece := self._outbox.take(now)) is not None:
            self._socket.write(self._encoded(piece))
            self._covered_until = now
            self._went(piece)
        # `_went` may have asked for a text frame, and what is left may be waiting for its time.
        return not self._commands and self._outbox.ready_at() is None

    async def _send_text(self, text: str) -> bool:
        """Send a text frame. False: the connection is gone, of which the reader is told as well."""
        try:
            await self._socket.send(text)
        except ConnectionClosed:
            return False
        return True

    # --- reading ---------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        if (message := self._parse(data)) is not None:
            self._act(message)

    def _act(self, message: ServiceMessage) -> None:
        match message:
            case Error():
                # Whether the socket closes after an error is the service's choice. If it does, this is the reason
                # to report; if it does not, the session goes on.
                self._reported = meaning(message, self._link)
                self._listener.troubled(self._reported)
            case Connected():
                pass
            case _:
                self._take(message)

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


def meaning(error: Error, link: SpeechLink) -> SpeechError:
    """What an `error` message on the socket means."""
    said = {
        "title": error.title,
        "message": error.message or error.error,
        "status_code": error.status_code,
        "error_code": error.error_code,
        "doc_url": error.doc_url,
        "request_id": error.request_id,
    }
    details = {name: str(value) for name, value in said.items() if value is not None}
    return link.error_of_message(error.status_code, error.error_code, error.text, details)


def _parse_or_none(data: bytes) -> ServiceMessage | Unknown | None:
    try:
        return parse_from_service(data)
    except ProtocolError:
        return None
