"""One hand-made mutant of the conversation: a small mistake that a caller would notice.

It is a piece of text that stands exactly once in one file of the heart, and what stands there instead. When
the code changes, the catalogue must follow it: `tests/mutants/test_catalogue.py` says which mutants do not fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HEART = Path("bridge/conversation")


class DoesNotFitError(ValueError):
    """The text of a mutant is not in its file, or more than once."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change to one file of the heart."""

    file: str
    """Its name in `bridge/conversation`."""
    text: str
    """What must stand there exactly once."""
    instead: str
    harm: str
    """What would go wrong on the phone."""

    @property
    def path(self) -> Path:
        """The file, seen from the root of the project."""
        return HEART / self.file

    def line(self, source: str) -> int:
        """Return the number of the line at which the text begins. Raises DoesNotFitError."""
        times = source.count(self.text)
        if times != 1:
            raise DoesNotFitError(f"{self.path}: stands there {times} times, not once: {self.text!r}")
        return source[: source.index(self.text)].count("\n") + 1

    def apply(self, source: str) -> str:
        """Return the source with the mistake in it. Raises DoesNotFitError."""
        self.line(source)
        return source.replace(self.text, self.instead)
