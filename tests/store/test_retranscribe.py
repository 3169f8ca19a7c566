"""Recordings to text once more: cut at pauses, put together again, and held against the live transcript."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bridge.audio.wav import interleave, read_mulaw
from bridge.conversation.journal import AgentSpoke, CallerSpoke, Entry, PartySpoke
from bridge.errors import SpeechError
from bridge.speech.link import SpeechLink
from bridge.store.differences import Difference
from bridge.store.retranscribe import Piece, Word, iter_pieces, live_words, retranscribe
from bridge.store.sql.database import Database
from bridge.store.sql.transcriptions import Transcriptions
from bridge.stt.cartesia_batch import CartesiaBatch, HeardFile, HeardWord
from tests.speech_server.conftest import assets, sentence, server_url  # noqa: F401  They are fixtures.
from tests.store.samples import HEADER, LOG_HEADER

TALK = b"\x11" * 8000
PAUSE = b"\xff" * 8000


@dataclass
class Recorded:
    """A recording that is open."""

    left: bytes
    right: bytes = b""

    def audio(self, first: int, count: int) -> bytes:
        return interleave(self.left, self.right)[2 * first : 2 * (first + count)]


class Scripted:
    """Says of each file how long it is."""

    model = "scripted"

    def __init__(self, *texts: str) -> None:
        self.texts = [*texts]
        self.files: list[tuple[str, bytes]] = []

    async def transcribe(self, wav: bytes, *, name: str) -> HeardFile:
        audio = await asyncio.to_thread(read_mulaw, wav, name=name)
        self.files.append((name, audio))
        text = self.texts.pop(0)
        return HeardFile(text, tuple(HeardWord(word, 10 * at, 10 * at + 5) for at, word in enumerate(text.split())))


ENTRIES: list[Entry] = [
    CallerSpoke(1, " Do you open on Sunday?", 0, 1000),
    CallerSpoke(2, "we open at", 1000, 1500, meaning="echo"),
    AgentSpoke(1, 1, "turn.ended", "We do not.", " Sorry.", True, 1000, 2000),
    CallerSpoke(3, "", 2000, 2100, meaning="empty"),
    CallerSpoke(4, " Bye.", 2000, 3000),
]


async def test_each_side_is_sent_and_compared_with_its_own_words() -> None:
    stt = Scripted("Do you open on Monday? Bye.", "We do not.")
    found = await retranscribe(Recorded(TALK * 3, PAUSE + TALK), HEADER, ENTRIES, stt)
    assert [(one.side, one.model, one.text) for one in found] == [
        ("caller", "scripted", "Do you open on Monday? Bye."),
        ("agent", "scripted", "We do not."),
    ]
    assert found[0].differences == (
        Difference("equal", (0, 4), (0, 4)),
        Difference("replace", (4, 5), (4, 5), "Sunday?", "Monday?"),
        Difference("equal", (5, 6), (5, 6)),
    )
    assert [one.kind for one in found[1].differences] == ["equal"]
    assert [(name, len(audio)) for name, audio in stt.files] == [("caller-0.wav", 24_000), ("agent-0.wav", 24_000)]


async def test_a_side_on_which_nothing_is_heard_is_not_sent() -> None:
    stt = Scripted("Hello.")
    found = await retranscribe(Recorded(TALK, PAUSE), HEADER, [], stt)
    assert [one.text for one in found] == ["Hello.", ""]
    assert len(stt.files) == 1


async def test_of_two_people_the_right_side_is_who_was_called() -> None:
    entries: list[Entry] = [PartySpoke("caller", 1, "Hi.", 0, 1), PartySpoke("callee", 1, "Ann here.", 0, 1)]
    assert [live_words(entries, side) for side in ("caller", "callee", "agent")] == [["Hi."], ["Ann", "here."], []]
    found = await retranscribe(Recorded(TALK, TALK), LOG_HEADER, entries, Scripted("Hi.", "Ann here."))
    assert [one.side for one in found] == ["caller", "callee"]
    assert all([one.kind for one in side.differences] == ["equal"] for side in found)


def test_long_sides_are_cut_where_nobody_speaks() -> None:
    side = (TALK * 9 + PAUSE * 2) * 3 + TALK * 4
    pieces = [*iter_pieces(Recorded(side, TALK), 0, most_s=30)]
    assert b"".join(piece.audio for piece in pieces) == side
    assert len(pieces) == 2
    at = 0
    for piece in pieces:
        assert piece.start_ms * 8 == at
        at += len(piece.audio)
        if at < len(side):
            assert set(side[at - 4000 : at + 4000]) == {0xFF}, "a cut stands in a pause"
    assert [*iter_pieces(Recorded(b"", b""), 0)] == []


@pytest.mark.parametrize("seconds", [29, 30, 31, 60, 61])
def test_who_never_pauses_is_cut_all_the_same(seconds: int) -> None:
    pieces = [*iter_pieces(Recorded(TALK * seconds), 0, most_s=30)]
    assert sum(len(piece.audio) for piece in pieces) == 8000 * seconds
    assert all(0 < len(piece.audio) <= 30 * 8000 for piece in pieces)


async def test_words_have_the_time_of_the_call_whatever_piece_they_came_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def pieces(_: Any, channel: int) -> Any:
        return iter([Piece(0, TALK), Piece(1000, PAUSE), Piece(2000, TALK)] if channel == 0 else [])

    monkeypatch.setattr("bridge.store.retranscribe.iter_pieces", pieces)
    told: list[tuple[str, int]] = []
    stt = Scripted("One two", "three.")
    caller, _ = await retranscribe(
        Recorded(b""), HEADER, [], stt, told=lambda side, at_ms: told.append((side, at_ms))
    )
    assert caller.text == "One two three."
    assert caller.words == (Word("One", 0, 5), Word("two", 10, 15), Word("three.", 2000, 2005))
    assert told == [("caller", 1000), ("caller", 2000), ("caller", 3000)]


async def test_what_the_service_refuses_is_told() -> None:
    class Down(Scripted):
        async def transcribe(self, wav: bytes, *, name: str) -> HeardFile:
            raise SpeechError("the service is down: try again later", code="speech_server", final=False)

    with pytest.raises(SpeechError, match="try again later"):
        await retranscribe(Recorded(TALK), HEADER, [], Down())


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database("", tmp_path)
    await database.open()
    yield database
    await database.close()


async def test_they_are_kept_beside_the_call(database: Database, tmp_path: Path) -> None:
    from sqlalchemy import insert

    from bridge.store.sql.schema import calls

    row = {
        "id": HEADER.id,
        "sid": "CA1",
        "direction": "inbound",
        "caller": "a",
        "called": "b",
        "agent_kind": "echo",
    }
    async with database.writing() as connection:
        await connection.execute(insert(calls).values(**row, started_at=1, folder="x"))
    kept = Transcriptions(database)
    made = await retranscribe(Recorded(TALK, TALK), HEADER, ENTRIES, Scripted("Zoë 😀 did.", " We  do not."))
    await kept.keep(HEADER.id, made)
    again = [replace(one, model="other") for one in made]
    await kept.keep(HEADER.id, again)
    found = await kept.of(HEADER.id)
    assert [one.made for one in found] == [*made, *again]
    assert await kept.of("another") == []


@pytest.mark.timeout(120)
async def test_the_local_engine_hears_again_what_was_said(server_url: str, sentence: bytes) -> None:  # noqa: F811
    live = [CallerSpoke(1, "It was the age of foolishness.", 0, 2000)]
    recorded = Recorded(PAUSE + sentence + PAUSE * 2, PAUSE)
    stt = CartesiaBatch(SpeechLink(server_url))
    try:
        caller, agent = await retranscribe(recorded, HEADER, live, stt)
    finally:
        await stt.close()
    assert "age" in caller.text.lower()
    assert "foolish" in caller.text.lower()
    assert [one.word for one in caller.words] == caller.text.split()
    assert all(900 <= one.start_ms <= one.end_ms <= 3200 for one in caller.words)
    assert (agent.text, agent.words) == ("", ())
