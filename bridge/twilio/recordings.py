"""Fetches what the carrier has recorded. Twilio REST: Recordings.

Only from the carrier's own hosts: the address comes with a webhook, which is signed, and the account's token goes
along.
"""

from __future__ import annotations

import base64
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from bridge.errors import CarrierError

MAX_BYTES: Final = 64 * 2**20
"""An hour, the longest message, is 58 MB of PCM at 8000 Hz."""
TIMEOUT_S: Final = 60.0
"""For the whole file."""
_CONNECT_S: Final = 10.0
_TWILIO: Final = ".twilio.com"


class Recordings:
    """The recordings of one account."""

    def __init__(self, account_sid: str, auth_token: str, api_url: str = "") -> None:
        """`api_url` is the origin of a stand-in for https://api.twilio.com (tests, proxies); empty is Twilio."""
        self._account_sid = account_sid
        self._auth_token = auth_token
        self._stand_in = urlsplit(api_url)
        self._session: aiohttp.ClientSession | None = None

    def take(self, auth_token: str) -> None:
        """Ask with this token from now on."""
        self._auth_token = auth_token

    async def fetch(self, url: str) -> bytes:
        """Return the WAV file of a recording, by the `RecordingUrl` of a webhook.

        Raises CarrierError: `carrier_request` for an address that is not the carrier's, and for a file that is too
        large; `carrier_server` where it is not there (yet); `carrier_unreachable`. Cancelling closes
        the connection.
        """
        if not self.ours(url):
            raise CarrierError(f"the recording {url[:200]} is not at Twilio", code="carrier_request")
        try:
            async with self._open().get(
                f"{url}.wav",
                headers={"Authorization": f"Basic {self._credentials()}"},
                allow_redirects=False,  # The token is for nobody else.
            ) as response:
                if response.status != 200:
                    what = f"the recording {url} cannot be had: status {response.status}"
                    raise CarrierError(what, code="carrier_server")
                return await _bounded(response, url)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            what = f"the recording {url} cannot be had: {type(error).__name__}"
            raise CarrierError(what, code="carrier_unreachable") from error

    def ours(self, url: str) -> bool:
        """Tell whether an address is the carrier's own: of the stand-in, or https at twilio.com."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        if parts.query or parts.fragment or parts.username is not None:
            return False
        if self._stand_in.netloc and (parts.scheme, parts.netloc) == (self._stand_in.scheme, self._stand_in.netloc):
            return True
        return parts.scheme == "https" and host.endswith(_TWILIO) and port in {None, 443}

    async def close(self) -> None:
        """Close the connections; what is being fetched fails."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _credentials(self) -> str:
        return base64.b64encode(f"{self._account_sid}:{self._auth_token}".encode()).decode()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S, connect=_CONNECT_S)
            self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self._session


async def _bounded(response: aiohttp.ClientResponse, url: str) -> bytes:
    """Read an answer, as far as it may go."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAX_BYTES:
            raise CarrierError(f"the recording {url} has more than {MAX_BYTES >> 20} MB", code="carrier_request")
    return bytes(body)
