"""The stepper of flows: what is said and done at each event, and that it always comes to an end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.agents.base import Interruption, Question, TransferResult
from bridge.agents.flow import steps as flow_steps
from bridge.agents.flow.file import read_flow
from bridge.agents.flow.model import Flow, Prompt, SayStep, Target
from bridge.agents.flow.steps import MAX_SILENCE, FlowFaultError, Outcome, Request, State
from bridge.conversation.actions import (
    Action,
    GatherDigits,
    HangUp,
    Note,
    Play,
    RecordMessage,
    Say,
    Set,
    Transfer,
)
from tests.agents.asking import CALL

MONDAY = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def flow(text: str) -> Flow:
    checked = read_flow(dedent(text), "x.yaml")
    assert checked.flow is not None, checked.problems
    return checked.flow


class Caller:
    """One call through a flow: each method is an event, and returns what the flow does."""

    def __init__(self, text: str, now: datetime = MONDAY) -> None:
        self.flow = flow(text)
        self.state = State()
        self.now = now
        self.request: Request | None = None

    def begins(self) -> list[Action]:
        return self._take("call.started")

    def says(self, transcript: str, **more: Any) -> list[Action]:
        return self._take("turn.ended", transcript=transcript, **more)

    def presses(self, digits: str) -> list[Action]:
        return self._take("digits", digits=digits)

    def waits(self) -> list[Action]:
        return self.presses("")

    def comes_back(self, status: str) -> list[Action]:
        return self._take("transfer.ended", transfer=TransferResult("+15550000000", status))

    def leaves_message(self, transcript: str) -> list[Action]:
        return self._take("message", transcript=transcript)

    def looked_up(self, document: Any = None, error: str = "") -> list[Action]:
        return self._keep(flow_steps.looked_up(self.flow, self.state, Outcome(document, error), self.now))

    @property
    def variables(self) -> dict[str, str]:
        return dict(self.state.variables)

    def _take(self, occasion: Any, **more: Any) -> list[Action]:
        question = Question(occasion, CALL, 1, **more)
        return self._keep(flow_steps.take(self.flow, self.state, question, self.now))

    def _keep(self, taken: flow_steps.Taken) -> list[Action]:
        self.state, self.request = taken.state, taken.request
        return list(taken.actions)


def texts(actions: list[Action]) -> str:
    return "".join(action.text for action in actions if isinstance(action, Say))


MENU = """
    retry: {wait_s: 5, no_input: [Nothing heard., Still nothing.], no_match: Not understood., failed: sorry}
    always:
      - {key: "0", phrases: [operator], next: operator}
      - {phrases: [repeat that], repeat: true}
    steps:
      hello: {do: say, say: Hello., next: menu}
      menu:
        do: menu
        say: ["Sales or support?", {play: chime.wav}]
        variable: wish
        choices:
          - {key: "1", phrases: [sales, "I want to buy"], set: {team: sales}, next: sales}
          - {key: "2", phrases: [support, a problem], set: {team: support}, next: support}
          - {key: "21", phrases: [], pattern: "invoice \\\\d+", next: sales}
      sales: {do: hang_up, say: "Bye, {team}."}
      support: {do: hang_up, say: Support.}
      operator: {do: hang_up, say: Operator.}
      sorry: {do: hang_up, say: Sorry.}
