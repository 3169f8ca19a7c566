"""Digits in what people say: written, spoken, and both mixed, as runs that know where each digit stands. Pure.

"4111 1111", "forty-one eleven", "four one double one" and "4 one 11" are all the digits 4111 or begin with them.
Number words are English; digits are those of any script.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

from msgspec import Struct

_NINE: Final = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_ONES: Final = {
    **dict.fromkeys(("zero", "oh", "o", "nought", "naught", "nil"), 0),
    **{word: value for value, word in enumerate(_NINE, start=1)},
    "niner": 9,
}
_FROM_TEN: Final = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen")
_TEENS: Final = {
    word: value for value, word in enumerate((*_FROM_TEN, "seventeen", "eighteen", "nineteen"), start=10)
}
_BY_TEN: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_TENS: Final = {**{word: 10 * value for value, word in enumerate(_BY_TEN, start=2)}, "fourty": 40}
_TIMES: Final = {"double": 2, "triple": 3, "treble": 3, "quadruple": 4}
_SCALES: Final = {"hundred": 100, "thousand": 1000}

_WORDS: Final = {**_ONES, **_TEENS, **_TENS, **_TIMES, **_SCALES}
_TOKEN: Final = re.compile(r"\d+|[^\W\d_]+")
"""Digits, or a whole word: looking each word up is ten times faster than a pattern of all number words."""
_DIGIT: Final = re.compile(r"\d")
_MASKED: Final = frozenset(_WORDS) - {"o", "oh"}  # a listener's "oh" decides who speaks, and is mostly no number
_FILLERS: Final = (
    r"um+|uhm?|uh+|erm?|ah|hm+|mhm|and|then|dash|hyphen|minus|space|dot|period|comma|slash"
    r"|so|ok|okay|next|again|yes"
)
_SEPARATORS: Final = r"[\s\-\u2010-\u2015.,;:!?/\\()·•_…\"'+]*"  # among them the dashes of Unicode
_GAP: Final = re.compile(rf"{_SEPARATORS}(?:(?:{_FILLERS})(?![^\W_]){_SEPARATORS}){{0,3}}", re.IGNORECASE)
_STRONG: Final = re.compile(r"[^\W\d_]|[,;:!?…\n]|\.(?=\s|$)")
_LONGEST_GAP: Final = 32
"""Characters between two digits of one number: what is further away is not part of it."""

Span: TypeAlias = tuple[int, int]
"""Where it begins in the text, and where it ends."""


class Run(Struct, frozen=True):
    """Digits that follow each other with nothing but separators and fillers between them."""

    digits: str
    spans: tuple[Span, ...]
    """Of each digit: where it stands in the text. The digits of one word share its place."""
    edges: bytes
    """Of each place before, between and behind the digits: 0 within a word or a written group, 1 between two of
    them, 2 where punctuation or a filler stands between, and at both ends."""
    groups: tuple[int, ...]
    """Number of digits of each word or written group."""
    written: bool
    """Every digit is a digit, not a word."""

    @property
    def start(self) -> int:
        """Where it begins in the text."""
        return self.spans[0][0]

    @property
    def end(self) -> int:
        """Where it ends in the text."""
        return self.spans[-1][1]

    def place(self, first: int, last: int) -> Span:
        """Return where the digits from `first` up to but not including `last` stand in the text."""
        return self.spans[first][0], self.spans[last - 1][1]


class _Token(Struct, frozen=True):
    """A word or a written group, in its place; `strong`: it is set apart from what is before it."""

    word: str
    start: int
    end: int
    strong: bool

    @property
    def written(self) -> bool:
        return self.word not in _WORDS


_Item: TypeAlias = tuple[str, int, int, bool, bool]
"""Digits, start, end, whether set apart from what is before them, whether written."""


def few(text: str, wanted: int) -> bool:
    """Tell quickly that a text cannot hold `wanted` digits: nearly every text can be left alone after this."""
    # A word stands for four digits at most ("quadruple four"); a written group for as many as it has characters.
    least = wanted / 4
    seen = 0.0
    for token in _TOKEN.findall(text.lower()):
        if token in _WORDS:
            seen += 1
        elif token[0].isdecimal():
            seen += max(1.0, len(token) / 4)
    return seen < least


def runs(text: str, least: int = 1) -> list[Run]:
    """Return the runs of at least `least` digits, as people mean them; ambiguous ones in both readings."""
    found: list[Run] = []
    for tokens in _sequences(text):
        readings = [_run(items) for items in _readings(tokens)]
        found += [run for run in readings if run is not None and len(run.digits) >= least]
    return found


def masked(text: str) -> str:
    """Return the text with every digit as 0 and every letter of a number word as x, wherever they stand.

    It depends on nothing around them, so pieces of a text come out as the same pieces of the masked text.
    """
    if _MASKED.isdisjoint(_TOKEN.findall(text.lower())):
        return _DIGIT.sub("0", text)
    return _TOKEN.sub(_mask, text)


def _mask(found: re.Match[str]) -> str:
    token = found[0]
    if token[0].isdecimal():
        return "0" * len(token)
    if token.lower() not in _MASKED:
        return token
    return ("X" if token[0].isupper() else "x") + "x" * (len(token) - 1)


def _sequences(text: str) -> Iterator[list[_Token]]:
    """The words and written groups that belong together."""
    tokens: list[_Token] = []
    for found in _TOKEN.finditer(text):
        start, end = found.span()
        word = found[0].lower()
        if not word[0].isdecimal() and word not in _WORDS:
            continue
        strong = True
        if tokens:
            gap = text[tokens[-1].end : start]
            if len(gap) > _LONGEST_GAP or _GAP.fullmatch(gap) is None:
                yield tokens
                tokens = []
            else:
                strong = _STRONG.search(gap) is not None
        tokens.append(_Token(word, start, end, strong))
    if tokens:
        yield tokens


def _readings(tokens: list[_Token]) -> Iterator[list[_Item]]:
    """What the tokens may mean: "forty one" is 41, and "one hundred one" 101; or they are 40 1, and 100 1."""
    yield list(_items(tokens, joined=True))
    if any(token.word in _TENS or token.word in _SCALES for token in tokens):
        yield list(_items(tokens, joined=False))


def _items(tokens: list[_Token], *, joined: bool) -> Iterator[_Item]:
    at = 0
    while at < len(tokens):
        first = tokens[at]
        if first.word in _TIMES:
            digit = _single(tokens, at + 1)
            if digit is not None:
                yield digit * _TIMES[first.word], first.start, tokens[at + 1].end, first.strong, False
                at += 2
                continue
        elif first.written:
            # Digits of other scripts become ours; `int` knows them.
            digits = first.word if first.word.isascii() else "".join(str(int(one)) for one in first.word)
            if not (len(digits) <= 2 and _is(tokens, at + 1, _SCALES)):
                yield digits, first.start, first.end, first.strong, True
                at += 1
                continue
        if first.word in _TIMES or first.word in _SCALES:  # On their own they are no digits.
            yield "", first.start, first.end, True, False
            at += 1
            continue
        value, at = _number(tokens, at, joined=joined)
        yield str(value), first.start, tokens[at - 1].end, first.strong, False


def _number(tokens: list[_Token], at: int, *, joined: bool) -> tuple[int, int]:
    """Read a number that begins at a token. Returns it, and where the next one begins."""
    value, at = _below_hundred(tokens, at, joined=joined)
    for scale in ("hundred", "thousand"):
        if not _is(tokens, at, {scale}) or not 0 < value < 100:
            continue
        value *= _SCALES[scale]
        at += 1
        if joined and at < len(tokens) and _adds(tokens[at]):
            more, after = _below_hundred(tokens, at, joined=True)
            if scale == "thousand" and _is(tokens, after, {"hundred"}) and 0 < more < 10:
                more, after = _number(tokens, at, joined=True)
            if more:
                value, at = value + more, after
        break
    return value, at


def _below_hundred(tokens: list[_Token], at: int, *, joined: bool) -> tuple[int, int]:
    token = tokens[at]
    if token.written:
        return int(token.word), at + 1
    value = _WORDS[token.word]
    unit = _ONES.get(tokens[at + 1].word, 0) if at + 1 < len(tokens) else 0
    if joined and token.word in _TENS and unit and not tokens[at + 1].strong:
        return value + unit, at + 2
    return value, at + 1


def _adds(token: _Token) -> bool:
    return token.word in _ONES or token.word in _TEENS or token.word in _TENS


def _is(tokens: list[_Token], at: int, words: object) -> bool:
    return at < len(tokens) and tokens[at].word in words  # type: ignore[operator]  # a set or a dictionary


def _single(tokens: list[_Token], at: int) -> str | None:
    """Return the digit that a token stands for, if it is one."""
    if at >= len(tokens):
        return None
    word = tokens[at].word
    if word in _ONES:
        return str(_ONES[word])
    return str(int(word)) if word not in _WORDS and len(word) == 1 else None


def _run(items: list[_Item]) -> Run | None:
    digits: list[str] = []
    spans: list[Span] = []
    edges = bytearray()
    apart = True
    for text, start, end, strong, written in items:
        apart = apart or strong
        if not text:
            continue
        edges.append(2 if apart else 1)
        edges += bytes(len(text) - 1)
        apart = False
        digits.append(text)
        spans += [(start + at, start + at + 1) if written else (start, end) for at in range(len(text))]
    if not digits:
        return None
    edges.append(2)
    groups = tuple(map(len, digits))
    return Run("".join(digits), tuple(spans), bytes(edges), groups, all(item[4] for item in items))
