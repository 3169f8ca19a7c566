"""Which word sounds where: the service's words are found in the text."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from bridge.conversation.events import Word
from bridge.conversation.utterance import _WORDS_AHEAD, Utterance

SIGNS = st.sampled_from("ab_4é .,'-\u0301")
texts = st.text(SIGNS, max_size=30)


def by_pattern(text: str, word: str, begin: int, missed: int) -> int | None:
    """Return where the word ends in the text, told by the pattern of a whole word; None: it is not there.

    It is not, either, behind more than twice as many words as were `missed` just before.
    """
    pattern = rf"(?<!\w){re.escape(word)}(?!\w)" if word else r"\Z\A"
    found = re.compile(pattern).search(text, begin, begin + _WORDS_AHEAD)
    if found is None or len(re.findall(r"\S*[^\W_]\S*", text[begin : found.start()])) > 2 * missed:
        return None
    return found.end() + len(re.split(r"\s", text[found.end() :])[0])


@given(texts, st.lists(st.text(SIGNS, max_size=4), max_size=6), st.sampled_from((0, 100, 117, 119)))
def test_words_are_found_whole_and_in_order(text: str, words: list[str], far: int) -> None:
    utterance = Utterance(1, 1, text=" " * far + text)
    utterance.add_words(tuple(Word(word, 0.0, 1.0) for word in words))
    begin, missed = 0, 0
    ends = []
    for word in words:
        end = by_pattern(utterance.text, word.strip(), begin, missed)
        missed = missed + len(re.findall(r"\S*[^\W_]\S*", word)) if end is None else 0
        begin = begin if end is None else end
        ends.append(begin)
    assert [end for end, _, _ in utterance.words] == ends
