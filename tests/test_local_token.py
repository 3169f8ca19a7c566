from __future__ import annotations

import re
import stat
import threading
from pathlib import Path

import pytest

from bridge.errors import SettingsError
from bridge.local_token import FILE_NAME, local_token, read_local_token


def test_a_token_is_made_once_and_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with pytest.raises(SettingsError, match="phone-bridge serve"):
        read_local_token(folder)
    made = local_token(folder)

    assert re.fullmatch(r"[0-9a-f]{32}", made.value)
    assert made.problem == ""
    assert local_token(folder) == made
    assert read_local_token(folder) == made.value
    assert stat.S_IMODE((folder / FILE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]


def test_many_that_start_at_once_share_one_token(tmp_path: Path) -> None:
    start, tokens = threading.Barrier(8), []

    def make() -> None:
        start.wait()
        tokens.append(local_token(tmp_path / "state").value)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(tokens) == 8
    assert len(set(tokens)) == 1


def test_without_a_place_the_token_lives_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    token = local_token(tmp_path / "file")

    assert re.fullmatch(r"[0-9a-f]{32}", token.value)
    assert "BRIDGE_TWILIO__AUTH_TOKEN" in token.problem
    with pytest.raises(SettingsError, match="cannot be read"):
        read_local_token(tmp_path / "file")
