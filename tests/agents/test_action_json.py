from __future__ import annotations

import pytest

from bridge.agents.action_checks import MAX_STATE_BYTES
from bridge.agents.action_json import MALFORMED, MAX_ACTIONS, TOO_MANY, Piece, Refused, parse_item
from bridge.conversation.actions import HangUp, Note, Play, Remember, Say, Set, Transfer, Tuning


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('{"say": "Hello."}', [Say("Hello.")]),
        ('{"say": "By law.", "interruptible": false}', [Say("By law.", interruptible=False)]),
        (
            '{"type": "say", "text": "Hola.", "voice": "v", "language": "es", "new": 1}',
            [Say("Hola.", voice="v", language="es")],
        ),
        ('{"say": "By law.", "barge_in": "never"}', [Say("By law.", barge_in="never")]),
        ('{"type": "say", "text": "x", "barge_in": "words:3"}', [Say("x", barge_in="words:3")]),
        ('{"type": "set", "voice": "v"}', [Set(voice="v")]),
        ('{"type": "set", "recording": "paused"}', [Set(recording="paused")]),
        ('{"type": "set", "language": "es", "stt": {}, "new": 1}', [Set(language="es")]),
        ('{"type": "set", "stt": {"keyterms": []}}', [Set(tuning=Tuning(keyterms=()))]),
        (
            '{"type": "set", "stt": {"end_threshold": 0.5, "start_threshold": 0.9, "new": 1}}',
            [Set(tuning=Tuning(end_threshold=0.5, start_threshold=0.9))],
        ),
        (
            '{"type": "set", "stt": {"model": "ink-whisper", "language": "de", "keyterms": ["Ann", "Grüße"], '
            '"start_threshold": 0.7, "eager_end_threshold": 0.5, "end_threshold": 0.05, "end_timeout_ms": 640}}',
            [Set(tuning=Tuning("ink-whisper", "de", ("Ann", "Grüße"), 0.7, 0.5, 0.05, 640))],
        ),
        ('{"type": "hang_up"}', [HangUp()]),
        ('{"type": "hang_up", "reason": "done"}', [HangUp("done")]),
        ('{"type": "transfer", "to": "+15551234567"}', [Transfer("+15551234567")]),
        ('{"type": "transfer", "to": "sip:desk@example.com"}', [Transfer("sip:desk@example.com")]),
        ('{"type": "note", "data": {"name": "Ann", "age": 7}}', [Note({"name": "Ann", "age": 7})]),
        (
            '{"actions": [{"type": "say", "text": "Bye."}, {"say": " Now."}, {"type": "hang_up"}]}',
            [Say("Bye."), Say(" Now."), HangUp()],
        ),
        (
            '{"actions": [{"say": "1."}, {"type": "play", "source": "a.wav"}, {"say": "2.\\n"}, {"say": "3."}]}',
            [Say("1."), Play("a.wav"), Say(" 2.\n"), Say("3.")],
        ),
        ('{"say": "One.", "actions": [{"type": "hang_up"}]}', [Say("One."), HangUp()]),
        ("{}", []),
        (' { "actions": [] } ', []),
        ('{"say": ""}', []),
        ('{"say": null}', [Refused(MALFORMED, "the object has none of `say`, `actions` and `type`")]),
    ],
)
def test_an_item_becomes_actions(written: str, meant: list[Piece]) -> None:
    assert parse_item(written.encode()) == meant


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ('{"type": "fly"}', "fly"),
        ('{"type": "play", "url": "https://example.com/a.wav"}', "play"),
        ('{"type": "say"}', "say"),
        ('{"type": "say", "text": 5}', "say"),
        ('{"say": "x", "interruptible": "no"}', "say"),
        ('{"type": "note", "data": [1]}', "note"),
        ('{"type": "transfer", "to": "555"}', "transfer"),
        ('{"type": "transfer", "to": "+1555123\\n4567"}', "transfer"),
        ('{"type": "say", "text": "x", "barge_in": "words:0"}', "say"),
        ('{"say": "x", "barge_in": "loud"}', "say"),
        ('{"say": "x", "barge_in": 2}', "say"),
        ('{"type": 3}', MALFORMED),
        ('{"say": ["x"]}', MALFORMED),
        ('{"text": "Hello."}', MALFORMED),
        ('"Hello."', MALFORMED),
        ("null", MALFORMED),
        ("Hello.", MALFORMED),
        ("{", MALFORMED),
        ('{"actions": [{"actions": []}]}', MALFORMED),
    ],
)
def test_what_cannot_be_carried_out_is_refused_by_kind(written: str, kind: str) -> None:
    (piece,) = parse_item(written.encode())
    assert isinstance(piece, Refused)
    assert piece.kind == kind
    assert piece.reason


def test_bytes_that_are_no_utf_8_and_deep_nesting_are_refused() -> None:
    deep = b'{"type": "note", "data": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
    for written in (b'{"say": "\xff"}', b'{"say": "\\ud800"}', deep):
        assert [type(piece) for piece in parse_item(written)] == [Refused], written[:40]


