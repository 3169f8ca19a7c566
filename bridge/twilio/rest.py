"""Twilio's REST API, off the event loop. Twilio REST: Calls, IncomingPhoneNumbers.

The `twilio` library waits for its answers, so every request runs in a thread. Cancelling a coroutine here stops
the waiting, not the request: what Twilio was asked to do, it does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from requests.exceptions import RequestException
from twilio.base.exceptions import TwilioException  # type: ignore[import-untyped]  # twilio ships no types
from twilio.http.http_client import TwilioHttpClient  # type: ignore[import-untyped]  # twilio ships no types
from twilio.rest import Client  # type: ignore[import-untyped]  # twilio ships no types

from bridge.errors import CarrierError
from bridge.twilio.twiml import MAX_UPDATE_CHARACTERS

T = TypeVar("T")

TIMEOUT_S = 10.0
"""How long one request may take, in seconds."""


@dataclass(frozen=True, slots=True)
class NumberWebhooks:
    """What Twilio does with calls to one of the account's numbers."""

    number: str
    """E.164."""
    voice_url: str
    """Where Twilio asks what to do; empty when nothing is set."""
    voice_method: str
    """`POST` or `GET`."""


class TwilioRest:
    """One account. Every method raises `CarrierError` with a code and a sentence when Twilio does not do it."""

    def __init__(
        self, account_sid: str, auth_token: str, api_url: str = "", *, timeout_s: float = TIMEOUT_S
    ) -> None:
        """`api_url` is the origin of a stand-in for https://api.twilio.com (tests, proxies); empty is Twilio."""
        self._where = api_url or "https://api.twilio.com"
        http = _RedirectedHttpClient(api_url, timeout=timeout_s)
        self._client = Client(account_sid, auth_token, http_client=http)

    async def hang_up(self, call_sid: str) -> None:
        """End the call now. A call that is over already is fine."""
        try:
            await self._do(lambda: self._client.calls(call_sid).update(status="completed"))
        except CallOverError:
            return

    async def redirect(self, call_sid: str, twiml: str) -> None:
        """Make the call go on with this document; its media stream ends. Raises `CallOverError` when it is over."""
        if len(twiml) > MAX_UPDATE_CHARACTERS:
            raise CarrierError(
                f"the TwiML is {len(twiml)} characters long, Twilio takes {MAX_UPDATE_CHARACTERS} in a request",
                code="carrier_request",
            )
        await self._do(lambda: self._client.calls(call_sid).update(twiml=twiml))

    async def number_webhooks(self, number: str = "") -> list[NumberWebhooks]:
        """The voice webhooks of one number of the account (none if it is not there), or of its first twenty."""
        found = await self._do(
            lambda: self._client.incoming_phone_numbers.list(
                limit=20, **({"phone_number": number} if number else {})
            )
        )
        return [
            NumberWebhooks(
                number=entry.phone_number, voice_url=entry.voice_url or "", voice_method=entry.voice_method
            )
            for entry in found
        ]

    async def _do(self, request: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(request)
        except TwilioException as error:
            raise self._translated(error) from error
        except RequestException as error:
            raise CarrierError(
                f"Twilio's REST API at {self._where} could not be reached: {type(error).__name__}",
                code="carrier_unreachable",
            ) from error
        except json.JSONDecodeError as error:
            raise CarrierError(
                f"{self._where} does not answer as Twilio's REST API", code="carrier_request"
            ) from error

    def _translated(self, error: TwilioException) -> CarrierError:
        status, code, said = _facts(error)
        # 20404: not found. 21220: the call is in no state that could be changed, which means over.
        if status == 404 or code == 21220:
            return CallOverError(f"Twilio does not know it (any more): {said}")
        if status in {401, 403}:
            return CarrierError(
                f"Twilio refused the credentials ({status}): check twilio.account_sid"
                " (BRIDGE_TWILIO__ACCOUNT_SID) and twilio.auth_token (BRIDGE_TWILIO__AUTH_TOKEN)",
                code="carrier_auth",
            )
        return CarrierError(f"Twilio answered {status}: {said}", code="carrier_request")


def _facts(error: TwilioException) -> tuple[int, int, str]:
    """HTTP status, Twilio's own code and what was said, of any exception of the library; 0 for what is not told."""
    # A list that cannot be fetched is a plain exception with the whole response in it.
    response = error.args[1] if len(error.args) > 1 else None
    status = getattr(error, "status", None) or getattr(response, "status_code", None)
    said = getattr(error, "msg", "") or getattr(error, "title", "") or str(error.args[0] if error.args else "")
    return int(status or 0), int(getattr(error, "code", None) or 0), str(said)


class CallOverError(CarrierError):
    """Twilio answered that the call is over already, or never was (20404, 21220)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="carrier_request")


class _RedirectedHttpClient(TwilioHttpClient):  # type: ignore[misc]  # its base has no types
    """Sends every request to another origin, when one is given: the library itself knows only Twilio's own."""

    def __init__(self, api_url: str, *, timeout: float) -> None:
        super().__init__(timeout=timeout)
        self._origin = urlsplit(api_url) if api_url else None

    def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        """As the library's own; `url` names Twilio's host."""
        if self._origin is not None:
            asked = urlsplit(url)
            path = self._origin.path.rstrip("/") + asked.path
            url = urlunsplit((self._origin.scheme, self._origin.netloc, path, asked.query, ""))
        return super().request(method, url, *args, **options)
