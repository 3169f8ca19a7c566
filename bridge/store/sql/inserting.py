"""Inserts that say what happens where the row is there already, which each database does in its own dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection


def insert_into(connection: AsyncConnection, table: Table) -> Any:
    """Begin an insert with `on_conflict_do_nothing` and `on_conflict_do_update`, in the connection's dialect."""
    # Each dialect is a good deal to import, and a process uses one.
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert  # noqa: PLC0415  (see above)

        return postgresql_insert(table)
    from sqlalchemy.dialects.sqlite import insert  # noqa: PLC0415  (see above)

    return insert(table)
