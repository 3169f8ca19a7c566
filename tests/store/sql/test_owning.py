"""Which node holds a call: who claims it gets all that was kept, and who has lost it can say no more."""

from __future__ import annotations

import asyncio
from pathlib import Path

from structlog.testing import capture_logs

from bridge.conversation import journal as j
from bridge.conversation.journal import to_dict
from bridge.reading.shown import call_text
from bridge.store.bringing import LEFT, bring
from bridge.store.folder import JOURNAL, TIMELINE
from bridge.store.journal_file import entry_line
from bridge.store.sql.calls import Calls
from bridge.store.sql.keeper import Keeper
from bridge.store.sql.owning import Claimed, Owner, Owners
from tests.store.samples import ENTRIES, HEADER
from tests.store.sql.place import Journal, Place


def keeper_of(place: Place, node: str, folder: Path | None = None) -> Keeper:
    return Keeper(place.database(), folder or place.folder, lambda: node)


async def test_who_claims_a_call_gets_its_journal_byte_for_byte_and_goes_on_with_it(
    place: Place, tmp_path: Path
) -> None:
    journal = Journal(place.folder)
    journal.append(*ENTRIES[:5])
    await keeper_of(place, "a").catch_up()
    journal.append(*ENTRIES[5:7])
    await keeper_of(place, "a").catch_up()

    owners = Owners(await place.opened())
    owner = await owners.of(HEADER.sid)
    assert owner == Owner(HEADER.id, "a", 1)
    claimed = await owners.claim(owner, "b")
    assert claimed is not None
    assert claimed.journal == (journal.folder / JOURNAL).read_bytes()
    assert await owners.of(HEADER.sid) == Owner(HEADER.id, "b", 2)

    other = tmp_path / "other"
    assert await asyncio.to_thread(bring, other, claimed.journal, claimed.folder) == HEADER
    path = other / claimed.folder / JOURNAL
    with path.open("ab") as file:
        file.write(b"".join(map(entry_line, ENTRIES[7:])))
    await keeper_of(place, "b", other).catch_up()
    call = await place.call()
    assert (call["entries"], call["turns"], call["ended"]) == (len(ENTRIES), 8, "caller")
    assert await place.rows("journal", "begins") == []
    assert await owners.of(HEADER.sid) is None


async def test_of_several_that_claim_at_once_one_gets_it(place: Place) -> None:
    Journal(place.folder).append(*ENTRIES[:3])
    await keeper_of(place, "a").catch_up()
    owner = await Owners(await place.opened()).of(HEADER.sid)
    assert owner is not None
    claims = [Owners(await place.opened()).claim(owner, node) for node in "bcdef"]
    won = [claimed for claimed in await asyncio.gather(*claims) if claimed is not None]
    assert len(won) == 1


async def test_who_has_lost_a_call_puts_in_nothing_more_and_is_told(place: Place) -> None:
    journal = Journal(place.folder)
    journal.append(*ENTRIES[:3])
    keeper = keeper_of(place, "a")
    lost: list[str] = []
    keeper.on_lost(lost.append)
    await keeper.catch_up()
    owners = Owners(await place.opened())
    owner = await owners.of(HEADER.sid)
    assert owner is not None
    assert await owners.claim(owner, "b")
    before = await place.everything()
    journal.append(*ENTRIES[3:])
    with capture_logs() as logs:
        await keeper.catch_up()
    assert lost == [HEADER.id]
    assert {line["event"] for line in logs} == {"call_held_elsewhere", "leftovers_merged"}
    assert len(await kept_alone(place)) == len(ENTRIES[3:])
    assert await place.everything() == before

    await keeper_of(place, "a").catch_up()  # Nor when it is started anew.
    assert await place.everything() == before


async def kept_alone(place: Place) -> list[tuple[str, str]]:
    """What is shown of what only one node had."""
    detail = await Calls(await place.opened(), place.folder).get(HEADER.id)
    assert detail is not None
    return [(row["node"], row["data"]["entry"]) for row in detail.leftovers]


async def taken(place: Place, of: str, by: str, *, given: bool = False) -> Claimed:
    owners = Owners(await place.opened())
    owner = await owners.of(HEADER.sid)
    assert owner is not None
    assert owner.node == of
    claimed = await owners.claim(owner, by, given=given)
    assert claimed is not None
    return claimed


