"""`phone-bridge calls picture` and `calls retranscribe`: what is written, said, and kept."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bridge.cli import main
from tests.store.kept_calls import keep
from tests.store.samples import ENTRIES, HEADER, LOG_ENTRIES, LOG_HEADER

HEARD = {"text": "Hi, when do you close?", "words": [{"word": "Hi,", "start": 0.1, "end": 0.2}]}


class Service(BaseHTTPRequestHandler):
    """Hears the same in every file."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        answer = json.dumps(HEARD).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  It is called so.
        pass


@pytest.fixture
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    calls = [(replace(HEADER, id="aa11"), ENTRIES[:7]), (replace(LOG_HEADER, id="bb33"), LOG_ENTRIES)]
    asyncio.run(keep(tmp_path / "calls", calls, sound_ms=500))
    asyncio.run(keep(tmp_path / "calls", [(replace(HEADER, id="mute", recording="off"), ENTRIES)]))
    return tmp_path


def run(*arguments: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as end:
        main(["calls", *arguments])
    assert end.value.code == code


@pytest.mark.parametrize("call", ["aa11", "bb33", "mute"])
def test_a_call_is_drawn(call: str, folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    run("picture", call)
    ET.parse(folder / f"{call}.svg")
    run("picture", call, "-o", "-")
    out, _ = capfdbinary.readouterr()
    assert out == (folder / f"{call}.svg").read_bytes()
    run("picture", call, "-o", "a.png")
    assert (folder / "a.png").read_bytes().startswith(b"\x89PNG")


def test_where_a_picture_cannot_be_written_that_is_told(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run("picture", "aa11", "-o", "no/such/folder.svg", code=2)
    said = capfd.readouterr().err
    assert "cannot write no/such/folder.svg" in said and "Traceback" not in said


@pytest.mark.parametrize(("form", "begins"), [("opus", b"OggS"), ("mp3", b"ID3")])
def test_a_recording_is_written_out_in_a_third_of_its_size(
    form: str, begins: bytes, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run("export", "aa11", "--format", form, "-o", "out")
    assert (folder / "out").read_bytes().startswith(begins)
    run("export", "aa11", "bb33", "--format", form, "-o", "many/")
    assert len([*(folder / "many").glob(f"*.{form}")]) == 2
    run("export", "mute", "--format", form, "-o", "none", code=1)
    assert "was not recorded" in capfd.readouterr().err


def test_a_recording_is_heard_again(
    folder: Path, service: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BRIDGE_SPEECH__BASE_URL", service)
    run("retranscribe", "aa11", "--model", "ink-9")
    out = capfd.readouterr().out
    assert "caller (ink-9):" in out and "- open?" in out and "+ close?" in out
    assert "(nothing was said)" in out, "nothing is to be heard of the agent"
    with sqlite3.connect(folder / "calls" / "calls.db") as database:
        rows = database.execute(
            "select call_id, side, model, text, words from transcriptions order by id"
        ).fetchall()
    database.close()
    assert [row[:4] for row in rows] == [
        ("aa11", "caller", "ink-9", "Hi, when do you close?"),
        ("aa11", "agent", "ink-9", ""),
    ]
    assert json.loads(rows[0][4]) == [{"word": "Hi,", "start_ms": 100, "end_ms": 200}]


@pytest.mark.parametrize(
    ("call", "told"), [("mute", "has no recording"), ("nothere", "no call's id"), ("aa11", "cannot reach")]
)
def test_what_goes_wrong_is_one_sentence(
    call: str, told: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BRIDGE_SPEECH__BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(SystemExit) as end:
        main(["calls", "retranscribe", call])
    assert end.value.code not in {0, None}
    said = capfd.readouterr().err
    assert told in said and "Traceback" not in said
