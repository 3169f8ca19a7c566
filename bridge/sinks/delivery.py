"""Sends what waits in the outbox to one sink: in order for each call, until it was taken."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from bridge.sinks.base import Sent, Sink, SinkDownError, Waiting
from bridge.sinks.outbox import Outbox

PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
"""Before each further attempt; the last one is repeated. A random part of up to half is taken off."""
_BATCH: Final = 100
_MOST_REFUSED: Final = 500
"""Calls whose documents are refused: if it is more, it is not the documents that are wrong."""
_SWEEPS_EVERY_S: Final = 3600.0

_log = structlog.get_logger()


@dataclass(slots=True)
class _Later:
    attempts: int
    due: float


class Delivery:
    """The way from the outbox to one sink. What is not taken is tried again, with growing pauses."""

    def __init__(self, name: str, outbox: Outbox, sink: Sink, *, pauses: Sequence[float] = PAUSES_S) -> None:
        self._name = name
        self._outbox = outbox
        self._sink = sink
        self._pauses = pauses
        self._attempts = 0
        self._refused: dict[str, _Later] = {}

    async def run(self) -> None:
        """Deliver for as long as the process lives. Cancelling stops it; what is being sent may come again."""
        news = self._outbox.news(self._name)
        sweep_at = _now()
        while True:
            news.clear()
            try:
                if _now() >= sweep_at:
                    await self._outbox.sweep()
                    sweep_at = _now() + _SWEEPS_EVERY_S
                pause = await self._step()
            except sqlite3.Error as error:  # What was sent and could not be struck off is sent again.
                pause = self._down(f"the outbox failed: {error}")
            if pause is None:
                due = [later.due for later in self._refused.values()]
                await _wait_for(news, min(due, default=sweep_at) - _now())
            elif pause:
                await asyncio.sleep(pause)

    async def _step(self) -> float | None:
        """Send a batch. Returns how long to pause; None: until there is more to be sent."""
        now = _now()
        held = [call for call, later in self._refused.items() if later.due > now]
        batch = await self._outbox.waiting(self._name, _BATCH, held)
        if not batch:
            return None
        try:
            sent = await self._sink.send(batch)
        except SinkDownError as error:
            await self._outbox.done(self._name, error.done)
            return self._down(error.message)
        await self._outbox.done(self._name, sent.done)
        self._note(batch, sent)
        if len(self._refused) > _MOST_REFUSED:
            self._refused.clear()
            return self._down(sent.why)
        if self._attempts and sent.done:
            self._attempts = 0
            _log.info("sink_up", sink=self._name, waiting=self._outbox.backlog[self._name])
        return 0.0

    def _note(self, batch: Sequence[Waiting], sent: Sent) -> None:
        """Hold back the calls of which something was refused, so that their order is kept."""
        for waiting in batch:
            if waiting.number in sent.done:
                self._refused.pop(waiting.call, None)
        for waiting in batch:
            if waiting.number in sent.refused:
                later = self._refused.setdefault(waiting.call, _Later(0, 0.0))
                later.due = _now() + self._pause(later.attempts)
                later.attempts += 1
                if later.attempts == 1:
                    _log.warning("sink_refused", sink=self._name, call=waiting.call, id=waiting.id, error=sent.why)

    def _down(self, why: str) -> float:
        if not self._attempts:
            _log.warning("sink_down", sink=self._name, error=why)
        self._attempts += 1
        return self._pause(self._attempts - 1)

    def _pause(self, attempts: int) -> float:
        longest = self._pauses[min(attempts, len(self._pauses) - 1)]
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter guards nothing


async def _wait_for(news: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await news.wait()
    except TimeoutError:
        pass


def _now() -> float:
    return time.monotonic()
