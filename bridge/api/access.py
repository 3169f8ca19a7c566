"""Who may ask the API, the metrics and the console: whoever has a token, or without any this machine alone."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog
from aiohttp import web
from msgspec import Struct

from bridge.api.addresses import by_a_foreign_page, from_this_machine, who_is_counted
from bridge.api.cookies import BrowserSession, Cookies
from bridge.api.operations import Principal, Scope
from bridge.api.problems import Problem
from bridge.api.rate import Buckets
from bridge.listener.proxies import Proxies

REFUSAL: Final = "Give an API token as a bearer token; without BRIDGE_API__TOKEN only loopback is answered."
"""The sentence for who may not ask; it belongs to a 401 with `WWW-Authenticate: Bearer`."""
LOCAL: Final = Principal("local", "admin")
"""Whoever sits at this machine, where there is no token at all."""
SIGNED_IN: Final = web.RequestKey("session", BrowserSession)
"""The session of a request that came with a browser's cookie; read it with `request.get`."""
CSRF_HEADER: Final = "X-CSRF-Token"

_BEARER: Final = {"WWW-Authenticate": "Bearer"}
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_GUESSES_PER_SECOND: Final = 1 / 6
_GUESSES_AT_ONCE: Final = 10

log = structlog.get_logger()


class Token(Struct, frozen=True):
    """A token, and who has it."""

    holder: Principal
    secret: str


class _Watched(Struct, frozen=True):
    """Something that goes on for somebody for as long as they are believed."""

    holder: str
    session: str
    """Id of the browser's session; empty: a token was shown."""
    end: Callable[[], None]


