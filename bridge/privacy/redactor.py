"""Strikes out of a text what must not be written down, and leaves every other byte of it as it is. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from bridge.privacy import cards, kinds
from bridge.privacy.numbers import Run, Span, few, runs

CARD: Final = "[card number]"
EMAIL: Final = "[e-mail]"
PHONE: Final = "[phone number]"
SSN: Final = "[social security number]"
OWN: Final = "[redacted]"
DIGITS: Final = "[digits]"

WITHIN_S: Final = 0.02
"""How long one attempt of one own pattern may take, in seconds; sensible ones take microseconds."""
_LOG_DIGITS: Final = 5
"""From so many digits on, a number in a log is struck out: lines there stand alone, and may hold a part of it."""
_DEEPEST: Final = 100
_LONG_WORD: Final = 28

Found = tuple[int, int, str]
"""Where it begins, where it ends, and what is put there."""


class _Own(Struct, frozen=True):
    """A pattern of the settings."""

    source: str
    compiled: Any


def _compiled(source: str) -> Any:
    """Compile a pattern of the settings. Raises ValueError."""
    import regex  # noqa: PLC0415  (most have no patterns, and it is megabytes)

    try:
        return regex.compile(source)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"this is no regular expression: {error}") from None


class Redactor:
    """Knows what is to be struck out. Raises ValueError for a pattern that is no regular expression.

    A pattern that takes too long on a text has an unknown result: the whole text is struck out then, and the
    pattern kept in `slow`.
    """

    def __init__(self, kinds: Iterable[str] = ("card",), patterns: Sequence[str] = ()) -> None:
        """`kinds`: some of card, email, phone, ssn."""
        wanted = frozenset(kinds)
        self.card, self.email = "card" in wanted, "email" in wanted
        self.phone, self.ssn = "phone" in wanted, "ssn" in wanted
        self.slow: set[str] = set()
        """Own patterns that took too long on some text."""
        self._own = [_Own(source, _compiled(source)) for source in patterns]
        least = [size for on, size in ((self.card, cards.LEAST), (self.phone, 7), (self.ssn, 9)) if on]
        self._least = min(least, default=0)

    @property
    def active(self) -> bool:
        """Tell whether there is anything to strike out."""
        return bool(self._least or self.email or self._own)

    @property
    def words(self) -> bool:
        """Tell whether words, not only digits, are to be struck out: their beginnings say something as well."""
        return bool(self.email or self._own)

    def text(self, text: str) -> str:
        """Return the text with what must not be written down struck out."""
        return struck(text, self.find(text))

    def find(self, text: str) -> list[Found]:
        """Return what is to be struck out, in order; parts do not overlap."""
        return merged(self._found(text))

    def _found(self, text: str) -> list[Found]:
        found: list[Found] = []
        for own in self._own:
            found += self._of_own(own, text)
        if self.email:
            found += [(*span, EMAIL) for span in kinds.emails(text)]
        if self._least and not few(text, self._least):
            for run in runs(text, self._least):
                found += self.of_run(run, text)
        return found

    def of_run(self, run: Run, text: str) -> list[Found]:
        """Return what is to be struck out among the digits of a run."""
        found: list[Found] = []
        if self.card:
            places = (run.place(*window) for window in cards.windows(run))
            found += [(*place, CARD) for place in places if not _in_identifier(text, place)]
        if self.ssn:
            found += [(*run.place(*window), SSN) for window in kinds.social_security(run)]
        if self.phone:
            found += [(*_with_plus(text, run.place(*window)), PHONE) for window in kinds.phones(run, text)]
        return found

    def _of_own(self, own: _Own, text: str) -> list[Found]:
        try:
            return [(*match.span(), OWN) for match in own.compiled.finditer(text, timeout=WITHIN_S) if match[0]]
        except TimeoutError:
            self.slow.add(own.source)
            return [(0, len(text), OWN)] if text else []

    def value(self, value: Any) -> Any:
        """Return what a note or a message may hold, struck out wherever it is a text or a number."""
        return cleaned(value, self.text)

    def log(self, text: str) -> str:
        """Return a caller's words as a log may hold them: without any longer number, as lines stand alone there."""
        text = self.text(text)
        if not self._least or few(text, _LOG_DIGITS):
            return text
        return struck(text, merged((run.start, run.end, DIGITS) for run in runs(text, _LOG_DIGITS)))


def cleaned(value: Any, clean: Callable[[str], str], depth: int = 0) -> Any:
    """Return a value with `clean` done to every text in it, and to what is no text as it would be written."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping) and depth < _DEEPEST:
        return {cleaned(key, clean, depth + 1): cleaned(item, clean, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple) and depth < _DEEPEST:
        return _cleaned_list(value, clean, depth)
    if isinstance(value, bytes | bytearray):
        shown = bytes(value).decode("latin-1")
    else:  # a number, a date, or anything else: in the journal it stands as its text
        shown = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    instead = clean(shown)
    return value if instead == shown else instead


def _cleaned_list(value: Sequence[Any], clean: Callable[[str], str], depth: int) -> list[Any]:
    """A list of digits is a number as well."""
    if len(value) > 1 and all(isinstance(item, str | int) for item in value):
        joined = " ".join(map(str, value))
        alone = [clean(str(item)) for item in value]
        if (instead := clean(joined)) not in (joined, " ".join(alone)):
            return [instead]
    return [cleaned(item, clean, depth + 1) for item in value]


def struck(text: str, found: Sequence[Found]) -> str:
    """Return the text with something else in the place of each part."""
    if not found:
        return text
    pieces: list[str] = []
    at = 0
    for start, end, instead in found:
        pieces += [text[at:start], instead]
        at = end
    return "".join([*pieces, text[at:]])


def merged(found: Iterable[Found]) -> list[Found]:
    """Put parts in order, and those that overlap together; the longest of them says what is put there."""
    ordered = sorted(found, key=lambda one: (one[0], -one[1]))
    result: list[Found] = []
    for start, end, instead in ordered:
        if result and start < result[-1][1]:
            first, last, label = result[-1]
            longer = end - start > last - first
            result[-1] = (first, max(last, end), instead if longer else label)
        else:
            result.append((start, end, instead))
    return result


def _in_identifier(text: str, span: Span) -> bool:
    """Tell whether digits are part of a long word of letters and digits, as the ids of calls are."""
    start, end = span
    while start and text[start - 1].isalnum() and span[0] - start < _LONG_WORD:
        start -= 1
    while end < len(text) and text[end].isalnum() and end - span[1] < _LONG_WORD:
        end += 1
    word = text[start:end]
    return len(word) >= _LONG_WORD and word.isalnum() and not word.isdecimal()


def _with_plus(text: str, span: Span) -> Span:
    """Take a plus and brackets before a phone number with it."""
    start = span[0]
    while start and text[start - 1] in "+(":
        start -= 1
    return start, span[1]
