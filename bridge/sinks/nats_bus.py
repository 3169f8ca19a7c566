"""The NATS sink: each document is published at a subject."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Final

from bridge.errors import MissingExtraError
from bridge.sinks.base import Sent, SinkDownError, Waiting

_CONNECT_S: Final = 5
_FLUSH_S: Final = 10
_HEAD_BYTES: Final = 512


class NatsSink:
    """Publishes at one subject of one server. Raises MissingExtraError.

    A document carries its id in the header `Nats-Msg-Id`, by which JetStream leaves out what comes twice.
    """

    def __init__(self, url: str, subject: str) -> None:
        try:
            import nats  # noqa: PLC0415  It is an extra.
        except ImportError:
            raise MissingExtraError("nats", "A sink of NATS") from None
        self._nats: Any = nats
        self._url, self._subject = url, subject
        self._client: Any = None

    async def send(self, batch: Sequence[Waiting]) -> Sent:
        """Publish them; the server has them when this returns."""
        done: set[int] = set()
        refused: set[int] = set()
        held: set[str] = set()
        try:
            client = await self._connected()
            for waiting in batch:
                if len(waiting.body) + _HEAD_BYTES > client.max_payload:
                    refused.add(waiting.number)
                    held.add(waiting.call)
                elif waiting.call not in held:
                    await client.publish(self._subject, waiting.body, headers={"Nats-Msg-Id": waiting.id})
                    done.add(waiting.number)
            await client.flush(timeout=_FLUSH_S)
        except (self._nats.errors.Error, OSError, TimeoutError) as error:
            await self.close()
            raise SinkDownError(f"NATS failed: {str(error) or type(error).__name__}") from None
        return Sent(frozenset(done), frozenset(refused), "it is longer than the server takes")

    async def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):  # It is let go, in whatever state it is.
                async with asyncio.timeout(_CONNECT_S):
                    await client.close()

    async def _connected(self) -> Any:
        """Return the connection. One that is lost is not mended behind our back: the next attempt makes another."""
        if self._client is None or not self._client.is_connected:
            await self.close()
            self._client = self._nats.NATS()
            async with asyncio.timeout(_CONNECT_S):
                await self._client.connect(
                    self._url,
                    connect_timeout=_CONNECT_S,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,  # None would mean: for ever.
                    reconnect_time_wait=0.1,
                    name="phone-bridge",
                    error_cb=_quiet,
                )
        return self._client


async def _quiet(_: Exception) -> None:
    """What goes wrong is told by the next attempt."""
