"""The carrier's requests, made again where nobody answers, as an address wants it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from bridge.simulator import webhooks as module
from bridge.simulator.line import CallError, Line
from bridge.simulator.webhooks import Webhooks


class Bridge:
    """A web server that fails as often as it is told, and counts what it is asked."""

    def __init__(self) -> None:
        self.fails = 0
        self.breaks = False
        self.asked: list[str] = []
        app = web.Application()
        app.router.add_post("/next", self.answer)
        self.server = TestServer(app)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        if len(self.asked) <= self.fails:
            if self.breaks:
                assert request.transport is not None
                request.transport.abort()
            return web.Response(status=503)
        return web.Response(text="<Response><Hangup/></Response>", content_type="text/xml")


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AGAIN_AFTER_S", (0.01,) * 5)


@pytest.fixture
async def bridge() -> AsyncIterator[Bridge]:
    bridge = Bridge()
    await bridge.server.start_server()
    yield bridge
    await bridge.server.close()


async def ask(bridge: Bridge, fragment: str) -> str:
    url = str(bridge.server.make_url("/next?leg=1"))
    async with aiohttp.ClientSession() as session:
        return (await Webhooks(Line(url), session).ask(url + fragment, "POST", []))[0]


async def test_an_answer_that_failed_is_asked_for_as_often_as_the_address_wants(bridge: Bridge) -> None:
    bridge.fails = 3
    assert "Hangup" in await ask(bridge, "#rc=3&rp=ct,rt,5xx")
    assert bridge.asked == ["/next?leg=1"] * 4  # The fragment is never sent.


@pytest.mark.parametrize("breaks", [False, True])
async def test_without_its_wish_only_a_connection_is_tried_again(bridge: Bridge, breaks: bool) -> None:
    bridge.fails, bridge.breaks = 1, breaks
    with pytest.raises(CallError):
        await ask(bridge, "")
    assert len(bridge.asked) == 1


async def test_an_answer_that_broke_off_is_asked_for_again_where_that_is_wanted(bridge: Bridge) -> None:
    bridge.fails, bridge.breaks = 1, True
    assert "Hangup" in await ask(bridge, "#rc=1&rp=rt")


async def test_nobody_there_is_told_at_last() -> None:
    url = f"http://127.0.0.1:{unused_port()}/next"
    async with aiohttp.ClientSession() as session:
        with pytest.raises(CallError, match="cannot reach"):
            await Webhooks(Line(url), session).ask(url, "POST", [])
