"""A WebSocket that we open, which is gone as soon as it is lost and nobody holds it."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from websockets.asyncio.client import ClientConnection


class ClientSocket(ClientConnection):
    """`websockets`' connection. The library's own refers to itself in many ways, and waits for the collector.

    That does not come for minutes, and a call opens one or more: they would pile up by the hundred, and their
    buffers with them.
    """

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over; as the library's, which the event loop calls."""
        super().connection_lost(exc)
        protocol = self.protocol
        if isinstance(self.logger, logging.LoggerAdapter):  # It names the connection in each line.
            self.logger = protocol.logger = self.logger.logger
        protocol.parser.close()  # It has come to its end, and stands there.
        error = protocol.handshake_exc or protocol.parser_exc
        while error is not None:  # Where it was raised leads here as well.
            error.__traceback__ = None
            error = error.__cause__
        if self.keepalive_task is not None:
            self.keepalive_task.add_done_callback(_forget)


def _forget(task: asyncio.Task[None]) -> None:
    """Let go of what a task was cancelled with, and that of where it was."""
    with contextlib.suppress(asyncio.CancelledError):
        task.result()
