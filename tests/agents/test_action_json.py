from __future__ import annotations

import pytest

from bridge.agents.action_json import MALFORMED, Piece, Refused, parse_item
from bridge.conversation.actions import HangUp, Note, Say, Transfer


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('{"say": "Hello."}', [Say("Hello.")]),
        ('{"say": "By law.", "interruptible": false}', [Say("By law.", interruptible=False)]),
        (
            '{"type": "say", "text": "Hola.", "voice": "v", "language": "es", "new": 1}',
            [Say("Hola.", voice="v", language="es")],
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
