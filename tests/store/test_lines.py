"""Lines on their way to a file: none is lost, none is written twice, and many go together."""

from __future__ import annotations

import threading
import time

from structlog.testing import capture_logs

from bridge.store.lines import Lines
from bridge.store.writer import DiskThread


def hold(disk: DiskThread, held: threading.Event) -> None:
    """Keep the thread busy until the event."""

    def wait() -> None:
        held.wait(10)

    disk.put(wait, vital=True)


async def test_what_waits_is_written_in_one_piece_and_in_order() -> None:
    disk, written = DiskThread(), list[bytes]()
    lines = Lines(disk, written.append)
    held = threading.Event()
    hold(disk, held)
    for number in range(100):
        lines.add(b"%d\n" % number)
    assert disk.waiting == sum(len(b"%d\n" % number) for number in range(100))
    held.set()
    await disk.run(lambda: None)
    assert b"".join(written) == b"".join(b"%d\n" % number for number in range(100))
    assert len(written) == 1
    assert disk.waiting == 0
    await disk.close()


async def test_lines_that_come_while_others_are_written_follow_them() -> None:
    disk, written = DiskThread(), list[bytes]()

    def write(data: bytes) -> None:
        if not written:
            lines.add(b"second\n")
        written.append(data)

    lines = Lines(disk, write, vital=True)
    lines.add(b"first\n")
    for _ in range(2):  # The second line is handed over behind the first of these.
        await disk.run(lambda: None)
    await disk.close()
    assert written == [b"first\n", b"second\n"]


async def test_from_many_threads_none_is_lost() -> None:
    disk, written = DiskThread(), list[bytes]()
    lines = Lines(disk, written.append, vital=True)

    def add(number: int) -> None:
        for index in range(500):
            lines.add(b"%d-%d\n" % (number, index))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    await disk.close()
    found = b"".join(written).splitlines()
    assert len(found) == 2000
    for n in range(4):
        mine = [line for line in found if line.startswith(b"%d-" % n)]
        assert mine == [b"%d-%d" % (n, i) for i in range(500)]
    assert disk.waiting == 0


async def test_a_disk_that_cannot_follow_gets_no_more() -> None:
    disk, written = DiskThread(waiting_bytes=10, reserve_bytes=10), list[bytes]()
    trace, journal = Lines(disk, written.append), Lines(disk, written.append, vital=True)
    held = threading.Event()
    hold(disk, held)
    with capture_logs() as logs:
        trace.add(b"12345678\n")
        trace.add(b"dropped\n")
        journal.add(b"kept\n")
        held.set()
        await disk.close()
    assert written == [b"kept\n", b"12345678\n"]
    assert [line["event"] for line in logs] == ["disk_cannot_follow"]
    assert disk.waiting == 0


async def test_what_fails_is_let_go() -> None:
    disk = DiskThread()

    def write(_: bytes) -> None:
        raise ZeroDivisionError

    lines = Lines(disk, write, vital=True)
    with capture_logs():
        lines.add(b"x\n")
        await disk.close()
    assert disk.waiting == 0


async def test_how_long_lines_waited_is_told_when_they_are_written() -> None:
    disk, written, waited = DiskThread(), list[bytes](), list[float]()
    lines = Lines(disk, written.append, vital=True, on_written=waited.append)
    began = time.monotonic()
    lines.add(b"a")
    await disk.run(lambda: None)
    lines.add(b"b")
    await disk.close()
    assert written == [b"a", b"b"]
    assert len(waited) == 2
    assert all(0 <= seconds <= time.monotonic() - began for seconds in waited)
