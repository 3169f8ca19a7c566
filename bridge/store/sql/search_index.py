"""The full-text index over `turns.words`, which migration `0002_search` makes as each database knows it."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Join, column, table
from sqlalchemy.ext.compiler import compiles

from bridge.store.sql.schema import calls, turns

INDEX: Final = "turn_words"
"""SQLite's FTS5 table. Its rows have the numbers of `turns`, and it keeps nothing but the index."""
VECTOR: Final = "words_vector"
"""PostgreSQL's column of `turns`."""

_INDEX: Final = table(INDEX, column("rowid", BigInteger))
ROWID: Final = _INDEX.c.rowid
"""In SQLite's index: the turn's number."""


class _InThisOrder(Join):
    """A join whose left side SQLite reads first, whatever it may believe to be better."""

    inherit_cache = True


@compiles(_InThisOrder)
def _in_this_order(join: Any, compiler: Any, **given: Any) -> str:
    left, _, right = compiler.visit_join(join, **given).rpartition(" JOIN ")
    return f"{left} CROSS JOIN {right}"


def found_first() -> Join:
    """SQLite's index with turns and calls: what was found is read first, and turns and calls looked up for it."""
    said = _InThisOrder(_INDEX, turns, turns.c.id == ROWID)
    return _InThisOrder(said, calls, calls.c.id == turns.c.call_id)
