"""One result against an earlier one, level by level: ratios, and a plain verdict. Pure.

Both are the JSON of `phone-bridge bench`. Ratios are new by old, so below 1 is better, but for the knee.
Differences within the tolerance are taken for chance: two runs on one quiet machine differ by a few percent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bridge.errors import SettingsError

TOLERANCE: Final = 0.05
"""Of processor time, memory and calls."""
LATENCY_TOLERANCE: Final = 0.25
"""Of 99th percentiles, which chance moves more,"""
LATENCY_FLOOR_MS: Final = 1.0
"""and of which less than this makes no difference to anybody."""

_MEASURES: Final = (
    ("frame_to_speech", "frame → speech p99"),
    ("barge_in", "turn.start → clear p99"),
    ("ask", "turn.end → agent p99"),
    ("synthesize", "answer → synthesis p99"),
    ("play_all", "speech → media p99"),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One number, then and now."""

    calls: int | None
    """None: it is the run's."""
    what: str
    old: float
    new: float
    verdict: str
    """`better`, `worse` or `same`."""

    @property
    def ratio(self) -> float | None:
        """New by old; None where old is nothing."""
        return self.new / self.old if self.old else None


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Every number that both have. Raises `SettingsError` if `old` is no such result."""
    if not isinstance(old.get("levels"), list):
        raise SettingsError("the file to compare with is no result of phone-bridge bench: it has no levels")
    found: list[Difference] = []
    if old.get("knee") and new.get("knee"):
        found.append(_judged(None, "calls sustained", old["knee"], new["knee"], _more_is_better))
    before = {level["calls"]: level for level in old["levels"]}
    for level in new["levels"]:
        if (earlier := before.get(level["calls"])) is not None:
            found.extend(_level(earlier, level))
    return found


def verdict(differences: list[Difference]) -> str:
    """All of it in one sentence."""
    if not differences:
        return "Nothing to compare: the two results have no level in common."
    better = [one for one in differences if one.verdict == "better"]
    worse = [one for one in differences if one.verdict == "worse"]
    if not better and not worse:
        return "The same, within what chance does."
    parts = [f"{len(group)} {name}" for group, name in ((better, "better"), (worse, "worse")) if group]
    whole = "Better" if not worse else "Worse" if not better else "Mixed"
    return f"{whole}: {', '.join(parts)}, of {len(differences)} numbers."


def compared(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The differences as lines for people."""
    differences = compare(old, new)
    lines = [f"{'calls':>6}  {'':26} {'before':>10} {'now':>10} {'ratio':>7}"]
    for one in differences:
        ratio = "-" if one.ratio is None else f"{one.ratio:.2f}"
        calls = "" if one.calls is None else str(one.calls)
        said = "" if one.verdict == "same" else one.verdict
        lines.append(f"{calls:>6}  {one.what:26} {one.old:10.4g} {one.new:10.4g} {ratio:>7}  {said}".rstrip())
    lines += [f"Note: {note}" for note in _notes(old, new)]
    return "\n".join([*lines, verdict(differences)])


def _level(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    calls = new["calls"]
    if old.get("cpu_per_call") and new.get("cpu_per_call"):
        yield _judged(calls, "% of a core per call", 100 * old["cpu_per_call"], 100 * new["cpu_per_call"], _less)
    each = "pss_per_call"
    if old.get("usage", {}).get(each) and new.get("usage", {}).get(each):
        yield _judged(calls, "kB per call", old["usage"][each] / 1000, new["usage"][each] / 1000, _less)
    for measure, what in _MEASURES:
        if measure in old["figures"] and measure in new["figures"]:
            yield _judged(
                calls, f"{what}, ms", old["figures"][measure]["p99"], new["figures"][measure]["p99"], _sooner
            )


def _judged(
    calls: int | None, what: str, old: float, new: float, judge: Callable[[float, float], str]
) -> Difference:
    return Difference(calls, what, old, new, judge(old, new))


def _less(old: float, new: float) -> str:
    return "same" if abs(new - old) <= TOLERANCE * old else "better" if new < old else "worse"


def _more_is_better(old: float, new: float) -> str:
    return "same" if abs(new - old) <= TOLERANCE * old else "better" if new > old else "worse"


def _sooner(old: float, new: float) -> str:
    if abs(new - old) <= max(LATENCY_FLOOR_MS, LATENCY_TOLERANCE * old):
        return "same"
    return "better" if new < old else "worse"


def _notes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key, what in (("machine", "machine"), ("versions", "versions"), ("method", "method")):
        before, now = old.get(key) or {}, new.get(key) or {}
        changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        if changed:
            shown = ", ".join(f"{name} {before.get(name)} → {now.get(name)}" for name in changed)
            yield f"another {what}: {shown}"
    for name, result in (("before", old), ("now", new)):
        noisy = [str(level["calls"]) for level in result["levels"] if level.get("noisy")]
        if noisy:
            yield f"the machine was noisy {name} at {', '.join(noisy)} calls"
