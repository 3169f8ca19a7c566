# ruff: noqa: E501 - a wrong file and its complaint are easier to compare side by side
"""Flow files: what can stand in one, and how each mistake is told."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.agents.flow.agent import check_file, load_flow
from bridge.agents.flow.file import read_flow
from bridge.agents.flow.model import DigitsStep, HangUpStep, LookupStep, MenuStep, SayStep, VoicemailStep
from bridge.errors import SettingsError

RECEPTION = Path(__file__).parents[3] / "config" / "flows" / "reception.yaml"
END = """
  bye:
    do: hang_up
"""


def wrong(text: str) -> list[str]:
    """Every problem of a file, as `line: message`."""
    return [f"{problem.line}: {problem.message}" for problem in read_flow(dedent(text), "x.yaml").problems]


def test_the_reception_is_without_mistakes() -> None:
    checked = check_file(RECEPTION, RECEPTION.parent)
    assert checked.problems == ()
    assert checked.flow is not None
    assert checked.flow.start == "greeting"
    assert isinstance(checked.flow.steps["menu"], MenuStep)


@pytest.mark.parametrize(
    ("url", "certain"),
    [
        ("https://example.com/x/{said}?y={said}", True),
        ("https://example.com?y={said}", True),
        ("https://example.com", True),
        ("{base}/x/{said}", True),
        ("{base}?y={said}", True),
        ("{base}", True),
        ("https://{said}/x", False),
        ("https://{said}.example.com/x", False),
        ("https://example.com{said}/x", False),
        ("https://example.com:{said}/x", False),
        ("{said}/x", False),
        ("{parameters.base}/x", False),
        ("{base}{said}/x", False),
        ("{base}.example.com/x", False),
        ("{both}/x", False),
        ("{set}/x", False),
    ],
)
def test_nothing_that_is_said_decides_which_server_is_asked(url: str, certain: bool) -> None:
    text = f"""
        variables: {{base: "https://example.com", both: "https://{{base}}", set: "https://example.com"}}
        steps:
          ask: {{do: listen, say: Hi., variable: said, next: keep}}
          keep: {{do: set, variables: {{set: "{{said}}"}}, next: look}}
          look:
            do: lookup
            url: "{url}"
            next: bye
            on_error: bye
          bye: {{do: hang_up}}
        """
    problems = wrong(text)
    assert [line.partition(": url is")[0] for line in problems] == ([] if certain else ["8"])
    assert all("which server is asked must be certain" in line for line in problems)


def test_a_masked_number_is_not_copied_by_a_choice() -> None:
    text = """
        always: [{key: "0", set: {copy: "{pin}"}, next: bye}]
        steps:
          ask: {do: digits, say: PIN., variable: pin, masked: true, next: menu}
          menu:
            do: menu
            say: Next?
            choices: [{key: "1", set: {other: "{pin}"}, next: bye}]
          bye: {do: hang_up}
        """
    told = [line.partition(",")[0] for line in wrong(text)]
    assert told == ["2: {pin} is masked", "8: {pin} is masked"]


def test_a_small_file_is_read_with_its_defaults() -> None:
    flow = read_flow("steps: {hello: {do: say, say: Hello., next: bye}, bye: {do: hang_up, say: Bye.}}", "x").flow
    assert flow is not None
    assert flow.start == "hello"
    hello, bye = flow.steps["hello"], flow.steps["bye"]
    assert isinstance(hello, SayStep) and hello.prompt.barge_in is None
    assert isinstance(bye, HangUpStep) and bye.prompt.barge_in == "never"


def test_what_a_step_says_is_read() -> None:
    text = """
        barge_in: words:2
        steps:
          ask:
            do: digits
            say: [Your number, {play: beep.wav}]
            barge_in: keys
            variable: number
            min: 3
            max: 5
            terminator: "*"
            next: look
          look:
            do: lookup
            url: "http://127.0.0.1/{number}"
            method: post
            data: {id: "{number}"}
            results: {name: customer.name}
            next: leave
            on_error: leave
          leave: {do: voicemail, say: Speak., beep: false, terminator: none, next: bye}
          bye: {do: hang_up}
    """
    flow = read_flow(dedent(text), "x").flow
    assert flow is not None
    ask, look, leave = (flow.steps[name] for name in ("ask", "look", "leave"))
    assert isinstance(ask, DigitsStep) and (ask.least, ask.most, ask.terminator) == (3, 5, "*")
    assert ask.prompt.barge_in == "keys"
    assert isinstance(look, LookupStep) and look.method == "POST" and look.results == (("name", "customer.name"),)
    assert isinstance(leave, VoicemailStep) and (leave.beep, leave.terminator) == (False, "")
    assert leave.prompt.barge_in == "keys"
    assert flow.posts


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["1: the file is empty: wanted at least `steps:`"]),
        ("- a\n- b", ["1: the flow: wanted fields such as `name: value`, one a line"]),
        ("steps: {a: [}", ["1: this is no YAML: while parsing a flow node"]),
        ("steps:\n  a:\n    do: menu\n    key: *\n", ["4: this is no YAML: while scanning an alias"]),
        ("timezone: UTC", ["1: the flow needs steps"]),
        ("steps:\n  bye: {do: hang_up}\nstepz: 1\n", ["3: the flow has an unknown field stepz: did you mean steps?"]),
        ("steps:\n  bye: {do: hang_up, sy: Bye.}\n", ["2: the step bye has an unknown field sy: did you mean say?"]),
        ("steps:\n  bye:\n    do: hangup\n", ["3: the step bye does 'hangup', which is unknown: did you mean hang_up?"]),
        ("steps:\n  bye:\n    say: Bye.\n", ["2: the step bye does not say what it does: write `do: say`"]),
        ("steps:\n  a: {do: goto, next: by}\n  bye: {do: hang_up}\n", ["2: there is no step by: did you mean bye?"]),
        ("steps:\n  a: {do: say, say: Hi.}\n", ["2: the step a needs next, such as `next: the-next-step`"]),
        ("steps:\n  a: {do: say, next: a1}\n  a1: {do: hang_up}\n", ["2: the step a needs say"]),
        (
            "steps:\n  bye: {do: hang_up}\n  bye: {do: hang_up}\n",
            ["3: steps has bye twice; the first is in line 2: remove one"],
        ),
        ("start: x\nsteps:\n  bye: {do: hang_up}\n", ["1: there is no step x: the steps: bye"]),
        (
            "steps:\n  a: {do: goto, next: bye}\n  lost: {do: goto, next: bye}\n  bye: {do: hang_up}\n",
            ["3: no step leads to lost: remove it"],
        ),
        (
            "steps:\n  a: {do: goto, next: b}\n  b:\n    do: say\n    say: Hi.\n    next: a\n",
            ["6: these steps go round without ever waiting for the caller: a → b → a; put a question"],
        ),
        (
            "steps:\n  a: {do: transfer, to: +15551234567, failed: a}\n",
            ["2: these steps go round without ever waiting for the caller: a → a"],
        ),
        ("timezone: Europe/Berlim\nsteps:\n  bye: {do: hang_up}\n", ["1: the flow: timezone is 'Europe/Berlim'"]),
        (
            "timezone: UTC\nhours:\n  office:\n    - mon-fri 09:00-17:00\n    - sat 9-12\nsteps:\n"
            "  a: {do: hours, hours: office, open: bye, closed: bye}\n  bye: {do: hang_up}\n",
            ["5: hours of office: opening hours 'sat 9-12': '9' is no time"],
        ),
        (
            "hours: {office: daily 09:00-17:00}\nsteps:\n"
            "  a: {do: hours, hours: offcie, open: bye, closed: bye}\n  bye: {do: hang_up}\n",
            ["1: hours of office need a time zone", "3: the step a: there are no hours 'offcie': did you mean office?"],
        ),
        (
            "steps:\n  a: {do: voicemail, say: Speak., max_s: 0, silence_s: abc, next: bye}\n  bye: {do: hang_up}\n",
            ["2: the step a: max_s is '0': wanted a number from 1 to 3600", "2: the step a: silence_s is 'abc'"],
        ),
        (
            "retry: {attempts: 2.5}\nsteps:\n  bye: {do: hang_up, barge_in: sometimes}\n",
            ["1: retry: attempts is '2.5': wanted a whole number from 1 to 10", "3: the step bye: barge_in is 'some"],
        ),
        (
            "steps:\n  a:\n    do: digits\n    say: Number?\n    variable: n\n    pattern: '[0-9'\n    next: bye" + END,
            ["6: the step a: pattern is '[0-9': this is no regular expression"],
        ),
        (
            "steps:\n  a: {do: digits, say: N., variable: N 1, length: 3, min: 2, next: bye}" + END,
            ["2: the step a has length and min or max", "2: the step a: variable is 'N 1': wanted the name"],
        ),
        (
            "variables: {company: Us}\nsteps:\n  a:\n    do: say\n    say: Hello {compani} and {parameters}.\n"
            "    next: bye" + END,
            ["5: nothing sets the variable compani: did you mean company?", "5: nothing sets the variable parameters"],
        ),
        (
            "steps:\n  a:\n    do: say\n    say: |\n      Hello {name\n    next: bye" + END,
            ["4: the step a: say: a lone '{'"],
        ),
        (
            "steps:\n  a: {do: digits, say: Card., variable: card, masked: true, next: b}\n"
            "  b: {do: note, data: {card: '{card}'}, next: bye}" + END,
            ["3: {card} is masked, and this would say or keep it"],
        ),
        (
            "steps:\n  a:\n    do: menu\n    say: Which?\n    choices:\n      - {key: 1, phrases: [sales], next: bye}\n"
            "      - {key: '1', phrases: [Sales!], next: bye}\n      - {next: bye}\n      - {key: x, next: bye}" + END,
            [
                "7: the step a: two choices have key 1",
                "7: the step a: two choices have the phrase 'Sales!'",
                "8: a choice of the step a cannot be chosen",
                "9: a choice of the step a: key is 'x'",
            ],
        ),
        (
            "steps:\n  a: {do: transfer, to: 555-1234, failed: bye}" + END,
            ["2: the step a: to is '555-1234': wanted a number such as +15551234567"],
        ),
        (
            "steps:\n  a: {do: lookup, url: ftp://x/, method: PUT, results: {caller: x}, next: bye, on_error: bye}" + END,
            ["2: results of the step a: 'caller'", "2: the step a: method is 'PUT'", "2: the step a: url is 'ftp://x/'"],
        ),
        (
            "variables: {desk: 0207-1}\nsteps:\n  a: {do: transfer, to: '{desk}', failed: bye}" + END,
            ["3: the step a: to is {desk}, which is '0207-1': wanted a number such as +15551234567"],
        ),
        ("steps:\n  a:\n    do: say\n    say:\n    next: bye" + END, ["4: the step a needs say"]),
        (
            "variables: {n: '1'}\nsteps:\n  a: {do: if, variable: n, equals: 1, matches: 2, then: bye, else: bye}" + END,
            ["3: the step a has two tests: wanted one of equals"],
        ),
        (
            "variables: {n: '1'}\nsteps:\n  a: {do: if, variable: n, eqals: 1, then: bye, else: bye}" + END,
            ["3: the step a has an unknown field eqals: did you mean equals?", "3: the step a has no test"],
        ),
        ("steps: text", ["1: steps: wanted fields"]),
        ("steps:\n  a: text", ["2: the step a: wanted fields"]),
        ("steps: &x\n  a: *x", ["2: the step a"]),
    ],
)  # fmt: skip
def test_every_mistake_is_told_with_its_line_and_all_at_once(text: str, problems: list[str]) -> None:
    found = wrong(text)
    for expected in problems:
        assert any(message.startswith(expected) for message in found), (expected, found)


def test_sounds_are_looked_for_in_their_folder(tmp_path: Path) -> None:
    (tmp_path / "there.wav").write_bytes(b"")
    file = tmp_path / "flow.yaml"
    file.write_text(
        "steps:\n  bye:\n    do: hang_up\n    say:\n      - play: there.wav\n      - play: gone.wav\n"
        "      - play: https://example.com/x.wav\n"
    )
    (problem,) = check_file(file, tmp_path).problems
    assert (problem.line, problem.message) == (
        6,
        "there is no sound gone.wav: put it into the folder of sounds",
    )
    assert check_file(file).problems == ()


def test_a_wrong_file_keeps_the_bridge_from_starting(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text("steps:\n  a: {do: goto, next: b}\n  c: {do: goto, next: d}\n")
    with pytest.raises(SettingsError) as raised:
        load_flow(str(file))
    assert str(raised.value) == (
        f"agent.url (BRIDGE_AGENT__URL) is a flow with a mistake: {file}:2: there is no step b: the steps: a, c; "
        f"phone-bridge flow check {file}  shows 1 more"
    )
    with pytest.raises(
        SettingsError, match=r"^agent\.url \(BRIDGE_AGENT__URL\): cannot read the flow .*: No such file"
    ):
        load_flow(str(tmp_path / "gone.yaml"))
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="it is not UTF-8"):
        load_flow(str(file))


PIECES = st.sampled_from(
    (
        "steps:",
        "  a:",
        "    do: menu",
        "    say: x",
        "    next: a",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "&x",
        "*x",
        ":",
        "\n",
        "é",
    )
)


@settings(max_examples=150)
@given(text=st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=25).map("\n".join)))
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    checked = read_flow(text, "x.yaml")
    assert (checked.flow is None) == bool(checked.errors)
    assert all(1 <= problem.line <= text.count("\n") + text.count("\r") + 2 for problem in checked.problems)
