"""What is kept of calls, asked for: lists, one call, transcripts, files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from yarl import URL

from tests.api.kept_world import ONE, THREE, TWO, Kept, kept

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kept]:
    """One bridge for all; but for the last test, nothing here changes what is kept."""
    async with kept(tmp_path_factory.mktemp("calls")) as it:
        yield it


async def test_calls_are_listed_part_by_part_newest_first(it: Kept) -> None:
    whole = await it.json("/calls")
    assert [one["id"] for one in whole["items"]] == [THREE, TWO, ONE]
    assert whole["next"] is None
    first = whole["items"][2]
    assert first == {
        "id": ONE,
        "sid": "CA" + ONE,
        "direction": "inbound",
        "caller": "+15550100001",
        "called": "+15550100002",
        "other": "",
        "agent_kind": "webhook",
        "started_at": "2026-03-01T12:01:00.000+00:00",
        "duration_ms": 3000,
        "ended": "caller",
        "state": "ended",
        "transfer_to": "",
        "turns": 3,
        "interruptions": 1,
        "wasted": 0,
        "problems": 0,
        "under_runs": 0,
    }
    assert whole["items"][0]["state"] == "broken_off"
    parts, cursor = [], None
    while True:
        part = await it.json("/calls", {"limit": 1, **({"cursor": cursor} if cursor else {})})
        parts += [one["id"] for one in part["items"]]
        if (cursor := part["next"]) is None:
            break
    assert parts == [THREE, TWO, ONE]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"number": "+1 (555) 999-8888"}, [TWO]),
        ({"number": "0100001"}, [THREE, ONE]),
        ({"caller": "+15550100001"}, [THREE, ONE]),
        ({"called": "+15550100001"}, []),
        ({"direction": "outbound"}, [TWO]),
        ({"agent_kind": "log"}, [TWO]),
        ({"ended": "caller"}, [ONE]),
        ({"interrupted": "true"}, [ONE]),
        ({"interrupted": "false"}, [THREE, TWO]),
        ({"live": "true"}, []),
        ({"since": "2026-03-01T12:02:00Z"}, [THREE, TWO]),
        ({"since": "2026-03-01T13:02:00+01:00", "until": "2026-03-01T12:03:00"}, [TWO]),
        ({"until": "2026-03-01"}, []),
        ({"since": "0001-01-01T00:00:00+23:59"}, [THREE, TWO, ONE]),
        ({"until": "9999-12-31T23:59:59-23:59"}, [THREE, TWO, ONE]),
        ({"number": "'; DROP TABLE calls; --"}, []),
        ({"number": "\x00"}, []),
    ],
)
async def test_the_list_is_narrowed(it: Kept, asked: dict[str, str], found: list[str]) -> None:
    assert [one["id"] for one in (await it.json("/calls", asked))["items"]] == found


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"direction": "up"}, "direction"),
        ({"since": "yesterday"}, "since"),
        ({"since": "0.5"}, "since"),
        ({"since": "2026-02-31"}, "since"),
        ({"interrupted": "perhaps"}, "interrupted"),
        ({"colour": "red"}, "colour"),
        ({"number": ""}, "number"),
        ({"number": "1" * 201}, "number"),
        ({"cursor": "AAAA"}, "cursor"),
        ({"cursor": "é"}, "cursor"),
        ({"cursor": "x" * 10_000}, "cursor"),
    ],
)
async def test_what_cannot_be_asked_for_is_told_by_its_name(it: Kept, asked: dict[str, str], field: str) -> None:
    found = await it.json("/calls", asked, status=422)
    assert [each["field"] for each in found["errors"]] == [field]
    assert found["detail"].startswith(f"{field}: ")


async def test_a_parameter_that_comes_twice_is_refused(it: Kept) -> None:
    async with it.world.http.get(it.url + "/api/v1/calls?limit=1&limit=2") as response:
        assert response.status == 422
        assert (await response.json(content_type=None))["errors"][0]["field"] == "limit"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("refund", [THREE, ONE]),
        ('"a refund"', [ONE]),
        ("refund -please", [ONE]),
        ("quoted", [TWO]),
        ('"', []),
        ("AND OR NOT (", []),
        ("%", []),
    ],
)
async def test_what_was_said_is_found(it: Kept, words: str, found: list[str]) -> None:
    page = await it.json("/search", {"q": words})
    assert [hit["call"]["id"] for hit in page["items"]] == found
    for hit in page["items"]:
        assert hit["snippet"]["text"]
        assert hit["turn"]["text"]


async def test_a_search_is_narrowed_and_comes_in_parts(it: Kept) -> None:
    by_agent = await it.json("/search", {"q": "open", "speaker": "agent"})
    assert [hit["turn"]["speaker"] for hit in by_agent["items"]] == ["agent"]
    assert (await it.json("/search", {"q": "refund", "speaker": "agent"}))["items"] == []
    first = await it.json("/search", {"q": "refund", "limit": 1})
    second = await it.json("/search", {"q": "refund", "limit": 1, "cursor": first["next"]})
    assert [hit["call"]["id"] for hit in first["items"] + second["items"]] == [THREE, ONE]
    assert second["next"] is None
    assert (await it.json("/search", status=422))["errors"][0]["field"] == "q"


@pytest.mark.parametrize("name", [ONE, "CA" + ONE])
async def test_one_call_is_told_whole(it: Kept, name: str) -> None:
    call = await it.json(f"/calls/{name}")
    assert (call["id"], call["status"], call["state"], call["from"]) == (ONE, "completed", "ended", "+15550100001")
    assert [(turn["speaker"], turn["text"], turn["unheard"]) for turn in call["transcript"]] == [
        ("agent", "Hello there.", ""),
        ("caller", "I want a refund", ""),
        ("agent", "We are open", " from nine to five."),
    ]
    assert [row["kind"] for row in call["actions"]] == ["call_opened", "key_pressed", "message_left", "call_closed"]
    assert [row["data"] for row in call["notes"]] == [{"intent": "refund"}]
    assert call["legs"][0]["kind"] == "stream"
    assert call["messages"] == [1]


@pytest.mark.parametrize(
    "name",
    [
        "nobody",
        "..",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "2026-03-01%2F120100-" + ONE,
        "120100-" + ONE,
        "%00",
        "x" * 6000,
        "'",
        "%F0%9F%98%80",
        "*",
        "calls.db",
    ],
)
async def test_names_are_looked_up_and_lead_nowhere_else(it: Kept, name: str) -> None:
    for what in ("", "/recording", "/journal", "/transcript", "/messages/1", "/peaks", "/timeline.svg"):
        async with it.world.http.get(URL(f"{it.url}/api/v1/calls/{name}{what}", encoded=True)) as response:
            assert response.status == 404
            assert response.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        ("json", "application/json"),
        ("text", "text/plain"),
        ("jsonl", "application/jsonl"),
        ("csv", "text/csv"),
        ("vtt", "text/vtt"),
        ("srt", "application/x-subrip"),
    ],
)
async def test_the_transcript_comes_in_every_format(it: Kept, wanted: str, kind: str) -> None:
    status, body, response = await it.ask(f"/calls/{ONE}/transcript", query={"format": wanted})
    assert (status, response.content_type) == (200, kind)
    assert "I want a refund" in body.decode()
    assert response.headers["Content-Disposition"].startswith(f'inline; filename="{ONE}.')
    if wanted == "json":
        assert [line["text"] for line in json.loads(body)["lines"]][1] == "I want a refund"
    if wanted == "csv":
        assert len(list(csv.reader(io.StringIO(body.decode())))) > 3


async def test_a_format_that_there_is_not_is_told(it: Kept) -> None:
    found = await it.json(f"/calls/{ONE}/transcript", {"format": "doc"}, status=422)
    assert "'json', 'text'" in found["detail"]


async def test_words_in_any_script_come_back_as_they_were(it: Kept) -> None:
    call = await it.json(f"/calls/{TWO}")
    assert call["transcript"][0]["text"] == "Ärger — “quoted”, <b> & 日本語 \u202eRTL"


@pytest.mark.parametrize("what", ["journal", "trace"])
async def test_journal_and_trace_come_as_they_lie_on_the_disk(it: Kept, what: str) -> None:
    status, body, response = await it.ask(f"/calls/{ONE}/{what}")
    if what == "trace":
        assert status == 404  # This call has none.
        return
    (path,) = it.world.folder.glob(f"*/*{ONE}/journal.jsonl")
    assert (status, response.content_type, body) == (200, "application/jsonl", path.read_bytes())
    status, part, _ = await it.ask(f"/calls/{ONE}/journal", Range="bytes=5-9")
    assert (status, part) == (206, body[5:10])


async def test_a_file_that_is_gone_is_told_without_its_place(it: Kept) -> None:
    (path,) = it.world.folder.glob(f"*/*{THREE}/journal.jsonl")
    path.unlink()
    for what in ("journal", "transcript"):
        found = await it.json(f"/calls/{THREE}/{what}", status=404)
        assert found["code"] == "file_missing"
        assert str(it.world.folder) not in str(found)
