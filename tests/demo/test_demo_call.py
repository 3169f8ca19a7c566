"""The demo as a user runs it: a process of its own, everything real."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jiwer
import pytest
from whisper_normalizer.english import EnglishTextNormalizer  # type: ignore[import-untyped]  # it has no types

from bridge.audio import wav
from bridge.demo.lines import TURNS
from bridge.demo.sounds import recorded_message
from bridge.simulator.listening import Listener
from tests.demo.running import Demo

MOST_WORDS_WRONG = 0.10


@dataclass
class Run:
    code: int
    shown: str
    complaints: str
    folder: Path

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "journal.jsonl").read_text().splitlines()[1:]]

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["entry"] == kind]


@contextlib.contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bridge", "demo", "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()  # of a test that failed; one that ended does not mind


def call_folder(folder: Path) -> Path:
    (found,) = folder.glob("*/*/")
    return found


@pytest.mark.timeout(300)
def test_the_whole_call(demos: Mapping[str, Demo]) -> None:
    demo = demos["python"]
    code, shown, complaints = demo.ended()
    run = Run(code, shown, complaints, call_folder(demo.folder))
    assert (run.code, run.complaints) == (0, "")
    assert "The call ran as it should." in run.shown
    check_what_is_shown(run)
    check_turns(run)
    check_who_had_the_floor(run)
    check_recording(run)


def check_what_is_shown(run: Run) -> None:
    assert "\x1b" not in run.shown  # no colours and no cursor movement in a file
    assert run.shown.count("[synthetic voice]") == len(TURNS) - 1 + said_again(run)
    assert run.shown.count("[recorded human]") == 1
    assert run.shown.count("[made of noise]") == 1
    assert run.shown.count(" s of silence: turn over after ") == len(TURNS)
    for name in ("transcript.txt", "recording.wav", "timeline.svg"):
        assert (run.folder / name).is_file()
        assert str(run.folder / name) in run.shown
    call_id = run.folder.name.partition("-")[2]
    ending = run.shown.splitlines()[-5:]
    assert ending[1] == f"  BRIDGE_STORE__RECORDINGS={run.folder.parent.parent} phone-bridge serve"
    assert ending[2] == f"  http://127.0.0.1:8080/calls/{call_id}"
    assert ending[3] == "  http://127.0.0.1:8080/softphone"
    ET.parse(run.folder / "timeline.svg")


def said_again(run: Run) -> bool:
    """Whether the good-bye was misheard, and said once more: the local recogniser is no person."""
    return run.shown.count("[synthetic voice]") == len(TURNS)


def check_turns(run: Run) -> None:
    transcript = json.loads((run.folder / "transcript.json").read_bytes())
    heard = [line["text"] for line in transcript["lines"] if line["speaker"] == "caller"]
    if said_again(run):
        del heard[-2]
    assert len(heard) == len(TURNS)
    normal = EnglishTextNormalizer()
    # The recogniser writes both forms of the one word.
    said = [normal(line.text) for line in TURNS]
    recognised = [normal(text.replace("good-bye", "goodbye")) for text in heard]
    assert jiwer.wer(said, recognised) < MOST_WORDS_WRONG, heard
    (note,) = run.all("note_taken")
    assert note["data"]["caller_name"] == "Peter Miller"
    assert note["data"]["callback_number"] == "5551234"


def check_who_had_the_floor(run: Run) -> None:
    alarm, barge_in = run.all("agent_silenced")
    # On a very busy machine the words of the interruption come so late that it, too, is taken for noise at first.
    resumed, *_ = run.all("agent_resumed")
    replies = {entry["reply"]: entry for entry in run.all("agent_spoke")}
    assert resumed["reply"] == alarm["reply"]
    greeting, hours = replies[alarm["reply"]], replies[barge_in["reply"]]
    assert greeting["heard"].endswith("How can I help you?")
    assert not greeting["interrupted"]
    assert hours["interrupted"]
    assert hours["heard"].startswith("We are open")
    assert "nine in the morning" in hours["unheard"]
    assert run.entries[-1]["entry"] == "call_closed"
    assert run.entries[-2]["heard"].endswith("Good-bye.")
    assert run.all("problem_met") == []


def check_recording(run: Run) -> None:
    file = (run.folder / "recording.wav").read_bytes()
    left, right = (wav.read_mulaw(file, name="recording", channel=channel) for channel in (0, 1))
    assert recorded_message() in left  # the human voice, to the byte
    caller, agent = Listener(), Listener()
    caller.feed(0.0, left)
    agent.feed(0.0, right)
    _, barge_in = run.all("agent_silenced")
    begun = next(one.start_s for one in caller.spurts if one.end_s > barge_in["at_ms"] / 1000)
    cut = next(one for one in agent.spurts if one.start_s < begun < one.end_s + agent.pause_s)
    # A quarter of a second; and as much again for a machine that is busy with other tests.
    assert cut.end_s - begun < 0.5


@pytest.mark.timeout(90)
def test_ctrl_c_in_mid_call_keeps_what_was_said(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        assert process.stdout is not None
        while "  agent   Hello" not in (line := process.stdout.readline()):
            assert line, "the demo ended before the agent spoke"
        process.send_signal(signal.SIGINT)
        shown, complaints = process.communicate(timeout=60)
    folder = call_folder(tmp_path)
    assert (process.returncode, complaints) == (130, "")
    assert str(folder / "transcript.txt") in shown
    assert "Hello, this is Riverside Bikes." in (folder / "transcript.txt").read_text()
    assert wav.parse((folder / "recording.wav").read_bytes(), name="recording").seconds > 3


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with started(tmp_path / "file" / "calls") as process:
        shown, complaints = process.communicate(timeout=60)
    assert (process.returncode, shown) == (2, "")
    assert complaints.splitlines() == [
        f"error: --folder {tmp_path}/file/calls: Not a directory; choose another folder"
    ]
