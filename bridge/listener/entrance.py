"""The entrance: lets connections in that bring a request in time, and no more of them than the machine can bear.

aiohttp waits for the head of a request for as long as it waits for the next one. Here a connection is not aiohttp's
before its first request's head is whole: until then it costs a few hundred bytes and a timer. Connections that have
shown who they are (an admitted media stream, a request with a token) are not counted any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any, Final

import structlog
from aiohttp import web
from msgspec import Struct

from bridge.errors import SettingsError
from bridge.listener.proxies import Proxies

_TOLD_EVERY_S: Final = 10.0
_SWEPT_EVERY_S: Final = 0.1
_MOST_DESCRIPTORS: Final = 65_536

log = structlog.get_logger()


class Bounds(Struct, frozen=True):
    """How much strangers may take."""

    connections: int = 1000
    """At the same time, of whom nobody knows who they are."""
    per_address: int = 100
    """Of these, from one address that is no proxy of ours."""
    head_s: float = 10.0
    """From the connection to the end of its first request's head, and for the handshake of TLS."""


class Entrance:
    """Counts the connections of strangers."""

    def __init__(
        self,
        bounds: Bounds,
        proxies: Proxies,
        refused: Callable[[str], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`refused` is told why a connection was closed: `connections`, `address`, `head_late` or `no_request`.

        `tls`: what connections are encrypted with; None: they are not.
        """
        self.proxies = proxies
        self.tls = tls
        self._tell = refused
        most = min(bounds.connections, descriptors() // 2)
        self.bounds = Bounds(most, bounds.per_address, bounds.head_s)
        """Those that hold: half of what the system lets this process open is for calls."""
        self._held: dict[str, set[Any]] = {}
        self._count = 0
        self._swept_at = self._told_at = float("-inf")

    def proven(self, request: web.Request) -> None:
        """Whoever asks this has shown who they are: their connection is not counted any more."""
        if request.transport is not None:
            self.leave(host_of(request.transport.get_extra_info("peername")), request.protocol)

    # --- for arrivals --------------------------------------------------------------------------------------

    def enter(self, host: str, connection: object) -> bool:
        """Count a connection; False: there are too many, and it is to be closed."""
        if self._count >= self.bounds.connections:
            self._sweep()
            if self._count >= self.bounds.connections:
                self.refuse("connections", host)
                return False
        held = self._held.setdefault(host, set())
        if len(held) >= self.bounds.per_address and not self.proxies.trust(host):
            self._sweep()
            held = self._held.setdefault(host, set())
            if len(held) >= self.bounds.per_address:
                self.refuse("address", host)
                return False
        held.add(connection)
        self._count += 1
        return True

    def leave(self, host: str, connection: object) -> None:
        """Count a connection no more; one that is not counted is none of ours."""
        if connection in (held := self._held.get(host, set())):
            held.discard(connection)
            self._count -= 1
            if not held:
                del self._held[host]

    def hand_on(self, host: str, before: object, after: object) -> None:
        """Count another object for a connection that is counted."""
        held = self._held[host]
        held.discard(before)
        held.add(after)

    def held(self) -> list[object]:
        """Return what is counted."""
        return [one for held in self._held.values() for one in held]

    def refuse(self, reason: str, host: str) -> None:
        """Tell that a connection is closed. Thousands of them are one line of the log."""
        self._tell(reason)
        now = asyncio.get_running_loop().time()
        if now >= self._told_at + _TOLD_EVERY_S:
            self._told_at = now
            log.warning("connection_refused", reason=reason, remote=host, unknown=self._count)

    def _sweep(self) -> None:
        """Forget connections that are closed: aiohttp tells nobody of their end."""
        now = asyncio.get_running_loop().time()
        if now < self._swept_at + _SWEPT_EVERY_S:
            return
        self._swept_at = now
        held = {host: {one for one in all_ if one.transport is not None} for host, all_ in self._held.items()}
        self._held = {host: there for host, there in held.items() if there}
        self._count = sum(map(len, self._held.values()))


def read_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Let connections that come from now on be encrypted with this certificate. Raises `SettingsError`."""
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:  # A broken file is an `ssl.SSLError`, which is an OSError.
        said = getattr(error, "strerror", None) or error
        raise SettingsError(
            f"server.tls_certificate (BRIDGE_SERVER__TLS_CERTIFICATE) is {certificate!r} and server.tls_key"
            f" (BRIDGE_SERVER__TLS_KEY) is {key!r}, which cannot be used: {said}"
        ) from None


def descriptors() -> int:
    """Let this process open as many files and sockets as it may, and return how many that are."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415  (not on Windows)

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
        return _MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    return _MOST_DESCRIPTORS


def host_of(peer: Any) -> str:
    """Return the address of a peer as the system tells it; empty: it has none."""
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""
