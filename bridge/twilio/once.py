"""One answer to one question of the carrier: callbacks may come twice, late, and in the wrong order.

Each stretch of a call that Twilio follows a document of ours for is a *leg*, and has a number. The addresses that
a document names carry that number, so that what is asked at its end can be told from what was asked of another.
"""

from __future__ import annotations

from collections import OrderedDict

LEG = "leg"
"""Name of the number in the query of an address."""

FIRST_LEG = "1"

_REMEMBERED = 10_000
_MOST_ANSWERS = 100
"""Of one call; what is asked twice is asked soon. A page that is the phone could ask without end."""


class AnsweredOnce:
    """Numbers the legs of calls, and keeps the answer to each question about them."""

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        """`remembered`: how many calls' answers are kept; then the call whose last leg is oldest is forgotten."""
        self._remembered = remembered
        self._legs: OrderedDict[str, int] = OrderedDict()
        self._answers: dict[str, dict[tuple[str, str], str]] = {}

    def next_leg(self, sid: str) -> str:
        """Return the number of the call's next leg."""
        self._legs[sid] = leg = self._legs.pop(sid, 0) + 1
        while len(self._legs) > self._remembered:
            forgotten, _ = self._legs.popitem(last=False)
            self._answers.pop(forgotten, None)
        return str(leg)

    def count_from(self, sid: str, leg: str) -> None:
        """Go on with the legs of a call that another process has numbered up to this one."""
        if leg.isascii() and leg.isdecimal():
            self._legs[sid] = max(self._legs.get(sid, 0), int(leg))

    def given(self, sid: str, what: str, leg: str) -> str | None:
        """Return the answer that was given to this question before; None: it was not asked.

        A question without a number is always a new one.
        """
        return self._answers.get(sid, {}).get((what, leg)) if leg else None

    def keep(self, sid: str, what: str, leg: str, answer: str) -> str:
        """Keep the answer to a question, and return it."""
        if leg and sid in self._legs:
            answers = self._answers.setdefault(sid, {})
            answers[what, leg] = answer
            if len(answers) > _MOST_ANSWERS:
                del answers[next(iter(answers))]
        return answer
