"""Who may ask the API, the metrics and the console: whoever has the token, or without one this machine alone."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from aiohttp import web

from bridge.settings_values import is_loopback

REFUSAL = "Give the API token as a bearer token; without BRIDGE_API__TOKEN only loopback is answered."
"""The sentence for who may not ask; it belongs to a 401 with `WWW-Authenticate: Bearer`."""

_OF_PROXIES = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via", "CF-Connecting-IP")


class Access:
    """Tells who may ask. One for all addresses that are not Twilio's."""

    def __init__(self, token: str) -> None:
        """`token` is `api.token`; empty: nobody but programs on this machine may ask."""
        self._expected = f"Bearer {token}".encode() if token else b""

    def granted(self, request: web.Request) -> bool:
        """Tell whether the request brings the token, or needs none."""
        if self._expected:
            given = request.headers.get("Authorization", "")
            return secrets.compare_digest(given.encode("utf-8", "surrogateescape"), self._expected)
        # A tunnel or proxy on this machine also connects from loopback, but says for whom it asks.
        if any(name in request.headers for name in _OF_PROXIES) or not is_loopback(request.remote or ""):
            return False
        return not _by_a_foreign_page(request)


def _by_a_foreign_page(request: web.Request) -> bool:
    """Tell whether a page of another site asks, through the browser of somebody on this machine.

    Browsers name the page's site (`Origin`); and a site whose name was made to lead to this machine is still
    called by that name (`Host`).
    """
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        return True
    try:
        return not is_loopback(urlsplit(f"//{request.host}").hostname or "")
    except ValueError:
        return True
