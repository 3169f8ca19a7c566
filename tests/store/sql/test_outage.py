"""A database that is away is not heard in any call, and misses nothing in the end."""

from __future__ import annotations

import pytest

from bridge.bench.figures import BARGE_IN, HEARD
from tests.store.sql.outage import measure
from tests.store.sql.place import Place


@pytest.mark.timeout(240)
async def test_calls_do_not_feel_that_the_database_is_away(place: Place) -> None:
    """`python -m tests.store.sql.outage` measures it for long, and more than this machine may show in seconds."""
    outcome = await measure(place, 2, [("up", 2.5), ("down", 4.0), ("up", 1.5)])

    for measured in (HEARD, BARGE_IN):
        up, down = outcome.figures("up", measured), outcome.figures("down", measured)
        assert down.p50 < 3 * up.p50 + 20, (measured, up, down)
    assert outcome.entries > 10
