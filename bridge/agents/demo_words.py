"""What the demo agent understands of a caller's words: topics, digits and names.

Pure. Made for the text of a speech recogniser: any case, any punctuation, a word misheard here and there, and
digits as numerals or as words.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

PARTICULAR: Mapping[str, re.Pattern[str]] = {
    "message": re.compile(
        r"\b(messages?|massage|voicemail|callback|leave (a|him|her|them|you)|calls? (me|us) back|ring me back)\b"
    ),
    "saturday": re.compile(r"\b(saturdays?|weekends?)\b"),
    "sunday": re.compile(r"\b(sundays?|holidays?)\b"),
}
"""Topics that are meant whenever they are named: "are you open on Saturday" is about Saturday."""

TOPICS: Mapping[str, frozenset[str]] = {
    "hours": frozenset(
        {"hours", "hour", "ours", "open", "opening", "opened", "close", "closing", "closed", "when"}
    ),
    "address": frozenset({"address", "where", "located", "location", "find", "directions", "street", "parking"}),
    "rental": frozenset({"rent", "rental", "rentals", "renting", "hire", "borrow"}),
    "prices": frozenset(
        {"price", "prices", "cost", "costs", "charge", "repair", "repairs", "service", "tire", "tyre", "puncture"}
    ),
    "identity": frozenset({"robot", "machine", "computer", "human", "bot"}),
}
"""Topics by their words; the one with the most words said is meant."""

_BYE = re.compile(
    r"\b(good ?bye|bye|good by|good night|hang up|see you|nothing (else|more)|no thanks|no thank you|i m done"
    r"|(that s|that is|that will be|that ll be) (all|it|everything))\b"
)
_THANKS = re.compile(r"\b(thanks|thank you|cheers)\b")
_YES = re.compile(
    r"((yes|yeah|yep|yup|sure|okay|ok|please|please do|of course|right|correct|exactly|go ahead|(that|it) (s|is)"
    r"( right| correct)?)( |$))+"
)
_NO = re.compile(r"(no|nope|nah|not)\b")
_REFUSES = re.compile(r"^(no|nope|nah)\b|\b(don t|do not|rather not|no number|without)\b")
_WRONG = re.compile(r"\b(wrong|incorrect|not (right|correct|my number)|mistake)\b")
_AGAIN = re.compile(
    r"(sorry |please |(can|could|would) you )*"
    r"(pardon( me)?|what|sorry|excuse me|come again|again|repeat( (that|it))?"
    r"|say (that|it)( again)?|say again|what did you say|what was that)( again| please)*"
)
_STOP = re.compile(
    r"((stop|wait|hold on|hang on|enough|that s enough|never mind|nevermind|cancel|forget( about)? it|no)"
    r"( (it|that|please|now|sorry))*( |$))+"
)
_HELLO = re.compile(r"(hello|hi|hey|good (morning|afternoon|evening|day))\b")

_DIGITS = {
    "zero": "0", "nought": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
    "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12",
    "thirteen": "13", "fourteen": "14", "fifteen": "15", "sixteen": "16", "seventeen": "17", "eighteen": "18",
    "nineteen": "19",
}  # fmt: skip
_TENS = {
    "twenty": "2", "thirty": "3", "forty": "4", "fifty": "5", "sixty": "6", "seventy": "7", "eighty": "8",
    "ninety": "9",
}  # fmt: skip
_OH = frozenset({"oh", "o"})
_SOUND_ALIKES = {"to": "2", "too": "2", "for": "4", "ate": "8", "won": "1", "fife": "5", "tree": "3", "sex": "6"}
_SPOKEN = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_AROUND_NAME = " \t\n,.;:!?\"'-…"
_NAME_LEAD = re.compile(
    r"^(?:(?:uh|um|er|hm+|well|yes|yeah|sure|okay|ok|hi|hello|of course|please|so)\b[\s,.!]*)*"
    r"(?:(?:and\s+)?(?:my name is|my name's|my name|the name is|the name's|name is|this is|it is|it's|its|i am|i'm"
    r"|im|call me|you can call me|speaking is)\b[\s,:]*)?",
    re.IGNORECASE,
)
_NAME_TAIL = re.compile(
    r"[\s,.;]*\b(?:speaking|here|thanks|thank you|please|by the way"
    r"|(?:and )?(?:my|the) (?:phone |telephone |mobile )?number\b.*"
    r"|(?:and )?(?:you can|please)?\s*(?:reach|call|phone) me\b.*|(?:and )?i(?:'d| would) like\b.*)$",
    re.IGNORECASE,
)


def words_of(text: str) -> list[str]:
    """Split into words: lower case, without punctuation, so that every rule sees one form."""
    return re.findall(r"[a-z]+|\d+", text.lower())


def topic_of(text: str) -> str | None:
    """Find what `text` is about; a misheard word counts as the topic's word that it resembles."""
    plain = " ".join(words_of(text))
    for topic, named in PARTICULAR.items():
        if named.search(plain):
            return topic
    plain = plain.replace("how much", "price")
    words = plain.split()
    hits = {topic: sum(_among(word, keywords) for word in set(words)) for topic, keywords in TOPICS.items()}
    best = max(hits, key=hits.__getitem__)
    return best if hits[best] else None


