"""The words of messages that were left with the carrier: who is asked for them, how often, and what is kept."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge.audio.wav import write_mulaw
from bridge.conversation import journal as j
from bridge.errors import BridgeError, SpeechError
from bridge.store.base import CallHeader
from bridge.store.files import finish_from_journal
from bridge.store.journal_file import entry_line, header_line, read_journal
from bridge.store.messages import write_message
from bridge.store.sealing import NO_KEYS, Keys
from bridge.store.vault import Recording, open_recording
from bridge.stt.cartesia_batch import HeardFile
from bridge.tasks import spawn
from bridge.voicemail.words import Listener, MessageWords, Ways
from tests.waiting import until

AWAY = SpeechError("refused", code="speech_unreachable", final=False)
NO_KEY = SpeechError("no such key", code="speech_auth", final=True)
HEADER = CallHeader("c1", "CA1", "+1", "+2", "inbound", "2026-01-31T09:30:00+00:00", "none")
SOUND = b"\x25" * 16_001
"""Two seconds, and a sample that makes its file one of odd length."""
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
    limits: list[float | None] = field(default_factory=list)
    busy: int = 0
    most: int = 0
    closed: bool = False

    async def transcribe(
        self, wav: bytes, *, name: str, language: str = "", timeout_s: float | None = None
    ) -> HeardFile:
        assert wav == write_mulaw(SOUND)
        self.asked.append((name, language))
        self.limits.append(timeout_s)
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
    write_message(tmp_path, 1, SOUND, NO_KEYS)
    return tmp_path


def words(
    *ears: Listener,
    grew: Callable[[Path, str], None] = lambda *_: None,
    keys: Keys = NO_KEYS,
    pauses_s: tuple[float, ...] = (0.0, 0.01, 0.01),
) -> MessageWords:
    ways = Ways(ears, lambda header: f"language of {header.called}", lambda entry: entry, grew, keys)
    return MessageWords(ways, pauses_s=pauses_s)


async def last_entry(folder: Path) -> j.Entry:
    return (await asyncio.to_thread(read_journal, folder / "journal.jsonl"))[1][-1]


async def text_of(folder: Path) -> str:
    return await asyncio.to_thread((folder / "transcript.txt").read_text, "utf-8")


async def test_they_are_a_turn_of_the_callers_at_the_time_of_the_message(folder: Path) -> None:
    ear, grown = Ear([" Call me back. "]), []
    heard = words(ear, grew=lambda *what: grown.append(what))
    assert "(left message 1, of which no words are known)" in await text_of(folder)
    await heard.hear(folder, MESSAGE)
    assert await last_entry(folder) == j.CallerSpoke(2, " Call me back. ", 2000, 9000)
    assert "(left message 1)" in await text_of(folder)
    assert "Call me back." in await text_of(folder)
    assert (ear.asked, grown) == ([("message-1.wav", "language of +2")], [(folder, "c1")])
    await heard.close()
    assert ear.closed


async def test_of_silence_it_is_known_that_it_holds_no_word(folder: Path) -> None:
    await words(Ear([" "])).hear(folder, MESSAGE)
    assert await last_entry(folder) == j.CallerSpoke(2, " ", 2000, 9000, meaning="empty")
    assert "(left message 1, without a word)" in await text_of(folder)


async def test_who_stands_by_is_asked_where_the_first_cannot_and_both_again_later(folder: Path) -> None:
    first, other = Ear([NO_KEY]), Ear([AWAY, "Hello"])
    await words(first, other).hear(folder, MESSAGE)
    assert (len(first.asked), len(other.asked)) == (2, 2)
    assert await last_entry(folder) == j.CallerSpoke(2, "Hello", 2000, 9000)


@pytest.mark.parametrize(("error", "times"), [(AWAY, 3), (NO_KEY, 1)])
async def test_where_nobody_can_the_record_says_so(folder: Path, error: SpeechError, times: int) -> None:
    ear = Ear([error])
    await words(ear).hear(folder, MESSAGE)
    assert len(ear.asked) == times
    said = f"the words of message 1 are not known: {error.message}"
    assert await last_entry(folder) == j.ProblemMet(9000, "stt", error.code, said)
    assert "(left message 1, of which no words are known)" in await text_of(folder)


async def test_one_is_heard_at_a_time(folder: Path) -> None:
    ear = Ear(["Hello"])
    heard = words(ear)
    await asyncio.gather(*(heard.hear(folder, MESSAGE) for _ in range(3)))
    assert (len(ear.asked), ear.most) == (3, 1)


async def test_of_a_call_that_was_erased_meanwhile_nothing_comes_back(folder: Path) -> None:
    ear = Ear(["Hello"])
    hearing = asyncio.gather(words(ear).hear(folder, MESSAGE), return_exceptions=True)
    async with asyncio.timeout(5):
        while not ear.busy:  # noqa: ASYNC110  It is another task that asks.
            await asyncio.sleep(0)
    for file in [*folder.iterdir()]:
        file.unlink()
    (error,) = await hearing
    assert isinstance(error, FileNotFoundError)
    assert [*folder.iterdir()] == []


async def test_it_may_take_a_minute_more_than_the_message_lasts(folder: Path) -> None:
    ear = Ear(["Hello"])
    await words(ear).hear(folder, MESSAGE)
    assert ear.limits == [60 + 16_001 / 8000]


async def test_an_encrypted_message_is_heard_and_one_whose_key_is_gone_is_told(folder: Path) -> None:
    keys = Keys(bytes(32))
    await asyncio.to_thread((folder / "message-1.wav").unlink)
    await asyncio.to_thread(write_message, folder, 1, SOUND, keys)
    ear = Ear(["Hello"])
    with pytest.raises(BridgeError) as failed:
        await words(ear).hear(folder, MESSAGE)
    assert (failed.value.code, ear.asked) == ("recording_locked", [])
    await words(ear, keys=keys).hear(folder, MESSAGE)
    assert await last_entry(folder) == j.CallerSpoke(2, "Hello", 2000, 9000)


async def test_while_one_is_heard_the_others_wait_on_the_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear, read = Ear(["Hello"]), []

    def open_counted(path: Path, keys: Keys, *, message: int) -> Recording:
        read.append(message)
        return open_recording(path, keys, message=message)

    monkeypatch.setattr("bridge.voicemail.words.open_recording", open_counted)
    heard = words(ear)
    tasks = [spawn(heard.hear(folder, MESSAGE), name="hearing") for _ in range(5)]
    await until(lambda: ear.busy)
    assert len(read) == 1
    await asyncio.gather(*tasks)
    assert len(read) == 5


class Held:
    """What an attempt has in its hands."""


class Refusing:
    """A speech service that fails as the real ones do: with what was sent in the frames of the error."""

    def __init__(self) -> None:
        self.held: list[weakref.ref[Held]] = []

    async def transcribe(
        self, wav: bytes, *, name: str, language: str = "", timeout_s: float | None = None
    ) -> HeardFile:
        sent = Held()
        self.held.append(weakref.ref(sent))
        try:
            return await asyncio.wait_for(asyncio.sleep(60, HeardFile("")), 0.01)
        except TimeoutError as error:
            raise SpeechError("refused", code="speech_timeout", final=False) from error

    async def close(self) -> None:
        pass


async def test_between_attempts_nothing_is_held_of_a_message(folder: Path) -> None:
    ear = Refusing()
    hearing = spawn(words(ear, pauses_s=(0.0, 60.0)).hear(folder, MESSAGE), name="hearing")
    await until(lambda: [one() for one in ear.held] == [None])
    hearing.cancel()
    await asyncio.wait([hearing])
