"""The speech-to-text service as the conversation sees it: there, or away for so long."""

from __future__ import annotations

_STEADY_S = 5.0
"""A connection that has stood for so long is back, even if there was nothing to tell."""


class Outage:
    """How long the caller could not be understood. Times in seconds.

    A service that takes connections and breaks them off again is as good as away: an outage ends with the first
    thing that the service tells of the caller, or with a connection that stands.
    """

    def __init__(self) -> None:
        self.since: float | None = None
        """When the service went away; None while it is there, or not known to be away."""
        self.owed = False
        """The caller is to be told that they were not understood."""
        self.words_lost = False
        """Something that the caller said was given up."""
        self.noted = False
        """It was away for too long, and that has been dealt with."""
        self.excused = False
        """The last outage ended without anything told."""
        self.told = 0
        """How often the caller was told so in this call."""
        self.told_at: float | None = None
        """When the caller was last told so in this outage; None: not yet."""
        self._back_at: float | None = None
        self.connected = False
        """There is a connection, steady or not."""
        self.standby = False
        """It is one to the service that stands by."""

    def back(self, now: float, *, standby: bool = False) -> None:
        """The service takes connections, for the first time or again; `standby`: another does in its place."""
        self.connected, self._back_at, self.standby = True, now, standby

    def lost(self, now: float) -> None:
        """The connection broke."""
        self.connected, self._back_at = False, None
        self.failed(now)

    def failed(self, now: float) -> None:
        """Something failed. What fails on a connection that stays is no outage."""
        if not self.connected and self.since is None:
            self.since = now

    def over(self, now: float, *, told: bool) -> bool:
        """End the outage if it is over; `told`: the service tells something. Returns whether it ended now."""
        if self.since is None or not self.connected:
            return False
        if not told and (self.steady_at is None or now < self.steady_at):
            return False
        self.since, self.told_at, self.noted = None, None, False
        return True

    @property
    def steady_at(self) -> float | None:
        """When the connection has stood for long enough, if it does."""
        return None if self._back_at is None else self._back_at + _STEADY_S

    def too_long_at(self, limit_s: float) -> float | None:
        """When the service will have been away for `limit_s`; a new connection may take a little longer to tell.

        A caller who was told so then is told again after as long: an outage must not be silence.
        """
        if self.since is None:
            return None
        due = (self.since if self.told_at is None else self.told_at) + limit_s
        return due if self.steady_at is None else min(max(due, self.steady_at), due + _STEADY_S)