"""


def test_it_says_asks_and_gathers() -> None:
    assert Caller(MENU).begins() == [
        Say("Hello. "),
        Say("Sales or support?"),
        Play("chime.wav"),
        GatherDigits(2, "", 5.0, 2.0),
    ]


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (" Sales, please.", "Bye, sales."),
        (" I'd like to speak to SALES!", "Bye, sales."),
        (" Sails.", "Bye, sales."),
        (" I want to buy something", "Bye, sales."),
        (" I have a problem with my order", "Support."),
        (" Suport", "Support."),
        (" It is about invoice 4711.", "Bye, ."),
        (" Operator", "Operator."),
        (" The weather is nice.", "Not understood. Sales or support?"),
        (" Sales or support", "Not understood. Sales or support?"),
        (" ", "Nothing heard. Sales or support?"),
        (" Could you repeat that?", "Sales or support?"),
    ],
)
def test_a_choice_may_be_said(said: str, heard: str) -> None:
    caller = Caller(MENU)
    caller.begins()
    assert texts(caller.says(said)) == heard


@pytest.mark.parametrize(
    ("keys", "heard"),
    [
        ("1", "Bye, sales."),
        ("2", "Support."),
        ("21", "Bye, ."),
        ("0", "Operator."),
        ("9", "Not understood. Sales or support?"),
        ("", "Nothing heard. Sales or support?"),
    ],
)
def test_a_choice_may_be_pressed(keys: str, heard: str) -> None:
    caller = Caller(MENU)
    caller.begins()
    assert texts(caller.presses(keys)) == heard


def test_what_was_chosen_is_kept() -> None:
    caller = Caller(MENU)
    caller.begins()
    caller.says(" Sales, please.")
    assert caller.variables["wish"] == "Sales, please."
    assert caller.variables["team"] == "sales"
    assert caller.variables["transcript"] == "Sales, please."
    assert caller.variables["caller"] == CALL.caller
    assert caller.variables["parameters.campaign"] == "spring"


def test_the_ladder_is_climbed_and_then_it_goes_on_elsewhere() -> None:
    caller = Caller(MENU)
    caller.begins()
    assert texts(caller.waits()) == "Nothing heard. Sales or support?"
    assert texts(caller.says(" Blah.")) == "Not understood. Sales or support?"
    assert caller.waits() == [Say("Sorry.", barge_in="never"), HangUp("")]


def test_the_second_rung_is_another_and_without_a_way_on_the_caller_is_let_go() -> None:
    caller = Caller(MENU.replace(", failed: sorry", ", repeat: false"))
    caller.begins()
    assert texts(caller.waits()) == "Nothing heard."
    assert texts(caller.waits()) == "Still nothing."
    assert caller.waits()[-1] == HangUp("no_answer")


def test_a_caller_who_never_answers_is_not_asked_for_ever() -> None:
    caller = Caller(MENU.replace("failed: sorry", "failed: hello"))
    caller.begins()
    for _ in range(MAX_SILENCE - 1):
        assert not any(isinstance(action, HangUp) for action in caller.waits())
    assert caller.waits()[-1] == HangUp("no_answer")


NUMBER = """
    steps:
      ask: {do: digits, say: Number., variable: number, length: 4, pattern: "[1-9]+", next: confirm}
      confirm: {do: yes_no, say: "{number:digits}?", yes: card, no: ask}
      card: {do: digits, say: Card., variable: card, min: 12, max: 19, masked: true, next: done}
      done: {do: hang_up, say: Thanks.}
