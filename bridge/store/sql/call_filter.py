"""Which calls are wanted: for the database and, without one, for a call that was read. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from bridge.store.sql.call_rows import CallRow
from bridge.store.sql.rows import clean

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

_OF_NUMBERS: Final = re.compile(r"[\s()./\u2010-\u2015\u00a0-]+")
"""What people write between digits."""
_PART: Final = re.compile(r"\d+")
_FURTHEST_MS: Final = 2**53


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls, and in a search which turns; what is None does not matter.

    A number or address counts as a whole; one of digits alone, without a plus, may be any part of a number. Spaces,
    hyphens and brackets in numbers do not matter.
    """

    number: str | None = None
    """Of anybody in the call: who called, who was called, whom they were connected with or transferred to."""
    caller: str | None = None
    called: str | None = None
    speaker: Literal["caller", "agent", "callee"] | None = None
    """In a search: who said it."""
    direction: Literal["inbound", "outbound"] | None = None
    agent_kind: str | None = None
    since_ms: int | None = None
    """Began then or later: ms since 1970, UTC."""
    until_ms: int | None = None
    """Began earlier."""
    ended: str | None = None
    """How, as `CallClosed.reason`."""
    live: bool | None = None
    """Whether it goes on."""
    interrupted: bool | None = None
    """Whether the caller cut the agent off."""

    @staticmethod
    def is_whole(number: str) -> bool:
        """Whether a number counts as a whole, so that no other one fits."""
        return not _written(number)[1]

    def fits(self, call: CallRow) -> bool:
        """Whether a call is wanted."""
        numbers = (call.caller, call.called, call.other, call.transfer_to)
        return (
            _fits(self.number, *numbers)
            and _fits(self.caller, call.caller)
            and _fits(self.called, call.called)
            and self.direction in {None, call.direction}
            and self.agent_kind in {None, call.agent_kind}
            and (self.since_ms is None or call.started_at >= self.since_ms)
            and (self.until_ms is None or call.started_at < self.until_ms)
            and self.ended in {None, call.ended}
            and self.live in {None, call.state == "live"}
            and self.interrupted in {None, call.interruptions > 0}
        )

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """The same for the database, which does not know a call that goes on from one whose record breaks off.

        Who speaks is for the search to add.
        """
        from sqlalchemy import or_  # noqa: PLC0415  (slow to import, and there already where statements are made)

        from bridge.store.sql.schema import calls  # noqa: PLC0415

        if self.number is not None:
            columns = (calls.c.caller, calls.c.called, calls.c.other, calls.c.transfer_to)
            yield or_(*(_is(column, self.number) for column in columns))
        for given, column in ((self.caller, calls.c.caller), (self.called, calls.c.called)):
            if given is not None:
                yield _is(column, given)
        for same, column in (
            (self.direction, calls.c.direction),
            (self.agent_kind, calls.c.agent_kind),
            (self.ended, calls.c.ended),
        ):
            if same is not None:
                yield column == clean(same)
        if self.since_ms is not None:
            yield calls.c.started_at >= _moment(self.since_ms)
        if self.until_ms is not None:
            yield calls.c.started_at < _moment(self.until_ms)
        if self.live:
            yield calls.c.ended.is_(None)
        if self.interrupted is not None:
            yield calls.c.interruptions > 0 if self.interrupted else calls.c.interruptions == 0


def _written(number: str) -> tuple[str, bool]:
    """A number as carriers write it, and whether it is only a part of one."""
    close = _OF_NUMBERS.sub("", number)
    if _PART.fullmatch(close):
        return close, True
    return (close if re.fullmatch(r"\+\d+", close) else number.strip()), False


def _fits(wanted: str | None, *numbers: str) -> bool:
    if wanted is None:
        return True
    written, part = _written(wanted)
    return any(written in number if part else written == number for number in numbers)


def _is(column: Any, wanted: str) -> ColumnElement[bool]:
    written, part = _written(clean(wanted))
    found: ColumnElement[bool] = column.contains(written) if part else column == written
    return found


def _moment(ms: int) -> int:
    """Within what a database can count to."""
    return max(-_FURTHEST_MS, min(ms, _FURTHEST_MS))
