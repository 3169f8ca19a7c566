"""What the API answers about calls: the models that make the JSON, and that its description is made from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from bridge.outbound.progress import Status

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ID = Field(description="The bridge's own id.", examples=["3f0c9a5e7d1b4c2f8e6a0b9d7c5e3f10"])
_MOMENT: Final = "2026-01-31T09:30:00.000+00:00"


def moment(ms: int) -> str:
    """Return milliseconds since 1970 as ISO 8601 in UTC."""
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")


class CallItem(BaseModel):
    """A call in a list. Times within a call are milliseconds since its first media stream began."""

    model_config = ConfigDict(from_attributes=True)

    id: str = _ID
    sid: str = Field(description="The carrier's id.")
    direction: str = Field(description="`inbound` or `outbound`.")
    caller: str = Field(description="Who called.", examples=["+15550100001"])
    called: str = Field(description="The number dialled.", examples=["+15550100002"])
    other: str = Field(description="Whom the caller is connected with, where two people talk; else empty.")
    agent_kind: str = Field(description="What answers, or `log` where two people talk.", examples=["webhook"])
    started_at: str = Field(description="When its first media stream began: ISO 8601, UTC.", examples=[_MOMENT])
    duration_ms: int | None = Field(description="null: it goes on, or its record breaks off.")
    ended: str | None = Field(description="Why it ended; null as above.", examples=["caller"])
    state: str = Field(
        description="`live`, `ended`, or `broken_off` where the process died in mid-call.", examples=["ended"]
    )
    transfer_to: str = Field(description="To whom the caller was passed on at the end; else empty.")
    turns: int = Field(description="How many turns and replies are kept.")
    interruptions: int = Field(description="Replies that the caller cut off.")
    wasted: int = Field(description="Answers prepared early and not used.")
    problems: int
    under_runs: int = Field(description="How often the phone ran dry within an utterance.")


class CallPage(BaseModel):
    """A part of the list of calls, newest first."""

    items: list[CallItem]
    next: str | None = Field(description="The `cursor` of the part that follows; null: there is nothing more.")


class TurnItem(BaseModel):
    """What one side said at a time."""

    model_config = ConfigDict(from_attributes=True)

    seq: int = Field(description="Number of its entry in the journal.")
    speaker: str = Field(description="`caller`, `agent` or `callee`.")
    number: int = Field(description="Of the speaker's turn; of the turn that a reply answers.")
    reply: int | None = Field(description="Number of the agent's reply.")
    text: str = Field(description="Verbatim; of the agent: what was heard.")
    unheard: str = Field(description="What the agent meant to say besides, and nobody heard.")
    started_ms: int
    ended_ms: int
    interrupted: bool
    incomplete: bool
    degraded: bool = Field(description="Words are missing, as the speech service was away.")
    meaning: str = Field(description="`words`, or that a turn was `empty`, a `backchannel`, or an `echo`.")
    occasion: str = Field(description="Of a reply: what it answers.")
    speculative: bool = Field(description="Of a reply: it was asked for before the turn was over.")
    eager_ms: int | None = Field(description="Of the caller: when the last eager end came.")
    asked_ms: int | None = Field(description="Of a reply: when the agent was asked,")
    text_ms: int | None = Field(description="when its first text came,")
    audio_ms: int | None = Field(description="when the first audio of it came,")
    sent_ms: int | None = Field(description="when that went to the phone,")
    mark_ms: int | None = Field(description="and when the phone first told that it had played some of it.")


class SnippetItem(BaseModel):
    """The part of a turn that was found."""

    model_config = ConfigDict(from_attributes=True)

    text: str = Field(description="Verbatim.")
    marks: list[tuple[int, int]] = Field(description="What was looked for: from, to, in Unicode code points.")
    cut_before: bool = Field(description="The turn begins earlier.")
    cut_after: bool = Field(description="The turn goes on.")


class HitItem(BaseModel):
    """A turn that a search has found."""

    call: CallItem
    turn: TurnItem
    snippet: SnippetItem


class HitPage(BaseModel):
    """A part of what a search has found, what was kept last first."""

    items: list[HitItem]
    next: str | None = Field(description="The `cursor` of the part that follows; null: there is nothing more.")


class OrderAnswer(BaseModel):
    """A call that was ordered of this bridge."""

    model_config = ConfigDict(serialize_by_alias=True)

    id: str = _ID
    sid: str | None = Field(description="The carrier's id; null: it has none yet.")
    direction: str = Field(examples=["outbound"])
    status: Status = Field(
        description="How far it is. A call that was not ordered is `in-progress` or `completed`."
    )
    from_number: str = Field(serialization_alias="from", examples=["+15550100002"])
    to: str = Field(examples=["+15550100001"])
    parameters: dict[str, str] = Field(default={}, description="What the agent was handed with an order.")
    answered_by: str | None = Field(
        default=None, description="Who answered an ordered call, if that was found out."
    )
    reason: str | None = Field(default=None, description="Why it ended, as a code.")
    detail: str | None = Field(default=None, description="The same in a sentence, where something went wrong.")
    duration_s: int | None = Field(default=None, description="How long it lasted once answered.")
    created_at: str | None = Field(default=None, description="When it was ordered, or began.", examples=[_MOMENT])


class CallAnswer(OrderAnswer):
    """A call: how far it is, and what is kept of it once it was answered."""

    caller: str = ""
    called: str = ""
    other: str = ""
    agent_kind: str = ""
    started_at: str | None = None
    duration_ms: int | None = None
    ended: str | None = None
    state: str | None = Field(
        default=None, description="`live`, `ended` or `broken_off`; left out: it was not answered (yet)."
    )
    transfer_to: str = ""
    folder: str = Field(default="", description="Where its files lie, below `store.recordings`.")
    turns: int = 0
    interruptions: int = 0
    wasted: int = 0
    problems: int = 0
    under_runs: int = 0
    transcript: list[TurnItem] = Field(default=[], description="What was said, in the order in which it began.")
    actions: list[dict[str, Any]] = Field(
        default=[],
        description="What else happened: `kind` is the name of the journal's entry, such as `key_pressed`, "
        "`transfer_tried` or `call_taken_over`, and `data` the rest of it.",
    )
    legs: list[dict[str, Any]] = Field(default=[], description="Media streams and transfers.")
    notes: list[dict[str, Any]] = Field(default=[], description="Data that was left with the call.")
    transcriptions: list[dict[str, Any]] = Field(
        default=[], description="What the recording was transcribed to afterwards, and how that differs."
    )
    held_by: list[dict[str, Any]] = Field(
        default=[],
        description="Nodes that held the call before, each `until` a moment (`until_ms` of the call). Their parts"
        " of the sound are on their disks: `GET …/recording?node=` asks one of them.",
    )
    leftovers: list[dict[str, Any]] = Field(
        default=[],
        description="What only such a `node` had kept when another took the call, by its time (`at_ms`): entries as"
        " the journal has them. The call went on without knowing of them.",
    )
    messages: list[int] = Field(default=[], description="Numbers of the messages that the caller left.")
