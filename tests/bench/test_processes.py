from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bridge.bench.processes import Thread, busy_s, family, memory, spent, usage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_a_process_and_its_children_are_a_family() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = family(os.getpid())
        child.communicate(b"\n")
    assert found[0] == os.getpid()
    assert child.pid in found


def test_processor_time_is_counted_and_only_grows() -> None:
    before = usage([os.getpid()])
    sum(range(200_000))
    after = usage([os.getpid()])
    assert before is not None
    assert [thread.main for number, thread in before.items() if number == os.getpid()] == [True]
    found = spent(before, after)
    assert found is not None
    assert found.cpu_s >= found.loop_cpu_s > 0


def test_threads_that_came_later_count_whole_and_those_of_children_are_in_it() -> None:
    before = {1: Thread(1.0, 0.5, main=True)}
    after = {
        1: Thread(1.25, 0.75, main=True),
        2: Thread(0.5, 9.0, main=False),
        3: Thread(0.125, 0.0, main=True),
    }
    found = spent(before, after)
    assert found is not None
    assert (found.cpu_s, found.loop_cpu_s, found.loop_waited_s) == (0.875, 0.375, 0.25)
    assert spent(None, after) is None


def test_memory_is_that_of_all_of_them() -> None:
    found = memory([os.getpid()])
    assert found is not None
    assert found.rss >= found.pss > 1_000_000


def test_processes_that_are_gone_have_nothing() -> None:
    nobody = 2**22 + 1
    assert usage([nobody]) is None
    assert memory([nobody]) is None
    assert family(nobody) == [nobody]


def test_a_core_has_been_busy() -> None:
    first = min(os.sched_getaffinity(0))
    assert (busy_s([first]) or 0.0) > 0
