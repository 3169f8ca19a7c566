"""The fault table as text and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.faults.outcome import Outcome

_HEAD = (
    "what fails",
    "how",
    "when",
    "noticed",
    "heard within 2 s",
    "then",
    "record",
    "lost",
    "silence",
    "ended by",
)


def row_of(outcome: Outcome) -> tuple[str, ...]:
    """Return the cells of a row; none is empty."""
    cell = outcome.cell
    if cell.impossible:
        return (cell.dependency, cell.way, cell.state, *["–"] * 6, f"no such call: {cell.impossible}")
    after = "" if outcome.noticed_s is None else f" after {outcome.noticed_s:.1f} s"
    wrong = f" WRONG: {outcome.wrong[0].splitlines()[0]}" if outcome.wrong else ""
    return (
        cell.dependency,
        cell.way,
        cell.state,
        f"{outcome.noticed}{after}" if outcome.noticed else "nothing to tell",
        outcome.heard or "?",
        outcome.later or "nothing more",
        outcome.record or "?",
        outcome.lost or "?",
        f"{outcome.silence_s:.1f} s",
        (outcome.ended or "?") + wrong,
    )


def as_text(outcomes: Sequence[Outcome]) -> str:
    """Return the table for a terminal: a block of lines for each way of failing."""
    lines: list[str] = []
    before = ("", "")
    for outcome in outcomes:
        row = row_of(outcome)
        if row[:2] != before:
            before = row[0], row[1]
            lines.append(f"\n{row[0]}: {row[1]}")
        if outcome.cell.impossible:
            lines.append(f"  {row[2]:18} {row[-1]}")
            continue
        lines.append(f"  {row[2]:18} heard: {row[4]}; then: {row[5]}")
        lines.append(f"  {'':18} noticed: {row[3]}; record: {row[6]}; lost: {row[7]}; silence: {row[8]}; {row[9]}")
    return "\n".join(lines)


def as_markdown(outcomes: Iterable[Outcome]) -> str:
    """Return the table as Markdown."""
    lines = [f"| {' | '.join(_HEAD)} |", "|" + "---|" * len(_HEAD)]
    lines += [f"| {' | '.join(text.replace('|', '/') for text in row_of(one))} |" for one in outcomes]
    return "\n".join(lines) + "\n"
