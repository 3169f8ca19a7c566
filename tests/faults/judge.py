"""Reads off a call that was played what its caller heard, what its record says, and what is lost."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any, Final

from bridge.settings.calls import VoicemailSettings
from bridge.settings.sections import TurnsSettings
from bridge.store.sql.database import FILE
from tests.faults.agent import BACK, GREETING, LONG, SHORT
from tests.faults.catalogue import END, TRANSFER, VOICEMAIL
from tests.faults.logged import Log
from tests.faults.outcome import Outcome
from tests.faults.play import Said
from tests.faults.stage import Stage
from tests.faults.voice import Sentence, sentences_in, words_in

Journal = list[dict[str, Any]]

_WINDOW_S: Final = 2.0
"""What sounds so soon after a fault was noticed is what the caller hears of it."""
_STUCK_S: Final = 15.0
"""Silence of this length, while the caller waits, is a call that is stuck to them."""


def known_texts() -> dict[str, str]:
    """Return every sentence that a caller may hear, by what the table calls it."""
    turns = TurnsSettings()
    return {
        "greeting": GREETING,
        "answer": LONG,
        "answer (short)": SHORT,
        "word of the transfer": BACK,
        "filler": turns.filler,
        "apology": turns.apology,
        "farewell": turns.farewell,
        "handover": turns.handover,
        "outage sentence": turns.outage,
        "still there?": turns.still_there,
        "good-bye for silence": turns.goodbye,
        "asks for a message": VoicemailSettings().say,
        "thanks": VoicemailSettings().thanks,
        "not reached": "Sorry, I could not reach them.",
    }


async def journal_of(there: Stage) -> Journal:
    """Return the entries of the call's journal; none if there is no journal."""

    def read() -> Journal:
        for path in there.folder.rglob("journal.jsonl"):
            text = path.read_text("utf-8")
            if there.call.call_sid in text:
                return [json.loads(line) for line in text.splitlines()[1:] if line]
        return []

    return await asyncio.to_thread(read)


def judge(there: Stage, said: Said, log: Log, journal: Journal, outcome: Outcome, zero: float) -> None:
    """Fill in the outcome. `zero`: the loop's time at which the call's began."""
    sounds = sentences_in(words_in(there.call.heard), known_texts())
    sounds += [
        Sentence(e.at_s, e.at_s + 3, f"carrier's voice: {_named(e.detail)}")
        for e in there.events
        if e.kind == "carrier_says"
    ]
    broken = (zero if there.broken_at is None else there.broken_at) - zero
    _noticed(there, log, journal, outcome, broken, zero)
    since = broken + (outcome.noticed_s or 0.0)
    outcome.heard = _heard(there, sounds, max(0.0, since))
    outcome.later = ", ".join(_once([one.what for one in sounds if one.end_s > max(0.0, since) + _WINDOW_S]))
    outcome.record = _record(journal)
    outcome.lost = _lost(there, said, journal, outcome)
    outcome.silence_s = _longest_silence(there, said, sounds, max(0.0, broken))
    outcome.ended = str(there.call.ending.outcome) if there.call.ending is not None else "not at all"
    if outcome.silence_s > _STUCK_S and not _cut_off(there):
        outcome.wrong.append(f"{outcome.silence_s:.1f} s of silence while the caller waited")
    if there.spare is not None and not _answered(journal, max(0.0, broken)):
        outcome.wrong.append("no answer was heard though a speech service stood by")
    if there.cell.dependency == VOICEMAIL and not any(one["entry"] == "message_left" for one in journal):
        outcome.wrong.append("the message is not in the record")


def _answered(journal: Journal, broken: float) -> bool:
    """Tell whether something was heard of an answer that was over after the fault began."""
    return any(
        one["entry"] == "agent_spoke" and one["heard"] and one["ended_ms"] / 1000 > broken and one["turn"]
        for one in journal
    )


def _cut_off(there: Stage) -> bool:
    """Tell whether nothing that the bridge says can reach the phone."""
    return there.cell.dependency == "stream" and there.cell.way in {"half-open", "stalls"}


def _named(text: str) -> str:
    return next((what for what, known in known_texts().items() if known == text), text)


def _noticed(there: Stage, log: Log, journal: Journal, outcome: Outcome, broken: float, zero: float) -> None:
    told = [(at - zero, what) for at, what in log.told]
    for entry in journal:
        match entry["entry"]:
            case "problem_met":
                told.append((entry["at_ms"] / 1000, entry["code"]))
            case "stream_broke":
                told.append((entry["at_ms"] / 1000, "stream_broke"))
            case _:
                pass
    after = sorted(one for one in told if one[0] >= broken - 0.1)
    if after:
        at, outcome.noticed = after[0]
        outcome.noticed_s = max(0.0, at - broken)


def _heard(there: Stage, sounds: list[Sentence], since: float) -> str:
    within = [one for one in sounds if one.at_s < since + _WINDOW_S and one.end_s > since]
    words = [f"{one.what} goes on" if one.at_s < since - 0.3 else one.what for one in within]
    if words:
        return ", ".join(_once(words))
    if there.cell.state == END or (not there.call.live and since >= there.call.now - 0.1):
        return "nothing: the caller has hung up"
    dialled = [event.at_s for event in there.events if event.kind == "dialling"]
    if there.cell.state == TRANSFER and dialled and since < dialled[-1] + 1.5:
        return "the other phone ringing"
    return "silence"


