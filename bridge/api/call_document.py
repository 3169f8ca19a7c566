"""One call as programs see it: what was ordered, and what is kept of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bridge.api.answers import CallAnswer, CallItem, OrderAnswer, TurnItem, moment
from bridge.conversation.journal import CallArranged, Standing, kind_named
from bridge.outbound.progress import OutboundCall
from bridge.store.sql.call_rows import CallDetail, CallRow

_HANDED_ON: Final = (CallArranged, Standing)
"""Nothing that happened: kept for a process that has to go on with the call."""


def item_of(row: CallRow) -> CallItem:
    """Return a row of the list."""
    fields = {name: getattr(row, name) for name in CallItem.model_fields}
    return CallItem(**{**fields, "started_at": moment(row.started_at)})


def order_answer(call: OutboundCall) -> OrderAnswer:
    """Return what was ordered, and how far that is."""
    order = call.order
    return OrderAnswer(
        id=call.id,
        sid=call.sid or None,
        direction="outbound",
        status=call.status,
        from_number=order.from_number,
        to=order.to,
        parameters=dict(order.parameters),
        answered_by=call.answered_by or None,
        reason=call.reason or None,
        detail=call.detail or None,
        duration_s=call.duration_s,
        created_at=call.created_at,
    )


def call_answer(ordered: OutboundCall | None, kept: CallDetail) -> CallAnswer:
    """Return a call of which something is kept, and which may have been ordered of this process."""
    call = item_of(kept.call).model_dump()
    order = _as_ordered(kept.call) if ordered is None else order_answer(ordered).model_dump(by_alias=False)
    return CallAnswer(
        **{**call, **order},
        folder=kept.call.folder,
        transcript=[TurnItem.model_validate(turn) for turn in kept.turns],
        actions=[row for row in _plain(kept.actions) if kind_named(row["kind"]) not in _HANDED_ON],
        legs=_plain(kept.legs),
        notes=_plain(kept.notes),
        transcriptions=[{**row, "made_at": moment(row["made_at"])} for row in kept.transcriptions],
        held_by=[{**row, "until": moment(row["until"])} for row in kept.held_by],
        leftovers=_plain(kept.leftovers),
        messages=[row["data"]["number"] for row in kept.actions if row["kind"] == "message_left"],
    )


def _plain(rows: tuple[Mapping[str, Any], ...]) -> list[dict[str, Any]]:
    return [dict(row) for row in rows]


def _as_ordered(call: CallRow) -> dict[str, Any]:
    """Return what an order would tell, of a call that was not ordered of this process."""
    return {
        "sid": call.sid,
        "status": "in-progress" if call.state == "live" else "completed",
        "from_number": call.caller,
        "to": call.called,
        "reason": call.ended,
        "duration_s": None if call.duration_ms is None else round(call.duration_ms / 1000),
        "created_at": moment(call.started_at),
    }
