"""Reads one media stream: every message of the carrier is handed on, and one that makes no sense is survived."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from aiohttp import WSMsgType

from bridge.errors import ProtocolError
from bridge.metrics import Metrics
from bridge.twilio import media_stream
from bridge.twilio.media_stream import BYTES_PER_MS, Media
from bridge.twilio.read_pacing import ReadPacer, Rest
from bridge.twilio.stream_socket import StreamSocket

log = structlog.get_logger()


async def read_stream(
    socket: StreamSocket,
    sid: str,
    metrics: Metrics,
    take: Callable[[media_stream.FromCarrier], None],
    *,
    before: int,
    pacer: ReadPacer,
) -> bool:
    """Read until the stream is over, and return whether the carrier said so: else its connection just ended.

    `before`: how many texts were already received from the socket. `pacer` says when it is read. Sound that came
    together and belongs together is handed on as one `Media`. Malformed messages are counted, the first of them is
    logged, and the stream goes on. What `take` raises is raised here, whichever way its message came, and the
    connection is broken then. Cancelling leaves the socket as it is.
    """
    stream = _Stream(sid, metrics, take)
    short_way = _ShortWay(socket, stream, pacer)
    fast = socket.fast_path
    pacer.join()
    try:
        while True:
            if fast is not None and before == fast.passed_on:
                # All that came before is taken: from here on the short way does not overtake the long one.
                fast.open(short_way.text, short_way.read)
                fast = None
            message = await socket.receive()
            if short_way.error is not None:
                raise short_way.error
            match message.type:
                case WSMsgType.TEXT:
                    before += 1
                    if not stream.text(message.data):
                        return True
                    stream.hand_on()
                case WSMsgType.BINARY:
                    stream.malformed("a binary frame")
                case WSMsgType.ERROR:
                    # A frame was too large, or against RFC 6455: aiohttp has closed the socket with this code.
                    code = getattr(message.data, "code", None)
                    log.warning("stream_error", sid=sid, error=str(message.data), code=code)
                    return False
                case _:
                    return False
    finally:
        pacer.leave()
        if socket.fast_path is not None:
            socket.fast_path.close()


class _ShortWay:
    """Hands on what the fast path brings. That is below aiohttp, where an error would be nobody's.

    So one breaks the connection, of which who reads the socket is told, and is kept for that one.
    """

    def __init__(self, socket: StreamSocket, stream: _Stream, pacer: ReadPacer) -> None:
        self._socket = socket
        self._stream = stream
        self._rest = None if socket.transport is None else Rest(pacer, socket.transport)
        self.error: Exception | None = None
        """What the call raised."""

    def text(self, data: bytes) -> bool:
        """Take one message; see `FastPath.open`."""
        try:
            return self._stream.text(data)
        except Exception as error:  # noqa: BLE001  who reads the socket raises it
            self._break(error)
            return True

    def read(self) -> None:
        """Hand on the sound of what came together."""
        try:
            sound = self._stream.hand_on()
        except Exception as error:  # noqa: BLE001  as above
            self._break(error)
            return
        if self._rest is not None:
            self._rest.read(sound)

    def _break(self, error: Exception) -> None:
        self.error = error
        if self._socket.fast_path is not None:
            self._socket.fast_path.close()
        if self._socket.transport is not None:
            self._socket.transport.abort()


class _Stream:
    """The messages of one stream on their way to the call."""

    def __init__(self, sid: str, metrics: Metrics, take: Callable[[media_stream.FromCarrier], None]) -> None:
        self._sid = sid
        self._metrics = metrics
        self._take = take
        self._malformed = 0
        # Sound that is not handed on yet, by track: the first piece, all pieces, where the next would begin (ms).
        self._tracks: dict[str, tuple[Media, list[bytes], float | None]] = {}

    def text(self, data: bytes | str) -> bool:
        """Take one message. False: it says that the stream is over, and is not handed on."""
        try:
            event = media_stream.parse_from_carrier(data)
            if isinstance(event, Media):
                self._collect(event)
                return True
            self.hand_on()
            if isinstance(event, media_stream.Stopped):
                return False
            self._take(event)
        except ProtocolError as error:
            self.malformed(error.message)
        return True

    def hand_on(self) -> int:
        """Hand on the sound that has come together; how many bytes of a track that were, at most."""
        most = 0
        tracks, self._tracks = self._tracks, {}
        for first, pieces, _ in tracks.values():
            audio = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            most = max(most, len(audio))
            self._take(Media(first.track, first.timestamp_ms, audio))
        return most

    def malformed(self, reason: str) -> None:
        """Count what makes no sense, and tell of the first."""
        self._metrics.malformed_messages.labels(peer="carrier").inc()
        self._malformed += 1
        if self._malformed == 1:
            log.warning("carrier_message_malformed", sid=self._sid, error=reason)

    def _collect(self, media: Media) -> None:
        """Keep a piece for `hand_on`; one that does not follow the last of its track begins anew."""
        at = media.timestamp_ms
        first, pieces, next_ms = self._tracks.get(media.track, (media, [], at))
        if at is None or at != next_ms:
            self.hand_on()
            first, pieces = media, []
        pieces.append(media.audio)
        end = None if at is None else at + len(media.audio) / BYTES_PER_MS
        self._tracks[media.track] = (first, pieces, end)
