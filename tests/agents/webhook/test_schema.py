"""The JSON Schema says what the code does: checked by another library where that is installed."""

from __future__ import annotations

import importlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bridge.agents import schema
from bridge.agents.action_json import MAX_ACTIONS, Refused, parse_item
from bridge.agents.asking import VOCABULARY
from bridge.agents.webhook.wire import encode_question
from tests.agents.asking import CUT_IN, ENDED, STARTED, TURN, turn

ROOT = Path(__file__).parents[3]
QUESTIONS = {
    "started": STARTED,
    "turn": TURN,
    "interrupted": CUT_IN,
    "speculative": turn(speculative=True),
    "digits": turn(occasion="digits", digits="12#"),
    "no digits": turn(occasion="digits", digits=""),
    "silence": turn(occasion="silence", transcript=""),
    "transfer": turn(occasion="transfer.ended", outcome={"to": "sip:desk@example.com", "status": "busy"}),
    "ended": ENDED,
}
GOOD: list[Any] = [
    {},
    {"say": "Hello."},
    {"say": "Hello.", "interruptible": False, "voice": "v", "language": "en", "barge_in": "words:2"},
    {"type": "say", "text": "Hello.", "barge_in": "never", "unknown": 1},
    {"type": "hang_up"},
    {"type": "hang_up", "reason": "done"},
    {"type": "transfer", "to": "+15551234567"},
    {"type": "transfer", "to": "sips:desk@example.com;transport=tls"},
    {"type": "note", "data": {"mood": {"is": ["good"]}}},
    {"type": "set", "voice": "v"},
    {"type": "set", "recording": "on"},
    {"type": "set", "stt": {"keyterms": ["Riverside"], "end_threshold": 0.3, "end_timeout_ms": 640}},
    {"type": "play", "source": "hold.wav", "loop": 0, "barge_in": "never"},
    {"type": "play", "source": "https://example.com/hold.wav", "interruptible": False},
    {"type": "send_digits", "digits": "1w2W*#AD"},
    {"type": "gather_digits"},
    {"type": "gather_digits", "length": 16, "terminator": "", "first_s": 5, "next_s": 2.5, "masked": True},
    {"actions": []},
    {"actions": [{"say": "Bye."}, {"type": "hang_up"}]},
]
BAD: list[Any] = [
    [],
    "Hello.",
    {"says": "Hello."},
    {"say": 5},
    {"say": "Hello.", "barge_in": "words:0"},
    {"say": "Hello.", "type": "fly"},
    {"type": "fly"},
    {"type": "say"},
    {"type": "transfer", "to": "555-1234"},
    {"type": "transfer"},
    {"type": "note", "data": "good"},
    {"type": "set"},
    {"type": "set", "voice": ""},
    {"type": "set", "recording": "off"},
    {"type": "set", "voice": None},
    {"type": "set", "stt": {}},
    {"type": "set", "stt": {"end_threshold": 0.6}},
    {"type": "set", "stt": {"end_timeout_ms": 100}},
    {"type": "play"},
    {"type": "play", "source": ""},
    {"type": "play", "source": "hold.wav", "loop": -1},
    {"type": "send_digits", "digits": ""},
    {"type": "send_digits", "digits": "12E"},
    {"type": "gather_digits", "length": 0},
    {"type": "gather_digits", "length": 101},
    {"type": "gather_digits", "terminator": "##"},
    {"type": "gather_digits", "first_s": 0},
    {"type": "gather_digits", "next_s": 601},
    {"actions": {"say": "Bye."}},
    {"actions": [{"actions": []}]},
    {"actions": [{"type": "note", "data": {}}] * (MAX_ACTIONS + 1)},
]

GOOD = [answer for answer in GOOD if answer.get("type") in {None, *schema.actions()}]


def test_the_shipped_file_is_up_to_date() -> None:
    shipped = (ROOT / "config/agent.schema.json").read_text(encoding="utf-8")
    assert shipped == schema.text(), "run: python -c 'from bridge.agents import schema; schema.write(…)'"


def test_it_can_be_written_anew(tmp_path: Path) -> None:
    schema.write(tmp_path / "agent.schema.json")
    assert json.loads((tmp_path / "agent.schema.json").read_text()) == schema.document()


def test_it_knows_the_actions_that_the_parser_knows() -> None:
    def known(kind: str) -> bool:
        pieces = parse_item(json.dumps({"type": kind}).encode())
        return not any(isinstance(piece, Refused) and "no such action" in piece.reason for piece in pieces)

    parsed = {kind for kind in VOCABULARY - {"malformed", "too_many"} if known(kind)}
    assert set(schema.actions()) == parsed


def test_every_reference_leads_somewhere() -> None:
    for document in (schema.document(), *schema.documents().values()):
        for target in references(document):
            assert target.removeprefix("#/$defs/") in document["$defs"]


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [target for value in node.values() for target in references(value)]
    return [target for entry in node for target in references(entry)] if isinstance(node, list) else []


def refused(answer: Any) -> bool:
    return any(isinstance(piece, Refused) for piece in parse_item(json.dumps(answer).encode()))


@pytest.mark.parametrize("answer", GOOD, ids=str)
def test_the_parser_takes_what_is_called_good_here(answer: Any) -> None:
    assert not refused(answer)


@pytest.mark.parametrize("answer", BAD, ids=lambda answer: str(answer)[:60])
def test_the_parser_refuses_what_is_called_bad_here(answer: Any) -> None:
    assert refused(answer)


# --- judged by another library -----------------------------------------------------------------------------


@cache
def validator(name: str | None = None) -> Any:
    """Judges by one of the documents, or by the one that has all."""
    document = schema.document() if name is None else schema.documents()[name]
    try:
        judge = importlib.import_module("jsonschema").Draft202012Validator
    except ImportError:
        pytest.skip("jsonschema is not installed, so nobody else can judge the schema")
    judge.check_schema(document)
    return judge(document)


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_is_valid(name: str) -> None:
    sent = json.loads(encode_question(QUESTIONS[name]))
    assert validator().is_valid(sent)
    assert validator("question").is_valid(sent)


@pytest.mark.parametrize("name", ["type", "call", "turn", "messages"])
def test_a_question_without_one_of_its_parts_is_not(name: str) -> None:
    sent = json.loads(encode_question(TURN))
    del sent[name]
    assert not validator("question").is_valid(sent)


@pytest.mark.parametrize("answer", GOOD, ids=str)
def test_good_answers_are_valid(answer: Any) -> None:
    assert validator("answer").is_valid(answer)
    assert validator().is_valid(answer)


@pytest.mark.parametrize("answer", BAD, ids=lambda answer: str(answer)[:60])
def test_bad_answers_are_not(answer: Any) -> None:
    assert not validator("answer").is_valid(answer)
