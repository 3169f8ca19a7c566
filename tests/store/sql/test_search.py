"""The full-text search, on both databases alike."""

# ruff: noqa: RUF001 - letters of other scripts are what is tested

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert, text, update

from bridge.store.sql import schema
from bridge.store.sql.call_rows import Snippet, snippet
from bridge.store.sql.calls import CallFilter, Calls, Hit
from bridge.store.sql.database import Database
from bridge.store.sql.removing import forget_words
from bridge.store.sql.search_query import parse_query
from tests.store.sql.kept import NOON, call, kept, put, turn
from tests.store.sql.place import Place

SAID = [
    turn("a", 1, "Hello, Blue Door.", "agent"),
    turn("a", 2, " Hi, when do you open on Sunday? "),
    turn("a", 3, "We open at nine on weekdays", "agent", unheard=" and ten on Sunday.", interrupted=True),
    turn("a", 4, "My number is 555-1234."),
    turn("b", 1, "Buenos días, ¿a qué hora abren el café?"),
    turn("b", 2, "東京駅に行きたいです"),
    turn("b", 3, "ขอจองโต๊ะสองที่"),
    turn("b", 4, "На улице мороз, ёлки 🎄"),
    turn("b", 5, "Do not open it, please.", "callee"),
]


@pytest.fixture
async def database(place: Place, tmp_path: Path) -> AsyncIterator[Database]:
    async with kept(place.url, tmp_path) as opened:
        await put(opened, [call("a", 0), call("b", 5, caller="+34600000001", agent_kind="log")], SAID)
        yield opened


@pytest.fixture
def calls(database: Database, tmp_path: Path) -> Calls:
    return Calls(database, tmp_path)


async def found(calls: Calls, query: str, limit: int = 50, **wanted: Any) -> list[str]:
    """Of all pages together: call and turn."""
    hits: list[Hit] = []
    cursor = None
    while True:
        page = await calls.search(query, CallFilter(**wanted), cursor, limit)
        assert len(page.items) == limit or page.next is None, "no page but the last is short"
        hits += page.items
        cursor = page.next
        if cursor is None:
            return [f"{hit.call.id}{hit.turn.seq}" for hit in hits]


QUERIES: list[tuple[str, list[str]]] = [
    ("open", ["b5", "a3", "a2"]),
    ("OPEN sunday", ["a2"]),
    ('"open on"', ["a2"]),
    ("open -sunday", ["b5", "a3"]),
    ("open OR hello", ["b5", "a3", "a2", "a1"]),
    ("wee*", ["a3"]),
    ("555-1234", ["a4"]),
    ("1234", ["a4"]),
    ("cafe dias", ["b1"]),
    ("東京", ["b2"]),
    ("駅", ["b2"]),
    ("京都", []),
    ("สอง", ["b3"]),
    ("елки", ["b4"]),
    ("🎄", ["b4"]),
    ("ten", []),  # nobody heard it
    ("words", []),
    ("-open", []),
    ("", []),
    ("' OR 1=1 --", []),
    ('"', []),
]


async def test_what_is_found(calls: Calls) -> None:
    for query, expected in QUERIES:
        assert await found(calls, query) == expected, query
        assert await found(calls, query, limit=1) == expected, query


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"speaker": "caller"}, ["a2"]),
    ({"speaker": "agent"}, ["a3"]),
    ({"speaker": "callee"}, ["b5"]),
    ({"number": "+34 600 000 001"}, ["b5"]),
    ({"number": "1234567"}, ["a3", "a2"]),
    ({"since_ms": NOON + 1}, ["b5"]),
    ({"until_ms": NOON + 1}, ["a3", "a2"]),
    ({"since_ms": NOON + 1, "speaker": "agent"}, []),
    ({"agent_kind": "log"}, ["b5"]),
    ({"live": True}, []),
    ({"live": False}, ["b5", "a3", "a2"]),
]


async def test_filters(calls: Calls) -> None:
    for wanted, expected in FILTERS:
        assert await found(calls, "open", **wanted) == expected, wanted
        assert await found(calls, "open", limit=1, **wanted) == expected, wanted


async def test_a_hit_holds_its_turn_verbatim_and_marks_what_was_found(calls: Calls) -> None:
    (hit,) = (await calls.search("DO when")).items
    assert hit.turn.text == hit.snippet.text == " Hi, when do you open on Sunday? "
    said = [(" Hi, ", False), ("when", True), (" ", False), ("do", True), (" you open on Sunday? ", False)]
    assert hit.snippet.pieces() == said
    assert (hit.call.id, hit.turn.speaker, hit.turn.started_ms) == ("a", "caller", 2000)
    (cut,) = (await calls.search("weekdays")).items
    assert (cut.turn.unheard, cut.turn.interrupted) == (" and ten on Sunday.", True)


async def test_what_comes_in_meanwhile_moves_nothing(database: Database, calls: Calls) -> None:
    first = await calls.search("open", limit=1)
    await put(database, [], [turn("b", 9, "open again")])
    rest = await calls.search("open", cursor=first.next)
    assert [hit.turn.seq for hit in first.items + rest.items] == [5, 3, 2]


