"""`/api/v1/calls`: what may be ordered, what is answered, and keys that keep anybody from being called twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.simulator.party import Party
from tests.outbound.world import ACCOUNT, HUMAN, OURS, TOKEN, World, true, world


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[World]:
    """A bridge whose calls ring for ever."""
    async with world(tmp_path) as it:
        it.party(Party(after_s=60))
        yield it


async def test_the_log_tells_who_has_ordered_a_call_and_who_did_not_want_it_any_more(it: World) -> None:
    url = it.up.url + "/api/v1/calls"
    with capture_logs() as lines:
        async with it.http.post(url, json={"to": HUMAN}) as response:
            call = (await response.json())["id"]
        async with it.http.delete(f"{url}/{call}") as response:
            assert response.status == 200
    told = [(line["event"], line["who"]) for line in lines if line.get("call") == call and "who" in line]
    assert told == [("call_asked_for", "local"), ("call_unwanted", "local")]


async def test_an_order_is_answered_with_the_call_and_where_to_see_it(it: World) -> None:
    async with it.http.post(
        it.up.url + "/api/v1/calls", json={"to": "+1 (555) 010-0001", "parameters": {"name": "Zoë"}}
    ) as response:
        call = await response.json()
        assert response.status == 202
        assert response.headers["Location"] == f"/api/v1/calls/{call['id']}"
    created_at = call.pop("created_at")
    assert created_at.endswith("+00:00")
    assert call == {
        "id": call["id"],
        "sid": None,
        "direction": "outbound",
        "status": "dialing",
        "from": OURS,
        "to": HUMAN,
        "parameters": {"name": "Zoë"},
        "answered_by": None,
        "reason": None,
        "detail": None,
        "duration_s": None,
    }
    ringing = await it.until(call["id"], "ringing")
    assert ringing == {**call, "status": "ringing", "sid": it.rest.placed[0].call_sid, "created_at": created_at}
    assert await it.show(ringing["sid"]) == ringing, "the carrier's id will do, too"


@pytest.mark.parametrize(
    ("body", "status", "code", "said"),
    [
        ({}, 422, "invalid", "to: Field required"),
        ({"to": "5550100"}, 422, "number_invalid", "to: '5550100' is no phone number"),
        ({"to": HUMAN, "from": "me"}, 422, "number_invalid", "from: 'me' is no phone number"),
        ({"to": "+49301234567"}, 403, "number_not_allowed", "outbound.allow (BRIDGE_OUTBOUND__ALLOW) is +1555*"),
        ({"to": HUMAN, "colour": 1}, 422, "invalid", "colour: there is no such field; there are to, from,"),
        (
            {"to": HUMAN, "ring_seconds": 4},
            422,
            "invalid",
            "ring_seconds: Input should be greater than or equal to 5",
        ),
        ({"to": HUMAN, "ring_seconds": "9"}, 422, "invalid", "ring_seconds: Input should be a valid integer"),
        (
            {"to": HUMAN, "detect_machines": "maybe"},
            422,
            "invalid",
            "detect_machines: Input should be 'off', 'sync'",
        ),
        ({"to": HUMAN, "voicemail": "Hi"}, 422, "voicemail_unheard", "set detect_machines to sync"),
        ({"to": HUMAN, "voicemail": "x" * 2001}, 422, "invalid", "voicemail: String should have at most 2000"),
        ({"to": HUMAN, "parameters": {"a b": "1"}}, 422, "invalid", "parameters: 'a b' cannot be a name"),
        ({"to": HUMAN, "parameters": {"token": "1"}}, 422, "invalid", "parameters: 'token' cannot be a name"),
        ({"to": HUMAN, "parameters": {"a": "x" * 499}}, 422, "invalid", "parameters: a is too long"),
        ({"to": HUMAN, "parameters": {"a": "\x00"}}, 422, "invalid", "parameters: a holds characters"),
        ({"to": HUMAN, "parameters": {"a": 1}}, 422, "invalid", "parameters.a: Input should be a valid string"),
        ({"to": HUMAN, "parameters": {f"a{n}": "" for n in range(51)}}, 422, "invalid", "there are 51, at most 50"),
        (
            {"to": HUMAN, "parameters": {f"a{n}": "x" * 490 for n in range(20)}},
            422,
            "invalid",
            "they have 9850 characters together, at most 8000",
        ),
    ],
)
async def test_what_cannot_be_ordered_is_told_with_the_name_of_the_field(
    tmp_path: Path, body: dict[str, Any], status: int, code: str, said: str
) -> None:
    async with world(tmp_path, BRIDGE_OUTBOUND__ALLOW="+1555*") as it:
        answered, problem = await it.ask("POST", body=body)
        assert (answered, problem["code"]) == (status, code)
        assert said in problem["detail"]
        assert problem["errors"][0]["field"] == problem["detail"].partition(":")[0]
        assert it.rest.requests == []


async def test_parameters_of_every_length_that_is_taken_reach_the_agent(it: World) -> None:
    it.party(Party())
    given = {f"name_{number}": mark * 480 for number, mark in enumerate("\"&<'ä€😀 \"&<'ä€😀")}
    await it.order(parameters=given)
    leg = await it.leg()
    assert await leg.connected()
    await true(lambda: leg.call_sid in it.up.registry.live)
    assert it.up.registry.live[leg.call_sid].info.parameters == given


class TestKeys:
    async def test_the_same_order_with_the_same_key_calls_once(self, it: World) -> None:
        body = {"to": HUMAN, "parameters": {"a": "1", "b": "2"}}
        turned = {"parameters": {"b": "2", "a": "1"}, "to": "+1 555 010 0001"}
        first, call = await it.ask("POST", body=body, Idempotency_Key="order-1")
        second, again = await it.ask("POST", body=turned, Idempotency_Key="order-1")
        assert (first, second, again["id"]) == (202, 200, call["id"])
        third, other = await it.ask("POST", body=body, Idempotency_Key="order-2")
        assert (third, other["id"] != call["id"]) == (202, True)
        await it.until(call["id"], "ringing")
        await it.until(other["id"], "ringing")
        assert len(it.rest.created) == 2

    async def test_many_at_the_same_moment_call_once(self, it: World) -> None:
        answers = await asyncio.gather(
            *(it.ask("POST", body={"to": HUMAN}, Idempotency_Key="k") for _ in range(10))
        )
        assert sorted(status for status, _ in answers) == [200] * 9 + [202]
        assert len({call["id"] for _, call in answers}) == 1
        await it.until(answers[0][1]["id"], "ringing")
        assert len(it.rest.created) == 1

    async def test_another_order_with_the_same_key_is_a_conflict(self, it: World) -> None:
        _, call = await it.ask("POST", body={"to": HUMAN}, Idempotency_Key="order-1")
        status, problem = await it.ask("POST", body={"to": HUMAN, "greeting": "Hi"}, Idempotency_Key="order-1")
        assert (status, problem["code"], problem["call"]) == (409, "key_conflict", call["id"])

    @pytest.mark.parametrize("key", ["", " ", "x" * 256, "clé"])
    async def test_a_key_that_is_none_is_told(self, it: World, key: str) -> None:
        status, problem = await it.ask("POST", body={"to": HUMAN}, Idempotency_Key=key)
        assert (status, problem["code"]) == (400, "key_invalid")
        assert it.rest.requests == []

    async def test_a_wrong_order_leaves_its_key_free(self, it: World) -> None:
        assert (await it.ask("POST", body={"to": "x"}, Idempotency_Key="k"))[0] == 422
        assert (await it.ask("POST", body={"to": HUMAN}, Idempotency_Key="k"))[0] == 202


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_call_that_nobody_knows_is_told(it: World, method: str) -> None:
    status, problem = await it.ask(method, "/CA123")
    assert (status, problem["code"]) == (404, "call_unknown")


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        (
            {"BRIDGE_TWILIO__ACCOUNT_SID": ""},
            ["twilio.account_sid (BRIDGE_TWILIO__ACCOUNT_SID)", "twilio.auth_token (BRIDGE_TWILIO__AUTH_TOKEN)"],
        ),
        (
            {"BRIDGE_TWILIO__AUTH_TOKEN": ""},
            ["twilio.account_sid (BRIDGE_TWILIO__ACCOUNT_SID)", "twilio.auth_token (BRIDGE_TWILIO__AUTH_TOKEN)"],
        ),
        ({"BRIDGE_TWILIO__API_URL": ""}, ["server.public_url (BRIDGE_SERVER__PUBLIC_URL)"]),
    ],
)
async def test_what_is_missing_for_calls_of_ours_is_named(
    tmp_path: Path, environment: dict[str, str], names: list[str]
) -> None:
    async with world(tmp_path, **environment) as it:
        status, problem = await it.ask("POST", body={"to": HUMAN})
        assert (status, problem["code"]) == (503, "outbound_not_set_up")
        assert [name for name in names if name not in problem["detail"]] == []


async def test_a_number_to_call_from_must_come_from_somewhere(tmp_path: Path) -> None:
    async with world(tmp_path, BRIDGE_OUTBOUND__FROM_NUMBER="") as it:
        status, problem = await it.ask("POST", body={"to": HUMAN})
        assert (status, problem["code"]) == (422, "from_missing")
        assert "BRIDGE_OUTBOUND__FROM_NUMBER" in problem["detail"]
        it.party(Party("busy"))
        call = await it.over(await it.order(**{"from": "+1 555 010 0009"}))
        assert it.rest.created[0]["From"] == [call["from"]] == ["+15550100009"]


async def test_the_token_is_asked_for(tmp_path: Path) -> None:
    async with world(tmp_path, BRIDGE_API__TOKEN="right") as it:
        for method, path in (("POST", ""), ("GET", "/x"), ("DELETE", "/x")):
            assert (await it.ask(method, path))[0] == 401
        assert (await it.ask("GET", "/x", Authorization="Bearer right"))[0] == 404
        assert (ACCOUNT + TOKEN) not in str(await it.ask("POST", body={"to": HUMAN}))
