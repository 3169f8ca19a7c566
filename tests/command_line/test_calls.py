"""`phone-bridge calls …`: what is printed, written and said, and how it ends."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sqlite3
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.store.folder import JOURNAL
from tests.store.kept_calls import keep
from tests.store.samples import ENTRIES, HEADER, LOG_ENTRIES, LOG_HEADER, TROUBLED

CALLS = [
    (replace(HEADER, id="aa11", started_at="2026-03-01T10:00:00+00:00"), ENTRIES),
    (replace(HEADER, id="aa22", sid="CA22", started_at="2026-03-01T11:00:00+00:00"), TROUBLED),
    (replace(LOG_HEADER, id="bb33", started_at="2026-03-02T09:00:00+00:00"), LOG_ENTRIES),
    (replace(HEADER, id="live", started_at="2026-03-02T10:00:00+00:00"), ENTRIES[:8]),
]


class Shell:
    """Runs commands in a folder that holds calls."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[bytes]) -> None:
        self.folder = folder
        self._capture = capture

    def __call__(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        out, errors = self.raw(*arguments, code=code)
        return out.decode(), errors

    def raw(self, *arguments: str, code: int = 0) -> tuple[bytes, str]:
        self._capture.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["calls", *arguments])
        out, errors = self._capture.readouterr()
        said = errors.decode()
        assert end.value.code == code, said
        assert "Traceback" not in said and "bug in phone-bridge" not in said
        return out, said


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, capfdbinary)


@pytest.fixture
def shell(empty: Shell) -> Shell:
    asyncio.run(keep(empty.folder / "calls", CALLS, sound_ms=500, live="live"))
    return empty


def ids(text: str) -> list[str]:
    return [row["id"] for row in json.loads(text)]


def test_calls_are_listed_newest_first(shell: Shell) -> None:
    out, errors = shell("list")
    head, *rows = out.splitlines()
    assert head.split() == ["started", "(UTC)", "id", "from", "to", "length", "turns", "ended"]
    assert [row.split()[2] for row in rows] == ["live", "bb33", "aa22", "aa11"]
    assert rows[0].endswith("goes on") and rows[1].endswith("the other side hung up")
    assert "\x1b" not in out and errors == ""
    out, errors = shell("list", "--limit", "2")
    assert len(out.splitlines()) == 3
    assert "there are more" in errors


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (("--limit", "0"), ["live", "bb33", "aa22", "aa11"]),
        (("--live",), ["live"]),
        (("--over",), ["bb33", "aa22", "aa11"]),
        (("--agent", "log"), ["bb33"]),
        (("--since", "2026-03-02"), ["live", "bb33"]),
        (("--until", "2026-03-01T10:30"), ["aa11"]),
        (("--since", "2h"), []),
        (("--ended", "agent"), ["aa22"]),
        (("--uninterrupted", "--number", "555 123"), ["bb33"]),
        (("--caller", "+15551234567", "--called", "+15557654321", "--direction", "outbound"), []),
    ],
)
def test_filters(shell: Shell, filters: Sequence[str], found: list[str]) -> None:
    assert ids(shell("list", "--json", *filters)[0]) == found


def test_one_call(shell: Shell) -> None:
    out, _ = shell("show", "aa1")
    assert "[ 0:03.0] Caller   Hi, when do you open? " in out
    assert "8 turns, 1 interruption, 1 answer prepared and not used, 1 problem" in out
    assert f"kept in {Path('calls/2026-03-01/100000-aa11')}" in out
    out, _ = shell("show", "last")
    assert "; ended: not yet, it goes on\n" in out and "breaks off" not in out
    assert out.rstrip().endswith("the call goes on: this is what there is of it so far")
    detail = json.loads(shell("show", "CA22", "--json")[0])
    assert detail["call"]["id"] == "aa22"
    assert detail["turns"][1]["text"] == "Do you have a table for two tonight?"
    assert {action["kind"] for action in detail["actions"]} > {"problem_met", "call_closed"}


def test_what_was_said_is_found(shell: Shell) -> None:
    out, _ = shell("search", "open")
    assert out.splitlines()[:2] == [
        "live  2026-03-02 10:00:00  +15551234567 → +15557654321",
        "  [ 0:05.7] Agent   We open at",
    ]
    hits = json.loads(shell("search", "--json", "--speaker", "caller", "--until", "2026-03-02", '"DO you"')[0])
    assert [(hit["call"]["id"], hit["turn"]["text"]) for hit in hits] == [
        ("aa22", "Do you have a table for two tonight?"),
        ("aa11", " Hi, when do you open? "),
    ]
    assert hits[0]["snippet"]["marks"] == [[0, 6]]
    assert "newest 1 turns" in shell("search", "open", "--limit", "1")[1]
    assert shell("search", "nobody said this", code=1) == ("", "nothing was found\n")
    assert shell("search", "--json", "nobody", code=1)[0] == "[]\n"
    assert "holds no word to look for" in shell("search", "--", "-open", code=2)[1]
    shell("search", '"( OR NEAR* -', "a'b", code=1)