"""


@pytest.mark.parametrize(
    ("said", "number"),
    [
        (" Four two one three.", "4213"),
        (" It's 42 13", "4213"),
        (" double four, one, two", "4412"),
        (" forty two thirteen", "4213"),
        (" seventy one six", ""),
        (" four oh one three", ""),
        (" four two one", ""),
    ],
)
def test_digits_may_be_said(said: str, number: str) -> None:
    caller = Caller(NUMBER)
    caller.begins()
    actions = caller.says(said)
    assert caller.variables.get("number", "") == number
    assert texts(actions) == (" ".join(number) + "?" if number else "Sorry, I did not understand that. Number.")


def test_digits_are_gathered_confirmed_and_kept_secret() -> None:
    caller = Caller(NUMBER)
    assert caller.begins()[-1] == GatherDigits(4, "#", 8.0, 4.0)
    assert texts(caller.presses("4213")) == "4 2 1 3?"
    assert texts(caller.says(" No, that's wrong.")) == "Number."
    caller.presses("4213")
    assert caller.says(" Yeah, that's right.")[-1] == GatherDigits(19, "#", 8.0, 4.0, masked=True)
    caller.presses("4111111111111111")
    assert caller.state.at == "done"
    assert caller.variables["card"] == "4111111111111111"
    assert caller.variables["digits"] == "4213"  # The secret is in its own variable only.


def test_keys_that_were_pressed_ahead_answer_the_next_questions() -> None:
    caller = Caller(
        """
        steps:
          one: {do: menu, say: One., choices: [{key: "1", next: two}]}
          two: {do: menu, say: Two., choices: [{key: "2", next: three}]}
          three: {do: digits, say: Three., variable: n, length: 2, next: four}
          four: {do: menu, say: Four., choices: [{key: "9", next: bye}]}
          bye: {do: hang_up}
        """
    )
    caller.begins()
    assert texts(caller.presses("1245")) == "Four."
    assert caller.variables["n"] == "45"


def test_the_clock_and_variables_decide() -> None:
    text = """
        timezone: Europe/Berlin
        hours: {office: mon-fri 09:00-17:00}
        variables: {vip: "+15550001111", greeting: "to {vip}"}
        steps:
          clock: {do: hours, hours: office, open: who, closed: shut}
          who: {do: if, variable: caller, equals: "+15550001111", then: set, else: shut}
          set: {do: set, variables: {count: "12", list: b}, next: number}
          number: {do: if, variable: count, at_least: 12, then: list, else: shut}
          list: {do: if, variable: list, one_of: [a, B], then: unset, else: shut}
          unset: {do: if, variable: error, is_set: false, then: match, else: shut}
          match: {do: if, variable: called, matches: "^\\\\+1555", then: less, else: shut}
          less: {do: if, variable: count, less_than: 12, then: shut, else: note}
          note: {do: note, data: {who: "{caller}", n: "{count}"}, next: bye}
          bye: {do: hang_up, say: "Open, {greeting}.", reason: done}
          shut: {do: hang_up, say: Closed.}
    """
    assert Caller(text).begins() == [
        Note({"who": "+15550001111", "n": "12"}),
        Say("Open, to +15550001111.", barge_in="never"),
        HangUp("done"),
    ]
    night = Caller(text, datetime(2026, 3, 2, 17, 0, tzinfo=UTC))
    assert texts(night.begins()) == "Closed."


TRANSFER = """
    voice: clara
    steps:
      pass:
        do: transfer
        say: One moment.
        to: "{parameters.desk}"
        summary: "A call from {caller}."
        timeout_s: 15
        busy: busy
        failed: leave
      busy: {do: hang_up, say: "They are {transfer_status}."}
      leave: {do: voicemail, say: Speak., variable: words, silence_s: 3, next: thanks, empty: bye}
      thanks: {do: hang_up, say: "You said {words}."}
      bye: {do: hang_up, say: Bye.}
