"""Redaction of one call, entry by entry: it remembers what a number that is said in several turns began with. Pure.

What can be known when a turn is written is struck out in it: whole numbers; the rest of one that the turns before
began; and, of the caller, a long row of digits at the end of a turn that may be the beginning of a card number.
What cannot be known then stays: fewer than eight digits that begin a card number in a turn of their own, or ten
that are a phone number as well. Digits that were struck out once are struck out wherever they come again in the
call: agents read numbers back.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final, TypeVar

import msgspec

from bridge.conversation import journal as j
from bridge.privacy import cards, kinds
from bridge.privacy.numbers import Run, few, runs
from bridge.privacy.redactor import CARD, Found, Redactor, cleaned, merged, struck

_LONG: Final = 8
"""So many digits that may begin a card number are taken for its beginning."""
_PHONE: Final = 11
"""Digits of the longest phone number without a plus."""
_AGAIN: Final = 6
"""So many digits of a number that was struck out are struck out again."""
_BESIDE: Final = 48
"""Characters between a number and the end of its turn, or the beginning: "one one one one, okay?"."""
_APART: Final = 3
"""Words behind a number that make sure that it does not go on."""
_SOON_MS: Final = 60_000
"""A number goes on in a turn that begins so soon after the end of the one before."""
_KEYS: Final = 6
"""Keys of a row that are kept one by one when it may become a card number."""
_ANY_KEYS: Final = 10
"""Keys of a row that are kept one by one, whatever it begins with."""
_KEYS_APART_MS: Final = 30_000
_REMEMBERED: Final = 64
"""Numbers of a call that are remembered."""
HIDDEN_KEY: Final = "?"
"""Stands for a key that is not kept."""

E = TypeVar("E", bound=j.Entry)


@dataclasses.dataclass(slots=True)
class _Tail:
    """The digits that somebody's last turn ended with."""

    digits: str = ""
    ended_ms: int = 0
    whole: bool = False
    """They are a phone number or a date: a card number may still go on from them, but it is not guessed."""


