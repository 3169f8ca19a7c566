"""The sound of messages that were left with the carrier: what is logged of what cannot be had, or not be heard."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.audio.wav import write_mulaw
from bridge.conversation import journal as j
from bridge.errors import CarrierError
from bridge.store.journal_file import entry_line, header_line
from bridge.store.sealing import NO_KEYS
from bridge.twilio.recordings import Recordings
from bridge.voicemail.sounds import MessageSounds
from bridge.voicemail.words import MessageWords, Ways
from tests.store.samples import HEADER
from tests.waiting import until


class Carrier(Recordings):
    """Has every recording, or none."""

    def __init__(self, file: bytes | None) -> None:
        super().__init__("AC1", "token")
        self.file = file
        self.asked = 0

    async def fetch(self, url: str) -> bytes:
        self.asked += 1
        if self.file is None:
            raise CarrierError(f"{url} is not there", code="carrier_request")
        return self.file


class Deaf(MessageWords):
    """Cannot put words into any record."""

    def __init__(self) -> None:
        super().__init__(Ways((), lambda _: "", lambda entry: entry, lambda *_: None))
        self.asked: list[int] = []

    async def hear(self, folder: Path, message: j.MessageLeft) -> None:
        self.asked.append(message.number)
        raise OSError("no space left")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    left = [j.MessageLeft(number, "", 0, 9000, "https://api.twilio.com/RE1") for number in (1, 2)]
    (tmp_path / "journal.jsonl").write_bytes(header_line(HEADER) + b"".join(map(entry_line, left)))
    return tmp_path


async def bring(folder: Path, carrier: Carrier, words: MessageWords, event: str, times: int) -> list[Any]:
    sounds = MessageSounds(carrier, NO_KEYS, words, pauses_s=(0.0,))
    with capture_logs() as lines:
        sounds.bring(folder)
        await until(lambda: len([line for line in lines if line["event"] == event]) == times)
    await sounds.close()
    return [line for line in lines if line["log_level"] == "error"]


async def test_words_that_cannot_be_kept_are_told_as_such_and_the_next_message_is_fetched(folder: Path) -> None:
    words = Deaf()
    errors = await bring(folder, Carrier(write_mulaw(b"\x25" * 80)), words, "message_words_not_kept", 2)
    assert [(line["event"], line["number"], line["error"]) for line in errors] == [
        ("message_words_not_kept", 1, "no space left"),
        ("message_words_not_kept", 2, "no space left"),
    ]
    assert words.asked == [1, 2]
    assert (folder / "message-2.wav").exists()


async def test_of_a_message_that_cannot_be_fetched_no_words_are_asked_for(folder: Path) -> None:
    words = Deaf()
    errors = await bring(folder, Carrier(None), words, "message_not_fetched", 1)
    assert [line["event"] for line in errors] == ["message_not_fetched"]
    assert words.asked == []


async def test_where_the_disk_is_slow_few_are_fetched_before_they_are_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = threading.Event()
    monkeypatch.setattr("bridge.voicemail.sounds.write_message", lambda *_: written.wait(20))
    carrier = Carrier(write_mulaw(b"\x25" * 80))
    sounds = MessageSounds(carrier, NO_KEYS, pauses_s=(0.0,))
    for _ in range(8):
        sounds.bring(folder)
    try:
        await until(lambda: carrier.asked >= 4)
        await asyncio.sleep(0.2)
        assert carrier.asked == 4
    finally:
        written.set()
    await until(lambda: carrier.asked == 16)
    await sounds.close()
