"""Mistakes in what the journal is told of a reply: how much of it was heard, and when that is kept."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_SPOKEN = "spoken.py"

MUTANTS = (
    Mutant(
        _SPOKEN,
        "reply.mark_first = reply.mark_first or talk.now",
        "reply.mark_first = talk.now",
        "The record shows the last mark as the first sound.",
    ),
    Mutant(
        _SPOKEN,
        "reply.sent_first + _FIRST_S if",
        "reply.sent_first if",
        "Every short answer is written twice, and each step of a call costs more.",
    ),
    Mutant(
        _SPOKEN,
        "    reply.told_at = talk.now\n",
        "",
        "A long answer is written again with every mark of the phone.",
    ),
    Mutant(
        _SPOKEN,
        "reply.told_at + _EVERY_S",
        'float("inf")',
        "After a crash, the caller hears again all of a long answer but its first seconds.",
    ),
    Mutant(
        _SPOKEN,
        "reply.occasion, heard, *moments)",
        "reply.occasion, heard + rest, *moments)",
        "After a crash, words count as heard that never sounded.",
    ),
    Mutant(
        _SPOKEN,
        "if heard.strip() and rest.strip():",
        "if heard.strip():",
        "An answer that was heard to its end is written as one that is being spoken.",
    ),
    Mutant(
        _SPOKEN,
        "*about, filler=min(reply.filler, len(reply.text))",
        "*about",
        "After a crash, the agent is told that it said what covered its slowness.",
    ),
    Mutant(
        _SPOKEN,
        "        filler=min(reply.filler, len(reply.text)),\n",
        "",
        "The record has `one moment, please` as the agent's own words.",
    ),
    Mutant(
        _SPOKEN,
        "again=again,",
        "again=False,",
        "After a crash, the first half of a question in two halves is lost.",
    ),
)
