"""Somebody who listens to one call: a queue of their own, which nobody waits for."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final, Literal, TypeAlias

Frame: TypeAlias = bytes | str
"""A piece of sound with its head, or JSON about what is no sound."""
Over: TypeAlias = Literal["ended", "moved", "lost"]
"""Why no more comes: the call has ended; it goes on elsewhere; who holds it cannot be reached."""

_MOST_BYTES: Final = 256 * 1024
"""How much sound waits for a listener who does not take it: half a minute of one side."""


class Ear:
    """Somebody who listens to one call."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._waiting = 0
        self._news = asyncio.Event()
        self.over: Over | None = None
        """Why nothing more comes; None: more does."""
        self.too_slow = False
        """Nothing more comes: too much was left untaken."""

    def hear(self, side: int, at_ms: float, audio: bytes) -> None:
        """Take a piece of sound. Never waits."""
        at = min(max(0, round(at_ms)), 0xFFFF_FFFF)
        self.put(bytes((side,)) + at.to_bytes(4, "big") + audio)

    def tell(self, kind: str, **fields: Any) -> None:
        """Take word of something that is no sound. Never waits."""
        self.put(json.dumps({"type": kind, **fields}, separators=(",", ":")))

    def put(self, frame: Frame) -> None:
        """Take what another ear was given. Never waits."""
        if self._waiting > _MOST_BYTES:
            self.too_slow = True
            self._frames.clear()
        elif not self.too_slow:
            self._frames.append(frame)
            self._waiting += len(frame)
        self._news.set()

    def end(self, why: Over = "ended") -> None:
        """Nothing more comes: what waits is still handed out."""
        self.over = self.over or why
        self._news.set()

    async def frames(self) -> AsyncIterator[Frame]:
        """Yield what comes, in order, until nothing more does or the listener is too slow."""
        while await self._more():
            yield self._next()

    async def gathered(self, *, most_bytes: int, over_s: float, within_s: float) -> list[Frame]:
        """Return what comes in `over_s` from the first of it on, as much as `most_bytes`, but one frame at least.

        Empty: nothing has come `within_s`, or nothing more will; see `over` and `too_slow`.
        """
        try:
            async with asyncio.timeout(within_s):
                if not await self._more():
                    return []
        except TimeoutError:
            return []
        if self.over is None:
            await asyncio.sleep(over_s)
        found: list[Frame] = []
        size = 0
        while self._frames and (not found or size + len(self._frames[0]) <= most_bytes):
            found.append(self._next())
            size += len(found[-1])
        return found

    @property
    def empty(self) -> bool:
        """Tell whether nothing waits to be handed out."""
        return not self._frames

    async def _more(self) -> bool:
        """Wait until something is there to be handed out; False: nothing will be."""
        while not self._frames:
            if self.over is not None or self.too_slow:
                return False
            self._news.clear()
            await self._news.wait()
        return True

    def _next(self) -> Frame:
        frame = self._frames.popleft()
        self._waiting -= len(frame)
        return frame
