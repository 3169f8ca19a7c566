from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.agents.action_json import MAX_ACTIONS, TOO_MANY, Piece, Refused
from bridge.agents.webhook.answers import AnswerReader
from bridge.conversation.actions import HangUp, Say
from bridge.errors import AgentError


def read(content_type: str, *chunks: bytes) -> list[list[Piece]]:
    """Return the pieces that each chunk completed, and at last those of the end."""
    reader = AnswerReader(content_type)
    return [*(reader.feed(chunk) for chunk in chunks), reader.finish()]


def spoken(pieces: list[list[Piece]]) -> str:
    return "".join(piece.text for some in pieces for piece in some if isinstance(piece, Say))


def test_plain_text_is_spoken_chunk_by_chunk() -> None:
    assert read("text/plain", b"Hello", b" there.") == [[Say("Hello")], [Say(" there.")], []]


def test_a_character_that_was_cut_in_two_comes_whole() -> None:
    assert read("text/plain; charset=utf-8", b"caf\xc3", b"\xa9") == [[Say("caf")], [Say("é")], []]
    assert read("text/plain", b"caf\xc3") == [[Say("caf")], [Say("\ufffd")]]


def test_a_named_charset_is_honoured_and_an_unknown_one_is_utf_8() -> None:
    assert read("text/plain; charset=ISO-8859-1", b"caf\xe9") == [[Say("café")], []]
    assert read("text/plain; charset=base64", "café".encode()) == [[Say("café")], []]


def test_utf_16_that_does_not_tell_its_byte_order_is_big_endian() -> None:
    text = "café".encode("utf-16-be")
    assert spoken(read("text/plain; charset=utf-16", text[:3], text[3:])) == "café"
    assert spoken(read("text/plain; charset=utf-16", text[:1])) == "\ufffd"
    assert read("text/plain; charset=utf-16", "café".encode("utf-16")) == [[Say("café")], []]


def test_json_is_understood_at_its_end() -> None:
    assert read("application/json; charset=utf-8", b'{"say": ', b'"Hi."}') == [[], [], [Say("Hi.")]]


@pytest.mark.parametrize("media_type", ["application/x-ndjson", "application/jsonl", "Application/X-NDJSON"])
def test_lines_are_carried_out_as_they_end(media_type: str) -> None:
    assert read(media_type, b'{"say": "One."}\r\n\n{"say"', b': " Two."}\n', b'{"type": "hang_up"}') == [
        [Say("One.")],
        [Say(" Two.")],
        [],
        [HangUp()],
    ]


def test_a_bad_line_does_not_spoil_the_others() -> None:
    first, second = read("application/x-ndjson", b'{"say": "One."}\nwhat?\n{"say": "Two."}\n')
    assert [type(piece) for piece in first] == [Say, Refused, Say]
    assert second == []


def test_events_carry_text_or_items_until_done() -> None:
    stream = b': hi\n\nevent: x\ndata: Hello\n\ndata:  there.\n\ndata: {"type": "hang_up"}\n\n'
    assert read("text/event-stream", stream) == [[Say("Hello"), Say(" there."), HangUp()], []]
    reader = AnswerReader("text/event-stream")
    assert reader.feed(b"data: Bye.\n\ndata: [DONE]\n\ndata: never\n\n") == [Say("Bye.")]
    assert reader.done


def test_lines_of_one_event_are_joined_and_the_last_event_needs_no_blank_line() -> None:
    assert read("text/event-stream", b"data: a\ndata: b\n\ndata: c") == [[Say("a\nb")], [Say("c")]]


def test_json_that_is_broken_is_never_spoken() -> None:
    (pieces, _) = read("text/event-stream", b'data: {"say": \n\ndata: ok\n\n')
    assert isinstance(pieces[0], Refused)
    assert pieces[1:] == [Say("ok")]


ANSWERS = {
    "text/plain": "Grüße 👋 und auf Wiedersehen.\r\n".encode(),
    "application/json": '{"actions": [{"say": "Grüße 👋"}, {"say": "."}]}'.encode(),
    "application/x-ndjson": '{"say": "Grüße 👋"}\r\n\r\n{"say": "\u2028."}\n'.encode(),
    "text/event-stream": "\ufeffdata: Grüße 👋\r\n\r\ndata:\u2028 x\r\rdata: y\r\ndata: z\r\n\r\n".encode(),
}


@pytest.mark.parametrize("content_type", ANSWERS)
def test_an_answer_says_the_same_byte_by_byte(content_type: str) -> None:
    whole = ANSWERS[content_type]
    single = [whole[at : at + 1] for at in range(len(whole))]
    assert spoken(read(content_type, *single)) == spoken(read(content_type, whole)) != ""


@given(st.sampled_from(sorted(ANSWERS)), st.lists(st.integers(0, 90)))
def test_an_answer_says_the_same_wherever_it_is_cut(content_type: str, cuts: list[int]) -> None:
    whole = ANSWERS[content_type]
    ends = sorted({min(cut, len(whole)) for cut in cuts})
    chunks = [whole[start:end] for start, end in zip([0, *ends], [*ends, len(whole)], strict=True)]
    assert spoken(read(content_type, *chunks)) == spoken(read(content_type, whole)) != ""


def test_an_answer_of_null_says_nothing() -> None:
    assert read("application/json", b" null\n")[-1] == []


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json", "text/html"])
def test_an_empty_answer_says_nothing_whatever_its_type(content_type: str) -> None:
    assert read(content_type, b"") == [[], []]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", b"<p>Hello"),
        ("", b"Hello"),
        ("application/json", b"Hello"),
        ("application/json", b'{"text": "Hello"}'),
        ("application/x-ndjson", b"Hello\nthere\n"),
    ],
)
def test_an_answer_without_any_sense_is_an_error(content_type: str, body: bytes) -> None:
    with pytest.raises(AgentError) as failed:
        read(content_type, body)
    assert failed.value.code == "agent_answer"
    assert "Hello" not in failed.value.message


def test_unknown_actions_alone_are_no_error() -> None:
    assert [type(piece) for piece in read("application/json", b'{"type": "fly"}')[-1]] == [Refused]


def test_an_endless_answer_is_broken_off() -> None:
    reader = AnswerReader("text/plain", max_bytes=10)
    assert reader.feed(b"0123456789") == [Say("0123456789")]
    with pytest.raises(AgentError, match="longer than 10 bytes") as failed:
        reader.feed(b"0")
    assert failed.value.code == "agent_answer"


def test_an_answer_holds_so_many_actions_but_as_much_text_as_it_likes() -> None:
    line = b'{"say": "word "}\n{"type": "note", "data": {}}\n{"type": "fly"}\n'
    pieces = [piece for some in read("application/x-ndjson", *[line] * MAX_ACTIONS) for piece in some]
    says = [piece for piece in pieces if isinstance(piece, Say)]
    others = [piece for piece in pieces if not isinstance(piece, Say)]
    assert len(says) == MAX_ACTIONS
    assert len(others) == MAX_ACTIONS + 1
    assert isinstance(others[-1], Refused)
    assert others[-1].kind == TOO_MANY
