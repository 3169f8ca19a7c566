"""Text in pictures: what XML can hold, how wide it is, where lines break."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from bridge.store import svg

ANY = st.text(st.characters(), max_size=120)


@given(ANY)
def test_any_text_can_be_drawn(text: str) -> None:
    element = ET.fromstring(svg.group(text, [svg.text(1, 2, text, "body")]))
    drawn = element.find("text")
    assert drawn is not None
    shown = drawn.text or ""
    assert shown.replace("\r", "\n").count("\ufffd") >= sum(ord(c) < 32 and c not in "\t\n\r" for c in text)
    assert element.findtext("title") == (shown or "")


@given(ANY, st.floats(8, 24), st.floats(0, 400))
def test_a_shortened_text_fits_and_is_a_beginning(text: str, size: float, room: float) -> None:
    short = svg.shortened(text, size, room)
    assert svg.width(short, size) <= room + 0.001
    assert text.startswith(short.removesuffix("…")) or short == text


@given(st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=60)), st.floats(30, 400))
def test_wrapped_lines_fit_and_keep_the_order(words: list[str], room: float) -> None:
    lines = svg.wrapped([(word, "said") for word in words], 12, room, 3)
    assert len(lines) <= 3
    shown = ["".join(run.text for run in line) for line in lines]
    assert all(svg.width(line.removesuffix("…"), 12) <= room + 0.001 for line in shown)
    whole = "".join(words)
    joined = "".join(shown).replace(" ", "")
    assert joined == whole or (joined.endswith("…") and whole.startswith(joined[:-1]))


def test_looks_stay_with_their_words() -> None:
    lines = svg.wrapped([("We", "said"), ("open", "said"), ("at", "missed"), ("eight", "missed")], 12, 75, 3)
    assert lines == [[svg.Run("said", "We open "), svg.Run("missed", "at")], [svg.Run("missed", "eight")]]


def test_too_little_room_is_no_line() -> None:
    assert svg.wrapped([("a", "said")], 12, 5, 3) == []
    assert svg.shortened("abc", 12, 5) == ""
