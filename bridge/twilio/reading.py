"""Reads one media stream: every message of the carrier is handed on, and one that makes no sense is survived."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from aiohttp import WSMessage, WSMsgType, web

from bridge.errors import ProtocolError
from bridge.metrics import Metrics
from bridge.twilio import media_stream

log = structlog.get_logger()


async def read_stream(
    socket: web.WebSocketResponse,
    sid: str,
    metrics: Metrics,
    take: Callable[[media_stream.FromCarrier], None],
) -> bool:
    """Read until the stream is over, and return whether the carrier said so: else its connection just ended.

    Malformed messages are counted, the first of them is logged, and the stream goes on. Cancelling leaves the
    socket as it is.
    """
    malformed = 0
    async for message in socket:
        if message.type is WSMsgType.ERROR:
            # A frame was too large, or against RFC 6455: aiohttp has closed the socket with this code.
            code = getattr(message.data, "code", None)
            log.warning("stream_error", sid=sid, error=str(message.data), code=code)
            return False
        try:
            event = _parsed(message)
            take(event)
        except ProtocolError as error:
            metrics.malformed_messages.labels(peer="carrier").inc()
            malformed += 1
            if malformed == 1:
                log.warning("carrier_message_malformed", sid=sid, error=error.message)
        else:
            if isinstance(event, media_stream.Stopped):
                return True
    return False


def _parsed(message: WSMessage) -> media_stream.FromCarrier:
    if message.type is not WSMsgType.TEXT:
        raise ProtocolError("a binary frame")
    return media_stream.parse_from_carrier(message.data)
