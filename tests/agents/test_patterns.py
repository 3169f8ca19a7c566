"""Patterns that are tried on other people's words are given up on in time."""

from __future__ import annotations

import time

import pytest
from structlog.testing import capture_logs

from bridge.agents.flow.file import read_flow
from bridge.agents.flow.match import by_words
from bridge.agents.flow.model import MenuStep
from bridge.agents.patterns import Pattern

SLOW = "(x+x+)+y"
LONG = "x" * 3000


def test_what_matches_is_found() -> None:
    pattern = Pattern(r"invoice \d+", ignore_case=True)
    assert pattern.search("My Invoice 17, please.") == "Invoice 17"
    assert pattern.search("My bill.") is None
    assert (pattern.fullmatch("INVOICE 17"), pattern.fullmatch("an invoice 17")) == (True, False)
    assert Pattern("a?").search("b") == ""
    assert Pattern("invoice").search("Invoice") is None
    assert Pattern("a") == Pattern("a") != Pattern("a", ignore_case=True)
    assert len({Pattern("a"), Pattern("a")}) == 1


@pytest.mark.parametrize("source", ["(", "[0-9", "a{1,99999999999}", r"\p{L}", "(" * 5000 + ")" * 5000])
def test_what_is_no_pattern_is_told(source: str) -> None:
    with pytest.raises(ValueError, match="this is no regular expression: "):
        Pattern(source)


def test_a_pattern_that_takes_too_long_finds_nothing_and_is_told_of_once() -> None:
    pattern = Pattern(SLOW)
    began = time.perf_counter()
    with capture_logs() as logs:
        assert pattern.search(LONG) is None
        assert not pattern.fullmatch(LONG)
    assert time.perf_counter() - began < 1
    assert [(line["event"], line["pattern"]) for line in logs] == [("pattern_too_slow", SLOW)]
    assert pattern.search("xxy") == "xxy"


def test_a_caller_cannot_stop_all_calls_with_words_for_a_flows_pattern() -> None:
    steps = (
        f"steps:\n  m: {{do: menu, say: Hi., choices: [{{pattern: '{SLOW}', next: h}}]}}\n  h: {{do: hang_up}}\n"
    )
    flow = read_flow(steps, "x.yaml").flow
    assert flow is not None
    menu = flow.steps["m"]
    assert isinstance(menu, MenuStep)
    began = time.perf_counter()
    assert by_words(menu.choices, LONG) is None
    assert time.perf_counter() - began < 1
