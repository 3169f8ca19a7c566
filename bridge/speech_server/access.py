"""Who may come in: keys, short-lived tokens, and how many at once.

Protocol: "Base URL, authentication, version" and "Concurrency".
"""

from __future__ import annotations

import secrets
import time
from typing import Final

import msgspec
from aiohttp import web

from bridge.speech_server.answers import ApiError, bad_request

_LONGEST_TOKEN_SECONDS: Final = 3600
_MOST_TOKENS: Final = 10_000


class _TokenWish(msgspec.Struct, frozen=True):
    expires_in: float = 60.0
    """Seconds."""


_wish = msgspec.json.Decoder(_TokenWish)


class Access:
    """Checks a request's key or token."""

    def __init__(self, api_key: str | None) -> None:
        """`api_key` None lets everybody in."""
        self._api_key = api_key
        self._tokens: dict[str, float] = {}

    def check(self, request: web.Request) -> None:
        """Raise `ApiError` 401 unless the request may come in."""
        if self._api_key is None:
            return
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        given = [request.headers.get("X-API-Key", ""), bearer.strip() if scheme.lower() == "bearer" else ""]
        token = request.query.get("access_token", "")
        known = any(secrets.compare_digest(value.encode(), self._api_key.encode()) for value in given if value)
        if not known and not any(self._is_live(value) for value in (token, given[1])):
            raise ApiError(401, "The API key is missing or wrong.", code="unauthorized")

    def add_to(self, app: web.Application) -> None:
        """Put the token endpoint at its address."""
        app.router.add_post("/access-token", self.token)

    async def token(self, request: web.Request) -> web.Response:
        """Protocol: `POST /access-token`. What a token grants is not told apart."""
        self.check(request)
        try:
            wish = _wish.decode(await request.read() or b"{}")
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise bad_request(f"malformed request: {error}") from error
        return web.json_response({"token": self.mint(wish.expires_in)})

    def mint(self, seconds: float) -> str:
        """A token that lets in for so long. Raises `ApiError` if that is too long or nonsense."""
        if not 0 < seconds <= _LONGEST_TOKEN_SECONDS:
            raise bad_request(f"expires_in is {seconds:g}: it must be over 0 and at most {_LONGEST_TOKEN_SECONDS}")
        now = time.monotonic()
        self._tokens = {token: until for token, until in self._tokens.items() if until > now}
        if len(self._tokens) >= _MOST_TOKENS:
            raise ApiError(429, "Too many tokens are out.", code="concurrency_limited")
        token = secrets.token_urlsafe(32)
        self._tokens[token] = now + seconds
        return token

    def _is_live(self, token: str) -> bool:
        return self._tokens.get(token, 0.0) > time.monotonic()


class Slots:
    """How many of something there may be at once."""

    def __init__(self, limit: int, what: str) -> None:
        self._limit = limit
        self._what = what
        self.taken = 0

    def take(self) -> None:
        """Take a slot, to be given back with `free`. Raises `ApiError` 429 if there is none left."""
        if self.taken >= self._limit:
            raise ApiError(429, f"At most {self._limit} {self._what} at once.", code="concurrency_limited")
        self.taken += 1

    def free(self) -> None:
        """Give a slot back."""
        self.taken -= 1
