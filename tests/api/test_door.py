"""Who may ask the API, and how it says what is wrong with a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import BaseModel, ConfigDict
from yarl import URL

from bridge.api.access import Access
from bridge.api.door import Door, problems, query, read
from bridge.api.operations import Operation
from bridge.api.problems import Problem
from bridge.errors import StoreError

Client = TestClient[web.Request, web.Application]


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int
    colour: str = "red"


async def take(request: web.Request) -> web.Response:
    thing = await read(request, Thing)
    return web.json_response(thing.model_dump())


async def fail(_: web.Request) -> web.Response:
    raise ZeroDivisionError


async def refuse(_: web.Request) -> web.Response:
    raise Problem(409, "conflict", "There is one.", headers={"Retry-After": "3"}, other="CA1")


def house(token: str = "") -> web.Application:
    app = web.Application(client_max_size=64 * 1024, middlewares=[problems])
    door = Door(Access(token))
    door.add(app, "POST", "/things", take, Operation("Test"))
    door.add(app, "POST", "/api/v1/things", take, Operation("Test"))
    door.add(app, "POST", "/failing", fail, Operation("Test"))
    door.add(app, "POST", "/refusing", refuse, Operation("Test"))
    return app


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with TestClient(TestServer(house())) as found:
        yield found


async def problem(response: aiohttp.ClientResponse) -> dict[str, Any]:
    assert response.content_type == "application/problem+json"
    found: dict[str, Any] = await response.json(content_type=None)
    assert found["status"] == response.status
    return found


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1234"}, 200),
        ({"Host": "[::1]:1234"}, 200),
        ({"Host": "bridge.example.com"}, 401),
        ({"Host": "["}, 401),
        ({"X-Forwarded-For": "1.2.3.4"}, 401),
        ({"Forwarded": "for=1.2.3.4"}, 401),
        ({"Origin": "https://evil.example.com"}, 401),
        ({"Origin": "null"}, 401),
        ({"Origin": "http://localhost", "Host": "localhost"}, 200),
        ({"Authorization": "Bearer whatever"}, 200),
    ],
)
async def test_without_a_token_only_programs_on_this_machine_may_ask(
    client: Client, headers: dict[str, str], status: int
) -> None:
    async with client.post("/things", json={"size": 1}, headers=headers) as response:
        assert response.status == status
        if status == 401:
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert (await problem(response))["code"] == "unauthorized"


@pytest.mark.parametrize(
    ("given", "status"),
    [("Bearer right", 200), ("Bearer wrong", 401), ("bearer", 401), ("", 401), ("Bearer right ✓", 401)],
)
async def test_with_a_token_only_who_has_it_may_ask(given: str, status: int) -> None:
    headers = {"Authorization": given, "X-Forwarded-For": "1.2.3.4"}
    async with (
        TestClient(TestServer(house("right"))) as client,
        client.post("/things", json={"size": 1}, headers=headers) as response,
    ):
        assert response.status == status


@pytest.mark.parametrize(
    ("body", "kind", "status", "code", "said"),
    [
        (b"{", "application/json", 400, "body_not_json", "not JSON"),
        (b"\xff", "application/json", 400, "body_not_json", "not JSON"),
        (b"[" * 60_000, "application/json", 400, "body_not_json", "not JSON"),
        (b"[1]", "application/json", 400, "body_not_object", "JSON object"),
        (b"{}", "application/json", 422, "invalid", "size: Field required"),
        (b'{"size": "much"}', "application/json", 422, "invalid", "size: Input should be a valid integer"),
        (b'{"size": 1, "sise": 2}', "application/json", 422, "invalid", "sise: there is no such field"),
        (b"size=1", "application/x-www-form-urlencoded", 415, "content_type", "application/json"),
        (b'"' + b"x" * 70_000 + b'"', "application/json", 413, "body_too_large", "longer than 65536"),
    ],
)
async def test_a_body_that_cannot_be_taken_is_told_in_a_sentence(
    client: Client, body: bytes, kind: str, status: int, code: str, said: str
) -> None:
    async with client.post("/things", data=body, headers={"Content-Type": kind}) as response:
        assert response.status == status
        found = await problem(response)
    assert found["code"] == code
    assert said in found["detail"]


async def test_every_wrong_field_is_named_and_its_value_is_not_repeated(client: Client) -> None:
    async with client.post("/things", json={"size": "secret", "colour": 4}) as response:
        found = await problem(response)
    assert [each["field"] for each in found["errors"]] == ["size", "colour"]
    assert "secret" not in str(found)


async def test_what_a_handler_refuses_is_told_with_its_headers_and_fields(client: Client) -> None:
    async with client.post("/refusing") as response:
        found = await problem(response)
        assert response.headers["Retry-After"] == "3"
    assert found == {
        "title": "Conflict",
        "status": 409,
        "code": "conflict",
        "detail": "There is one.",
        "other": "CA1",
    }


async def test_a_handler_that_fails_is_answered_all_the_same(client: Client) -> None:
    async with client.post("/failing") as response:
        assert response.status == 500
        assert (await problem(response))["code"] == "internal"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/api/v1/nothing", 404, "not_found"), ("PUT", "/api/v1/things", 405, "method_not_allowed")],
)
async def test_what_is_not_there_is_told_in_a_problem_document_as_well(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    async with client.request(method, path) as response:
        assert response.status == status
        assert response.headers.get("Allow", "POST") == "POST"
        assert (await problem(response))["code"] == code


async def test_other_addresses_are_not_the_apis(client: Client) -> None:
    async with client.get("/nothing") as response:
        assert (response.status, response.content_type) == (404, "text/plain")


async def test_a_body_that_is_not_packed_as_it_says_is_no_fault_of_the_bridge(client: Client) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with client.post("/things", data=b"{}x", headers=headers) as response:
        assert response.status == 400
        assert (await problem(response))["code"] == "body_unreadable"


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = 1
    name: str = ""


async def ask(request: web.Request) -> web.Response:
    return web.json_response(query(request, Asked).model_dump())


@pytest.fixture
async def asked(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr("bridge.api.door._BODY_WITHIN_S", 0.2)
    app = house()
    Door(Access()).add(app, "GET", "/api/asked", ask, Operation("Test"))
    async with TestClient(TestServer(app)) as found:
        yield found


@pytest.mark.parametrize(
    ("behind", "status"),
    [
        ("", 200),
        ("size=3&name=%F0%9F%98%80", 200),
        ("size=x", 422),
        ("size=1&size=2", 422),
        ("sise=1", 422),
        ("name=" + "x" * 7000, 200),
        ("&&&=&", 422),
        ("size=%00", 422),
        ("name=%ff%fe", 200),
    ],
)
async def test_what_stands_behind_the_question_mark_is_checked(asked: Client, behind: str, status: int) -> None:
    async with asked.get(URL(f"/api/asked?{behind}", encoded=True)) as response:
        assert response.status == status
        if status != 200:
            assert (await problem(response))["code"] == "invalid"


async def test_head_is_answered_where_get_is(asked: Client) -> None:
    async with asked.head("/api/asked") as response:
        assert (response.status, await response.read()) == (200, b"")
        assert response.headers["Content-Type"].startswith("application/json")


async def test_a_body_that_comes_too_slowly_is_not_waited_for(asked: Client) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b'{"size"'
        await asyncio.sleep(5)
        yield b": 1}"

    headers = {"Content-Type": "application/json"}
    async with asked.post("/api/v1/things", data=slow(), headers=headers) as response:
        assert response.status == 408
        assert (await problem(response))["code"] == "body_late"


async def test_who_hangs_up_in_the_middle_of_a_body_is_no_fault_of_the_bridge() -> None:
    runner = web.AppRunner(house(), access_log=None)  # As the bridge's own: nobody cancels handlers.
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    with structlog.testing.capture_logs() as logs:
        _, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
        head = b"POST /api/v1/things HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        head += b"Content-Type: application/json\r\nContent-Length: 99\r\n\r\n"
        writer.write(head + b'{"a')
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.transport.abort()
        await asyncio.sleep(0.1)
    await runner.cleanup()
    assert [line["event"] for line in logs] == []


async def test_what_the_database_lacks_comes_later() -> None:
    async def away(_: web.Request) -> web.Response:
        raise StoreError("the database at /secret/place is away", code="store_unreachable")

    app = house()
    Door(Access()).add(app, "GET", "/api/away", away, Operation("Test"))
    async with TestClient(TestServer(app)) as client, client.get("/api/away") as response:
        found = await problem(response)
        assert (response.status, found["code"], response.headers["Retry-After"]) == (503, "store_unreachable", "5")
        assert "secret" not in str(found)
