"""Whose word counts about who asks: the proxies before the bridge, as the settings name them."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from aiohttp import web

LOOPBACK = ("127.0.0.0/8", "::1/128")
"""The proxies and tunnels on this machine."""


class Proxies:
    """Finds the address that a request really comes from."""

    def __init__(self, networks: Sequence[str] = LOOPBACK) -> None:
        """`networks` are those of the proxies, in CIDR form. Raises ValueError for one that is none."""
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]

    def trust(self, address: str) -> bool:
        """Tell whether a proxy of ours has this address."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self._networks)

    def remote(self, request: web.Request) -> str:
        """Return the address that a request comes from, as the last proxy of ours saw it.

        What stands in `X-Forwarded-For` before the last address that is none of ours may come from anywhere, and
        counts for nothing; nor does any of it where the connection comes from no proxy of ours.
        """
        address = request.remote or ""
        steps = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
        for step in reversed(steps):
            if not self.trust(address) or not step.strip():
                break
            address = step.strip()
        return address[:64]
