"""The description of the API: valid by the official meta-schema, and of all that there is."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, ConfigDict, Field

import bridge.app
from bridge.api.openapi import document
from bridge.api.operations import Operation
from tests.outbound.world import World, world


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str = Field(max_length=3, description="What is said.")


class Query(BaseModel):
    limit: int = Field(default=5, le=9, description="How many.")
    since: str | None = None
    q: str


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as it:
        yield it


async def told(it: World) -> dict[str, Any]:
    async with it.http.get(it.up.url + "/api/openapi.json", headers={"X-Forwarded-For": "1.2.3.4"}) as response:
        assert response.status == 200, "it is told to everybody"
        found: dict[str, Any] = await response.json()
        return found


async def test_it_is_valid_and_holds_every_address_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apps: list[web.Application] = []

    async def watched(app: web.Application, *more: Any) -> int:
        apps.append(app)
        return await listen(app, *more)

    listen = bridge.app._listen
    monkeypatch.setattr(bridge.app, "_listen", watched)
    async with world(tmp_path) as it:
        found = await told(it)
    assert [error.message for error in OpenAPIV31SpecValidator(found).iter_errors()] == []
    described = {(path, method) for path, methods in found["paths"].items() for method in methods}
    there = {
        (route.resource.canonical, route.method.lower())
        for resource in apps[0].router.resources()
        for route in resource
        if route.resource is not None and route.resource.canonical.startswith("/api/") and route.method != "HEAD"
    }
    assert described == there
    for _, method in described:
        assert method in {"get", "post", "put", "delete", "patch"}


async def test_every_answer_is_described_and_every_operation_named_once(it: World) -> None:
    found = await told(it)
    operations = [one for methods in found["paths"].values() for one in methods.values()]
    names = [one["operationId"] for one in operations]
    assert len(names) == len(set(names))
    for one in operations:
        assert any(status.startswith("2") or status == "101" for status in one["responses"]), one["operationId"]
        assert {"400", "401", "403", "422", "429", "500"} <= set(one["responses"])
        assert one["summary"]
        for parameter in one.get("parameters", ()):
            assert parameter["description"] or parameter["in"] == "query", (one["operationId"], parameter)
    assert not re.search(r"/work|contract", str(found))


def test_models_become_parameters_bodies_and_answers() -> None:
    made = document(
        {
            ("/api/v1/things/{call}/{name}", "post"): Operation(
                "Do it",
                "control",
                query=Query,
                body=Body,
                headers={"Range": "A part."},
                answers={200: Body, 206: "audio/wav", 204: None},
                problems=(404,),
            )
        }
    )
    assert [error.message for error in OpenAPIV31SpecValidator(made).iter_errors()] == []
    one = made["paths"]["/api/v1/things/{call}/{name}"]["post"]
    assert one["operationId"] == "post_things_call_name"
    assert "`control`" in one["description"]
    assert one["security"] == [{"bearer": ["control"]}, {"cookie": ["control"]}]
    by_name = {each["name"]: each for each in one["parameters"]}
    assert [*by_name] == ["call", "name", "limit", "since", "q", "Range", "X-CSRF-Token"]
    assert by_name["limit"]["schema"] == {"type": "integer", "default": 5, "maximum": 9}
    assert by_name["since"]["schema"] == {"type": "string"}
    assert [each["required"] for each in by_name.values()] == [True, True, False, False, True, False, False]
    assert one["requestBody"]["required"]
    assert one["responses"]["206"]["content"] == {"audio/wav": {}}
    assert "content" not in one["responses"]["204"]
    assert {"404", "413", "415", "422"} <= set(one["responses"])
    body = made["components"]["schemas"]["Body"]
    assert body["properties"]["text"]["maxLength"] == 3
    assert body["additionalProperties"] is False
