"""How often the log tells of strangers."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.twilio.telling import Telling
from tests.twilio.forgeries import world


def test_ten_in_a_second_and_then_how_many_were_left_out() -> None:
    now, lines = 100.0, list[dict[str, Any]]()
    it = Telling(lambda: now)
    for number in range(25):
        it.line(lambda event, **fields: lines.append({"event": event, **fields}), "refused", number=number)
    assert [line["number"] for line in lines] == [*range(10)]
    assert not any("left_out" in line for line in lines)
    now += 1
    for number in (25, 26):
        it.line(lambda event, **fields: lines.append({"event": event, **fields}), "refused", number=number)
    assert lines[10:] == [
        {"event": "refused", "number": 25, "left_out": 15},
        {"event": "refused", "number": 26},
    ]


async def test_a_flood_is_counted_whole_and_told_in_part(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.twilio.telling._EVERY_S", 1000.0)
    async with world(tmp_path_factory.mktemp("flood")) as it:
        with capture_logs() as lines:
            for _ in range(6):
                assert await it.ask("/twilio/voice") == 403
                assert await it.stream("{}", "x") == 1008
        assert it.counted().total() == 12
        assert len([line for line in lines if line["event"] in {"request_refused", "stream_refused"}]) == 10
