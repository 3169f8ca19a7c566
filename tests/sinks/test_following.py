"""From the journals of other processes to the outbox."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bridge.sinks.feeding import Feeder
from bridge.sinks.following import JournalFeeder
from bridge.sinks.outbox import Outbox
from bridge.store.files import FileStore
from bridge.store.folder import CallFolder
from bridge.store.writer import DiskThread
from bridge.tasks import spawn
from tests.sinks.test_feeding import ENTRIES, EVENTS, HEADER, documents

ALL = [("c1-0", "call.started"), ("c1-1", "turn"), ("c1-4", "action"), ("c1-5", "call.ended")]


async def test_what_others_keep_is_handed_over_as_it_comes_and_once(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, ["one"])
    await outbox.open()
    following = JournalFeeder(Feeder(outbox, EVENTS), tmp_path, {})
    task = spawn(following.run(), name="follow")
    record = FileStore(tmp_path, disk=DiskThread()).open(HEADER)
    folder = CallFolder(tmp_path, HEADER).path
    for entry in ENTRIES[:2]:
        record.append(entry)
    await record.settled()
    following.grew(folder)
    await _handed(outbox, 2)
    for entry in ENTRIES[2:]:
        record.append(entry)
    await record.close()
    following.grew(folder)
    following.grew(folder)
    await _handed(outbox, 4)
    assert await documents(outbox) == ALL
    task.cancel()
    await outbox.close()


async def test_a_process_that_follows_another_goes_on_where_that_was(tmp_path: Path) -> None:
    record = FileStore(tmp_path, disk=DiskThread()).open(HEADER)
    for entry in ENTRIES:
        record.append(entry)
    await record.close()
    outbox = Outbox(tmp_path, ["one"])
    await outbox.open()
    following = JournalFeeder(Feeder(outbox, EVENTS), tmp_path, {"c1": 2, "gone": 1})
    task = spawn(following.run(), name="follow")
    await _handed(outbox, 2)
    assert await documents(outbox) == ALL[2:]
    following.grew(tmp_path / "nothing" / "there")
    await following.drain()
    task.cancel()
    await outbox.close()


async def _handed(outbox: Outbox, number: int) -> None:
    async with asyncio.timeout(5):
        while len(await documents(outbox)) < number:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # Nobody tells.