def _among(word: str, keywords: frozenset[str]) -> bool:
    # Short words resemble too much: "ours" stands in the table, since likeness would let "yours" in too.
    return word in keywords or (
        len(word) >= 5 and bool(difflib.get_close_matches(word, keywords, n=1, cutoff=0.85))
    )


def says_goodbye(text: str, *, most_words: int = 8) -> bool:
    """Tell whether a remark of at most `most_words` ends the talk; in a longer one "bye" is part of a story."""
    words = words_of(text)
    return len(words) <= most_words and _BYE.search(" ".join(words)) is not None


def says_thanks(text: str) -> bool:
    """Tell whether the remark is thanks and little more."""
    words = words_of(text)
    return len(words) <= 6 and _THANKS.search(" ".join(words)) is not None


def says_yes(text: str) -> bool:
    """Tell whether the remark is a yes and nothing more."""
    return _YES.fullmatch(" ".join(words_of(text))) is not None


def says_no(text: str) -> bool:
    """Tell whether the remark is a no, with a word or two beside it."""
    words = words_of(text)
    return len(words) <= 4 and _NO.match(" ".join(words)) is not None


def refuses(text: str) -> bool:
    """Tell whether the caller does not want to give what was asked for, or denies what was read back."""
    return _REFUSES.search(" ".join(words_of(text))) is not None


def says_wrong(text: str) -> bool:
    """Tell whether the caller corrects what was read back."""
    words = words_of(text)
    return len(words) <= 10 and _WRONG.search(" ".join(words)) is not None


def asks_again(text: str) -> bool:
    """Tell whether the remark asks for the last answer once more and for nothing else."""
    return _AGAIN.fullmatch(" ".join(words_of(text))) is not None


def says_stop(text: str) -> bool:
    """Tell whether the remark asks the agent to leave the matter, and nothing more."""
    return _STOP.fullmatch(" ".join(words_of(text))) is not None


def says_hello(text: str) -> bool:
    """Tell whether the remark is a greeting and little more."""
    words = words_of(text)
    return len(words) <= 4 and _HELLO.match(" ".join(words)) is not None


def digits_in(text: str) -> str:
    """Collect the digits said: "555-0123", "five five five oh one two three", "double five", "twenty one"."""
    words = words_of(text)
    found = ""
    times = 1
    for at, word in enumerate(words):
        if word in {"double", "triple"}:
            times = 2 if word == "double" else 3
            continue
        digits = _digits_of(words, at)
        found += digits[:1] * (times - 1) + digits if digits else ""
        times = 1
    return found


def _digits_of(words: Sequence[str], at: int) -> str:
    word = words[at]
    before = words[at - 1] if at else ""
    after = words[at + 1] if at + 1 < len(words) else ""
    if word.isdigit():
        return word
    if word in _DIGITS:
        return _DIGITS[word]
    if word in _TENS:
        return _TENS[word] + ("" if after in _DIGITS and len(_DIGITS[after]) == 1 else "0")
    if word == "hundred" and _is_digit(before):
        return "00"
    if word in _OH and (_is_digit(before) or _is_digit(after)):
        return "0"
    if word in _SOUND_ALIKES and _is_digit(before) and (not after or _is_digit(after)):
        return _SOUND_ALIKES[word]  # "five for one" is five four one; "call me for" is not
    return ""


def _is_digit(word: str) -> bool:
    return word.isdigit() or word in _DIGITS or word in _TENS or word in _OH


def spell_digits(digits: str) -> str:
    """Write digits as words, one by one, with commas where a speaker takes a breath."""
    groups = [digits[:3], *(digits[at : at + 4] for at in range(3, len(digits), 4))]
    if len(digits) == 10:
        groups = [digits[:3], digits[3:6], digits[6:]]
    return ", ".join(" ".join(_SPOKEN[int(digit)] for digit in group) for group in groups if group)


def name_in(text: str) -> str:
    """Find the caller's name: what is left without "my name is" and the like; empty when that is no name."""
    remark = text.strip(_AROUND_NAME)
    name = _NAME_TAIL.sub("", _NAME_LEAD.sub("", remark, count=1)).strip(_AROUND_NAME)
    name = re.split(r"[.!?;]", name)[0].strip(" ,")
    if not name or len(name.split()) > 4 or re.search(r"\d", name):
        return ""
    return " ".join(word[:1].upper() + word[1:] for word in name.split())
