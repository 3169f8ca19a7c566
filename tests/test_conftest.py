"""What the order of the tests goes by is there."""

from __future__ import annotations

from itertools import chain

from tests import conftest


def test_every_module_that_is_listed_is_there() -> None:
    """Not asked by the order itself: the mutants' laboratory has a part of the tests only."""
    lists = (conftest.BESIDE_ANYTHING, conftest.CERTAIN, conftest.EARLY, conftest.ONE_BY_ONE)
    names = [*chain(*lists, *conftest.REAL_TIME.values())]
    assert names
    assert [name for name in names if not (conftest.HERE / name).exists()] == []
