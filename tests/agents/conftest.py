from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pytest_aiohttp.plugin import AiohttpServer

from tests.agents.bench import Bench
from tests.agents.openai.model_server import ModelServer


@pytest.fixture
async def bench(aiohttp_server: AiohttpServer) -> AsyncIterator[Bench]:
    bench = Bench(aiohttp_server)
    yield bench
    await bench.close()


@pytest.fixture
async def model() -> AsyncIterator[ModelServer]:
    model = ModelServer()
    await model.start()
    yield model
    await model.close()