def _record(journal: Journal) -> str:
    codes = [entry["code"] for entry in journal if entry["entry"] == "problem_met"]
    problems = [f"{code} ×{count}" if (count := codes.count(code)) > 1 else code for code in _once(codes)]
    broke = sum(entry["entry"] == "stream_broke" for entry in journal)
    if broke:
        problems.append("stream_broke" if broke == 1 else f"stream_broke ×{broke}")
    if any(entry.get("degraded") for entry in journal):
        problems.append("a degraded turn")
    reason = next((entry["reason"] for entry in journal if entry["entry"] == "call_closed"), "")
    problems += ["a message" for entry in journal if entry["entry"] == "message_left"]
    if any(entry.get("standby") for entry in journal):
        problems.append("turns by the standby")
    if not journal:
        return "no journal"
    return "; ".join([*problems, f"ended: {reason}" if reason else "no end"])


def _lost(there: Stage, said: Said, journal: Journal, outcome: Outcome) -> str:
    spoken = [entry for entry in journal if entry["entry"] == "caller_spoke"]
    all_words = " ".join(str(entry["transcript"]) for entry in spoken)
    lost: list[str] = []
    transcripts = [" ".join(str(entry["transcript"]).split()) for entry in spoken]
    missing = [text for text in said.finished if said.finished.count(text) > transcripts.count(text)]
    if missing and there.disk is not None:
        lost.append("the record from there on" if journal else "the whole record")
    elif missing:
        outcome.wrong.append(f"a finished turn is not in the record: {missing[0]!r} is not in {transcripts}")
    unheard = [text for text in said.unheard if text.strip() not in all_words]
    if unheard:
        lost.append(f"what the caller said while it was away ({len(unheard)})")
    answered = {
        e["turn"] for e in journal if e["entry"] == "agent_spoke" and e["occasion"] == "turn.ended" and e["heard"]
    }
    unanswered = [
        e for e in spoken if e["meaning"] == "words" and not e["incomplete"] and e["turn"] not in answered
    ]
    transferred = any(e["entry"] == "transfer_tried" for e in journal)
    count = len(unanswered) - (1 if transferred else 0)
    if count > 0:
        lost.append("an answer" if count == 1 else f"{count} answers")
    cut = [
        e for e in journal if e["entry"] == "agent_spoke" and e["heard"] and e["unheard"] and not e["interrupted"]
    ]
    if cut:
        lost.append(
            "the rest of an answer"
            if any(e["occasion"] == "turn.ended" for e in cut)
            else "the end of a sentence of the bridge"
        )
    if _cut_off(there):
        lost.append("what the phone was to play meanwhile")
    return ", ".join(lost) or "nothing"


async def kept_elsewhere(there: Stage, journal: Journal, lost: str) -> str:
    """Look whether database and sinks have caught up, and add what they have not to what is lost."""
    missing: list[str] = []
    entries = len(journal)
    async with asyncio.timeout(30):
        rows = 0
        for _ in range(100):
            rows = await _rows(there)
            if rows >= entries:
                break
            await asyncio.sleep(0.1)
    if not entries:
        missing.append("the journal")
    if rows < entries:
        missing.append(f"{entries - rows} of {entries} entries in the database")
    if there.bus is not None:
        missing += await _unsent(there)
    return ", ".join([*missing, *([lost] if lost != "nothing" else [])]) or "nothing"


async def _rows(there: Stage) -> int:
    import sqlite3

    def count() -> int:
        connection = sqlite3.connect(f"file:{there.folder / FILE}?mode=ro", uri=True, timeout=2)
        try:
            found = connection.execute("SELECT entries FROM calls WHERE sid = ?", (there.call.call_sid,)).fetchone()
            return 0 if found is None else int(found[0])
        except sqlite3.Error:
            return 0
        finally:
            connection.close()

    return await asyncio.to_thread(count)


async def _unsent(there: Stage) -> list[str]:
    read = there.up.metrics.registry.get_sample_value
    for _ in range(150):
        if not read("phone_bridge_sink_waiting", {"sink": "nats"}):
            dropped = read("phone_bridge_sink_dropped")
            return [f"{dropped:.0f} entries for the bus"] if dropped else []
        await asyncio.sleep(0.1)
    return ["what waits for the bus"]


def _longest_silence(there: Stage, said: Said, sounds: list[Sentence], since: float) -> float:
    longest = 0.0
    for begin, end in said.waits:
        first = max(begin, since)
        marks = [first, *(x for one in sounds for x in (one.at_s, one.end_s) if first < x < end), end]
        for left, right in pairwise(marks):
            if not any(one.at_s <= left + 0.01 and one.end_s >= right - 0.01 for one in sounds):
                longest = max(longest, right - left)
    return longest


def _once(words: list[str]) -> list[str]:
    return list(dict.fromkeys(words))
