"""What a worker is told at its start: where it stands among the others. Passed through a pipe, as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec


class Place(msgspec.Struct, frozen=True):
    """Where a worker stands among those of its bridge."""

    number: int
    """From 0 on. The first keeps house: it follows the journals, delivers, places calls and answers people."""
    count: int
    folder: str
    """Private folder of the bridge's workers; nobody else's user may enter it."""
    port: int
    """TCP port of all of them."""
    speech_url: str
    """Where speech comes from."""
    standby_url: str = ""
    """What stands by for that; empty: nothing does."""
    again: bool = False
    """A worker with this number was there before, and has died."""

    @property
    def first(self) -> bool:
        """Whether this is the one that keeps house."""
        return self.number == 0

    def socket(self, number: int) -> Path:
        """Where connections are handed over to the worker of this number."""
        return Path(self.folder) / f"{number}.sock"

    @property
    def link(self) -> Path:
        """Where the first worker hears from the others."""
        return Path(self.folder) / "link.sock"


class Start(msgspec.Struct, frozen=True):
    """The one line that a worker reads. Secrets do not stand in it: it reads settings as its parent did."""

    place: Place
    config: str | None
    overrides: dict[str, dict[str, Any]]
    debug: bool = False


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker's first line: it takes calls."""

    url: str


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The worker's first line: it cannot start."""

    code: str
    message: str
    extra: str | None = None
    """The extra that would have to be installed."""
