"""Tickets to the media stream: short-lived, signed, good for one stream of one call.

The address of a media stream is public. So the voice webhook, whose request Twilio signed, hands out a token in a
`<Parameter>`; the stream must bring it back in its `start` message. The token carries the facts of the call
(who called whom), because `start` does not tell them.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from itsdangerous import (
    BadData,
    SignatureExpired,
    TimestampSigner,
    URLSafeTimedSerializer,
    base64_decode,
    base64_encode,
)

from bridge.errors import BridgeError

RefusedReason: TypeAlias = Literal["missing", "wrong", "expired", "used", "wrong_call"]

MAX_CHARACTERS = 480
"""Twilio takes 499 characters for a parameter's name and value together."""

_SALT = "phone-bridge media stream"
_SENTENCES: Mapping[RefusedReason, str] = {
    "missing": "the stream brought no token",
    "wrong": "the stream's token is not one of ours",
    "expired": "the stream's token is too old",
    "used": "the stream's token was used before",
    "wrong_call": "the stream's token belongs to another call",
}


class TokenRefused(BridgeError):  # noqa: N818  (it names the outcome: nothing went wrong on our side)
    """A stream without a good token. `code` counts it: `token_missing`, …, `wrong_call`."""

    def __init__(self, reason: RefusedReason) -> None:
        super().__init__(_SENTENCES[reason], code=reason if reason == "wrong_call" else f"token_{reason}")
        self.reason = reason


class Marks(Protocol):
    """What all processes of a bridge see. Nothing here waits or raises."""

    def hold(self, name: str) -> None:
        """From now on what is asked about this call is for this process."""

    def use(self, token: str) -> bool:
        """Mark a token as used. False: it was used before, here or elsewhere."""

    def forget_used(self, token: str) -> None:
        """A token that was marked is too old by now."""


class _ClockedSigner(TimestampSigner):
    """A signer that asks the given clock for the time, so that tests need not wait."""

    def __init__(self, *args: Any, clock: Callable[[], float], **options: Any) -> None:
        super().__init__(*args, **options)
        self._clock = clock

    def get_timestamp(self) -> int:
        """Whole seconds since 1970."""
        return int(self._clock())


class StreamTokens:
    """Issues tokens and redeems each once. One per process; all with the same secret know each other's tokens."""

    def __init__(
        self,
        secret: str | Sequence[str],
        lifetime_s: int = 60,
        *,
        clock: Callable[[], float] = time.time,
        remembered: int = 100_000,
        marks: Marks | None = None,
    ) -> None:
        """`lifetime_s`: seconds from the webhook's answer to the stream's start.

        `secret` signs; of several the first does, and tokens that the others have signed are good as well.
        `clock`: wall clock, seconds since 1970. `remembered`: how many used tokens are kept in mind at most; when
        there are more within one lifetime, the oldest is forgotten. `marks` are what other processes see, if there
        are any: who hands out the token of a call holds it, and one that is used is used for all.
        """
        self._marks = marks
        self._lifetime_s = lifetime_s
        self._clock = clock
        self.take([secret] if isinstance(secret, str) else secret)
        self._remembered = remembered
        self._used: OrderedDict[str, float] = OrderedDict()

    def take(self, secrets: Sequence[str]) -> None:
        """Sign with the first of these from now on, and take what any of them has signed."""
        oldest_first = [*reversed(secrets)]
        self._serializer = URLSafeTimedSerializer(
            oldest_first, salt=_SALT, signer=_ClockedSigner, signer_kwargs={"clock": self._clock}
        )

    def issue(self, call_sid: str, facts: Mapping[str, str]) -> str:
        """A token for the stream of this call, that carries `facts` (`from`, `to`).

        It must fit into one parameter: where a value is too long (a SIP address may be), its end is cut off.
        """
        if self._marks is not None:
            self._marks.hold(call_sid)
        nonce = secrets.token_urlsafe(9)
        carried = dict(facts)
        while len(token := self._serializer.dumps([call_sid, nonce, carried])) > MAX_CHARACTERS and any(
            carried.values()
        ):
            longest = max(carried, key=lambda name: len(carried[name]))
            carried[longest] = carried[longest][: len(carried[longest]) * 3 // 4]
        return token

    def redeem(self, token: str, call_sid: str) -> dict[str, str]:
        """The facts of a good token, which is then used up. Raises `TokenRefused` otherwise."""
        if not token:
            raise TokenRefused("missing")
        try:
            issued_for, nonce, facts = self._serializer.loads(token, max_age=self._lifetime_s)
        except SignatureExpired:
            raise TokenRefused("expired") from None
        except BadData:
            raise TokenRefused("wrong") from None
        if not _as_it_was_written(token):
            raise TokenRefused("wrong")
        if issued_for != call_sid:
            raise TokenRefused("wrong_call")
        self._forget_expired()
        if nonce in self._used or (self._marks is not None and not self._marks.use(nonce)):
            raise TokenRefused("used")
        # A token may still be good for a part of a second after its lifetime: the signer counts whole seconds.
        self._used[nonce] = self._clock() + self._lifetime_s + 1
        return dict(facts)

    def _forget_expired(self) -> None:
        now = self._clock()
        while self._used and (len(self._used) >= self._remembered or next(iter(self._used.values())) < now):
            nonce, _ = self._used.popitem(last=False)
            if self._marks is not None:
                self._marks.forget_used(nonce)


def _as_it_was_written(token: str) -> bool:
    """Tell whether a good token is, letter by letter, one that was issued.

    Base64 has more than one spelling for the same bytes of a signature, and whoever keeps in mind which tokens were
    used must not take each spelling for another token.
    """
    signature = token.rpartition(".")[2]
    return base64_encode(base64_decode(signature)) == signature.encode()
