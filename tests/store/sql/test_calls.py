"""Reading the record of calls, on both databases alike."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, text

from bridge.errors import BridgeError
from bridge.store.folder import TIMELINE
from bridge.store.sql import schema
from bridge.store.sql.calls import CallFilter, Calls
from bridge.store.sql.database import Database
from tests.store.sql.kept import NOON, call, kept, put, turn
from tests.store.sql.place import Place

MINUTE = 60_000


@pytest.fixture
async def database(place: Place, tmp_path: Path) -> AsyncIterator[Database]:
    async with kept(place.url, tmp_path) as opened:
        yield opened


@pytest.fixture
def calls(database: Database, tmp_path: Path) -> Calls:
    return Calls(database, tmp_path)


async def ids(calls: Calls, wanted: CallFilter | None = None, limit: int = 50) -> list[str]:
    """Of all pages together."""
    found: list[str] = []
    cursor = None
    while True:
        page = await calls.page(wanted, cursor, limit)
        assert len(page.items) == limit or page.next is None, "no page but the last is short"
        found += [row.id for row in page.items]
        cursor = page.next
        if cursor is None:
            return found


async def test_nothing_is_kept_yet(calls: Calls) -> None:
    page = await calls.page()
    assert (page.items, page.next) == ((), None)
    assert await calls.get("x") is None
    assert (await calls.search("x")).items == ()
    stats = await calls.stats()
    assert (stats.calls, stats.turns, stats.oldest_at) == (0, 0, None)


async def test_the_newest_come_first_page_by_page(database: Database, calls: Calls) -> None:
    await put(database, [call(f"c{minute:02}", minute // 3) for minute in range(20)])  # three at the same moment
    expected = [f"c{minute:02}" for minute in reversed(range(20))]
    for limit in (1, 3, 7, 19, 20, 21, 5000):
        assert await ids(calls, limit=min(limit, 500)) == expected


async def test_what_comes_in_meanwhile_moves_nothing(database: Database, calls: Calls) -> None:
    await put(database, [call(f"c{minute}", minute) for minute in range(6)])
    first = await calls.page(limit=3)
    await put(database, [call("new", 60), call("old", -60)])
    async with database.writing() as connection:
        await connection.execute(delete(schema.calls).where(schema.calls.c.id == "c3"))  # the cursor's own row
    second = await calls.page(cursor=first.next, limit=3)
    assert [row.id for row in first.items + second.items] == ["c5", "c4", "c3", "c2", "c1", "c0"]
    assert [row.id for row in (await calls.page(cursor=second.next)).items] == ["old"]


async def test_a_cursor_of_ones_own_making_is_refused(calls: Calls) -> None:
    forged = base64.urlsafe_b64encode(b'\0\0\0\0[1,"x"]').decode()
    for cursor in ("", "x", "é", "AAAA", "0" * 5000, "a=b", forged, "\0"):
        for page in (calls.page(cursor=cursor), calls.search("x", cursor=cursor)):
            with pytest.raises(BridgeError, match="begin again without one") as refused:
                await page
            assert refused.value.code == "cursor_invalid"


async def test_a_cursor_belongs_to_its_list(database: Database, calls: Calls) -> None:
    await put(database, [call("a"), call("b")], [turn("a", 1, "x"), turn("b", 1, "x")])
    of_calls, of_hits = (await calls.page(limit=1)).next, (await calls.search("x", limit=1)).next
    assert of_calls and of_hits
    for page in (calls.page(cursor=of_hits), calls.search("x", cursor=of_calls)):
        with pytest.raises(BridgeError, match="none that was given out for this list"):
            await page
    broken = of_calls[:8] + ("A" if of_calls[8] != "A" else "B") + of_calls[9:]
    with pytest.raises(BridgeError):
        await calls.page(cursor=broken)


FILTERED = [
    call("in", 0),
    call("out", 1, direction="outbound", caller="+15550000001", called="+4930123456"),
    call("log", 2, agent_kind="log", other="sip:desk@pbx.example.com", caller="anonymous"),
    call("sent", 3, ended="transfer", transfer_to="+15550009999", caller="+15550000002"),
    call("cut", 4, interruptions=2, caller="+15550000003"),
    call("going", 5, ended=None, duration_ms=None, caller="+15550000004", called="+15557654321"),
    call("broken", 6, ended=None, duration_ms=None, caller="+15550000005"),
]


WANTED = [
    (CallFilter(), ["broken", "going", "cut", "sent", "log", "out", "in"]),
    (CallFilter(number="+15551234567"), ["in"]),
    (CallFilter(number="+1 (555) 123-4567"), ["in"]),
    (CallFilter(number="+15551"), []),  # with a plus it is a whole number
    (CallFilter(number="9999"), ["sent"]),
    (CallFilter(number="30 123"), ["out"]),
    (CallFilter(number="sip:desk@pbx.example.com"), ["log"]),
    (CallFilter(number="%"), []),
    (CallFilter(number="_nonymous"), []),
    (CallFilter(number="anonymous"), ["log"]),
    (CallFilter(number="'; DROP TABLE calls --"), []),
    (CallFilter(number="\0"), []),
    (CallFilter(agent_kind="\ud800"), []),
    (CallFilter(caller="+15550000001"), ["out"]),
    (CallFilter(called="+15550000001"), []),
    (CallFilter(called="+4930123456"), ["out"]),
    (CallFilter(direction="outbound"), ["out"]),
    (CallFilter(agent_kind="log"), ["log"]),
    (CallFilter(since_ms=NOON + 5 * MINUTE), ["broken", "going"]),
    (CallFilter(until_ms=NOON + 2 * MINUTE), ["out", "in"]),
    (CallFilter(since_ms=NOON + MINUTE, until_ms=NOON + 3 * MINUTE), ["log", "out"]),
    (CallFilter(since_ms=-(10**30)), ["broken", "going", "cut", "sent", "log", "out", "in"]),
    (CallFilter(since_ms=10**30), []),
    (CallFilter(ended="transfer"), ["sent"]),
    (CallFilter(live=True), ["going"]),
    (CallFilter(live=False), ["broken", "cut", "sent", "log", "out", "in"]),
    (CallFilter(interrupted=True), ["cut"]),
    (CallFilter(interrupted=False, direction="inbound", live=False), ["broken", "sent", "log", "in"]),
    (CallFilter(speaker="agent"), ["broken", "going", "cut", "sent", "log", "out", "in"]),  # for searches
]


async def test_filters(database: Database, calls: Calls, tmp_path: Path) -> None:
    finished = tmp_path / "2026-03-01" / "broken"
    finished.mkdir(parents=True)
    (finished / TIMELINE).touch()
    await put(database, FILTERED)
    everything = (await calls.page()).items
    for wanted, found in WANTED:
        assert await ids(calls, wanted) == found, wanted
        assert await ids(calls, wanted, limit=1) == found, wanted
        judged = [row.id for row in everything if wanted.fits(row)]
        assert judged == found, f"a call that was read is judged alike by {wanted}"


async def test_the_state_of_a_call(database: Database, calls: Calls, tmp_path: Path) -> None:
    (tmp_path / "2026-03-01" / "broken").mkdir(parents=True)
    (tmp_path / "2026-03-01" / "broken" / TIMELINE).touch()
    await put(database, FILTERED)
    states = {row.id: row.state for row in (await calls.page()).items}
    assert states.pop("going") == "live"
    assert states.pop("broken") == "broken_off"
    assert set(states.values()) == {"ended"}


async def test_one_call_in_full(database: Database, calls: Calls) -> None:
    said = [
        turn("a", 3, " later ", started_ms=5000),
        turn("a", 4, "We open at", "agent", unheard=" eight.", interrupted=True, started_ms=2000, mark_ms=2400),
        turn("a", 2, "", started_ms=100, meaning="empty"),
        turn("b", 1, "another call's"),
    ]
    await put(database, [call("a", problems=1), call("b")], said)
    async with database.writing() as connection:
        key = {
            "call_id": "a",
            "seq": 5,
            "kind": "key_pressed",
            "at_ms": 7,
            "data": {"digit": "#", "x": ["é", None]},
        }
        await connection.execute(insert(schema.actions), key)
        await connection.execute(insert(schema.legs), {"call_id": "a", "seq": 1, "kind": "stream", "started_ms": 0})
        await connection.execute(insert(schema.notes), {"call_id": "a", "seq": 6, "at_ms": 9, "data": {"n": 1.5}})
    for name in ("a", "CAa"):
        detail = await calls.get(name)
        assert detail is not None
        assert (detail.call.id, detail.call.problems, detail.call.state) == ("a", 1, "ended")
        assert [one.text for one in detail.turns] == ["", "We open at", " later "]
        cut = detail.turns[1]
        assert (cut.unheard, cut.interrupted, cut.mark_ms, cut.asked_ms) == (" eight.", True, 2400, None)
        assert detail.actions == ({"seq": 5, "kind": "key_pressed", "at_ms": 7, "data": key["data"]},)
        assert detail.legs[0]["kind"] == "stream"
        assert detail.notes[0]["data"] == {"n": 1.5}
        assert detail.transcriptions == ()


async def test_an_unknown_call(database: Database, calls: Calls) -> None:
    await put(database, [call("a")])
    for name in ("", "\0", "\ud800", "x' OR 1=1 --", "%", "c" * 10_000):
        assert await calls.get(name) is None


async def test_ids_that_start_alike(database: Database, calls: Calls) -> None:
    await put(database, [call("abc1", 0), call("abc2", 1), call("b_1", 2), call("bx1", 3)])
    assert await calls.ids("abc") == ["abc2", "abc1"]
    assert await calls.ids("abc1") == ["abc1"]
    assert await calls.ids("CAabc2") == ["abc2"]
    assert await calls.ids("b_") == ["b_1"]
    assert await calls.ids("%") == []
    assert await calls.ids("", limit=2) == ["bx1", "b_1"]


async def test_figures(database: Database, calls: Calls) -> None:
    await put(database, [call("a", 0, turns=3), call("b", 5, turns=4, ended=None, duration_ms=None)])
    stats = await calls.stats()
    assert (stats.calls, stats.open, stats.turns, stats.duration_ms) == (2, 1, 7, 60_000)
    assert (stats.oldest_at, stats.newest_at) == (NOON, NOON + 5 * MINUTE)


async def test_the_list_needs_no_sorting(database: Database, calls: Calls) -> None:
    await put(database, [call(f"c{number}", number) for number in range(50)])
    explain = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN"
    async with database.writing() as connection:
        if database.dialect == "postgresql":
            await connection.execute(text("SET enable_seqscan = off"))  # so few rows are faster read as they stand
        newest = "SELECT id FROM calls WHERE (started_at, id) < (1, 'x') ORDER BY started_at DESC, id DESC LIMIT 5"
        plan = " ".join(str(row) for row in (await connection.execute(text(f"{explain} {newest}"))).all())
    assert "ix_calls_started_at_id" in plan
    assert "B-TREE" not in plan.upper().replace("USING INDEX", "") and "Sort" not in plan
