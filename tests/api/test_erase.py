"""Erasing by the API: who may, what is gone then, and what is told where it cannot be done."""

from __future__ import annotations

import json
from pathlib import Path

from tests.api.kept_world import ONE, THREE, TWO, kept

TOKENS = json.dumps([{"name": "driver", "token": "d" * 20, "scope": "control"}])


async def test_a_call_is_erased_and_then_there_is_no_such_call(tmp_path: Path) -> None:
    async with kept(tmp_path) as it:
        assert (await it.ask(f"/calls/CA{ONE}", "DELETE", {"erase": "true"}))[0] == 204
        for what in ("", "/recording", "/journal", "/transcript"):
            assert (await it.json(f"/calls/{ONE}{what}", status=404))["code"] == "call_unknown"
        assert [one["id"] for one in (await it.json("/calls"))["items"]] == [THREE, TWO]
        assert not [*tmp_path.glob(f"*/*{ONE}")]
        status, _, _ = await it.ask(f"/calls/{ONE}", "DELETE", {"erase": "true"})
        assert status == 404
        assert (await it.json("/audit"))["items"][0]["what"] == "call_erased"
        assert (await it.ask(f"/calls/{TWO}", "DELETE"))[0] == 404, "without erase it ends orders, as ever"


async def test_all_calls_of_a_number_are_erased(tmp_path: Path) -> None:
    async with kept(tmp_path) as it:
        status, body, _ = await it.ask("/erase", "POST", body={"number": "+1 555 010 0001"})
        assert status == 200
        found = json.loads(body)
        assert (sorted(found["calls"]), found["live"], found["left"]) == ([ONE, THREE], [], [])
        assert [one["id"] for one in (await it.json("/calls"))["items"]] == [TWO]
        status, body, response = await it.ask("/erase", "POST", body={"number": "nobody at all"})
        assert (status, response.content_type) == (422, "application/problem+json")
        assert json.loads(body)["errors"][0]["field"] == "number"
        assert "0100001" not in str((await it.json("/audit"))["items"])


async def test_only_admins_erase(tmp_path: Path) -> None:
    async with kept(tmp_path, BRIDGE_API__TOKENS=TOKENS, token="d" * 20) as it:
        for path, method, query, body in (
            (f"/calls/{ONE}", "DELETE", {"erase": "true"}, None),
            ("/erase", "POST", None, {"number": "+15550100001"}),
            ("/audit", "GET", None, None),
        ):
            status, answer, _ = await it.ask(path, method, query, body)
            assert status == 403
            assert json.loads(answer)["needed"] == "admin"
        assert len((await it.json("/calls"))["items"]) == 3
