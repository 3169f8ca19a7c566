"""What a check found, and how that is shown. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Status: TypeAlias = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is right or wrong with an agent."""

    check: str
    """Name of the exchange, such as `interrupted`."""
    status: Status
    """`failed`: callers will notice. `warning`: they may."""
    message: str
    remedy: str = ""
    """What the author can do about it."""
    first_ms: int | None = None
    """Time from the question to the first piece of the answer that can be spoken or carried out."""
    whole_ms: int | None = None
    """Time from the question to the end of the answer."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found about one agent."""

    url: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed. Warnings do not count."""
        return all(finding.status != "failed" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it; fields of a finding that say nothing are left out."""
        return {
            "url": self.url,
            "ok": self.ok,
            "counts": {status: self.count(status) for status in ("ok", "warning", "failed", "skipped")},
            "findings": [
                {key: value for key, value in asdict(finding).items() if value not in {"", None}}
                for finding in self.findings
            ],
        }

    def count(self, status: str) -> int:
        """Return how many findings have this status."""
        return sum(finding.status == status for finding in self.findings)

    def summary(self) -> str:
        """Return one sentence about the whole."""
        failed, warnings = self.count("failed"), self.count("warning")
        if not failed and not warnings:
            return "Everything is well: this agent can take calls."
        parts = [_number(failed, "thing") + " to mend"] if failed else []
        parts += [_number(warnings, "warning")] if warnings else []
        return f"{' and '.join(parts)}. {'Callers will notice.' if failed else 'It can take calls.'}"


def lines(finding: Finding, *, width: int) -> list[str]:
    """Write a finding as lines for people, without colours; `width` is that of the longest check's name."""
    message, *more = finding.message.splitlines() or [""]
    # Only what went well is worth timing.
    timed = finding.status == "ok" and finding.whole_ms is not None
    times = f"  ({_times(finding)})" if timed else ""
    indent = f"{'':8} {'':{width}}"
    found = [f"{finding.status:8} {finding.check:{width}}  {message}{times}"]
    found += [f"{indent}  {line}" for line in more]
    return [*found, f"{indent}  → {finding.remedy}"] if finding.remedy else found


def _times(finding: Finding) -> str:
    whole = f"{finding.whole_ms} ms in all"
    return whole if finding.first_ms is None else f"first piece after {finding.first_ms} ms, {whole}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
