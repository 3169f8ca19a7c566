"""The audio of an utterance: read as if it were one row of bytes, and held once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.conversation.commands import SendAudio, SendMark
from bridge.conversation.events import Word
from bridge.conversation.playout import Playout
from bridge.conversation.policy import Policy
from bridge.conversation.sound import Sound

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.binary(max_size=40)),
        st.tuples(st.just("read"), st.integers(0, 120), st.integers(0, 40)),
        st.tuples(st.just("cut"), st.integers(0, 120)),
        st.tuples(st.just("let go"), st.integers(0, 120)),
    ),
    max_size=40,
)


@given(steps=STEPS)
def test_it_reads_as_one_row_of_bytes(steps: list[tuple[object, ...]]) -> None:
    sound, row, gone = Sound(), b"", 0
    for step in steps:
        match step:
            case ("add", bytes(audio)):
                sound.add(audio)
                row += audio
            case ("read", int(offset), int(size)):
                first = max(offset, sound.begin)
                assert sound.read(offset, size) == row[first : max(first, offset + size)]
            case ("cut", int(length)):
                sound.cut(length)
                row = row[: max(length, sound.begin)]
            case ("let go", int(offset)):
                sound.let_go(offset)
                gone = max(gone, offset)
        assert len(sound) == len(row)
        assert sound.begin <= gone
    assert sound.read(0, 10_000) == row[sound.begin :]


def test_what_was_let_go_as_a_whole_can_be_cut() -> None:
    sound = Sound()
    sound.add(b"abc")
    sound.let_go(3)
    sound.cut(1)
    assert (len(sound), sound.begin, sound.read(0, 9)) == (3, 3, b"")


def test_what_was_read_is_held_once() -> None:
    sound = Sound()
    for _ in range(5):
        sound.add(b"abc")
    assert sound.read(2, 8) is sound.read(2, 8)
    whole = b"w" * 2000
    sound.add(whole)
    assert sound.read(15, 2000) is whole


def test_long_audio_is_not_copied_with_each_piece_that_goes() -> None:
    sound = Sound()
    sound.add(bytes(100_000))
    assert sound.read(0, 8000) is sound.read(0, 8000)
    sound.let_go(50_000)
    assert sound.begin == 48_000


def ledger(*, words: bool) -> Playout:
    """Four seconds of speech, a word each half second, all of it with the phone."""
    playout = Playout(Policy(lead_s=5.0, segment_s=1.0, latency_s=0.0), epoch=1)
    playout.open(1, words_needed=1)
    playout.add_text(1, "w " * 8)
    one = playout.find(1)
    assert one is not None
    one.add_audio(bytes(range(250)) * 128)
    if words:
        one.add_words(tuple(Word("w", number / 2 + 0.2, number / 2 + 0.6) for number in range(8)))
    one.finished = True
    return playout


@pytest.mark.parametrize("words", [True, False])
def test_what_sounded_for_certain_is_let_go_and_the_rest_can_be_sent_again(words: bool) -> None:
    playout = ledger(words=words)
    one = playout.find(1)
    assert one is not None
    sent = playout.pump(0.0)
    assert playout.mark_returned(next(c.name for c in sent if isinstance(c, SendMark)), 1.0)
    playout.cut(1.1, told=True)
    # The word at 0.7 s had not ended when the mark told that a second had sounded: its piece is kept.
    again = b"".join(c.audio for c in playout.pump(1.2) if isinstance(c, SendAudio))
    assert again == (bytes(range(250)) * 128)[5600 if words else 8000 :]


def test_when_all_has_sounded_nothing_is_kept() -> None:
    playout = ledger(words=True)
    one = playout.find(1)
    assert one is not None
    for name in [c.name for c in playout.pump(0.0) if isinstance(c, SendMark)]:
        assert playout.mark_returned(name, 4.0)
    assert one.audio.begin == len(one.audio) == 32_000
    assert playout.heard_out(4.0)