class CallRedaction:
    """Strikes out of the entries of one call, in their order, what must not be written down."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._tails: dict[str, _Tail] = {}
        self._known: list[str] = []
        self._keys = ""
        self._key_ms = 0

    def entry(self, entry: j.Entry) -> j.Entry:  # noqa: C901, PLR0911, PLR0912  It is a table.
        """Return the entry as it may be written: the same one when there is nothing to be struck out."""
        if not self._redactor.active:
            return entry
        match entry:
            case j.CallerSpoke() | j.PartySpoke():
                return self._spoken(entry)
            case j.AgentSpoke(heard=heard, unheard=unheard):
                heard, unheard = self._said("agent", (heard, unheard), entry.asked_ms, entry.ended_ms)
                return _changed(entry, heard=heard, unheard=unheard)
            case j.KeyPressed():
                return self._key(entry)
            case j.DigitsGathered():
                return self._gathered(entry)
            case j.MessageLeft(transcript=transcript):
                return _changed(entry, transcript=self.text(transcript))
            case j.TransferTried(to=to):
                return _changed(entry, to=self._number(to))
            case j.CallClosed(transfer_to=to):
                return _changed(entry, transfer_to=self._number(to))
            case j.AgentHeard(heard=heard):
                return _changed(entry, heard=self.text(heard[: self._settled(heard)]))
            case j.NoteTaken(data=data):
                return _changed(entry, data=self.value(data))
            case j.AgentRemembered(state=state):
                return _changed(entry, state=self.value(state))
            case j.CallArranged(parameters=parameters):
                return _changed(entry, parameters=self.value(parameters))
            case j.Standing(consulting=consulting, left=left):
                return _changed(entry, consulting=self.value(consulting), left=self.value(left))
            case j.ProblemMet(message=message):
                return _changed(entry, message=self.text(message))
            case _:
                return entry

    def text(self, text: str) -> str:
        """Return a text of the call that is no turn of its own, struck out."""
        return struck(text, merged(self._in_text(text)))

    def _settled(self, text: str) -> int:
        """Return where a text ends that goes on, without the number that may go on with it."""
        if self._redactor.words:
            return 0  # Nobody can tell what the words of an own pattern go on with.
        if few(" ".join(text.split()[-_APART:]), 1):
            return len(text)
        return min((run.start for run in runs(text) if len(text[run.end :].split()) < _APART), default=len(text))

    def value(self, value: Any) -> Any:
        """Return what a note holds, struck out wherever it is a text or a number."""
        return cleaned(value, self.text)

    def turns(self, turns: list[tuple[str, str]]) -> list[str]:
        """Return the texts of turns, each given with its speaker, as if each followed at once."""
        return [self._said(speaker, (text,), 0, 0)[0] for speaker, text in turns]

    # --- words ---------------------------------------------------------------------------------------------

    def _spoken(self, entry: j.CallerSpoke | j.PartySpoke) -> j.Entry:
        party = entry.party if isinstance(entry, j.PartySpoke) else "caller"
        (transcript,) = self._said(party, (entry.transcript,), entry.started_ms, entry.ended_ms)
        return _changed(entry, transcript=transcript)

    def _said(self, speaker: str, parts: tuple[str, ...], began_ms: int, ended_ms: int) -> tuple[str, ...]:
        """Strike out of what somebody said; its parts follow each other without a gap."""
        text = "".join(parts)
        found = self._in_text(text)
        if self._redactor.card and not few(text, 1) and (rows := runs(text)):
            found += self._across(speaker, text, rows, began_ms)
            self._remember_tail(speaker, text, rows, ended_ms)
        return _split(parts, merged(found))

    def _in_text(self, text: str) -> list[Found]:
        """What is to be struck out of a text for itself, and what was struck out in the call before."""
        redactor = self._redactor
        found = redactor.find(text)
        if redactor.card and found and not few(text, cards.LEAST):
            for run in runs(text, cards.LEAST):
                for start, stop in cards.windows(run):
                    self._know(run.digits[start:stop])
        if self._known and not few(text, _AGAIN):
            for run in runs(text, _AGAIN):
                found += self._again(run)
        return found

    def _again(self, run: Run) -> list[Found]:
        found: list[Found] = []
        for at in range(len(run.digits) - _AGAIN + 1):
            piece = run.digits[at : at + _AGAIN]
            if any(piece in known for known in self._known):
                found.append((*run.place(at, at + _AGAIN), CARD))
        return found

    def _know(self, digits: str) -> None:
        if digits not in self._known:
            self._known = [*self._known[-_REMEMBERED + 1 :], digits]

    # --- numbers over several turns --------------------------------------------------------------------------

    def _across(self, speaker: str, text: str, rows: list[Run], began_ms: int) -> list[Found]:
        """What the turns before and after this one make of its first and last digits."""
        found: list[Found] = []
        before = self._before(speaker, began_ms)
        for run in rows:
            if before is not None and run.start <= _BESIDE and run.start == rows[0].start:
                guess = speaker != "agent" and (not before.whole or _goes_on_at_once(text, before.digits, run))
                found += self._going_on(before.digits, run, guess=guess)
            elif speaker != "agent" and len(text) - run.end <= _BESIDE and run.end == rows[-1].end:
                found += self._beginning(run)
        return found

    def _before(self, speaker: str, began_ms: int) -> _Tail | None:
        tail = self._tails.get(speaker)
        return tail if tail is not None and began_ms - tail.ended_ms <= _SOON_MS else None

    def _going_on(self, before: str, run: Run, *, guess: bool) -> list[Found]:
        """Strike out the digits with which a number goes on that an earlier turn began."""
        digits = before + run.digits
        edges = b"\2" + bytes(len(before) - 1) + b"\2" + run.edges[1:]
        whole = Run(digits, ((0, 0),) * len(digits), edges, (len(before), *run.groups), run.written)
        for start in range(max(0, len(before) - cards.MOST), len(before)):
            for stop in range(len(digits), len(before), -1):
                if not whole.edges[stop] or not cards.LEAST <= stop - start <= cards.MOST:
                    continue
                number = digits[start:stop]
                if cards.is_valid(number) and (cards.is_branded(number) or (start == 0 and stop == len(digits))):
                    self._know(number)
                    return [(*run.place(0, stop - len(before)), CARD)]
        if guess and _may_go_on(digits) and not kinds.is_phone(digits):
            self._know(digits)
            return [(*run.place(0, len(run.digits)), CARD)]
        return self._beginning(run) if guess else []

    def _beginning(self, run: Run) -> list[Found]:
        """Strike out the digits with which a card number may begin that the next turn ends."""
        found: list[Found] = []
        for start in (place for place in range(len(run.digits)) if run.edges[place] == 2):
            digits = run.digits[start:]
            if _may_go_on(digits) and not _is_something_else(run, start):
                self._know(digits)
                found.append((*run.place(start, len(run.digits)), CARD))
        return found

    def _remember_tail(self, speaker: str, text: str, rows: list[Run], ended_ms: int) -> None:
        last = next(run for run in rows if run.start == rows[-1].start)  # in the reading that people mean
        if len(text) - last.end > _BESIDE:
            self._tails.pop(speaker, None)
            return
        before = self._tails.get(speaker)
        goes_on = before is not None and last.start <= _BESIDE and last.start == rows[0].start
        earlier = before.digits if before is not None and goes_on else ""
        digits = (earlier + last.digits)[-cards.MOST :]
        whole = _is_something_else(last, 0) if not earlier else kinds.is_phone(digits)
        self._tails[speaker] = _Tail(digits, ended_ms, whole)

    # --- keys ----------------------------------------------------------------------------------------------

    def _key(self, entry: j.KeyPressed) -> j.KeyPressed:
        """Hide the later keys of a row that may be a card number: each stands alone, so it is now or never."""
        if not self._redactor.card:
            return entry
        if not entry.digit.isdecimal() or entry.at_ms - self._key_ms > _KEYS_APART_MS:
            self._keys = ""
        self._key_ms = entry.at_ms
        if not entry.digit.isdecimal():
            return entry
        self._keys += entry.digit
        size = len(self._keys)
        if size > _ANY_KEYS or (size > _KEYS and cards.may_begin(self._keys[:_KEYS])):
            return msgspec.structs.replace(entry, digit=HIDDEN_KEY)
        return entry

    def _gathered(self, entry: j.DigitsGathered) -> j.DigitsGathered:
        self._keys = ""
        if not entry.digits:
            return entry
        text = "".join(one if one.isdecimal() else " " for one in entry.digits)
        found = self._in_text(text)
        if self._redactor.card and (rows := runs(text)):
            before = self._before("keys", entry.at_ms)
            found += [] if before is None else self._going_on(before.digits, rows[0], guess=False)
            self._remember_tail("keys", text, rows, entry.at_ms)
        return msgspec.structs.replace(entry, digits="", masked=True) if found else entry

    def _number(self, number: str) -> str:
        """A number that somebody was connected with is kept unless phone numbers are struck out."""
        return self._redactor.text(number) if self._redactor.phone else number


def _goes_on_at_once(text: str, before: str, run: Run) -> bool:
    """Tell whether a turn goes on with digits at once, and with so many that they are no phone number any more."""
    return len(before) + len(run.digits) > _PHONE and not any(one.isalpha() for one in text[: run.start])


def _may_go_on(digits: str) -> bool:
    return len(digits) >= _LONG and cards.may_begin(digits)


def _is_something_else(run: Run, start: int) -> bool:
    """Tell whether the last digits of a run are a phone number, or written as a date."""
    cuts = [place - start for place in range(start, len(run.edges)) if run.edges[place]]
    if cuts in ([0, 2, 4, 8], [0, 4, 6, 8]):
        return True
    return kinds.is_phone(run.digits[start:]) and cuts != [0, 4, 10]  # which is how American Express groups them


def _split(parts: tuple[str, ...], found: list[Found]) -> tuple[str, ...]:
    """Strike out of each part what of the whole is to be struck out."""
    result: list[str] = []
    at = 0
    for part in parts:
        inside = [
            (max(start, at) - at, min(end, at + len(part)) - at, instead)
            for start, end, instead in found
            if start < at + len(part) and end > at
        ]
        result.append(struck(part, inside))
        at += len(part)
    return tuple(result)


def _changed(entry: E, **fields: Any) -> E:
    """Return the entry with other fields; itself when they are the same."""
    if all(getattr(entry, name) == value for name, value in fields.items()):
        return entry
    return msgspec.structs.replace(entry, **fields)
