"""Reading calls from their folders, without a database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bridge.errors import BridgeError
from bridge.store.call_folders import CallFolders, folder_of
from bridge.store.folder import JOURNAL
from bridge.store.sql.call_filter import CallFilter
from bridge.store.sql.calls import Calls
from bridge.store.sql.database import Database
from bridge.store.sql.keeper import Keeper
from tests.store.kept_calls import keep
from tests.store.samples import ENTRIES, HEADER, LOG_ENTRIES, LOG_HEADER, TROUBLED

HEADERS = [
    (replace(HEADER, id="one", started_at="2026-03-01T10:00:00+00:00"), ENTRIES),
    (replace(HEADER, id="two", sid="CAtwo", started_at="2026-03-01T11:00:00+00:00"), TROUBLED),
    (replace(LOG_HEADER, id="three", started_at="2026-03-02T09:00:00+00:00"), LOG_ENTRIES),
    (replace(HEADER, id="four", started_at="2026-03-02T10:00:00+00:00"), ENTRIES[:9]),
]


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    await keep(tmp_path, HEADERS)
    (tmp_path / "2026-03-02" / "999999-torn").mkdir()
    (tmp_path / "2026-03-02" / "999999-torn" / JOURNAL).write_bytes(b'{"vers')
    (tmp_path / "a file").touch()
    return tmp_path


async def test_the_same_is_read_as_from_the_database(folder: Path) -> None:
    database = Database("", folder)
    await Keeper(database, folder).catch_up()
    kept, alone = Calls(database, folder), CallFolders(folder)
    assert (await alone.page()).items == (await kept.page()).items
    assert [row.id for row in (await alone.page()).items] == ["four", "three", "two", "one"]
    for name in ("one", "two", "CAtwo", "three"):
        assert await alone.get(name) == await kept.get(name)
    assert await alone.ids("t") == await kept.ids("t") == ["three", "two"]
    for query in ("open", "to* OR half", '"half past"', "nothing", "-x", ""):
        theirs, ours = await kept.search(query), await alone.search(query)
        assert sorted(map(repr, ours.items)) == sorted(map(repr, theirs.items))
    await database.close()


async def test_page_by_page(folder: Path) -> None:
    alone = CallFolders(folder)
    cursor, found = None, []
    while True:
        page = await alone.page(CallFilter(agent_kind="webhook"), cursor, 1)
        found += [row.id for row in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert found == ["four", "two", "one"]
    cursor, hits = None, []
    while True:
        turns = await alone.search("open OR closed", CallFilter(speaker="agent"), cursor, 1)
        hits += [(hit.call.id, hit.turn.text) for hit in turns.items]
        cursor = turns.next
        if cursor is None:
            break
    assert hits == [("four", "Closed."), ("four", "We open at"), ("one", "Closed."), ("one", "We open at")]


async def test_filters_and_states(folder: Path) -> None:
    alone = CallFolders(folder)
    assert [row.state for row in (await alone.page()).items] == ["broken_off", "ended", "ended", "ended"]
    assert [row.id for row in (await alone.page(CallFilter(number="desk@pbx"))).items] == []
    assert [row.id for row in (await alone.page(CallFilter(interrupted=True))).items] == ["four", "two", "one"]


async def test_no_folder_holds_no_calls(tmp_path: Path) -> None:
    alone = CallFolders(tmp_path / "none")
    assert (await alone.page()).items == ()
    assert await alone.get("x") is None
    assert (await alone.search("x")).items == ()


async def test_a_cursor_of_ones_own_making_is_refused(folder: Path) -> None:
    with pytest.raises(BridgeError, match="begin again without one"):
        await CallFolders(folder).page(cursor="x")


@pytest.mark.parametrize("name", ["", "/etc", "../x", "2026-03-01/../../x", "2026-03-01/..", "a\\b", "a\0b"])
def test_no_row_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(BridgeError, match="is no folder of a call"):
        folder_of(tmp_path, name)
    assert folder_of(tmp_path, "2026-03-01/120000-x") == tmp_path / "2026-03-01" / "120000-x"
