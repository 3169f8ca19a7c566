"""Some calls of the soak; `python -m tests.soak` makes thousands."""

from __future__ import annotations

import sys

import pytest

from tests.soak.run import soak


@pytest.mark.skipif(sys.platform != "linux", reason="what a process has is read from /proc")
@pytest.mark.timeout(60)
async def test_after_some_calls_of_every_kind_nothing_stays_behind() -> None:
    soaked = await soak(50, at_once=50, longest_s=0.6)
    assert soaked.wrong == []
    assert soaked.looks[-1][1].calls == 0
    assert soaked.seen["agent asked"] > 10
