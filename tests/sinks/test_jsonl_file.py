"""The file sink: whole lines, whatever becomes of the file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bridge.sinks.base import SinkDownError, Waiting
from bridge.sinks.jsonl_file import FileSink


def batch(*numbers: int) -> list[Waiting]:
    return [Waiting(number, "c1", f"c1-{number}", b'{"id":"c1-%d"}' % number) for number in numbers]


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


async def test_lines_are_appended_and_the_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "calls.jsonl"
    sink = FileSink(path)
    assert (await sink.send(batch(0, 1))).done == {0, 1}
    await sink.send(batch(2))
    assert ids(path) == ["c1-0", "c1-1", "c1-2"]
    assert path.stat().st_mode & 0o077 == 0


async def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    sink = FileSink(path)
    await sink.send(batch(0))
    path.rename(tmp_path / "calls.jsonl.1")
    await sink.send(batch(1))
    assert (ids(tmp_path / "calls.jsonl.1"), ids(path)) == (["c1-0"], ["c1-1"])


async def test_half_a_line_that_a_death_has_left_is_ended_first(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b'{"id":"c1-0"}\n{"id":"c1-')
    await FileSink(path).send(batch(1))
    assert path.read_bytes() == b'{"id":"c1-0"}\n{"id":"c1-\n{"id":"c1-1"}\n'


async def test_a_folder_in_its_place_means_later(tmp_path: Path) -> None:
    with pytest.raises(SinkDownError, match="cannot be written to: Is a directory"):
        await FileSink(tmp_path).send(batch(0))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no disk that is always full")  # noqa: PTH110
async def test_a_full_disk_means_later() -> None:
    with pytest.raises(SinkDownError, match="/dev/full cannot be written to"):
        await FileSink(Path("/dev/full")).send(batch(0))
