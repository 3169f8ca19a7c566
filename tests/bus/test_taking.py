"""Which of the calls on its own disk a node goes on with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from bridge.bus.connection import Bus, BusError
from bridge.bus.taking import Taking
from bridge.errors import StoreError
from bridge.store.base import Reopened
from bridge.store.sql.owning import Owner, Owners
from tests.call.peers import KeptStore


class Nobody:
    """A bus at which no node holds the call."""

    async def ask(self, subject: str, data: bytes, within_s: float) -> bytes:
        raise BusError("nobody listens there", code="bus_nobody")


@dataclass
class Known:
    """What the database knows of the call."""

    held: str | None
    """Which node had it last."""
    up: bool = True

    async def of(self, sid: str) -> Owner | None:
        if not self.up:
            raise StoreError("away", code="store_unreachable")
        return None  # It is nobody's, or over.

    async def node_of(self, name: str) -> str | None:
        assert self.up
        return self.held


class Left(KeptStore):
    """A store in which the call lies as its process has left it."""

    asked = 0

    async def reopen(self, sid: str) -> Reopened | None:
        self.asked += 1
        return None


@pytest.mark.parametrize(
    ("known", "goes_on"),
    [
        (Known("here"), True),
        (Known(None), True),
        (Known("there", up=False), True),
        (None, True),
        (Known("there"), False),
    ],
    ids=["its own", "unknown", "the database is away", "there is none", "over at another node"],
)
async def test_what_went_to_another_node_and_came_to_its_end_there_is_not_begun_again(
    tmp_path: Path, known: Known | None, *, goes_on: bool
) -> None:
    bus: Any = Nobody()
    taking = Taking(cast("Bus", bus), str, lambda: cast("Owners | None", known), tmp_path, lambda: "here")
    store = Left()
    assert await taking.reopen(store, "CA1") is None
    assert store.asked == int(goes_on)