def test_the_rest_of_a_list_is_carried_out() -> None:
    written = b'{"actions": [{"type": "fly"}, {"say": "Here."}, 5, {"type": "hang_up"}]}'
    kinds = [piece.kind if isinstance(piece, Refused) else piece for piece in parse_item(written)]
    assert kinds == ["fly", Say("Here."), MALFORMED, HangUp()]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ("", "changes nothing"),
        ('"stt": {}', "changes nothing"),
        ('"voice": null, "stt": {"new": 1}', "changes nothing"),
        ('"voice": ""', "must not be empty"),
        ('"voice": 5', "Expected `str | null`"),
        ('"stt": []', "Expected `object | null`"),
        ('"stt": {"model": ""}', "must not be empty"),
        ('"stt": {"keyterms": "Ann"}', "Expected `array | null`"),
        ('"stt": {"keyterms": ["Ann", " "]}', "empty term"),
        ('"stt": {"keyterms": [' + ", ".join(['"Ann"'] * 101) + "]}", "100 terms and 1200 characters"),
        ('"stt": {"keyterms": ["' + "x" * 1201 + '"]}', "100 terms and 1200 characters"),
        ('"stt": {"start_threshold": 0.49}', "`stt.start_threshold` is 0.49: it must be from 0.5 to 0.9"),
        ('"stt": {"eager_end_threshold": 0.61}', "from 0.3 to 0.6"),
        ('"stt": {"end_threshold": 0.01}', "from 0.05 to 0.5"),
        ('"stt": {"end_threshold": "0.2"}', "Expected `float | null`"),
        ('"stt": {"end_timeout_ms": 100}', "from 640 to 11200"),
        ('"stt": {"end_timeout_ms": 700.5}', "Expected `int | null`"),
        (
            '"stt": {"end_threshold": 0.4, "eager_end_threshold": 0.4}',
            "`stt.end_threshold` is 0.4: it must be less than `stt.eager_end_threshold`, which is 0.4",
        ),
        ('"stt": {"eager_end_threshold": 0.6, "start_threshold": 0.55}', "less than `stt.start_threshold`"),
        ('"stt": {"end_threshold": 0.5, "start_threshold": 0.5}', "less than `stt.start_threshold`"),
    ],
)
def test_a_wrong_set_is_refused_with_its_reason(fields: str, reason: str) -> None:
    written = '{"type": "set"' + (", " + fields if fields else "") + "}"
    (piece,) = parse_item(written.encode())
    assert isinstance(piece, Refused)
    assert piece.kind == "set"
    assert reason in piece.reason


def test_a_rule_for_barge_in_that_is_none_says_what_is_wanted_in_few_words() -> None:
    (piece,) = parse_item(b'{"say": "x", "barge_in": "' + b"y" * 100_000 + b'"}')
    assert isinstance(piece, Refused)
    assert len(piece.reason) < 400
    (piece,) = parse_item(b'{"say": "x", "barge_in": "loud"}')
    assert isinstance(piece, Refused)
    assert "speech, voice, keys, never, or words:N" in piece.reason


def test_a_note_is_bounded_in_depth_and_size() -> None:
    def note(data: str) -> list[Piece]:
        return parse_item(('{"type": "note", "data": ' + data + "}").encode())

    def nested(levels: int) -> str:
        return (
            '{"a": ' * (levels // 2)
            + "[" * (levels - levels // 2)
            + "]" * (levels - levels // 2)
            + "}" * (levels // 2)
        )

    assert isinstance(note(nested(50))[0], Note)
    assert note(nested(51)) == [Refused("note", "`data` is nested deeper than 50 levels")]
    room = 64 * 1024 - len('{"a":""}')
    assert isinstance(note('{"a": "' + "x" * room + '"}')[0], Note)
    assert note('{"a": "' + "x" * (room + 1) + '"}') == [
        Refused("note", "`data` is 65537 bytes of JSON: it may be 65536 at most")
    ]


def test_the_actions_of_an_item_are_bounded() -> None:
    written = '{"actions": [' + ", ".join(['{"type": "hang_up"}'] * (MAX_ACTIONS + 3)) + "]}"
    pieces = parse_item(written.encode())
    assert pieces[:-1] == [HangUp()] * MAX_ACTIONS
    assert pieces[-1] == Refused(TOO_MANY, "3 actions more than the 200 an answer may hold")


def test_what_is_remembered_may_be_so_long() -> None:
    room = MAX_STATE_BYTES - len('{"a":""}')
    assert parse_item(f'{{"type": "remember", "state": {{"a": "{"x" * room}"}}}}'.encode()) == [
        Remember({"a": "x" * room})
    ]
    (refused,) = parse_item(f'{{"type": "remember", "state": {{"a": "{"x" * room}x"}}}}'.encode())
    assert refused == Refused("remember", "`state` is 16385 bytes of JSON: it may be 16384 at most")
