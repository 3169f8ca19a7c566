"""Addresses that are put up with the first request for one of them."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bridge.api.late import LateRoutes


class House:
    """An application with an address of its own, and others that come late."""

    def __init__(self, *, here: bool = True, broken: int = 0, slow_s: float = 0.0) -> None:
        self.made = 0
        self._broken, self._slow_s = broken, slow_s
        self.app = web.Application()
        self.app.router.add_post("/own", _own)
        self.late = LateRoutes(self._make, lambda _: here)
        self.app.router.register_resource(self.late)

    async def _make(self) -> web.Application:
        self.made += 1
        await asyncio.sleep(self._slow_s)
        if self.made <= self._broken:
            raise RuntimeError("not yet")
        app = web.Application()
        app.router.add_get("/", _late)
        app.router.add_get("/late/{name}", _late)

        async def mark(_: web.Request, response: web.StreamResponse) -> None:
            response.headers["x-late"] = "yes"

        app.on_response_prepare.append(mark)
        return app


async def _own(_: web.Request) -> web.Response:
    return web.Response(text="own")


async def _late(request: web.Request) -> web.Response:
    return web.Response(text="late " + request.match_info.get("name", ""))


async def test_nothing_is_put_up_for_who_asks_for_something_else() -> None:
    house = House()
    async with TestClient(TestServer(house.app)) as client:
        assert await (await client.post("/own")).text() == "own"
        assert house.made == 0


async def test_the_first_request_puts_it_up_and_all_find_it() -> None:
    house = House()
    async with TestClient(TestServer(house.app)) as client:
        for _ in range(2):
            answer = await client.get("/late/a")
            assert (answer.status, await answer.text(), answer.headers["x-late"]) == (200, "late a", "yes")
        assert await (await client.get("/")).text() == "late "
        assert house.made == 1


async def test_what_comes_meanwhile_waits_and_who_goes_away_keeps_nobody_from_it() -> None:
    house = House(slow_s=0.2)
    async with TestClient(TestServer(house.app)) as client:
        first = asyncio.gather(client.get("/late/a"), return_exceptions=True)
        await asyncio.sleep(0.05)
        others = [asyncio.ensure_future(client.get(f"/late/{name}")) for name in "bc"]  # noqa: TID251  A test's own.
        await asyncio.sleep(0.05)
        first.cancel()
        answers = await asyncio.gather(*others)
        assert [await answer.text() for answer in answers] == ["late b", "late c"]
        assert house.made == 1


async def test_there_is_nothing_where_there_is_nothing_and_a_method_is_told() -> None:
    house = House()
    async with TestClient(TestServer(house.app)) as client:
        assert (await client.get("/nowhere")).status == 404
        wrong = await client.post("/late/a")
        assert (wrong.status, wrong.headers["Allow"]) == (405, "GET,HEAD")
        assert (await client.get("/own")).status == 405


async def test_where_others_answer_nothing_is_put_up() -> None:
    house = House(here=False)
    async with TestClient(TestServer(house.app)) as client:
        assert (await client.get("/late/a")).status == 404
        assert house.made == 0


async def test_a_failure_is_not_for_ever() -> None:
    house = House(broken=1)
    with pytest.raises(RuntimeError):
        await house.late.app()
    async with TestClient(TestServer(house.app)) as client:
        assert (await client.get("/late/a")).status == 200
        assert house.made == 2
