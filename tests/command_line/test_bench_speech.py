"""The command that measures the local speech server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bridge.bench import local_speech
from bridge.bench.local_figures import SpeechLevel, level_of
from bridge.bench.local_speech import SpeechOptions
from bridge.bench.local_words import Heard, TurnSeen
from bridge.command_line.bench_speech import speech
from bridge.errors import SettingsError

HEARD = Heard(["Yes please."], [(1.0, 2.0)], [TurnSeen(1.1, [], 2.9, "Yes please.")])


@pytest.mark.parametrize(("heard", "code", "says"), [(HEARD, 0, 1), (Heard(["Yes."], refused=True), 1, 0)])
def test_what_was_measured_is_shown_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, heard: Heard, code: int, says: int
) -> None:
    asked: list[SpeechOptions] = []

    async def measured(options: SpeechOptions, *, on_level: Any) -> list[SpeechLevel]:
        asked.append(options)
        on_level(level_of([heard], None))
        return [level_of([heard], None)]

    monkeypatch.setattr(local_speech, "run_local_speech", measured)
    out = tmp_path / "figures.json"
    given = ["--streams", "1,4", "--cores", "2", "--server", "--workers 2", "--out", str(out)]
    done = CliRunner().invoke(speech, given, standalone_mode=False)
    assert done.return_value == code
    assert done.output.splitlines()[-1] == f"In real time: {says} callers."
    assert json.loads(out.read_text())["real_time_streams"] == says
    assert asked == [SpeechOptions((1, 4), cores=2, server=("--workers", "2"))]


@pytest.mark.parametrize("given", ["", "a", "0", "1,,2", "501"])
def test_numbers_that_cannot_be(given: str) -> None:
    done = CliRunner().invoke(speech, ["--streams", given], standalone_mode=False)
    assert isinstance(done.exception, SettingsError)