"""


def test_a_flow_pauses_the_recording() -> None:
    caller = Caller(
        """
        steps:
          quiet: {do: set, recording: paused, next: ask}
          ask: {do: listen, say: "Your name?", variable: name, next: loud}
          loud: {do: set, recording: on, variables: {known: "yes"}, next: bye}
          bye: {do: hang_up, say: "Known: {known}."}
        """
    )
    assert caller.begins()[0] == Set(recording="paused")
    assert caller.says(" Ann.")[:2] == [Set(recording="on"), Say("Known: yes.", barge_in="never")]


def with_desk(number: str) -> Caller:
    return Caller(TRANSFER.replace("{parameters.desk}", number))


def test_a_transfer_branches_by_its_result_and_voicemail_by_its_words() -> None:
    caller = with_desk("+15557654321")
    assert caller.begins() == [
        Set("clara"),
        Say("One moment."),
        Transfer("+15557654321", "A call from +15550001111.", 15.0),
    ]
    assert texts(caller.comes_back("busy")) == "They are busy."
    caller.begins()
    assert caller.comes_back("no-answer") == [
        Say("Speak.", barge_in="keys"),
        Play("beep:", barge_in="never"),
        RecordMessage(120.0, 3.0, "#"),
    ]
    assert texts(caller.leaves_message(" Call me.")) == "You said Call me.."
    caller.begins()
    caller.comes_back("failed")
    assert texts(caller.leaves_message(" ")) == "Bye."


def test_a_number_that_cannot_be_dialled_is_a_transfer_that_failed() -> None:
    caller = Caller(TRANSFER)
    assert texts(caller.begins()) == "One moment. Speak."
    assert caller.variables["transfer_status"] == "failed"


def test_words_over_the_last_sentence_do_not_stop_what_stands_behind_it() -> None:
    caller = with_desk("+15557654321")
    caller.begins()
    assert caller.says(" Okay.") == [Transfer("+15557654321", "A call from +15550001111.", 15.0)]
    cut = caller.says(" Okay.", interrupted=Interruption("One", " moment."))
    assert cut[0] == Say("One moment.")
    caller.comes_back("failed")
    assert caller.says(" Hello?") == [Play("beep:", barge_in="never"), RecordMessage(120.0, 3.0, "#")]
    caller.leaves_message(" Hi.")
    assert caller.says(" Bye.") == [HangUp("")]
    assert caller._take("silence") == []


LOOKUP = """
    variables: {base: "http://127.0.0.1:1/api"}
    steps:
      ask: {do: listen, say: Name., variable: name, next: look}
      look:
        do: lookup
        say: One moment.
        url: "{base}/people/{name}?x=1"
        data: {caller: "{caller}"}
        headers: {Authorization: Bearer x}
        results: {city: address.city, first: orders.0.id, open: open}
        timeout_s: 2
        next: found
        on_error: lost
      found: {do: hang_up, say: "{city} {first} {open}"}
      lost: {do: hang_up, say: "Lost, {error}."}
