"""From where a request comes: which machine, and which site's page."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import HttpVersion11, web

from bridge.listener.proxies import Proxies
from bridge.settings.values import is_loopback

_OF_PROXIES = frozenset({"forwarded", "via", "client-ip", "true-client-ip", "cdn-loop", "x-client-ip"})
_OF_PROXIES_BEGIN = ("x-forwarded", "x-original-", "x-real-", "x-cluster-", "x-envoy-", "x-azure-", "cf-")
"""What proxies, tunnels and the networks before them add to a request, in lower case."""


def from_this_machine(request: web.Request) -> bool:
    """Tell whether a program on this machine asks, or somebody who sits at it."""
    # A tunnel or proxy on this machine also connects from loopback, but says for whom it asks.
    if any(map(_of_a_proxy, request.headers)) or not is_loopback(request.remote or ""):
        return False
    if request.version < HttpVersion11 or _as_nginx_upgrades(request):
        return False
    if by_a_foreign_page(request):
        return False
    try:
        # A site whose name was made to lead to this machine is still called by that name.
        return is_loopback(urlsplit(f"//{request.host}").hostname or "")
    except ValueError:
        return False


def _of_a_proxy(header: str) -> bool:
    name = header.lower()
    return name in _OF_PROXIES or name.startswith(_OF_PROXIES_BEGIN)


def _as_nginx_upgrades(request: web.Request) -> bool:
    """Tell whether a connection is said to be upgraded, but not to what.

    nginx, unless it is told otherwise, does not say for whom it asks, and asks for 127.0.0.1 by HTTP/1.0. Set up
    for WebSockets as its handbook has it, it asks by HTTP/1.1, and says this with every request that is none.
    """
    return "upgrade" in request.headers.get("Connection", "").lower() and not request.headers.get("Upgrade")


def by_a_foreign_page(request: web.Request, public_url: str = "") -> bool:
    """Tell whether a page of another site asks, through somebody's browser. Browsers name the page's site.

    `public_url` is where browsers reach the bridge, if they do so through a proxy that asks for another host.
    """
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    return origin.partition("://")[2] != request.host and origin != public_url


def who_is_counted(request: web.Request, proxies: Proxies) -> str:
    """Return the address that a request counts for.

    Through a proxy of ours it is the one that the proxy saw. Of IPv6 it is the network, as whoever has one address
    has all of it.
    """
    address = proxies.remote(request)
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((found, 64), strict=False))
    return str(found)
