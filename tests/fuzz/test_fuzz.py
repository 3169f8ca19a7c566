"""A few cases for every target, the same ones in each run; `python -m tests.fuzz` makes up as many as you like."""

from __future__ import annotations

import sys

import pytest

from bridge.twilio.media_stream import parse_from_carrier
from tests.fuzz.making import pieces
from tests.fuzz.run import fuzz
from tests.fuzz.server import fire
from tests.fuzz.targets import TARGETS, Target


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_parser_raises_what_it_declares(target: Target) -> None:
    result = fuzz(target, examples=15)
    assert result.failures == []
    assert result.cases >= 10


def test_what_a_parser_does_not_declare_is_found_and_shrunk() -> None:
    broken = next(target for target in TARGETS if target.name == "twilio")
    undeclared = fuzz(Target("broken", broken.given, parse_from_carrier), examples=50)
    assert len(undeclared.failures) == 1
    assert "ProtocolError" in undeclared.failures[0]


def test_bytes_are_cut_and_none_is_lost() -> None:
    assert pieces(b"abcdef", [2, 4]) == [b"ab", b"cd", b"ef"]
    assert b"".join(pieces(b"abcdef", [0, 900, -3])) == b"abcdef"


@pytest.mark.skipif(sys.platform != "linux", reason="what a process has is read from /proc")
@pytest.mark.timeout(90)
async def test_a_bridge_under_fire_takes_a_good_call_afterwards() -> None:
    fired = await fire(seconds=1.0, seed=7, at_once=8)
    assert fired.wrong == []
    assert fired.messages > 50
