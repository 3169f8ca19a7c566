"""The webhook sink: each document is posted, signed by the Standard Webhooks scheme."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import groupby
from typing import Final

import aiohttp
from yarl import URL

from bridge.agents.http_exchange import VERSION
from bridge.agents.webhook.wire import delivery_headers, signing_key
from bridge.errors import SettingsError
from bridge.sinks.base import Sent, SinkDownError, Waiting

_AT_ONCE: Final = 8
"""Calls whose documents are posted at the same time; those of one call follow each other."""
_TIMEOUT: Final = aiohttp.ClientTimeout(total=15.0, connect=5.0)
_PASSING: Final = frozenset({408, 425, 429})
"""Statuses, beside 5xx, that say: not now."""


class WebhookSink:
    """Posts to one URL. Any 2xx takes a document. Raises SettingsError for a secret that cannot sign."""

    def __init__(self, url: str, secret: str) -> None:
        """`secret` may be empty: nothing is signed then."""
        self._url = URL(url)
        try:
            self._key = signing_key(secret)
        except SettingsError:
            raise SettingsError(
                "sinks.webhook_secret (BRIDGE_SINKS__WEBHOOK_SECRET) begins with whsec_ but no base64 follows:"
                " paste the whole secret, or use any text without that beginning"
            ) from None
        self._http: aiohttp.ClientSession | None = None

    async def send(self, batch: Sequence[Waiting]) -> Sent:
        """Post them."""
        calls = [list(group) for _, group in groupby(sorted(batch, key=_place), key=lambda waiting: waiting.call)]
        calls.sort(key=lambda call: call[0].number)
        done: set[int] = set()
        refused: dict[int, str] = {}
        down: list[str] = []
        queue = iter(calls)

        async def post_calls() -> None:
            for call in queue:
                if down:
                    return
                await self._post_call(call, done, refused, down)

        await asyncio.gather(*(post_calls() for _ in range(min(_AT_ONCE, len(calls)))))
        if down:
            raise SinkDownError(down[0], done=done)
        return Sent(frozenset(done), frozenset(refused), next(iter(refused.values()), ""))

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()

    async def _post_call(
        self, call: Sequence[Waiting], done: set[int], refused: dict[int, str], down: list[str]
    ) -> None:
        for waiting in call:
            try:
                status = await self._post(waiting)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                down.append(f"{self._shown} cannot be reached: {str(error) or type(error).__name__}")
                return
            if status // 100 == 2:
                done.add(waiting.number)
            elif status >= 500 or status in _PASSING:
                down.append(f"{self._shown} answered {status}")
                return
            else:
                refused[waiting.number] = f"{self._shown} answered {status}"
                return

    async def _post(self, waiting: Waiting) -> int:
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar())
        headers = delivery_headers(
            waiting.id, waiting.call, waiting.body, key=self._key, now=time.time(), version=VERSION
        )
        async with self._http.post(
            self._url, data=waiting.body, headers=headers, allow_redirects=False
        ) as response:
            return response.status

    @property
    def _shown(self) -> str:
        return str(self._url.with_user(None).with_query(None))


def _place(waiting: Waiting) -> tuple[str, int]:
    return waiting.call, waiting.number
