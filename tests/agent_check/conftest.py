from __future__ import annotations

import pytest
from pytest_aiohttp.plugin import AiohttpServer

from tests.agent_check.authors import Start, starter


@pytest.fixture
def start(aiohttp_server: AiohttpServer) -> Start:
    return starter(aiohttp_server)
