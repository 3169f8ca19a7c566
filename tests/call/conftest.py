"""A session whose conversation is a script, and a clock that can be put forward."""

from __future__ import annotations

import pytest

from tests.call.live_call import Call, scripted
from tests.call.peers import Clock, Script


@pytest.fixture
async def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    return scripted(monkeypatch)


@pytest.fixture
async def call(script: Script) -> Call:
    return Call(script)


@pytest.fixture
async def clock() -> Clock:
    return Clock()
