"""Several runs as one: the median of every number, level by level. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from statistics import median, median_low
from typing import Any

from bridge.bench.figures import Figures, Level, Usage


def median_levels(runs: Sequence[Sequence[Level]]) -> list[Level]:
    """One level for each number of calls that most of the runs have measured, in order.

    A run that measured it more than once counts with the last time, which was the one that decided.
    """
    by_calls: dict[int, list[Level]] = {}
    for run in runs:
        for calls, level in {level.calls: level for level in run}.items():
            by_calls.setdefault(calls, []).append(level)
    return [median_level(levels) for _, levels in sorted(by_calls.items()) if 2 * len(levels) > len(runs)]


def median_level(levels: Sequence[Level]) -> Level:
    """The medians of levels with the same number of calls. Counts of faults are the lower of the middle two."""
    first = levels[0]
    keys = [key for key in first.figures if all(key in level.figures for level in levels)]
    numbers = {
        field.name: _middle(getattr(level, field.name) for level in levels)
        for field in dataclasses.fields(Level)
        if field.name not in {"figures", "usage"}
    }
    usage = Usage(
        **{
            field.name: _middle(getattr(level.usage, field.name) for level in levels)
            for field in dataclasses.fields(Usage)
        }
    )
    figures = {key: _figures([level.figures[key] for level in levels]) for key in keys}
    return Level(**numbers, usage=usage, figures=figures)


def _figures(several: Sequence[Figures]) -> Figures:
    return Figures(
        **{
            field.name: _middle(getattr(one, field.name) for one in several)
            for field in dataclasses.fields(Figures)
        }
    )


def _middle(values: Iterable[Any]) -> Any:
    """Of numbers of one kind; None for no number at all."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return median_low(known) if all(isinstance(value, int) for value in known) else median(known)
