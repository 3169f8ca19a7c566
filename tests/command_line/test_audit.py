"""`phone-bridge calls audit`: what is printed, also of what waits in the file, and where there is nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.store.sql.audit import Audit
from bridge.store.sql.database import Database


def shown(capture: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    with pytest.raises(SystemExit) as end:
        main(["calls", "audit", *arguments])
    assert end.value.code == code
    out, errors = capture.readouterr()
    return out, errors


async def done(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    database = Database("", folder)
    await database.open()
    audit = Audit(database, folder, clock=lambda: 1_772_366_400.0)
    await audit.write("ann", "recording_read", "aa11", "bytes 0-99")
    await audit.write("ann\x1b[31m", "call_erased", "aa22")
    await database.close()
    away = Database(f"sqlite:///{folder}/calls.db/calls.db", folder)  # a file is in its way
    await Audit(away, folder, clock=lambda: 1_772_366_401.0).write("bob", "listened", "aa11")


def test_lines_are_shown_the_last_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BRIDGE_STORE__RECORDINGS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    out, errors = shown(capsys)
    assert (out, errors.strip()) == ("", "nothing like that was done")
    asyncio.run(done(tmp_path))
    out, _ = shown(capsys)
    assert out.splitlines() == [
        "2026-03-01T12:00:01Z  bob  listened  aa11",
        "2026-03-01T12:00:00Z  ann?[31m  call_erased  aa22",
        "2026-03-01T12:00:00Z  ann  recording_read  aa11  bytes 0-99",
    ]
    out, _ = shown(capsys, "--call", "aa11", "--who", "ann", "--json")
    assert json.loads(out) == [
        {
            "at": "2026-03-01T12:00:00Z",
            "who": "ann",
            "what": "recording_read",
            "call_id": "aa11",
            "detail": "bytes 0-99",
        }
    ]
    _, errors = shown(capsys, "--since", "soon", code=2)
    assert "--since" in errors
