"""The connection to the message bus. It mends itself; while it is away nothing is told, and nothing waits for it.

What is published while there is no connection is dropped: whoever needs it whole looks at numbers of its own, and
is told anew when the bus is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any, Final, TypeAlias

import structlog

from bridge.errors import BridgeError, MissingExtraError
from bridge.tasks import spawn

Handler: TypeAlias = Callable[[Any], Awaitable[None]]
"""Takes a message of the library's: `data`, `subject`, `reply`, and `respond` that answers it."""

_CONNECT_S: Final = 5
_AGAIN_S: Final = 1.0
_PING_S: Final = 5
"""A server that is gone without a word is noticed within two or three of these."""
_MOST_UNSENT: Final = 16 * 1024 * 1024
"""Bytes that may wait to be written to a server that reads slowly."""

log = structlog.get_logger()


class BusError(BridgeError):
    """A question was not answered.

    Codes: `bus_away` (there is no connection), `bus_nobody` (nobody listens there), `bus_late` (no answer in time).
    """


class Bus:
    """One process's connection. All of it is called on the event loop. Raises MissingExtraError."""

    def __init__(self, url: str) -> None:
        if find_spec("nats") is None:
            raise MissingExtraError("nats", "bus.url (BRIDGE_BUS__URL)")
        self._url = url
        self._client: Any = None
        self._nats: Any = None
        self._connecting: asyncio.Task[None] | None = None
        self._handlers: dict[str, tuple[Handler, Any]] = {}
        """By subject: who takes what comes there, and the library's subscription, once there is one."""
        self.up_since = 0.0
        """Since when there is a connection, on the monotonic clock."""
        self.on_up: Callable[[], None] = lambda: None
        """Is told whenever the connection is there again."""

    @property
    def up(self) -> bool:
        """Tell whether there is a connection at this moment."""
        return self._client is not None and bool(self._client.is_connected)

    @property
    def most_bytes(self) -> int:
        """How long a message may be."""
        return int(self._client.max_payload) if self._client is not None else 0

    def open(self) -> None:
        """Begin to connect; returns at once."""
        self._connecting = spawn(self._connect(), name="bus-connects")

    async def close(self) -> None:
        """Let go of the connection, behind what was published. Takes a few seconds at most."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):  # It is let go, in whatever state it is.
                async with asyncio.timeout(_CONNECT_S):
                    if client.is_connected:
                        await client.flush(timeout=1)
                    await client.close()

    # --- telling and asking --------------------------------------------------------------------------------

    async def publish(self, subject: str, data: bytes) -> bool:
        """Tell everybody who listens at `subject`. False: it was not told. Never raises."""
        if not self.up:
            return False
        try:
            await self._client.publish(subject, data)
        except Exception as error:  # noqa: BLE001  Whatever it is, a call must not feel it.
            log.warning("bus_not_told", subject=subject, error=str(error) or type(error).__name__)
            return False
        return True

    async def ask(self, subject: str, data: bytes, within_s: float) -> bytes:
        """Ask whoever listens at `subject`, and return the first answer. Raises `BusError`."""
        if not self.up:
            raise BusError("there is no connection to the bus", code="bus_away")
        try:
            answer = await self._client.request(subject, data, timeout=within_s)
        except self._nats.errors.NoRespondersError:
            raise BusError("nobody listens there", code="bus_nobody") from None
        except (TimeoutError, self._nats.errors.TimeoutError):
            raise BusError(f"there was no answer within {within_s:g} s", code="bus_late") from None
        except (self._nats.errors.Error, OSError) as error:
            raise BusError(f"the bus failed: {error}", code="bus_away") from None
        return bytes(answer.data)

    # --- listening -----------------------------------------------------------------------------------------

    def listen(self, subject: str, handler: Handler) -> None:
        """From now on give what comes at `subject` to `handler`, one message after the other. Never waits."""
        if subject not in self._handlers:
            self._handlers[subject] = (handler, None)
            if self._client is not None:
                spawn(self._subscribe(subject), name=f"bus-listens-{subject}")

    async def listen_now(self, subject: str, handler: Handler) -> None:
        """The same; once this returns, nothing that is sent there is missed. Never raises."""
        self._handlers[subject] = (handler, None)
        await self._subscribe(subject)

    def leave(self, subject: str) -> None:
        """Take nothing from there any more. Never waits."""
        _, subscription = self._handlers.pop(subject, (None, None))
        if subscription is not None and self.up:
            spawn(self._unsubscribe(subscription), name=f"bus-leaves-{subject}")

    async def _subscribe(self, subject: str) -> None:
        """The library keeps it over all connections of its client."""
        handler, subscription = self._handlers.get(subject, (None, None))
        if handler is None or subscription is not None or self._client is None:
            return
        try:
            subscription = await self._client.subscribe(subject, cb=_kept_up(subject, handler))
        except Exception as error:  # noqa: BLE001  As above.
            log.warning("bus_not_listened", subject=subject, error=str(error) or type(error).__name__)
            return
        if subject in self._handlers:
            self._handlers[subject] = (handler, subscription)
        else:
            await self._unsubscribe(subscription)

    async def _unsubscribe(self, subscription: Any) -> None:
        with contextlib.suppress(Exception):
            await subscription.unsubscribe()

    # --- the connection ------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        self._nats = await asyncio.to_thread(importlib.import_module, "nats")
        told = ""
        while True:
            client = self._nats.NATS()
            try:
                async with asyncio.timeout(_CONNECT_S):
                    await client.connect(self._url, **self._options())
            except Exception as error:  # noqa: BLE001  Whatever it is, it is tried again.
                with contextlib.suppress(Exception):
                    await client.close()
                if (said := str(error) or type(error).__name__) != told:
                    told = said
                    log.warning("bus_unreachable", error=said, remedy="mend it, or bus.url (BRIDGE_BUS__URL)")
                await asyncio.sleep(_AGAIN_S)
                continue
            self._client = client
            for subject in [*self._handlers]:
                await self._subscribe(subject)
            log.info("bus_connected")
            self._is_up()
            return

    def _options(self) -> dict[str, Any]:
        return {
            "name": "phone-bridge",
            "connect_timeout": _CONNECT_S,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": _AGAIN_S,
            "ping_interval": _PING_S,
            "pending_size": _MOST_UNSENT,
            "no_echo": True,
            "error_cb": _quiet,
            "disconnected_cb": self._lost,
            "reconnected_cb": self._back,
        }

    async def _lost(self) -> None:
        log.warning("bus_lost")

    async def _back(self) -> None:
        log.info("bus_back")
        self._is_up()

    def _is_up(self) -> None:
        self.up_since = time.monotonic()
        self.on_up()


def _kept_up(subject: str, handler: Handler) -> Handler:
    async def take(message: Any) -> None:
        try:
            await handler(message)
        except Exception:  # What somebody sends must not end the listening.
            log.exception("bus_message_not_taken", subject=subject)

    return take


async def _quiet(error: Exception) -> None:
    """What goes wrong with the connection is told when it is lost."""
    log.debug("bus_error", error=str(error) or type(error).__name__)
