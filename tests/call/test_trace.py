"""Recorded calls, played again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.call.trace import first_line, replay, resumed_line, step_line
from bridge.cli import cli
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import HangUp, Note, Say
from bridge.conversation.policy import Policy
from bridge.errors import BridgeError
from bridge.simulator.phone import PhoneTraits
from tests.conversation.world import Habits, World


def recorded(policy: Policy) -> bytes:
    """Return the trace of a call with an interruption, a note and a good-bye."""
    answers = (
        (),
        (Say("One two three four five six seven eight. "), Note({"a": [1, {"b": 2}]})),
        (Say("Bye."), HangUp()),
    )
    world = World(Habits(answers=answers), policy, PhoneTraits(down_s=0.03, up_s=0.03))
    world.happen(on.StreamStarted())
    for after, text in ((1.0, "Hello."), (3.0, " Stop it."), (6.0, " I mean it.")):
        for kind in (on.TurnStarted(), on.TurnEagerlyEnded(text), on.TurnEnded(text)):
            world.happen(kind, after=after)
    world.run_until(world.now + 60)
    assert world.conversation.over
    return first_line(policy) + b"".join(step_line(*step) for step in world.steps)


def test_todays_logic_decides_as_it_did_when_the_call_was_recorded() -> None:
    text = recorded(Policy())
    assert replay(text, name="t") == (len(text.splitlines()) - 1, None)


def test_what_another_process_went_on_with_is_not_played_again() -> None:
    text = recorded(Policy())
    more = step_line(1.0, on.StreamStarted(), [do.Record(journal.StreamResumed(9))])
    assert replay(text + resumed_line(Policy(), 2) + more, name="t") == (len(text.splitlines()) - 1, None)


@pytest.mark.parametrize("masked", [True, False])
def test_a_secret_that_the_agent_is_told_again_stands_in_no_trace(masked: bool) -> None:
    ask = do.AskAgent(3, "turn.ended", 1, "Sorry.", False, None, (), "4711#", masked=masked)
    line = step_line(1.0, on.TurnEnded("Sorry."), [ask])
    assert (b"4711" not in line, b"0000#" in line) == (masked, masked)


def test_a_key_that_the_journal_does_not_keep_is_not_kept_by_the_trace() -> None:
    kept = do.Record(journal.KeyPressed(5, "4"))
    assert b'"4"' in step_line(1.0, on.DigitPressed("4"), [kept])
    assert b'"4"' not in step_line(1.0, on.DigitPressed("4"), [])


def test_speech_that_arrives_has_the_same_line_whether_something_is_done_about_it_or_not() -> None:
    event = on.SpeechArrived(7, b"\xff" * 960)
    with_command = step_line(12.3456789, event, [do.ClearPlayout()])
    assert with_command.replace(b'{"is":"ClearPlayout"}', b"") == step_line(12.3456789, event, [])


def test_another_decision_is_shown_where_it_first_differs() -> None:
    policy = Policy(eager=True)
    other = first_line(dataclasses.replace(policy, eager=False))
    agreed, difference = replay(other + recorded(policy).split(b"\n", 1)[1], name="t")
    assert difference is not None
    assert difference.event["is"] == "TurnEagerlyEnded"
    assert [command["is"] for command in difference.then] == ["AskAgent"]
    assert difference.today == []
    assert difference.line == agreed + 2


def test_a_torn_last_line_is_passed_over_and_rubbish_before_it_is_told() -> None:
    text = recorded(Policy())
    steps = len(text.splitlines()) - 1
    assert replay(text[:-30], name="t") == (steps - 1, None)
    lines = text.splitlines()
    lines[3] = b'{"now": 1}'
    with pytest.raises(BridgeError, match="t, line 4"):
        replay(b"\n".join(lines), name="t")
    for wrong in (b"", b"hello", b'{"policy": {"lead_s": "x"}}'):
        with pytest.raises(BridgeError, match="is no trace"):
            replay(wrong, name="t")


def test_the_command_tells_people_and_scripts(tmp_path: Path) -> None:
    (tmp_path / "trace.jsonl").write_bytes(recorded(Policy()))
    result = CliRunner().invoke(cli, ["replay", str(tmp_path)], standalone_mode=False)
    assert result.return_value == 0
    assert "every decision is the same" in result.output
    (tmp_path / "journal.jsonl").write_text("{}\n")
    beside = CliRunner().invoke(cli, ["replay", str(tmp_path / "journal.jsonl")], standalone_mode=False)
    assert (beside.return_value, beside.output) == (0, result.output), "a journal leads to the trace beside it"
    changed = (tmp_path / "trace.jsonl").read_bytes().replace(b'"eager":true', b'"eager":false', 1)
    (tmp_path / "other.jsonl").write_bytes(changed)
    result = CliRunner().invoke(cli, ["replay", "--json", str(tmp_path / "other.jsonl")], standalone_mode=False)
    assert result.return_value == 1
    assert json.loads(result.output)["difference"]["event"]["is"] == "TurnEagerlyEnded"


def test_what_an_agent_has_remembered_is_in_no_question_of_a_trace() -> None:
    ask = do.AskAgent(3, "turn.ended", 1, "Sorry.", False, None, (), state={"cart": "a bell"})
    assert b"bell" not in step_line(1.0, on.TurnEnded("Sorry."), [ask])
