"""The catalogue of mutants fits the code: each changes exactly one place, and what comes out still compiles."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.mutants.catalogue import MUTANTS
from tests.mutants.laboratory import ROOT
from tests.mutants.mutant import HEART, DoesNotFitError, Mutant


@pytest.mark.parametrize("file", sorted({mutant.file for mutant in MUTANTS}))
def test_every_mutant_changes_one_place_and_still_compiles(file: str) -> None:
    source = (ROOT / HEART / file).read_text(encoding="utf-8")
    for mutant in MUTANTS:
        if mutant.file == file:
            changed = mutant.apply(source)
            assert changed != source, mutant
            compile(changed, file, "exec")


def test_no_mistake_is_made_twice_and_each_says_what_it_does() -> None:
    assert [key for key, times in Counter((m.file, m.text, m.instead) for m in MUTANTS).items() if times > 1] == []
    assert [mutant for mutant in MUTANTS if not mutant.harm.endswith(".")] == []


def test_every_file_that_decides_has_mutants() -> None:
    told = {"__init__.py", "commands.py", "events.py", "passage.py"}  # These only name what the others speak of.
    files = {path.name for path in (ROOT / HEART).glob("*.py")} - told
    assert files - {mutant.file for mutant in MUTANTS} == set()


@pytest.mark.parametrize("source", ["", "x = 1\nx = 1\n"])
def test_a_mutant_that_does_not_fit_says_so(source: str) -> None:
    with pytest.raises(DoesNotFitError, match="not once"):
        Mutant("rules.py", "x = 1", "x = 2", "The caller hears nothing.").apply(source)
