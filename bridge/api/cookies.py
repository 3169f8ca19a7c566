"""The cookie with which a browser stays signed in: who it is, signed with a key that comes from their token.

Nothing is kept of a session but that it was ended: another token, and every cookie that was made with the old one
is worth nothing; a restart, and whoever was signed in still is.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import secrets
from collections import OrderedDict
from typing import Final

from itsdangerous import BadData, URLSafeSerializer
from msgspec import Struct

LASTS_S: Final = 12 * 3600
"""How long a session lasts, in seconds."""
_SALT: Final = "phone-bridge session"
_MOST_ENDED: Final = 10_000
"""How many sessions that were ended before their time are remembered; older ones are forgotten first."""


class BrowserSession(Struct, frozen=True):
    """A browser that is signed in."""

    holder: str
    """The name of the token it was signed in with."""
    id: str
    csrf: str
    """What the header `X-CSRF-Token` of a request that changes something must hold."""
    expires_at: int
    """Seconds since 1970."""


class Cookies:
    """Makes and reads the cookies."""

    def __init__(self, tokens: dict[str, str]) -> None:
        """`tokens` are those of whoever may sign in, by name."""
        self._ended: OrderedDict[str, None] = OrderedDict()
        self.take(tokens)

    def take(self, tokens: dict[str, str]) -> None:
        """Sign in whoever has one of these from now on; cookies of other tokens are worth nothing."""
        self._keys = {name: _key(token) for name, token in tokens.items()}

    def begin(self, holder: str, now: float) -> tuple[str, BrowserSession]:
        """Return the cookie of a new session of whoever has the token `holder`, and the session."""
        session_id = secrets.token_urlsafe(18)
        expires_at = int(now) + LASTS_S
        value = f"{holder}~{self._signed(holder).dumps([session_id, expires_at])}"
        return value, self._session(holder, session_id, expires_at)

    def read(self, value: str, now: float) -> BrowserSession | None:
        """Return the session of a cookie; None: it is none of ours, too old, or was ended."""
        holder, _, signed = value.partition("~")
        if holder not in self._keys:
            return None
        try:
            session_id, expires_at = self._signed(holder).loads(signed)
        except BadData:
            return None
        if now >= expires_at or session_id in self._ended:
            return None
        return self._session(holder, session_id, expires_at)

    def end(self, session: BrowserSession) -> None:
        """Take a session's cookie for nothing from now on."""
        self._ended[session.id] = None
        if len(self._ended) > _MOST_ENDED:
            self._ended.popitem(last=False)

    def _signed(self, holder: str) -> URLSafeSerializer:
        return URLSafeSerializer(
            self._keys[holder], salt=f"{_SALT} {holder}", signer_kwargs={"digest_method": hashlib.sha256}
        )

    def _session(self, holder: str, session_id: str, expires_at: int) -> BrowserSession:
        csrf = hmac.new(self._keys[holder], f"csrf {session_id}".encode(), "sha256").hexdigest()
        return BrowserSession(holder, session_id, csrf, expires_at)


@functools.lru_cache(maxsize=64)
def _key(token: str) -> bytes:
    """Return the key of a token. It is made slowly, so that a cookie does not help to guess a short token."""
    return hashlib.scrypt(token.encode("utf-8", "surrogatepass"), salt=_SALT.encode(), n=2**14, r=8, p=1, dklen=32)