"""


def test_a_lookup_is_asked_for_as_a_value() -> None:
    caller = Caller(LOOKUP)
    caller.begins()
    assert caller.says(" Ann/../Lee") == [Say("One moment.")]
    assert caller.request == Request(
        "look",
        "GET",
        "http://127.0.0.1:1/api/people/Ann%2F..%2FLee?x=1",
        {"caller": "+15550001111"},
        {"Authorization": "Bearer x"},
        2.0,
    )
    found = caller.looked_up({"address": {"city": "Bonn"}, "orders": [{"id": 7}], "open": True})
    assert texts(found) == "Bonn 7 true"


@pytest.mark.parametrize(
    ("document", "error", "heard"),
    [
        (None, "status 500", "Lost, status 500."),
        ({"address": {}}, "", "Lost, no field address.city."),
        ({"address": {"city": {"deep": 1}}}, "", "Lost, no field address.city."),
        ([], "", "Lost, no field address.city."),
        ("text", "", "Lost, no field address.city."),
    ],
)
def test_a_lookup_that_fails_has_a_way_of_its_own(document: Any, error: str, heard: str) -> None:
    caller = Caller(LOOKUP)
    caller.begins()
    caller.says(" Ann")
    assert texts(caller.looked_up(document, error)) == heard


@pytest.mark.parametrize("name", ["..", "."])
def test_an_answer_cannot_lead_a_lookup_out_of_its_folder(name: str) -> None:
    caller = Caller(LOOKUP.replace("{base}/people/{name}", "{base}/people/{parameters.id}"))
    begun = Question("call.started", replace(CALL, parameters={"id": name}), 1)
    caller._keep(flow_steps.take(caller.flow, caller.state, begun, caller.now))
    assert texts(caller.says(" Ann")) == "One moment. Lost, the URL leads astray."
    assert caller.request is None


def test_words_during_a_lookup_ask_again_what_only_reads() -> None:
    caller = Caller(LOOKUP)
    caller.begins()
    caller.says(" Ann")
    assert caller.says(" Hurry up.") == []
    assert caller.request is not None
    posting = Caller(LOOKUP.replace("timeout_s: 2", "method: POST"))
    posting.begins()
    posting.says(" Ann")
    assert texts(posting.says(" Hurry up.")) == "Lost, interrupted."


def test_a_flow_that_goes_round_is_stopped() -> None:
    whole = flow(MENU)
    round_and_round = SayStep(Prompt(), Target("hello", 1, ""))
    broken = replace(whole, steps={**whole.steps, "hello": round_and_round})
    question = Question("call.started", CALL, 1)
    with pytest.raises(FlowFaultError, match="100 steps"):
        flow_steps.take(broken, State(), question, MONDAY)
    assert flow_steps.failed(broken, State(), "x", MONDAY) is None


def test_an_event_after_a_restart_begins_anew() -> None:
    caller = Caller(MENU)
    assert texts(caller.says(" Sales")) == "Hello. Sales or support?"


# --- any flow and any call ---------------------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d")
names = st.sampled_from(NAMES)
step = st.one_of(
    st.builds(lambda n: f"{{do: say, say: Hi., next: {n}}}", names),
    st.builds(lambda n: f"{{do: goto, next: {n}}}", names),
    st.builds(lambda m, n: f"{{do: if, variable: digits, equals: 1, then: {m}, else: {n}}}", names, names),
    st.builds(lambda m, n: f"{{do: yes_no, say: Yes., yes: {m}, no: {n}}}", names, names),
    st.builds(
        lambda m, n: (
            f"{{do: menu, say: M., retry: {{failed: {n}}}, choices: [{{key: 1, next: {m}}}, "
            f"{{key: 12, phrases: [sales], next: {n}}}]}}"
        ),
        names,
        names,
    ),
    st.builds(lambda n: f"{{do: digits, say: N., variable: n, max: 3, next: {n}}}", names),
    st.builds(lambda n: f"{{do: listen, say: L., variable: l, next: {n}}}", names),
    st.builds(lambda m, n: f"{{do: voicemail, say: V., next: {m}, empty: {n}}}", names, names),
    st.builds(lambda n: f"{{do: transfer, to: '+15551234567', failed: {n}}}", names),
    st.builds(
        lambda m, n: f"{{do: lookup, url: 'http://x/', results: {{r: a}}, next: {m}, on_error: {n}}}", names, names
    ),
    st.just("{do: hang_up, say: Bye.}"),
)
events = st.one_of(
    st.tuples(st.just("says"), st.sampled_from((" yes", " no", " sales", " 1 2 3", " ", " what"))),
    st.tuples(st.just("presses"), st.text("0123456789*#", max_size=6)),
    st.tuples(st.just("comes_back"), st.sampled_from(("busy", "failed", "completed"))),
    st.tuples(st.just("leaves_message"), st.sampled_from((" hello", ""))),
    st.tuples(st.just("looked_up"), st.sampled_from(({"a": 1}, {}))),
)


@settings(max_examples=150, deadline=None)
@given(steps=st.tuples(step, step, step, step), call=st.lists(events, max_size=12))
def test_each_event_is_answered_with_few_actions_and_the_same_ones_each_time(
    steps: tuple[str, ...], call: list[tuple[str, Any]]
) -> None:
    text = "steps:\n" + "".join(f"  {name}: {what}\n" for name, what in zip(NAMES, steps, strict=True))
    checked = read_flow(text, "x")
    if checked.flow is None:
        assert checked.errors
        assert any("go round" in problem.message for problem in checked.errors)
        return
    one, other = Caller(text), Caller(text)
    assert one.begins() == other.begins()
    for name, what in call:
        before = one.state
        actions = getattr(one, name)(what)
        assert len(actions) <= 3 * len(NAMES) + 3
        assert actions == getattr(other, name)(what)
        assert one.state.at in NAMES
        ends = [a for a in actions if isinstance(a, HangUp | Transfer | GatherDigits | RecordMessage)]
        assert len(ends) <= 1
        assert not ends or actions[-1] == ends[0]
        waits = bool(ends) or one.request is not None
        assert waits or not actions or one.state == before
