"""From the record of calls to the outbox, also of calls whose process died."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from bridge.conversation import journal
from bridge.sinks.feeding import Feeder, FeedingStore
from bridge.sinks.outbox import Outbox
from bridge.store.base import CallHeader, Reopened
from bridge.store.files import FileStore
from bridge.store.writer import DiskThread
from tests.call.peers import KeptRecord, KeptStore

HEADER = CallHeader("c1", "CA1", "+1", "+2", "inbound", "2026-01-31T09:30:00+00:00", "echo")
EVENTS = ("call.started", "turn", "action", "call.ended")
ENTRIES: tuple[journal.Entry, ...] = (
    journal.CallOpened(),
    journal.CallerSpoke(1, " Hello", 10, 20),
    journal.AgentSilenced(30, 1, 1),
    journal.ProblemMet(40, "stt", "speech_limit", "429"),
    journal.NoteTaken(50, {"k": 1}),
    journal.CallClosed(60, "caller"),
)


async def documents(outbox: Outbox) -> list[tuple[str, str]]:
    return [(w.id, json.loads(w.body)["type"]) for w in await outbox.waiting("one", 100)]


async def test_what_is_wanted_is_handed_over_and_all_is_kept(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, ["one"])
    await outbox.open()
    inner = KeptStore()
    store = FeedingStore(inner, Feeder(outbox, EVENTS))
    record = store.open(HEADER)
    for entry in ENTRIES:
        record.append(entry)
    record.append(journal.NoteTaken(70, {"k": object.__new__(_Uncopied)}))
    record.caller_audio(0, b"a")
    await record.close()
    await store.close()
    assert [*inner.records[0].entries[:-1]] == [*ENTRIES]
    assert inner.records[0].sound == [("caller", 0, b"a")]
    assert await documents(outbox) == [
        ("c1-0", "call.started"),
        ("c1-1", "turn"),
        ("c1-4", "action"),
        ("c1-5", "call.ended"),
    ]
    await outbox.close()


async def test_a_call_that_was_taken_over_goes_on_to_be_numbered(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, ["one"])
    await outbox.open()
    inner = KeptStore()
    entries = (*ENTRIES[:2], journal.CallTakenOver(30, 2))
    inner.left["CA1"] = Reopened(HEADER, entries, 2, 30, KeptRecord(HEADER))
    store = FeedingStore(inner, Feeder(outbox, ("turn", "problem", "call.ended")))
    found = await store.reopen("CA1")
    assert found is not None
    found.record.append(journal.CallerSpoke(2, " Hello again", 40, 50))
    assert await documents(outbox) == [("c1-2", "problem"), ("c1-3", "turn")]
    assert await store.reopen("CA1") is None
    await outbox.close()


class _Uncopied:
    def __deepcopy__(self, _: object) -> object:
        raise TypeError("not this one")


async def test_what_a_dead_process_had_written_is_handed_over_by_the_next(tmp_path: Path) -> None:
    files = FileStore(tmp_path, disk=DiskThread())
    first = Outbox(tmp_path, ["one"])
    await first.open()
    record = FeedingStore(files, Feeder(first, EVENTS)).open(HEADER)
    record.append(ENTRIES[0])
    record.append(ENTRIES[1])
    await first.close()
    for entry in ENTRIES[2:]:
        record.append(entry)  # They are in the journal, and the outbox knows nothing of them.
    await record.settled()

    second = Outbox(tmp_path, ["one"])
    left = await second.open()
    assert left == {"c1": 2}
    feeder = Feeder(second, EVENTS)
    await asyncio.to_thread(feeder.catch_up, tmp_path, left)
    assert [id_ for id_, _ in await documents(second)] == ["c1-0", "c1-1", "c1-4", "c1-5"]
    await second.close()
    third = Outbox(tmp_path, ["one"])
    assert await third.open() == {}
    await third.close()
    await record.close()
    await files.close()
