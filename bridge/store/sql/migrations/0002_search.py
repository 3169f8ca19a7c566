"""The full-text index: the words of each turn, and what each database searches them by."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from bridge.store.sql.words import search_words

revision: Final = "0002_search"
down_revision: Final = "0001_record"

_AT_ONCE: Final = 1000

_SQLITE: Final = (
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
)
_POSTGRESQL: Final = (
    "ALTER TABLE turns ADD COLUMN words_vector tsvector GENERATED ALWAYS AS (to_tsvector('simple', words)) STORED",
    "CREATE INDEX ix_turns_words_vector ON turns USING gin (words_vector)",
)


def upgrade() -> None:
    """Make it, for the turns that are there as well."""
    op.add_column("turns", sa.Column("words", sa.Text(), nullable=False, server_default=""))
    connection = op.get_bind()
    _find_words(connection)
    for statement in _SQLITE if connection.dialect.name == "sqlite" else _POSTGRESQL:
        connection.exec_driver_sql(statement)


def _find_words(connection: sa.Connection) -> None:
    """Fill the new column, some rows at a time."""
    turns = sa.table("turns", sa.column("id"), sa.column("text"), sa.column("words"))
    fill = sa.update(turns).where(turns.c.id == sa.bindparam("turn")).values(words=sa.bindparam("found"))
    done = 0
    while True:
        some = sa.select(turns.c.id, turns.c.text).where(turns.c.id > done).order_by(turns.c.id).limit(_AT_ONCE)
        rows = connection.execute(some).all()
        if not rows:
            return
        connection.execute(fill, [{"turn": row.id, "found": search_words(row.text)} for row in rows])
        done = rows[-1].id
