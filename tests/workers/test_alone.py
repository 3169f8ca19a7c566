"""What stands around a process, as what puts a bridge together sees it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bridge.workers.alone import Alone, Around


class Second(Alone):
    """One of several processes."""

    first, several = False, True

    def __init__(self) -> None:
        super().__init__()
        self.stream_path = "/second"

    def mends(self, folder: Path) -> bool:
        return folder.name == "mine"

    def health(self) -> Mapping[str, str]:
        return {"board": "up"}


class Changed(Around):
    """Tells more of how it is."""

    def health(self) -> Mapping[str, str]:
        return {**self._inner.health(), "bus": "down"}


def test_what_is_not_changed_is_the_other_ones_own() -> None:
    second = Second()
    around = Changed(second)
    assert (around.first, around.several, around.stream_path) == (False, True, "/second")
    assert around.speech is second.speech
    assert around.also_grew is second.also_grew
    assert around.mends(Path("mine"))
    assert not around.mends(Path("theirs"))


def test_what_is_changed_is_not_passed_by() -> None:
    assert Changed(Second()).health() == {"board": "up", "bus": "down"}
