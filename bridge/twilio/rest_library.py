"""What is done with the `twilio` library itself: making its client, and saying what its failures mean.

Importing this imports the library, which takes a while: `rest` does it on a thread, when Twilio is first asked.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from requests.exceptions import ConnectTimeout, ReadTimeout, RequestException
from twilio.base.exceptions import TwilioException  # type: ignore[import-untyped]  # twilio ships no types
from twilio.http.http_client import TwilioHttpClient  # type: ignore[import-untyped]  # twilio ships no types
from twilio.rest import Client  # type: ignore[import-untyped]  # twilio ships no types
from urllib3.exceptions import NewConnectionError

from bridge.errors import CarrierError
from bridge.twilio.rest import CallOverError, NotTakenError


def make_client(account_sid: str, auth_token: str, api_url: str, timeout_s: float) -> Any:
    """Make the library's client for an account. `api_url` is the origin of a stand-in for Twilio, or empty."""
    return Client(account_sid, auth_token, http_client=_RedirectedHttpClient(api_url, timeout=timeout_s))


def carrier_error(error: Exception, where: str) -> CarrierError | None:
    """Say what it means that a request to `where` raised this; None: it is none of the library's failures."""
    if isinstance(error, TwilioException):
        return _translated(error)
    if isinstance(error, RequestException):
        return _unanswered(error, where)
    if isinstance(error, json.JSONDecodeError):
        return CarrierError(f"{where} does not answer as Twilio's REST API", code="carrier_request")
    return None


def _translated(error: TwilioException) -> CarrierError:
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
    if status == 429:
        return NotTakenError(f"Twilio takes no more requests now (429): {said}", code="carrier_limit")
    if status >= 500:
        return CarrierError(f"Twilio answered {status}: {said}", code="carrier_server")
    return CarrierError(f"Twilio answered {status}: {said}", code="carrier_request")


def _unanswered(error: RequestException, where: str) -> CarrierError:
    message = f"Twilio's REST API at {where} could not be reached: {type(error).__name__}"
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(error, ConnectTimeout) or isinstance(reason, NewConnectionError):
        return NotTakenError(message, code="carrier_unreachable")
    if isinstance(error, ReadTimeout):
        return CarrierError(
            f"Twilio's REST API at {where} did not answer in time: ReadTimeout", code="carrier_timeout"
        )
    return CarrierError(message, code="carrier_unreachable")


def _facts(error: TwilioException) -> tuple[int, int, str]:
    """HTTP status, Twilio's own code and what was said, of any exception of the library; 0 for what is not told."""
    # A list that cannot be fetched is a plain exception with the whole response in it.
    response = error.args[1] if len(error.args) > 1 else None
    status = getattr(error, "status", None) or getattr(response, "status_code", None)
    said = getattr(error, "msg", "") or getattr(error, "title", "") or str(error.args[0] if error.args else "")
    return int(status or 0), int(getattr(error, "code", None) or 0), str(said)


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
