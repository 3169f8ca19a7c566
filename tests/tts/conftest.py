from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from bridge.tts.cartesia import CartesiaSpeech, CartesiaSpeechSettings
from tests.serving import served
from tests.tts.scripted import KEY, Build, Heard, Service


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    scripted = Service()
    app = web.Application()
    app.router.add_get("/tts/websocket", scripted.handle)
    async with served(app) as scripted.url:
        yield scripted
        for line in scripted.lines:
            line.drop()


@pytest.fixture
async def speech(service: Service) -> AsyncIterator[Build]:
    built: list[CartesiaSpeech] = []

    def build(**settings: Any) -> CartesiaSpeech:
        built.append(
            CartesiaSpeech(CartesiaSpeechSettings(**{"base_url": service.url, "api_key": KEY, **settings}))
        )
        return built[-1]

    before = asyncio.all_tasks()
    yield build
    for synthesizer in built:
        await synthesizer.close()
    left = [task.get_name() for task in asyncio.all_tasks() - before if task.get_name().startswith("tts")]
    assert left == []


@pytest.fixture
async def heard() -> Heard:
    return Heard()
