from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.call.trace import first_line, step_line
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal as j
from bridge.conversation.actions import HandOff, Note, Say, Transfer
from bridge.conversation.policy import Policy
from bridge.privacy import numbers, tracing
from bridge.privacy.numbers import masked
from bridge.privacy.redactor import Redactor
from bridge.privacy.tracing import TraceMask


def line(event: object, *commands: object, kinds: tuple[str, ...] = ("card",), own: tuple[str, ...] = ()) -> str:
    mask = TraceMask(Redactor(kinds, own))
    return mask.line(step_line(1.0, event, commands)).decode()  # type: ignore[arg-type]  # any of them


@pytest.mark.parametrize(
    "event",
    [
        on.TurnUpdated("four one 11 One"),
        on.TurnEagerlyEnded("4 one double one"),
        on.TurnEnded("41 eleven"),
        on.AgentActed(1, Say("4")),
        on.AgentActed(1, Note({"n": [4111, "four"], "text": {"is": "41"}})),
        on.AgentActed(1, Transfer("+15550100009", summary="four one")),
        on.AgentActed(1, HandOff("4111")),
        on.WordsTimed(1, (on.Word("four", 0.0, 0.2), on.Word("11", 0.2, 0.4))),
        on.DigitPressed("4"),
    ],
)
def test_no_digit_and_no_number_word_stays_in_what_is_said_and_done(event: object) -> None:
    shown = line(event)
    for word in ("four", "41", "11", "eleven", '"4"', "One", "one ", "double"):
        assert word not in shown.replace("+15550100009", ""), shown


def test_what_is_no_word_stays() -> None:
    shown = line(
        on.MarkReturned("1.44"), do.SendMark("4.1"), do.Synthesize(41, "four", more=True, voice=None, language="en")
    )
    assert '"name":"1.44"' in shown
    assert '"name":"4.1"' in shown
    assert '"utterance":41' in shown
    assert '"text":"xxxx"' in shown


def test_lines_without_words_are_not_touched() -> None:
    for event in (on.MarkReturned("4.11"), on.DeadlineReached(), on.SpeechArrived(1, b"\xff" * 160)):
        written = step_line(1.0, event, [])
        assert TraceMask(Redactor()).line(written) is written
    policy = first_line(Policy())
    assert TraceMask(Redactor()).line(policy) == policy
    assert TraceMask(Redactor(())).line(step_line(1.0, on.TurnEnded("41"), [])) == step_line(
        1.0, on.TurnEnded("41"), []
    )


def test_words_go_too_where_words_are_to_be_struck_out() -> None:
    shown = line(on.TurnUpdated("Uh-huh, john dot smi 4"), kinds=("email",))
    assert '"transcript":"Uh-huh, xxxx xxx xxx 0"' in shown
    assert '"Xxxxxx xxxx"' in line(on.TurnUpdated("Secret code"), own=("secret",))


def test_the_names_in_a_note_are_struck_out_as_well() -> None:
    note = Note({"4111 1111 1111 1111": "seen", "more": {"4111111111111111": True}})
    for shown in (line(on.AgentActed(1, note)), line(on.TurnStarted(), do.Record(j.NoteTaken(1, note.data)))):
        assert "1111" not in shown
        assert '"map":{"[card number]":"seen","more":{"[card number]":true}}' in shown


def test_a_note_that_is_not_json_is_masked_as_well() -> None:
    shown = line(on.AgentActed(1, Note({"said": "4111", "mean": float("nan"), "what": object()})))
    assert '"said":"0000","mean":0' in shown
    with pytest.raises(ValueError, match="Expecting"):
        TraceMask(Redactor(("card",))).line(b'{"event": {"text":"4111",')


def test_an_entry_keeps_what_it_counts() -> None:
    entry = j.AgentSpoke(3, 2, "turn.ended", "four", " 5", True, 10, 20)
    shown = line(on.TurnStarted(), do.Record(entry))
    assert '"heard":"xxxx","unheard":" 0","interrupted":true,"asked_ms":10' in shown


PIECES = (
    "four",
    "One",
    "eleven",
    "oh",
    "4",
    "٤",
    "Ⅷ",
    "Hello",
    "someone",
    "İ",
    "K",
    "_",
    "-",
    " ",
    "é",
    "\\",
    '"',
    "A",
)
texts = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
steps = st.one_of(
    st.builds(on.TurnUpdated, texts),
    st.builds(on.WordsTimed, st.just(1), st.tuples(st.builds(on.Word, texts, st.just(0.5), st.just(1.0)))),
    st.builds(on.AgentActed, st.just(1), st.builds(Transfer, texts, summary=texts)),
    st.builds(on.AgentActed, st.just(1), st.builds(Note, st.dictionaries(texts, st.one_of(texts, st.just(7))))),
    st.builds(on.DigitPressed, st.sampled_from("4A#*")),
    st.builds(on.MarkReturned, texts),
)
done = st.lists(st.one_of(texts.map(do.SendMark), texts.map(lambda text: do.Synthesize(1, text, True, text, None))))


@given(steps, done, st.sampled_from(((), ("email",))))
def test_a_line_that_is_not_taken_apart_comes_out_the_same(
    event: Any, commands: Any, more: tuple[str, ...]
) -> None:
    line = step_line(1.0, event, commands)
    mask = TraceMask(Redactor(("card", *more)))
    flat = mask.line(line)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracing, "_is_flat", lambda _: False)
        assert flat == mask.line(line)


@given(texts)
def test_a_text_is_masked_word_by_word(text: str) -> None:
    assert masked(text) == numbers._TOKEN.sub(numbers._mask, text)


def test_no_sign_becomes_a_letter_by_its_case() -> None:
    for sign in map(chr, range(sys.maxunicode + 1)):
        if not sign.isalpha():
            assert not any(one.isalpha() for one in sign.lower()), hex(ord(sign))
