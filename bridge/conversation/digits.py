"""Keys that the caller presses: one at a time, or gathered to a number."""

from __future__ import annotations

from bridge.conversation.actions import GatherDigits


class Digits:
    """What was pressed and nobody has been told of yet. Times in seconds."""

    def __init__(self) -> None:
        self.wanted: GatherDigits | None = None
        """The number that is being gathered."""
        self.keys = ""
        self.secret = False
        """Among them are some of a number that was gathered as a secret."""
        self._ended = False
        self._due = 0.0

    def begin(self, wanted: GatherDigits, now: float) -> None:
        """Gather a number from here on. Keys that were pressed for it before count."""
        self.wanted, self._ended = wanted, False
        early, self.keys = self.keys, ""
        self._due = now + wanted.first_s
        for key in early:
            self.press(key, now)

    def press(self, key: str, now: float) -> None:
        """Take a key; what comes behind the end of a number is not part of it."""
        wanted = self.wanted
        if self._ended:
            return
        if wanted is not None and key == wanted.terminator:
            self._ended = True
            return
        self.keys += key
        if wanted is not None:
            self._due = now + wanted.next_s
            self._ended = len(self.keys) == wanted.length

    @property
    def due(self) -> float | None:
        """When the number is taken as it is; None while nothing is gathered."""
        return self._due if self.wanted is not None else None

    def complete(self, now: float) -> bool:
        """Tell whether the number is together, or will not come."""
        return self.wanted is not None and (self._ended or now >= self._due)

    def take(self) -> str:
        """Return what was pressed, and forget it."""
        keys, self.keys = self.keys, ""
        self.wanted, self._ended, self.secret = None, False, False
        return keys

    def give_back(self, keys: str, *, secret: bool) -> None:
        """Keys that were taken are to be told again, with those that have come since."""
        self.keys = keys + self.keys
        self.secret = self.secret or secret
