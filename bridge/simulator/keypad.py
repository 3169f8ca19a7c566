"""The keys of one leg, between whoever presses them and whoever asks for them."""

from __future__ import annotations

import asyncio
from collections import deque


class Keypad:
    """Keys pressed while nobody listens wait for the next one who does: the caller is patient."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        """Set while somebody waits for keys."""
        self._keys: deque[str] = deque()
        self._pressed = asyncio.Event()

    def press(self, key: str) -> None:
        """One key."""
        self._keys.append(key)
        self._pressed.set()

    def waiting(self) -> str:
        """Take all keys that nobody has asked for yet."""
        keys = "".join(self._keys)
        self._keys.clear()
        return keys

    async def next(self, timeout_s: float | None) -> str | None:
        """The next key; None when none came in time (None: there is no limit)."""
        self.asked.set()
        try:
            async with asyncio.timeout(timeout_s):
                while not self._keys:
                    self._pressed.clear()
                    await self._pressed.wait()
        except TimeoutError:
            return None
        finally:
            self.asked.clear()
        return self._keys.popleft()
