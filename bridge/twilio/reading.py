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
    logged, and the stream goes on. Cancelling leaves the socket as it is.
    """
    stream = _Stream(sid, metrics, take)
    fast, transport = socket.fast_path, socket.transport

    rest = None if transport is None else Rest(pacer, transport)

    def read() -> None:
        sound = stream.hand_on()
        if rest is not None:
            rest.read(sound)

    pacer.join()
    try:
        while True:
            if fast is not None and before == fast.passed_on:
                # All that came before is taken: from here on the short way does not overtake the long one.
                fast.open(stream.text, read)
                fast = None
            message = await socket.receive()
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
