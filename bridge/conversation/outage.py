"""The speech-to-text service as the conversation sees it: there, or away for so long."""

from __future__ import annotations


class Outage:
    """How long the caller could not be understood. Times in seconds."""

    def __init__(self) -> None:
        self._connected = False
        self.since: float | None = None
        """When the service went away; None while it is there, or not known to be away."""
        self.owed = False
        """The caller is to be told that what was said got lost."""
        self.noted = False
        """It was away for too long, and that has been dealt with."""

    def back(self) -> None:
        """The service is there, for the first time or again."""
        self._connected, self.since, self.noted = True, None, False

    def lost(self, now: float) -> None:
        """The connection broke."""
        self._connected = False
        self.failed(now)

    def failed(self, now: float) -> None:
        """Something failed. What fails on a connection that stays is no outage."""
        if not self._connected and self.since is None:
            self.since = now

    def too_long(self, now: float, limit_s: float) -> bool:
        """Tell whether the service has been away for `limit_s`."""
        return self.since is not None and now >= self.since + limit_s
