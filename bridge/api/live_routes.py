"""`/api/v1/live` and `/api/v1/events`: the live calls, and what happens in them as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, field_validator

from bridge.api.door import Door, query
from bridge.api.operations import Operation
from bridge.api.problems import Problem
from bridge.live.calls import LiveCalls
from bridge.live.events import TYPES
from bridge.live.feed import Event, Listener

LIVE: Final = "/api/v1/live"
EVENTS: Final = "/api/v1/events"

_BEAT_S: Final = 15.0
"""How long the stream of events is silent at most: proxies close what is silent for longer."""
_TAKEN_WITHIN_S: Final = 20.0
"""How long a listener may leave what was written to them untaken."""
_AGAIN_AFTER_MS: Final = 1000

_ABOUT_EVENTS: Final = (
    """Server-sent events. Each has an `id`, and as `data` a JSON object with `id`, `type`, `call`,
`time` (ISO 8601), `at_ms` (ms since the call began), and by its `type`:

"""
    + "\n".join(f"- `{name}`: {about}" for name, about in TYPES.items())
    + """

Who lost the connection goes on where it broke off with the header `Last-Event-ID`, which browsers send on their
own, or with `?after=`. Where events since then are no longer kept, `gap` comes first, and then what happens from
now on: ask for `/api/v1/live` anew, whose `last_event_id` is the place to go on after. A comment comes at least
every 15 seconds. Words of secrets and what `privacy.redact` strikes out never stand here."""
)


class EventsQuery(BaseModel):
    """What may stand behind the `?` of `/api/v1/events`."""

    model_config = ConfigDict(extra="forbid")

    after: str = Field(default="", max_length=100)
    """The id of the last event that is known; the header `Last-Event-ID` wins."""
    call: list[str] = Field(default=[], max_length=100)
    """Only events of these calls: the bridge's ids. May stand more than once."""
    types: str = Field(default="", max_length=1000)
    """Only events of these types, with commas between them; `gap` always comes."""

    @field_validator("types")
    @classmethod
    def _types(cls, value: str) -> str:
        if unknown := [name for name in value.split(",") if name and name not in TYPES]:
            raise ValueError(f"there is no type {unknown[0][:40]!r}; there are {', '.join(TYPES)}")
        return value


class SayingItem(BaseModel):
    """What is being said to the caller."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    reply: int
    turn: int
    """The caller's turn that it answers; 0: none."""
    occasion: str
    """What it answers: `turn.ended`, `call.started`, …; `prompt` the bridge itself, `operator` an operator."""
    text: str
    """All of it so far."""
    heard: str
    """What the caller has heard of it."""
    answer_ms: int | None
    """How long after the end of the caller's turn it began to sound; null: it answers none."""


class LiveCallItem(BaseModel):
    """A live call."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """The bridge's own id."""
    sid: str
    """The carrier's id."""
    from_number: str = Field(alias="from")
    to: str
    direction: str
    agent: str
    """What answers, or `log` where two people talk."""
    started_at: str
    """ISO 8601, UTC."""
    mode: Literal["agent", "transcribe", "log"]
    """An agent takes the call; nobody answers; or two people talk."""
    state: Literal["listening", "thinking", "talking", "away"]
    at_ms: int
    """The time of the call at the last event, in ms."""
    talk: list[dict[str, Any]]
    """What was said so far, as the events `turn.ended` and (with `speaker` `agent`) `agent.spoke` have it."""
    words: dict[str, str]
    """What each speaker is saying now."""
    recording: Literal["on", "paused", "off"]
    saying: SayingItem | None
    node: str = ""
    """The bridge that holds the call, where it is another than the one that answers; else missing."""


class LiveDocument(BaseModel):
    """The live calls of this moment."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    calls: list[LiveCallItem]
    last_event_id: str
    """Follow the events after this one, and none is missed."""


class LiveRoutes:
    """The handlers."""

    def __init__(self, calls: LiveCalls, recording: Callable[[str], str]) -> None:
        """`recording` tells of a call by its id whether its sound is kept."""
        self._calls = calls
        self._recording = recording
        self._door: Door | None = None

    def add_to(self, app: web.Application, door: Door) -> None:
        """Put the handlers at their addresses."""
        self._door = door
        live = Operation(
            "The live calls: how they stand, and what was said so far",
            tag="live",
            answers={200: LiveDocument},
        )
        door.add(app, "GET", LIVE, self.live, live)
        events = Operation(
            "What happens in the live calls, as it happens",
            tag="live",
            about=_ABOUT_EVENTS,
            query=EventsQuery,
            answers={200: "text/event-stream"},
        )
        door.add(app, "GET", EVENTS, self.events, events)

    async def live(self, _: web.Request) -> web.Response:
        """Answer the calls that are not over, and from where to follow the events so that none is missed."""
        calls = self._calls.as_dicts(self._recording)
        return web.json_response({"calls": calls, "last_event_id": self._calls.feed.last_id})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Answer events until whoever asks goes away, does not take them, is signed out, or the bridge stops."""
        wanted = query(request, EventsQuery)
        after = request.headers.get("Last-Event-ID", "") or wanted.after
        if len(after) > 100 or not after.isprintable():  # It is sent back, on a line of its own.
            raise Problem(422, "invalid", "Last-Event-ID: this is no id of an event.")
        if self._calls.feed.full:
            again = {"Retry-After": "5"}
            raise Problem(429, "too_many_listeners", "Too many follow the events already.", headers=again)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        # Without this, some proxies collect what comes until it fills a page.
        response.headers["X-Accel-Buffering"] = "no"
        types = [name for name in wanted.types.split(",") if name]
        with self._calls.feed.listen(after, calls=wanted.call, types=types) as listener:
            await response.prepare(request)
            if request.method == "HEAD":
                return response
            assert self._door is not None  # noqa: S101  The request came by it.
            with self._door.until_over(request, listener.end):
                await _tell(response, listener, after or self._calls.feed.last_id)
        return response


async def _tell(response: web.StreamResponse, listener: Listener, begins_after: str) -> None:
    try:
        # The id alone, so that who is cut off before the first event knows where to go on.
        await _write(response, f"retry: {_AGAIN_AFTER_MS}\nid: {begins_after}\n: listening\n\n")
        async for batch in listener.batches(beat_s=_BEAT_S):
            await _write(response, "".join(map(_frame, batch)) or ": \n\n")
        await _write(response, ": you are signed out\n\n" if listener.ended else ": the bridge stops\n\n")
    except (ConnectionError, TimeoutError):
        pass  # They are gone, or take nothing: when they come again, they go on where they were.


async def _write(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(_TAKEN_WITHIN_S):
        await response.write(text.encode("utf-8", "replace"))


def _frame(event: Event) -> str:
    return f"id: {event.id}\nevent: {event.type}\ndata: {event.json}\n\n"