def test_a_transcript_is_exported(shell: Shell) -> None:
    out, errors = shell("export", "aa11")
    assert out == (shell.folder / "calls/2026-03-01/100000-aa11/transcript.txt").read_text()
    assert errors == ""
    assert "; ended: not yet, it goes on\n" in shell("export", "live")[0]
    assert shell("export", "aa11", "--format", "vtt", "-o", "-")[0].startswith("WEBVTT\n")
    _, errors = shell("export", "aa11", "--format", "srt", "--output", "x.srt")
    assert errors == "exported: 1 call\n"
    assert (shell.folder / "x.srt").read_text().startswith("1\n00:00:00,262 --> ")
    journal, _ = shell("export", "aa11", "--format", "journal")
    assert journal.encode() == (shell.folder / "calls/2026-03-01/100000-aa11" / JOURNAL).read_bytes()


def test_several_calls_become_one_file(shell: Shell) -> None:
    rows = list(csv.DictReader(io.StringIO(shell("export", "--all", "--format", "csv")[0])))
    assert {row["call"] for row in rows} == {"aa11", "aa22", "bb33", "live"}
    lines = shell("export", "aa11", "bb33", "aa11", "--format", "jsonl")[0].splitlines()
    assert {json.loads(line)["call"] for line in lines} == {"aa11", "bb33"}
    assert len(lines) == 10
    documents = json.loads(shell("export", "--since", "2026-03-02", "--format", "json")[0])
    assert [one["header"]["id"] for one in documents] == ["live", "bb33"]
    assert json.loads(shell("export", "aa11", "--format", "json")[0])["header"]["id"] == "aa11"
    assert shell("export", "--all")[0].count("\n\n\nCall ") == 3
    assert json.loads(shell("export", "--ended", "fax", "--format", "json")[0]) == []


def test_several_calls_become_files_in_a_folder(shell: Shell) -> None:
    _, errors = shell("export", "--all", "--format", "bundle", "-o", "out/")
    assert "note: call live goes on" in errors and "exported: 4 calls" in errors
    names = sorted(path.name for path in (shell.folder / "out").iterdir())
    assert names == [
        f"2026-03-0{name}.zip" for name in ("1-100000-aa11", "1-110000-aa22", "2-090000-bb33", "2-100000-live")
    ]
    with zipfile.ZipFile(shell.folder / "out" / names[0]) as file:
        assert file.read("100000-aa11/recording.wav")[:4] == b"RIFF"


def test_a_recording(shell: Shell) -> None:
    out, _ = shell.raw("export", "aa11", "--format", "wav")
    assert out == (shell.folder / "calls/2026-03-01/100000-aa11/recording.wav").read_bytes()


def audit(shell: Shell) -> list[tuple[str, str, str, str]]:
    with sqlite3.connect(shell.folder / "calls" / "calls.db") as database:
        rows = database.execute("SELECT who, what, call_id, detail FROM audit ORDER BY id").fetchall()
    database.close()
    return rows


@pytest.mark.parametrize(("name", "begins"), [("opus", b"OggS"), ("mp3", b"ID3"), ("bundle", b"PK")])
def test_what_can_be_heard_leaves_a_line_in_the_audit(shell: Shell, name: str, begins: bytes) -> None:
    out, _ = shell.raw("export", "aa11", "--format", name)
    assert out.startswith(begins)
    shell("export", "aa11", "--format", "text")
    assert audit(shell) == [("command line", "recording_exported", "aa11", name)]


def test_calls_are_erased(shell: Shell) -> None:
    _, errors = shell("delete", "aa1", code=2)
    assert "nobody can answer here: give --yes" in errors
    _, errors = shell("delete", "aa1", "--yes")
    assert errors.startswith("erased: 1 call, ")
    assert ids(shell("list", "--json", "--limit", "0")[0]) == ["live", "bb33", "aa22"]
    assert not (shell.folder / "calls/2026-03-01/100000-aa11").exists()
    assert shell("search", "open", "--until", "2026-03-02", code=1)[0] == ""
    assert audit(shell) == [("command line", "call_erased", "aa11", "")]
    done = json.loads(shell("delete", "--number", "+1 555 123 4567", "--yes", "--json", code=1)[0])
    assert (done["erased"], done["live"], done["left"]) == (["bb33", "aa22"], ["live"], [])
    assert ids(shell("list", "--json")[0]) == ["live"]
    assert shell("delete", "--ended", "fax", "--yes")[1] == "erased: 0 calls, 0 files\n"


