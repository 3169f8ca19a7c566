from __future__ import annotations

import base64
from pathlib import Path

import pytest

from bridge.checks.privacy import check_privacy
from bridge.settings.source import load_settings
from bridge.store.sealing import SealedFile

KEY, OTHER = (base64.b64encode(bytes([number] * 32)).decode() for number in (1, 2))


def found(folder: Path, **environment: str) -> list[tuple[str, str, str]]:
    given = {"BRIDGE_STORE__RECORDINGS": str(folder), **environment}
    return [
        (one.check, one.status, one.message) for one in check_privacy(load_settings(environment=given, files=()))
    ]


def sealed(folder: Path, key: str) -> None:
    folder.mkdir(parents=True)
    file = SealedFile(folder / "recording.wav.enc", base64.b64decode(key), channels=2)
    file.finish()
    file.close()


def test_what_is_struck_out_and_whether_there_is_a_key(tmp_path: Path) -> None:
    assert found(tmp_path) == [
        ("privacy", "ok", "struck out before it is written: card"),
        ("encryption", "ok", "new recordings are not encrypted"),
    ]
    more = {"BRIDGE_PRIVACY__REDACT": "[]", "BRIDGE_STORE__ENCRYPTION_KEY": KEY}
    assert found(tmp_path, **more) == [
        ("privacy", "ok", "nothing is struck out"),
        ("encryption", "ok", "new recordings are encrypted, and every key is there"),
    ]


def test_a_key_that_is_none(tmp_path: Path) -> None:
    _, (check, status, message) = found(tmp_path, BRIDGE_STORE__ENCRYPTION_KEY="letmein")
    assert (check, status) == ("encryption", "failed")
    assert "openssl rand -base64 32" in message
    assert "letmein" not in message


def test_recordings_whose_key_is_gone(tmp_path: Path) -> None:
    sealed(tmp_path / "2026-03-01" / "a", KEY)
    sealed(tmp_path / "2026-03-01" / "b", OTHER)
    (tmp_path / "2026-03-01" / "b" / "message-1.wav.enc").write_bytes(b"torn")
    _, (check, status, message) = found(tmp_path, BRIDGE_STORE__ENCRYPTION_KEY=KEY)
    assert (check, status) == ("encryption", "warning")
    assert message.startswith("1 of the newest")
    old = {"BRIDGE_STORE__ENCRYPTION_KEY": KEY, "BRIDGE_STORE__OLD_ENCRYPTION_KEYS": OTHER}
    assert found(tmp_path, **old)[1][1] == "ok"


@pytest.mark.parametrize("text", ["", "  "])
def test_no_key_is_no_mistake(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, BRIDGE_STORE__ENCRYPTION_KEY=text)[1][1] == "ok"
