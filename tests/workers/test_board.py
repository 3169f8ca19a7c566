"""What the workers see of each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.workers import board as board_module
from bridge.workers.board import Board, make_board


@pytest.fixture
def two(tmp_path: Path) -> tuple[Board, Board]:
    make_board(tmp_path, 2)
    return Board(tmp_path, 0, 2), Board(tmp_path, 1, 2)


def test_who_holds_a_call_is_known_to_all_and_the_last_one_does(two: tuple[Board, Board]) -> None:
    first, second = two
    assert first.holder("CA1") is None
    second.hold("CA1")
    assert (first.holder("CA1"), second.holder("CA1")) == (1, 1)
    first.hold("CA1")
    assert (first.holder("CA1"), second.holder("CA1")) == (0, 0)


@pytest.mark.parametrize("name", ["", "..", "a/b", "../held/CA1", "x" * 101, "ümlaut", "a\x00b"])
def test_what_is_no_name_is_held_by_nobody(two: tuple[Board, Board], name: str) -> None:
    first, second = two
    second.hold(name)
    assert first.holder(name) is None


def test_a_token_is_used_once_by_whoever_comes_first(two: tuple[Board, Board]) -> None:
    first, second = two
    assert first.use("nonce")
    assert not second.use("nonce")
    assert not first.use("nonce")
    assert second.use("another")
    first.forget_used("nonce")
    assert second.use("nonce")


def test_a_call_goes_to_the_one_that_has_the_fewest(two: tuple[Board, Board]) -> None:
    first, second = two
    assert (first.least_busy(), second.least_busy()) == (0, 1)
    first.set_load(2, 0)
    second.set_load(1, 2)
    assert (first.least_busy(), second.least_busy(), first.live) == (0, 0, 3)
    second.set_load(0, 1)
    assert (first.least_busy(), first.live) == (1, 2)
    first.close()
    assert second.live == 0


def test_who_follows_one_that_died_knows_what_it_held(tmp_path: Path) -> None:
    make_board(tmp_path, 2)
    died = Board(tmp_path, 1, 2)
    died.hold("CA1")
    died.set_load(5, 5)
    Board(tmp_path, 0, 2).hold("CA2")
    again = Board(tmp_path, 1, 2)
    assert again.left == {"CA1"}
    assert again.live == 0
    assert Board(tmp_path, 0, 2).left == {"CA2"}


def test_the_oldest_names_are_forgotten_but_those_of_calls_that_go_on(
    two: tuple[Board, Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two
    monkeypatch.setattr(board_module, "_REMEMBERED", 3)
    first.goes_on = lambda name: name == "live"
    first.hold("live")
    for number in range(5):
        first.hold(f"over{number}")
    second.hold("over0")
    held = [name for name in ("live", *(f"over{number}" for number in range(5))) if first.holder(name) == 0]
    assert held == ["live", "over3", "over4"]
    assert first.holder("over0") == 1
