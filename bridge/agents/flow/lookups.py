"""Carries out the look-ups of flows. Whatever happens, there is an outcome: a flow has a way on for each."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
import msgspec
from yarl import URL

from bridge.agents.flow.steps import Outcome, Request
from bridge.agents.targets import TargetRefusedError, check_url, open_session, refusal

MAX_BYTES: Final = 1_000_000
"""A longer answer is not read to its end."""


class Lookups:
    """Asks HTTP services for JSON. Holds the connections to them; redirects are not followed."""

    def __init__(self, *, allow_private: bool, longest_s: float = 30.0) -> None:
        self._allow_private = allow_private
        self._longest_s = longest_s
        self._session: aiohttp.ClientSession | None = None

    async def carry_out(self, request: Request, call_id: str) -> Outcome:
        """Ask, within the time that the flow allows. Cancelling closes the connection. Never raises."""
        seconds = min(request.timeout_s, self._longest_s)
        try:
            async with asyncio.timeout(seconds):
                return await self._ask(request, call_id)
        except TimeoutError:
            return Outcome(error=f"no answer within {seconds:g} s")
        except TargetRefusedError as error:
            return Outcome(error=error.message)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            refused = refusal(error)
            return Outcome(error=refused.message if refused is not None else type(error).__name__)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, request: Request, call_id: str) -> Outcome:
        url = URL(request.url)
        if url.scheme not in {"http", "https"} or not url.host:
            return Outcome(error="the URL is none")
        if not self._allow_private:
            check_url(url)
        if self._session is None:
            self._session = open_session(allow_private=self._allow_private)
        headers = {"Accept": "application/json", "X-Call-Id": call_id, **request.headers}
        posts = request.method == "POST"
        async with self._session.request(
            request.method,
            url if posts else url.extend_query(request.data),
            json=dict(request.data) if posts else None,
            headers=headers,
            allow_redirects=False,
        ) as response:
            if not 200 <= response.status < 300:
                return Outcome(error=f"status {response.status}")
            body = await _read(response)
        if body is None:
            return Outcome(error=f"the answer is longer than {MAX_BYTES} bytes")
        try:
            return Outcome(msgspec.json.decode(body) if body.strip() else {})
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Outcome(error="the answer is no JSON")


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the whole body; None when it is too long."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAX_BYTES:
            response.close()
            return None
    return bytes(body)