async def test_what_is_deleted_is_not_found(database: Database, calls: Calls) -> None:
    async with database.writing() as connection:
        await connection.execute(delete(schema.calls).where(schema.calls.c.id == "a"))  # and its turns with it
        await forget_words(connection)
    assert await found(calls, "open OR hello OR 1234") == ["b5"]
    await put(database, [call("c")], [turn("c", 1, "hello")])
    assert await found(calls, "open OR hello OR 1234") == ["c1", "b5"]


async def test_turns_that_were_there_before_the_index_are_found(tmp_path: Path, place: Place) -> None:
    async with kept(place.url, tmp_path, to="0001_record") as database:
        async with database.writing() as connection:
            columns = "call_id, seq, speaker, number, text, unheard, started_ms, ended_ms, interrupted, incomplete"
            row = "'a', 1, 'caller', 1, 'Café 東京', '', 0, 0, false, false, false, 'words', '', false"
            await connection.execute(insert(schema.calls), call("a"))
            await connection.execute(
                text(f"INSERT INTO turns ({columns}, degraded, meaning, occasion, speculative) VALUES ({row})")
            )
        await database.open()
        assert await found(Calls(database, tmp_path), '"cafe 東京"') == ["a1"]


async def test_of_deleted_words_nothing_stays_in_the_file(tmp_path: Path) -> None:
    async with kept("", tmp_path) as database:
        await put(database, [call("a"), call("b")], [turn("a", 1, "unspeakable"), turn("b", 1, "harmless")])
        async with database.writing() as connection:
            await connection.execute(text("PRAGMA secure_delete = ON"))
            await connection.execute(delete(schema.calls).where(schema.calls.c.id == "a"))
            await forget_words(connection)
    content = (tmp_path / "calls.db").read_bytes()
    assert b"harmless" in content
    assert b"unspeakable" not in content


async def test_a_text_that_is_changed_is_found_as_it_is_now(database: Database, calls: Calls) -> None:
    async with database.writing() as connection:
        changed = update(schema.turns).where(schema.turns.c.text.contains("555"))
        await connection.execute(changed.values(text="My number is [card].", words="my number is card"))
    assert await found(calls, "1234") == []
    assert await found(calls, "number") == ["a4"]


async def test_every_way_of_putting_rows_in_is_searched(database: Database, calls: Calls) -> None:
    async with database.writing() as connection:
        rows = [turn("a", seq, f"needle {seq}") for seq in (20, 21, 22, 23)]
        await connection.execute(schema.turns.insert(), rows[:2])
        await connection.execute(schema.turns.insert().values(rows[2:]))
    assert await found(calls, "needle") == ["a23", "a22", "a21", "a20"]


async def test_many_turns_are_found_exactly(database: Database, calls: Calls) -> None:
    chance = random.Random(5)
    vocabulary = ["open", "closed", "東京", "door", "on", "Sunday", "-", "ten"]
    said = [
        turn("a", 100 + seq, " ".join(chance.choices(vocabulary, k=chance.randint(1, 9)))) for seq in range(300)
    ]
    async with database.writing() as connection:
        await connection.execute(schema.turns.insert(), said)
    for query in (
        "closed door",
        '"closed door"',
        "ten -sunday",
        '"on sunday" OR "ten ten"',
        "do* -東京",
        "京 closed",
    ):
        parsed = parse_query(query)
        expected = [f"a{row['seq']}" for row in reversed(said) if parsed.matches(row["text"])]
        got = [one for one in await found(calls, query, limit=37) if one.startswith("a1") or one[1:].isdigit()]
        assert [one for one in got if int(one[1:]) >= 100] == expected
        assert expected


# --- Snippets ---


def test_of_a_long_turn_the_part_around_what_was_found_is_shown() -> None:
    long = "word " * 100 + "needle in " + "hay " * 100
    shown = snippet(parse_query("needle"), long)
    assert shown.cut_before and shown.cut_after
    assert len(shown.text) <= 160
    assert [shown.text[start:end] for start, end in shown.marks] == ["needle"]
    assert shown.text.startswith("word ") and shown.text.endswith("hay")


def test_a_long_turn_without_spaces_is_cut_all_the_same() -> None:
    shown = snippet(parse_query("東京"), "駅" * 300 + "東京" + "駅" * 300)
    assert [shown.text[start:end] for start, end in shown.marks] == ["東京"]
    assert len(shown.text) == 160


def test_what_is_found_longer_than_what_is_shown() -> None:
    shown = snippet(parse_query("a" * 100 + "*"), "b " * 100 + "a" * 1000)
    assert shown.marks and all(0 <= start < end <= len(shown.text) for start, end in shown.marks)


def test_pieces_join_to_the_whole() -> None:
    assert Snippet("abc", ((0, 1), (2, 3))).pieces() == [("a", True), ("b", False), ("c", True)]
    assert Snippet("", ()).pieces() == []


@given(st.text(max_size=500), st.text(max_size=30))
def test_a_snippet_is_a_part_of_its_turn(said: str, query: str) -> None:
    shown = snippet(parse_query(query), said)
    assert shown.text in said
    assert shown.cut_before == (not said.startswith(shown.text)) or said.count(shown.text) > 1
    assert "".join(piece for piece, _ in shown.pieces()) == shown.text
    assert all(0 <= start < end <= len(shown.text) for start, end in shown.marks)
