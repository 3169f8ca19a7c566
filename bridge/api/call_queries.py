"""What may stand behind the `?` of the addresses that list and find calls."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from bridge.store.sql.calls import CallFilter


def _iso_8601(value: Any) -> Any:
    if not isinstance(value, str) or not _DATE.match(value):
        raise ValueError("wanted a date, or a date and a time, such as 2026-01-31T09:30:00Z")
    return value


def _with_zone(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Text = Annotated[str, Field(min_length=1, max_length=200)]
_Moment = Annotated[
    datetime,
    BeforeValidator(_iso_8601),
    AfterValidator(_with_zone),
    WithJsonSchema({"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}]}),
]


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Paged(_Query):
    """Which part of a list."""

    cursor: str | None = Field(
        default=None, max_length=500, description="The `next` of the part before; left out: the first part."
    )
    limit: int = Field(default=50, ge=1, le=200, description="How many at most.")


class CallList(Paged):
    """Which calls."""

    number: _Text | None = Field(
        default=None,
        description="Of anybody in the call. Digits alone may be any part of a number.",
        examples=["+15550100001"],
    )
    caller: _Text | None = Field(default=None, description="Who called.")
    called: _Text | None = Field(default=None, description="The number dialled.")
    direction: Literal["inbound", "outbound"] | None = None
    agent_kind: _Text | None = Field(default=None, description="What answered, or `log` where two people talk.")
    since: _Moment | None = Field(
        default=None, description="Began then or later: ISO 8601, in UTC where it names no zone."
    )
    until: _Moment | None = Field(default=None, description="Began earlier than this.")
    ended: _Text | None = Field(default=None, description="Why it ended, such as `caller` or `transfer`.")
    live: bool | None = Field(default=None, description="Whether it goes on.")
    interrupted: bool | None = Field(default=None, description="Whether the caller cut the agent off.")

    def filter(self) -> CallFilter:
        """Return the same for the database."""
        return CallFilter(
            number=self.number,
            caller=self.caller,
            called=self.called,
            speaker=self.speaker if isinstance(self, Search) else None,
            direction=self.direction,
            agent_kind=self.agent_kind,
            since_ms=_ms(self.since),
            until_ms=_ms(self.until),
            ended=self.ended,
            live=self.live,
            interrupted=self.interrupted,
        )


class Search(CallList):
    """What is looked for."""

    q: str = Field(
        min_length=1,
        max_length=500,
        description='Words that were said, `"a phrase"`, `-without`, `this OR that`. No query is an error.',
        examples=['refund "tuesday morning" -urgent'],
    )
    speaker: Literal["caller", "agent", "callee"] | None = Field(default=None, description="Who said it.")


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else round((moment - _EPOCH).total_seconds() * 1000)
