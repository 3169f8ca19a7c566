"""How people say numbers, and numbers that are cards' by Luhn: written apart from what finds them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEENS = [
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
BRANDS = [("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("34", 15), ("37", 15), ("6011", 16), ("62", 16)]


def check_digit(digits: str) -> str:
    """The digit that makes the whole right, by the sum done by hand."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        if place % 2 == 0:
            value *= 2
            value = value - 9 if value > 9 else value
        total += value
    return str(-total % 10)


@st.composite
def cards(draw: st.DrawFn) -> str:
    """A card number of a known brand."""
    prefix, length = draw(st.sampled_from(BRANDS))
    body = prefix + draw(
        st.text("0123456789", min_size=length - 1 - len(prefix), max_size=length - 1 - len(prefix))
    )
    return body + check_digit(body)


@st.composite
def any_valid(draw: st.DrawFn) -> str:
    """Any 13 to 19 digits with a right check digit."""
    body = draw(st.text("0123456789", min_size=12, max_size=18).filter(lambda digits: digits[0] != "0"))
    return body + check_digit(body)


@st.composite
def said(draw: st.DrawFn, digits: str) -> str:  # noqa: C901  It is a table.
    """Digits as somebody may say them or a service write them: by ones, pairs, doubled, in groups, mixed."""
    pieces: list[str] = []
    at = 0
    while at < len(digits):
        rest = digits[at:]
        ways = ["one"]
        if len(rest) > 1:
            ways += ["written"]
            if rest[0] == rest[1]:
                ways += ["double"]
            if rest[0] != "0":
                ways += ["pair"]
        if len(rest) > 2 and rest[0] == rest[1] == rest[2]:
            ways += ["triple"]
        match draw(st.sampled_from(ways)):
            case "one":
                pieces.append(
                    draw(st.sampled_from([rest[0], ONES[int(rest[0])], *(["oh"] if rest[0] == "0" else [])]))
                )
                at += 1
            case "double":
                pieces.append(f"double {ONES[int(rest[0])]}")
                at += 2
            case "triple":
                pieces.append(f"triple {draw(st.sampled_from([rest[0], ONES[int(rest[0])]]))}")
                at += 3
            case "pair":
                pieces.append(pair(rest[:2], draw(st.sampled_from([" ", "-"]))))
                at += 2
            case _:
                size = draw(st.integers(2, min(4, len(rest))))
                pieces.append(rest[:size])
                at += size
    text = pieces[0]
    for before, piece in pairwise(pieces):
        # "forty" and "one" are 41, "twenty" "five" 25: whoever means 40 1 makes a pause.
        round_ten = before.split("-")[-1].split(" ")[-1] in TENS
        text += (
            draw(st.sampled_from([", ", ". "] if round_ten else [" ", " ", "-", ", ", ". ", " um ", "  "])) + piece
        )
    return text


def pair(two: str, join: str) -> str:
    number = int(two)
    if number < 20:
        return TEENS[number - 10]
    return TENS[number // 10] + (join + ONES[number % 10] if number % 10 else "")
