"""The full-text index over `turns.words`, as each database makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import BigInteger, Join, column, table, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles

from bridge.store.sql.schema import calls, turns

INDEX: Final = "turn_words"
"""SQLite's FTS5 table. Its rows have the numbers of `turns`, and it keeps nothing but the index."""
VECTOR: Final = "words_vector"
"""PostgreSQL's column of `turns`."""

MAKE: Final[Mapping[str, tuple[str, ...]]] = {
    "sqlite": (
        # Words are ASCII already, in one case and without accents: see `words.py`.
        "CREATE VIRTUAL TABLE turn_words USING fts5(words, content='turns', content_rowid='id', tokenize='ascii')",
        "CREATE TRIGGER turns_put_in AFTER INSERT ON turns BEGIN"
        " INSERT INTO turn_words(rowid, words) VALUES (new.id, new.words); END",
        "CREATE TRIGGER turns_taken_out AFTER DELETE ON turns BEGIN"
        " INSERT INTO turn_words(turn_words, rowid, words) VALUES ('delete', old.id, old.words); END",
        "CREATE TRIGGER turns_changed AFTER UPDATE OF words ON turns BEGIN"
        " INSERT INTO turn_words(turn_words, rowid, words) VALUES ('delete', old.id, old.words);"
        " INSERT INTO turn_words(rowid, words) VALUES (new.id, new.words); END",
        "INSERT INTO turn_words(turn_words) VALUES ('rebuild')",
    ),
    "postgresql": (
        "ALTER TABLE turns ADD COLUMN words_vector tsvector"
        " GENERATED ALWAYS AS (to_tsvector('simple', words)) STORED",
        "CREATE INDEX ix_turns_words_vector ON turns USING gin (words_vector)",
    ),
}
"""Statements that make the index over the rows that are there, and keep it true from then on."""

UNMAKE: Final[Mapping[str, tuple[str, ...]]] = {
    "sqlite": (
        "DROP TRIGGER turns_changed",
        "DROP TRIGGER turns_taken_out",
        "DROP TRIGGER turns_put_in",
        "DROP TABLE turn_words",
    ),
    "postgresql": ("DROP INDEX ix_turns_words_vector", "ALTER TABLE turns DROP COLUMN words_vector"),
}

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


async def forget_deleted(connection: AsyncConnection) -> None:
    """Have SQLite's index let go of the words of deleted turns, which it keeps until it is next merged.

    Takes about as long as searching all that is kept; the caller commits. PostgreSQL forgets when it vacuums.
    """
    if connection.dialect.name == "sqlite":
        await connection.execute(text("INSERT INTO turn_words(turn_words) VALUES ('optimize')"))
