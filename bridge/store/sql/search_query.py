"""What people type to search, as SQLite's FTS5 and PostgreSQL want it. Pure; no text is an error.

- `open sunday`: both words, anywhere in the turn
- `"open on sunday"`: these words, one after the other
- `open -sunday`: the first without the second; `-"open on"` as well; `NOT` before a word does the same
- `open OR closed`: one or the other; `|` does the same. What stands between two ORs belongs together
- `resta*`, `"blue do*"`: words that begin so

Anything else, such as parentheses, colons and quotes that do not close, only parts words. What is written together
but is several words (`e-mail`, `555-1234`, 東京) is looked for as a phrase. An alternative that only excludes finds
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from bridge.store.sql.words import Word, in_ascii, words

MOST_WORDS: Final = 64
"""Words of a query that are looked for; what comes after them is not looked at."""
_LONGEST_QUERY: Final = 4096
"""Characters of a query that are read."""

_QUOTES: Final = str.maketrans(dict.fromkeys("“”„‟«»\uff02", '"'))
_PIECE: Final = re.compile(r'(?P<not>-?)"(?P<phrase>[^"]*)"?(?P<star>\*?)|(?P<word>[^\s"]+)')


@dataclass(frozen=True, slots=True)
class Term:
    """A word, or several that must follow each other."""

    words: tuple[str, ...]
    prefix: bool = False
    """The last of them may go on."""

    def at(self, text: Sequence[Word], index: int) -> bool:
        """Whether the term stands in a text from the word at `index` on."""
        part = text[index : index + len(self.words)]
        if len(part) < len(self.words):
            return False
        *first, last = zip(part, self.words, strict=True)
        if any(word.text != wanted for word, wanted in first):
            return False
        return last[0].text.startswith(last[1]) if self.prefix else last[0].text == last[1]

    def within(self, text: Sequence[Word]) -> bool:
        """Whether the term stands anywhere in a text."""
        return any(self.at(text, index) for index in range(len(text)))


@dataclass(frozen=True, slots=True)
class Alternative:
    """What must be in a turn, and what must not."""

    wanted: tuple[Term, ...]
    unwanted: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: any one of the alternatives."""

    alternatives: tuple[Alternative, ...] = ()

    def __bool__(self) -> bool:
        """False: there is nothing in it to look for."""
        return bool(self.alternatives)

    def fts5(self) -> str:
        """The query for `MATCH`, over what `search_words` made."""
        return " OR ".join(f"({_fts5(one)})" for one in self.alternatives)

    def tsquery(self) -> str:
        """The query to be cast to `tsquery`, over what `search_words` made."""
        return " | ".join(f"({_tsquery(one)})" for one in self.alternatives)

    def matches(self, text: str) -> bool:
        """Whether a text is found: what both databases answer, worked out here."""
        found = words(text)
        return any(
            all(term.within(found) for term in one.wanted) and not any(term.within(found) for term in one.unwanted)
            for one in self.alternatives
        )

    def marks(self, text: str) -> list[tuple[int, int]]:
        """Where a text holds what is wanted: from, to (characters), in order, without overlap."""
        found = words(text)
        spans = sorted(
            (found[index].start, found[index + len(term.words) - 1].end)
            for one in self.alternatives
            for term in one.wanted
            for index in range(len(found))
            if term.at(found, index)
        )
        marks: list[tuple[int, int]] = []
        for start, end in spans:
            if marks and start < marks[-1][1]:
                marks[-1] = (marks[-1][0], max(end, marks[-1][1]))
            else:
                marks.append((start, end))
        return marks


def parse_query(text: str) -> Query:
    """Read a query. Whatever the text is, this is no error; without a word to look for, the query is false."""
    reader = _Reader()
    for piece in _PIECE.finditer(text[:_LONGEST_QUERY].translate(_QUOTES)):
        if piece["word"] is None:
            phrase = piece["phrase"]
            reader.term(phrase, unwanted=bool(piece["not"]), prefix=bool(piece["star"]) or phrase.endswith("*"))
        elif piece["word"] in {"OR", "|", "||"}:
            reader.close()
        elif piece["word"] == "NOT":
            reader.unwanted_next = True
        elif piece["word"] not in {"AND", "&", "&&"}:
            word = piece["word"].strip("()")
            reader.term(word, unwanted=word.startswith("-"), prefix=word.endswith("*"))
    reader.close()
    return Query(tuple(reader.alternatives))


@dataclass(slots=True)
class _Reader:
    """Gathers terms into alternatives."""

    alternatives: list[Alternative] = field(default_factory=list)
    unwanted_next: bool = False
    _wanted: list[Term] = field(default_factory=list)
    _unwanted: list[Term] = field(default_factory=list)
    _room: int = MOST_WORDS

    def term(self, text: str, *, unwanted: bool, prefix: bool) -> None:
        found = words(text)[: self._room]
        self._room -= len(found)
        if not found:
            return
        # A character of a script without spaces is found wherever it stands, so that more may follow it anyway.
        term = Term(tuple(word.text for word in found), prefix and not found[-1].alone)
        terms = self._unwanted if unwanted or self.unwanted_next else self._wanted
        if term not in terms:
            terms.append(term)
        self.unwanted_next = False

    def close(self) -> None:
        if self._wanted:
            self.alternatives.append(Alternative(tuple(self._wanted), tuple(self._unwanted)))
        self._wanted, self._unwanted, self.unwanted_next = [], [], False


def _fts5(one: Alternative) -> str:
    wanted = " AND ".join(_fts5_terms(one.wanted))
    unwanted = " OR ".join(_fts5_terms(one.unwanted))
    return f"({wanted}) NOT ({unwanted})" if unwanted else wanted


def _fts5_terms(terms: Sequence[Term]) -> Iterator[str]:
    for term in terms:
        yield f'"{" ".join(map(in_ascii, term.words))}"{" *" if term.prefix else ""}'


def _tsquery(one: Alternative) -> str:
    return " & ".join([*_tsquery_terms(one.wanted), *(f"!({term})" for term in _tsquery_terms(one.unwanted))])


def _tsquery_terms(terms: Sequence[Term]) -> Iterator[str]:
    for term in terms:
        yield " <-> ".join(f"'{in_ascii(word)}'" for word in term.words) + (":*" if term.prefix else "")