class Access:
    """Tells who asks. One for all addresses that are not Twilio's."""

    def __init__(
        self,
        token: str = "",
        further: Sequence[Token] = (),
        *,
        public_url: str = "",
        requests_per_second: float = 1000.0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        proxies: Proxies | None = None,
    ) -> None:
        """`token` is `api.token`, which may do all. No token at all: nobody but programs on this machine may ask.

        `public_url` is where browsers reach the bridge: https, and cookies go nowhere but over https. `proxies` are
        those whose word counts about who asks; None: those on this machine.
        """
        self.cookies = Cookies({})
        self._watched: dict[object, _Watched] = {}
        self._tokens: list[tuple[Principal, bytes]] = []
        self._holders: dict[str, Principal] = {}
        self.take(token, further)
        self.public_url = public_url
        secure = public_url.startswith("https://")
        self.cookie_name = "__Host-phone-bridge" if secure else "phone-bridge"
        self.cookie_secure = secure
        self._proxies = proxies or Proxies()
        self._clock = clock
        self._wall_clock = wall_clock
        self._asked = Buckets(requests_per_second, max(1.0, 5 * requests_per_second))
        self._guessed = Buckets(_GUESSES_PER_SECOND, _GUESSES_AT_ONCE)

    def take(self, token: str, further: Sequence[Token]) -> None:
        """Believe who has these tokens from now on, and end what goes on for who has another."""
        before = {principal.name: digest for principal, digest in self._tokens}
        own = [Token(Principal("api", "admin"), token)] if token else []
        known = (*further, *own)
        self._tokens = [(one.holder, _digest(one.secret)) for one in (*own, *further)]
        self._holders = {one.holder.name: one.holder for one in known}
        self.cookies.take({one.holder.name: one.secret for one in known})
        after = {principal.name: digest for principal, digest in self._tokens}
        # Without tokens this machine is believed: with the first of them it is not any more.
        gone = {name for name in (*before, LOCAL.name) if before.get(name) != after.get(name)}
        if before or not after:
            gone.discard(LOCAL.name)
        self._end(lambda watched: watched.holder in gone)

    @contextlib.contextmanager
    def until_over(self, request: web.Request, who: Principal, end: Callable[[], None]) -> Iterator[None]:
        """Call `end` when `who` asks with what is worth nothing any more, for the length of the block.

        That is a cookie that was signed out or is too old, or a token that was exchanged for another.
        """
        session = request.get(SIGNED_IN)
        watch = object()
        self._watched[watch] = _Watched(who.name, "" if session is None else session.id, end)
        timer = None
        if session is not None:
            left_s = max(0.0, session.expires_at - self._wall_clock())
            timer = asyncio.get_running_loop().call_later(left_s, end)
        try:
            yield
        finally:
            del self._watched[watch]
            if timer is not None:
                timer.cancel()

    def sign_out(self, session: BrowserSession) -> None:
        """Take a session's cookie for nothing from now on, and end what goes on for it."""
        self.cookies.end(session)
        self._end(lambda watched: watched.session == session.id)

    def _end(self, over: Callable[[_Watched], bool]) -> None:
        for watched in [*self._watched.values()]:
            if over(watched):
                watched.end()

    def remote(self, request: web.Request) -> str:
        """Return the address that a request comes from, as the proxies before the bridge tell it."""
        return self._proxies.remote(request)

    @property
    def needed(self) -> bool:
        """Whether there is a token at all."""
        return bool(self._tokens)

    def granted(self, request: web.Request) -> bool:
        """Tell whether whoever asks may see things."""
        try:
            self.admit(request)
        except Problem:
            return False
        return True

    def admit(self, request: web.Request, scope: Scope = "read") -> Principal:
        """Return who asks, if they may do what needs `scope`. Raises `Problem`: 401, 403, or 429."""
        principal = self._who(request)
        if principal is None:
            self.count(who_is_counted(request, self._proxies))
            raise Problem(401, "unauthorized", REFUSAL, headers=_BEARER)
        self.count(who_is_counted(request, self._proxies) if principal is LOCAL else f"token {principal.name}")
        if (session := request.get(SIGNED_IN)) is not None and request.method not in _SAFE:
            _check_csrf(request, session)
        return checked(principal, scope)

    def sign_in(self, request: web.Request, token: str) -> tuple[Principal, str, BrowserSession]:
        """Return who has this token, and the cookie and session for them. Raises `Problem`: 401, 403, or 429."""
        if by_a_foreign_page(request, self.public_url):
            raise Problem(403, "origin_foreign", "Pages of other sites cannot sign in.")
        if (holder := self._having(request, token)) is None:
            raise Problem(401, "token_wrong", "This is no token of this bridge.", headers=_BEARER)
        return holder, *self.cookies.begin(holder.name, self._wall_clock())

    def count(self, name: str) -> None:
        """Count a request of `name`. Raises `Problem` 429 when they ask too often."""
        if wait_s := self._asked.take(name, self._clock()):
            raise _too_often(wait_s, "rate_limited", "There are more requests than api.requests_per_second allows.")

    def _who(self, request: web.Request) -> Principal | None:
        given = request.headers.get("Authorization", "")
        if given and self.needed:
            scheme, _, token = given.partition(" ")
            return self._having(request, token.strip()) if scheme.lower() == "bearer" else None
        if not self.needed:
            return LOCAL if from_this_machine(request) else None
        return self._by_cookie(request)

    def _by_cookie(self, request: web.Request) -> Principal | None:
        value = request.cookies.get(self.cookie_name)
        if value is None or by_a_foreign_page(request, self.public_url):
            return None
        if "Origin" not in request.headers and request.headers.get("Upgrade", "").lower() == "websocket":
            return None  # Browsers always tell there, and who is no browser has no cookie.
        if (session := self.cookies.read(value, self._wall_clock())) is None:
            return None
        request[SIGNED_IN] = session
        return self._holders[session.holder]

    def _having(self, request: web.Request, token: str) -> Principal | None:
        """Return who has this token. Wrong ones may be tried much less often than anything else."""
        address, now = who_is_counted(request, self._proxies), self._clock()
        if wait_s := self._guessed.wait(address, now):
            raise _too_often(wait_s, "too_many_guesses", "Too many wrong tokens came from this address.")
        given, found = _digest(token), None
        for holder, digest in self._tokens:  # All of them, so that the time tells nothing.
            if secrets.compare_digest(given, digest):
                found = holder
        if found is None:
            self._guessed.take(address, now)
        return found


def checked(principal: Principal, scope: Scope) -> Principal:
    """Return the principal, if it may do what needs `scope`. Raises `Problem` 403."""
    if not principal.may(scope):
        raise Problem(
            403,
            "scope_missing",
            f"This needs a token with the scope {scope}; {principal.name} has {principal.scope}.",
            needed=scope,
            scope=principal.scope,
        )
    return principal


def _check_csrf(request: web.Request, session: BrowserSession) -> None:
    given = request.headers.get(CSRF_HEADER, "")
    if not secrets.compare_digest(given.encode("utf-8", "surrogatepass"), session.csrf.encode()):
        raise Problem(
            403,
            "csrf_missing",
            f"A browser's request that changes something needs the header {CSRF_HEADER}, with the csrf that"
            " GET /api/v1/session tells.",
        )


def _too_often(wait_s: float, code: str, detail: str) -> Problem:
    seconds = math.ceil(wait_s)
    return Problem(429, code, f"{detail} Ask again in {seconds} s.", headers={"Retry-After": str(seconds)})


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