async def test_what_a_dead_node_had_alone_is_shown_once_it_is_back(place: Place, tmp_path: Path) -> None:
    journal = Journal(place.folder)
    journal.append(*ENTRIES[:3])
    await keeper_of(place, "a").catch_up()
    claimed = await taken(place, "a", "b")
    journal.append(*ENTRIES[3:5])
    journal.write(b'{"entry":"caller_spo')  # It died at this.
    other = tmp_path / "other"
    await asyncio.to_thread(bring, other, claimed.journal, claimed.folder)
    with (other / claimed.folder / JOURNAL).open("ab") as file:
        file.write(b"".join(map(entry_line, ENTRIES[5:])))  # Longer than that of the dead one, by now.
    await keeper_of(place, "b", other).catch_up()
    before = await place.everything()
    assert await kept_alone(place) == []

    alone = [("a", to_dict(entry)["entry"]) for entry in ENTRIES[3:5]]
    for _ in range(2):
        await keeper_of(place, "a").catch_up()
        assert sorted(await kept_alone(place)) == sorted(alone)
    assert await place.everything() == before  # The call is what it was for the one that holds it.
    detail = await Calls(await place.opened(), place.folder).get(HEADER.id)
    assert detail is not None
    assert [held["node"] for held in detail.held_by] == ["a"]
    times = [row["at_ms"] for row in detail.leftovers]
    assert times == sorted(times)
    assert "only the node a had kept this" in call_text(detail, HEADER, ENTRIES, "there")


async def test_a_node_that_gave_its_call_away_had_nothing_alone(place: Place) -> None:
    journal = Journal(place.folder)
    journal.append(*ENTRIES[:3])
    await keeper_of(place, "a").catch_up()
    journal.append(*ENTRIES[3:5])  # Went along.
    await taken(place, "a", "b", given=True)
    await keeper_of(place, "a").catch_up()
    assert await kept_alone(place) == []


async def test_what_was_put_aside_when_the_call_came_back_is_shown(place: Place, tmp_path: Path) -> None:
    journal = Journal(place.folder)
    journal.append(*ENTRIES[:3])
    await keeper_of(place, "a").catch_up()
    there = await taken(place, "a", "b")
    journal.append(ENTRIES[3])
    other = tmp_path / "other"
    await asyncio.to_thread(bring, other, there.journal, there.folder)
    with (other / there.folder / JOURNAL).open("ab") as file:
        file.write(entry_line(ENTRIES[4]))
    await keeper_of(place, "b", other).catch_up()
    back = await taken(place, "b", "a")
    await asyncio.to_thread(bring, place.folder, back.journal, back.folder)
    await keeper_of(place, "a").catch_up()
    assert await kept_alone(place) == [("a", to_dict(ENTRIES[3])["entry"])]
    await keeper_of(place, "b", other).catch_up()
    assert await kept_alone(place) == [("a", to_dict(ENTRIES[3])["entry"])]


def test_a_journal_that_comes_back_keeps_what_it_held_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(*ENTRIES[:4])
    common = (journal.folder / JOURNAL).read_bytes()
    journal.append(ENTRIES[4])
    alone = (journal.folder / JOURNAL).read_bytes().removeprefix(common)
    (journal.folder / TIMELINE).write_text("finished")
    came = common + b'{"entry":"call_taken_over","at_ms":1,"epoch":2}\n'
    bring(tmp_path, came)
    assert (journal.folder / JOURNAL).read_bytes() == came
    assert (journal.folder / LEFT).read_bytes() == alone
    assert not (journal.folder / TIMELINE).exists()


async def test_the_journal_is_kept_whole_where_an_entry_has_to_go_in_by_itself(place: Place) -> None:
    journal = Journal(place.folder)
    journal.append(*ENTRIES[:2], j.CallerSpoke(9, "x", 2**62, 2**63 - 1), ENTRIES[2])
    await keeper_of(place, "a").catch_up()
    owners = Owners(await place.opened())
    owner = await owners.of(HEADER.sid)
    assert owner is not None
    claimed = await owners.claim(owner, "b")
    assert claimed is not None
    assert claimed.journal == (journal.folder / JOURNAL).read_bytes()


async def test_a_token_is_good_once(place: Place) -> None:
    first, second = Owners(await place.opened()), Owners(await place.opened())
    assert await first.use("token")
    assert not await second.use("token")
    assert await second.use("another")


async def test_one_that_is_alone_keeps_no_journals(place: Place) -> None:
    journal = Journal(place.folder)
    journal.append(*ENTRIES[:3])
    await place.catch_up()
    assert await place.rows("journal", "begins") == []
    assert await Owners(await place.opened()).of(HEADER.sid) is None
