"""Makes the signed HTTP requests of a carrier: webhooks, action URLs, status callbacks and stream upgrades."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import parse_qsl, urlencode, urljoin

import aiohttp
from yarl import URL

from bridge.errors import ProtocolError, system_reason
from bridge.simulator.line import CallError, Line
from bridge.simulator.twiml_reader import Verb, read_twiml
from bridge.twilio import signature

_TIMEOUT: Final = aiohttp.ClientTimeout(total=15, connect=5)
"""Twilio's own patience with webhooks."""
_CLOSE_S: Final = 2.0
_AGAIN_AFTER_S: Final = (0.5, 1.0, 2.0, 4.0, 7.0)
"""How long it waits before it tries again, each time; how long Twilio does is not documented."""
_LARGEST_FRAME: Final = 16 * 1024 * 1024


class Webhooks:
    """The carrier's requests of one call."""

    def __init__(self, line: Line, session: aiohttp.ClientSession) -> None:
        self._line = line
        self._session = session

    async def ask(self, url: str, method: str, form: list[tuple[str, str]]) -> tuple[str, list[Verb]]:
        """Request a TwiML document; returns its text and verbs. Raises `CallError`, one clear line."""
        status, kind, body = await self._request(url, method, form)
        where = f"{method.upper()} {url}"
        if status == 403:
            raise CallError(self._refusal(where), code="bridge_refused")
        if status != 200:
            raise CallError(f"{where} was answered with status {status}, not with TwiML", code="bridge_answer")
        if kind not in {"text/xml", "application/xml", "application/twiml+xml"}:
            raise CallError(f"{where} was answered with {kind}, not with TwiML (text/xml)", code="bridge_answer")
        try:
            return body, read_twiml(body)
        except ProtocolError as error:
            raise CallError(f"{where}: {error.message}", code="bridge_answer") from error

    async def tell(self, url: str, method: str, form: list[tuple[str, str]]) -> str | None:
        """Make a request whose answer is not followed; returns what went wrong, in one line. Never raises."""
        try:
            status, _, _ = await self._request(url, method, form)
        except CallError as error:
            return error.message
        return None if 200 <= status < 300 else f"{method.upper()} {url} was answered with status {status}"

    async def upgrade(self, url: str) -> aiohttp.ClientWebSocketResponse:
        """Open the media stream at `url`, the URL of the TwiML. Raises `CallError`, one clear line."""
        headers = self._signature(url, [])
        try:
            return await self._session.ws_connect(
                URL(self._line.reach(url), encoded=True),
                headers={name.lower(): value for name, value in headers.items()},
                compress=0,
                max_msg_size=_LARGEST_FRAME,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
            )
        except aiohttp.WSServerHandshakeError as error:
            if error.status == 403:
                raise CallError(self._refusal(f"the stream to {url}"), code="bridge_refused") from error
            raise CallError(
                f"the stream to {url} was answered with status {error.status}, not 101 (Twilio error 31920)",
                code="bridge_answer",
            ) from error
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise self._unreachable(url, error) from error

    def absolute(self, url: str, base: str) -> str:
        """`url` as written in a document that came from `base`."""
        return urljoin(base, url)

    async def _request(self, url: str, method: str, form: list[tuple[str, str]]) -> tuple[int, str, str]:
        """Make a request, and make it again where nobody answers, as the address wants it in its fragment."""
        url, _, wanted = url.partition("#")
        given = dict(parse_qsl(wanted))
        pauses = [*_AGAIN_AFTER_S[: int(given.get("rc", "1"))]]
        policy = {*given.get("rp", "ct").split(",")}
        while True:
            try:
                status, kind, body = await self._attempt(url, method, form)
            except CallError as error:
                refused = isinstance(error.__cause__, aiohttp.ClientConnectorError)
                if not pauses or error.code != "bridge_unreachable" or not (refused or {"rt", "all"} & policy):
                    raise
            else:
                if not pauses or status < 500 or not {"5xx", "all"} & policy:
                    return status, kind, body
            await asyncio.sleep(pauses.pop(0))

    async def _attempt(self, url: str, method: str, form: list[tuple[str, str]]) -> tuple[int, str, str]:
        data = urlencode(form).encode()
        if method.upper() == "GET":
            url += ("&" if "?" in url else "?") + data.decode()
            form, data = [], b""
        headers = self._signature(url, form)
        if data:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            async with self._session.request(
                method.upper(),
                URL(self._line.reach(url), encoded=True),
                data=data or None,
                headers=headers,
                allow_redirects=False,
                timeout=_TIMEOUT,
            ) as response:
                return response.status, response.content_type, await response.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise self._unreachable(url, error) from error

    def _signature(self, url: str, form: list[tuple[str, str]]) -> dict[str, str]:
        token = self._line.auth_token
        return {signature.HEADER: signature.sign(token, url, form)} if token else {}

    def _refusal(self, what: str) -> str:
        given = "the auth token given" if self._line.auth_token else "no auth token was given; it"
        return (
            f"{what} was refused (403): {given} must be the bridge's BRIDGE_TWILIO__AUTH_TOKEN,"
            f" and the bridge's BRIDGE_SERVER__PUBLIC_URL must be {self._line.origin}"
        )

    def _unreachable(self, url: str, error: Exception) -> CallError:
        if isinstance(error, TimeoutError):
            return CallError(f"no answer from {url} within 15 s", code="bridge_timeout")
        if isinstance(error, aiohttp.ClientConnectorError):
            why = system_reason(error)
        else:
            why = str(error) or type(error).__name__
        near = (
            ""
            if url.startswith(self._line.origin)
            else "; if that is the bridge's public address, give it as public URL"
        )
        return CallError(f"cannot reach {url}: {why}{near}", code="bridge_unreachable")