def test_before_calls_are_erased_people_are_asked(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for answer, code, left in (("n\n", 1, 4), ("y\n", 0, 2)):
        terminal = io.StringIO(answer)
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr("sys.stdin", terminal)
        _, errors = shell("delete", "aa11", "aa22", code=code)
        assert "aa22" in errors and "Erase 2 calls for good? [y/N]" in errors
        assert len(ids(shell("list", "--json")[0])) == left


def test_what_is_not_there_is_told(shell: Shell) -> None:
    folder = shell.folder / "calls/2026-03-01/110000-aa22"
    (folder / "recording.wav").unlink()
    assert "call aa22 was not recorded" in shell("export", "aa22", "--format", "wav", "-o", "x.wav", code=1)[1]
    shell("list")  # the database knows of it now
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert "the files of call aa22 are gone" in shell("show", "aa22", code=1)[1]
    out, errors = shell("export", "aa11", "aa22", "--format", "jsonl", code=1)
    assert "files of call aa22 are gone" in errors and "exported: 1 call; not exported: 1" in errors
    assert len(out.splitlines()) == 7
    assert not [path for path in shell.folder.iterdir() if path.name.startswith((".", "x"))], "nothing half written"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("show", "aa"), 1, "'aa' could be any of aa22, aa11: give more of the id"),
        (("show", "zz"), 1, "no call's id begins with 'zz'"),
        (("show", ""), 1, "no call's id begins with ''"),
        (("show", "\ud800"), 1, "no call's id begins with"),
        (("export",), 2, "nothing to export: name calls, or filters"),
        (("export", "aa11", "--all"), 2, "either calls or filters, not both"),
        (("export", "--all", "--format", "vtt"), 2, "name a folder for them, as  --output FOLDER/"),
        (("export", "--all", "--format", "wav", "-o", "file.wav"), 2, "name a folder for them"),
        (("export", "aa11", "-o", "none/of/this.txt"), 1, "No such file or directory"),
        (("export", "zz"), 1, "no call's id begins with 'zz'"),
        (("delete",), 2, "nothing to erase: name calls, or filters"),
        (
            ("delete", "--number", "4567", "--yes"),
            2,
            "--number is '4567': to erase, give the whole number, with its +",
        ),
        (("delete", "zz", "--yes"), 1, "no call's id begins with 'zz'"),
        (("list", "--since", "soon"), 2, "--since is 'soon': wanted a date"),
        (("list", "--limit", "-1"), 2, "-1 is not in the range"),
    ],
)
def test_what_was_asked_wrongly_gets_one_line(shell: Shell, arguments: Sequence[str], code: int, said: str) -> None:
    out, errors = shell(*arguments, code=code)
    assert said in errors
    assert out == ""


def test_nothing_is_kept_yet(empty: Shell) -> None:
    assert shell_says(empty, "list") == "no calls are kept in calls yet: place one with  phone-bridge demo\n"
    assert empty("list", "--json")[0] == "[]\n"
    assert "no calls are kept in calls yet" in empty("show", "last", code=1)[1]
    assert "nothing was found" in empty("search", "x", code=1)[1]
    assert empty("export", "--all", "--format", "jsonl")[0] == ""
    assert list(empty.folder.iterdir()) == [], "looking makes nothing"


def shell_says(shell: Shell, *arguments: str) -> str:
    out, errors = shell(*arguments)
    assert out == ""
    return errors


def test_without_its_database_the_folders_are_read(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_STORE__URL", f"postgresql://nobody@/none?host={shell.folder / 'none'}")
    out, errors = shell("list", "--json")
    assert ids(out) == ["live", "bb33", "aa22", "aa11"]
    assert (
        errors.startswith("warning: the database of calls at postgresql://")
        and "reading the calls' folders" in errors
    )
    assert len(errors.splitlines()) == 1
    assert json.loads(shell("search", "--json", "half past")[0])[0]["call"]["id"] == "aa22"
    assert "Do you have a table" in shell("export", "aa22")[0]
    assert "Do you have a table" in shell("show", "CA22")[0]
    assert shell.raw("export", "aa22", "--format", "wav")[0][:4] == b"RIFF"
    assert "recording_exported" in (shell.folder / "calls" / "audit.jsonl").read_text()
    assert "cannot be erased while the database" in shell("delete", "aa22", "--yes", code=1)[1]


def test_a_database_that_is_none_is_told(shell: Shell) -> None:
    (shell.folder / "calls" / "calls.db").write_bytes(b"this is no database" * 1000)
    out, errors = shell("list", "--json")
    assert len(ids(out)) == 4
    assert "warning: the database of calls at" in errors
