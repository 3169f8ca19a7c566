"""Calls and what was found in them, as a terminal shows them and as JSON. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

import click

from bridge.conversation.journal import Entry
from bridge.reading.moments import iso, written
from bridge.store.base import CallHeader
from bridge.store.journal_file import entry_of
from bridge.store.sql.call_rows import CallDetail, CallRow, Hit
from bridge.store.texts import ENDINGS, clock, transcript_lines, transcript_text

_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_STATES: Final = {"live": "goes on", "broken_off": "the record breaks off"}
_HEAD: Final = ("started (UTC)", "id", "from", "to", "length", "turns", "ended")


def printable(text: str) -> str:
    """A text without what could steer a terminal or turn a line around: callers have a say in texts and numbers."""
    return _CONTROLS.sub("\ufffd", text)


def call_table(calls: Sequence[CallRow]) -> Iterator[str]:
    """The list of calls in columns, under a head."""
    rows = [_columns(call) for call in calls]
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    yield click.style(_line(_HEAD, widths), bold=True)
    for call, row in zip(calls, rows, strict=True):
        yield click.style(_line(row, widths), fg="green") if call.state == "live" else _line(row, widths)


def _columns(call: CallRow) -> tuple[str, ...]:
    length = "" if call.duration_ms is None else clock(call.duration_ms)
    columns = (written(call.started_at), call.id, call.caller, reached(call), length, str(call.turns), ended(call))
    return tuple(printable(column) for column in columns)


def _line(columns: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{text:{width}}" for text, width in zip(columns, widths, strict=True)).rstrip()


def reached(call: CallRow) -> str:
    """Whom the call reached: the number called, and whom the caller was connected with."""
    return f"{call.called} ({call.other})" if call.other and call.other != call.called else call.called


def ended(call: CallRow) -> str:
    """How the call ended, in words."""
    if call.ended is None:
        return _STATES[call.state]
    words = ENDINGS.get(call.ended, call.ended)
    if call.direction == "outbound":
        words = words.replace("the caller", "the called person")
    return f"{words} to {call.transfer_to}" if call.transfer_to else words


def call_text(detail: CallDetail, header: CallHeader, entries: Sequence[Entry], folder: str) -> str:
    """One call to read: its transcript, and what else is known of it."""
    call = detail.call
    figures = [counted(call.turns, "turn"), counted(call.interruptions, "interruption")]
    figures += [counted(count, *names) for count, *names in _seldom(call) if count]
    lines = [transcript_text(header, entries, live=call.state == "live"), *_left(detail, header)]
    lines += [", ".join(figures), f"kept in {folder}"]
    for held in detail.held_by:
        lines.append(
            f"the node {held['node']} held it until {clock(held['until_ms'])}: its part of the sound is there"
        )
    if call.state == "live":
        lines.append("the call goes on: this is what there is of it so far")
    return "\n".join(lines)


def _left(detail: CallDetail, header: CallHeader) -> Iterator[str]:
    """What only nodes had that held the call before, as the transcript would have it."""
    for node in dict.fromkeys(row["node"] for row in detail.leftovers):
        entries = [entry_of(row["data"]) for row in detail.leftovers if row["node"] == node]
        yield f"only the node {node} had kept this when the call went on without it:"
        said = transcript_lines(header, [entry for entry in entries if entry is not None])
        yield "\n".join(said or [f"({counted(len(entries), 'entry', 'entries')} without words)"]) + "\n"


def counted(count: int, one: str, many: str = "") -> str:
    """A number of things, in words."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def _seldom(call: CallRow) -> tuple[tuple[int, str, str], ...]:
    return (
        (call.wasted, "answer prepared and not used", "answers prepared and not used"),
        (call.problems, "problem", "problems"),
        (call.under_runs, "time the phone ran dry", "times the phone ran dry"),
    )


def found_lines(hits: Iterable[Hit]) -> Iterator[str]:
    """What a search has found: each call with its turns below it."""
    last = ""
    for hit in hits:
        call, turn = hit.call, hit.turn
        if call.id != last:
            head = f"{call.id}  {written(call.started_at)}  {call.caller} → {reached(call)}"
            yield click.style(printable(head), bold=True)
        last = call.id
        shown = "".join(
            click.style(printable(piece), fg="yellow", bold=True) if marked else printable(piece)
            for piece, marked in hit.snippet.pieces()
        )
        before, after = "… " * hit.snippet.cut_before, " …" * hit.snippet.cut_after
        said = f"{before}{shown}{after}".replace("\n", " ")
        yield f"  [{clock(turn.started_ms):>7}] {turn.speaker.capitalize():6}  {said}"


def call_json(call: CallRow) -> dict[str, Any]:
    """A call in the list, for programs; moments as ISO 8601."""
    return {**asdict(call), "started_at": iso(call.started_at)}


def detail_json(detail: CallDetail) -> dict[str, Any]:
    """One call in full, for programs."""
    held_by = [{**held, "until": iso(held["until"])} for held in detail.held_by]
    return {**asdict(detail), "call": call_json(detail.call), "held_by": held_by}


def hit_json(hit: Hit) -> dict[str, Any]:
    """What was found, for programs; marks are from, to in characters of the snippet's text."""
    return {"call": call_json(hit.call), "turn": asdict(hit.turn), "snippet": asdict(hit.snippet)}
