"""The words of messages that were left with the carrier: who is asked for them, how often, and what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge.conversation import journal as j
from bridge.errors import SpeechError
from bridge.store.base import CallHeader
from bridge.store.files import finish_from_journal
from bridge.store.journal_file import entry_line, header_line, read_journal
from bridge.stt.cartesia_batch import HeardFile
from bridge.voicemail.words import MessageWords, Ways

AWAY = SpeechError("refused", code="speech_unreachable", final=False)
NO_KEY = SpeechError("no such key", code="speech_auth", final=True)
HEADER = CallHeader("c1", "CA1", "+1", "+2", "inbound", "2026-01-31T09:30:00+00:00", "none")
MESSAGE = j.MessageLeft(1, "", 2000, 9000, "https://api.twilio.com/RE1")
LEFT: list[j.Entry] = [
    j.CallOpened(),
    j.CallerSpoke(1, "Hello?", 100, 900),
    MESSAGE,
    j.CallClosed(9500, "speech_failed"),
]


@dataclass
class Ear:
    """A speech service that says this, one after the other; the last again and again."""

    says: list[str | SpeechError]
    asked: list[tuple[str, str]] = field(default_factory=list)
    busy: int = 0
    most: int = 0
    closed: bool = False

    async def transcribe(self, wav: bytes, *, name: str, language: str = "") -> HeardFile:
        assert wav.startswith(b"RIFF")
        self.asked.append((name, language))
        self.busy += 1
        self.most = max(self.most, self.busy)
        await asyncio.sleep(0.01)
        self.busy -= 1
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(said, SpeechError):
            raise said
        return HeardFile(said)

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "journal.jsonl").write_bytes(header_line(HEADER) + b"".join(map(entry_line, LEFT)))
    finish_from_journal(tmp_path)
    return tmp_path


def words(*ears: Ear, grew: Callable[[Path, str], None] = lambda *_: None) -> MessageWords:
    ways = Ways(ears, lambda header: f"language of {header.called}", lambda entry: entry, grew)
    return MessageWords(ways, pauses_s=(0.0, 0.01, 0.01))


async def last_entry(folder: Path) -> j.Entry:
    return (await asyncio.to_thread(read_journal, folder / "journal.jsonl"))[1][-1]


async def text_of(folder: Path) -> str:
    return await asyncio.to_thread((folder / "transcript.txt").read_text, "utf-8")


async def test_they_are_a_turn_of_the_callers_at_the_time_of_the_message(folder: Path) -> None:
    ear, grown = Ear([" Call me back. "]), []
    heard = words(ear, grew=lambda *what: grown.append(what))
    assert "(left message 1, of which no words are known)" in await text_of(folder)
    await heard.hear(folder, MESSAGE, b"\xff" * 800)
    assert await last_entry(folder) == j.CallerSpoke(2, " Call me back. ", 2000, 9000)
    assert "(left message 1)" in await text_of(folder)
    assert "Call me back." in await text_of(folder)
    assert (ear.asked, grown) == ([("message-1.wav", "language of +2")], [(folder, "c1")])
    await heard.close()
    assert ear.closed


async def test_of_silence_it_is_known_that_it_holds_no_word(folder: Path) -> None:
    await words(Ear([" "])).hear(folder, MESSAGE, b"\xff" * 800)
    assert await last_entry(folder) == j.CallerSpoke(2, " ", 2000, 9000, meaning="empty")
    assert "(left message 1, without a word)" in await text_of(folder)


async def test_who_stands_by_is_asked_where_the_first_cannot_and_both_again_later(folder: Path) -> None:
    first, other = Ear([NO_KEY]), Ear([AWAY, "Hello"])
    await words(first, other).hear(folder, MESSAGE, b"\xff" * 800)
    assert (len(first.asked), len(other.asked)) == (2, 2)
    assert await last_entry(folder) == j.CallerSpoke(2, "Hello", 2000, 9000)


@pytest.mark.parametrize(("error", "times"), [(AWAY, 3), (NO_KEY, 1)])
async def test_where_nobody_can_the_record_says_so(folder: Path, error: SpeechError, times: int) -> None:
    ear = Ear([error])
    await words(ear).hear(folder, MESSAGE, b"\xff" * 800)
    assert len(ear.asked) == times
    said = f"the words of message 1 are not known: {error.message}"
    assert await last_entry(folder) == j.ProblemMet(9000, "stt", error.code, said)
    assert "(left message 1, of which no words are known)" in await text_of(folder)


async def test_one_is_heard_at_a_time(folder: Path) -> None:
    ear = Ear(["Hello"])
    heard = words(ear)
    await asyncio.gather(*(heard.hear(folder, MESSAGE, b"\xff" * 800) for _ in range(3)))
    assert (len(ear.asked), ear.most) == (3, 1)


async def test_of_a_call_that_was_erased_meanwhile_nothing_comes_back(folder: Path) -> None:
    ear = Ear(["Hello"])
    hearing = asyncio.gather(words(ear).hear(folder, MESSAGE, b"\xff" * 800), return_exceptions=True)
    async with asyncio.timeout(5):
        while not ear.busy:  # noqa: ASYNC110  It is another task that asks.
            await asyncio.sleep(0)
    for file in [*folder.iterdir()]:
        file.unlink()
    (error,) = await hearing
    assert isinstance(error, FileNotFoundError)
    assert [*folder.iterdir()] == []
