"""Where the bridge may connect to: a guard against addresses that lie inside the operator's own network.

A URL that the operator wrote into the settings may lead anywhere. One that comes from elsewhere (an agent's
answer, a request of the API) must not make the bridge fetch from the machines around it. Names are judged by the
addresses they resolve to, at the moment of connecting, so that a name cannot change its mind in between.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from bridge.errors import BridgeError

_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv6 addresses that lead to the IPv4 address in their last four bytes (RFC 6052)."""


class TargetRefusedError(BridgeError):
    """The URL leads into a private network, and that is not allowed here."""

    def __init__(self, host: str, address: str = "") -> None:
        where = f"{host} ({address})" if address and address != host else host
        super().__init__(f"{where} is an address of a private network, which is not allowed", code="target_refused")


class _RefusedLookupError(OSError):
    """What the resolver raises: aiohttp hands on nothing but an OSError."""

    def __init__(self, refused: TargetRefusedError) -> None:
        super().__init__(refused.message)
        self.refused = refused


def is_private(address: str) -> bool:
    """Whether an IP address is anything but a public one: loopback, private, link-local, shared, multicast …

    IPv6 addresses that only wrap an IPv4 address count as that one. Raises ValueError for what is no address.
    """
    parsed = ip_address(address.partition("%")[0])
    inner = _wrapped(parsed) if isinstance(parsed, IPv6Address) else None
    judged = inner or parsed
    return not judged.is_global or judged.is_multicast


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


def check_url(url: URL | str) -> None:
    """Refuse a URL whose host is itself a private address. Raises TargetRefusedError.

    A name passes: it is judged when it is resolved, by `open_session`.
    """
    host = (URL(url) if isinstance(url, str) else url).host or ""
    try:
        refused = is_private(_canonical(host))
    except ValueError:
        return
    if refused:
        raise TargetRefusedError(host)


def _canonical(host: str) -> str:
    """Write an IPv4 address in its usual form: systems also take `127.1` and `2130706433`, unresolved."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host.rstrip(".")))
    except OSError:
        return host


class GuardedResolver(AbstractResolver):
    """Resolves names to public addresses only. A name that has no other than private ones is refused."""

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve `host`. Raises OSError: for an unknown name, and for one that leads into a private network."""
        found = await self._inner.resolve(host, port, family)
        public = [entry for entry in found if not is_private(entry["host"])]
        if found and not public:
            raise _RefusedLookupError(TargetRefusedError(host, found[0]["host"]))
        return public

    async def close(self) -> None:
        """Close the resolver behind this one."""
        await self._inner.close()


def open_session(
    *, allow_private: bool, keepalive_seconds: float = 4.0, resolver: AbstractResolver | None = None
) -> aiohttp.ClientSession:
    """Open an HTTP session that connects to public addresses only, or with `allow_private` to any.

    It keeps no cookies and uses no proxy of the environment: behind a proxy, addresses could not be judged. The
    caller must refuse or check redirects (`allow_redirects=False`), and hand each URL to `check_url` first.
    `keepalive_seconds` is how long an idle connection is kept; `resolver` is another than the system's, and stays
    the caller's to close. Needs a running loop.
    """
    connector = aiohttp.TCPConnector(
        # The default of 100 connections would make the 101st caller wait without a word.
        limit=0,
        keepalive_timeout=keepalive_seconds,
        resolver=resolver if allow_private else GuardedResolver(resolver or aiohttp.ThreadedResolver()),
    )
    # What one call is given must not show up in another.
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)


def refusal(error: BaseException) -> TargetRefusedError | None:
    """Return why a request made with `open_session` was refused; None: it failed for another reason."""
    behind = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return behind.refused if isinstance(behind, _RefusedLookupError) else None
