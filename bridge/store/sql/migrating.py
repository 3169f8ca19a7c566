"""Brings the tables of a database to what this version of the bridge needs, by Alembic's migrations.

They are Python files beside this module, and nothing else is needed to run them: no alembic.ini and no env.py. The
name of a file is its revision, so what the newest one is can be told without Alembic, whose import takes a while.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection

FOLDER: Final = Path(__file__).with_name("migrations")

_LOCK: Final = 0x70686F6E65  # any number that others who use the same PostgreSQL are unlikely to lock, too


@cache
def revisions() -> tuple[str, ...]:
    """Every revision that is known, the oldest first. Blocks on the disk when it is first asked."""
    return tuple(sorted(path.stem for path in FOLDER.glob("[0-9]*.py")))


@cache
def scripts() -> ScriptDirectory:
    """Load Alembic and the migrations. Blocks for a good part of a second when it is first asked."""
    # Alembic's templates, which nobody uses here, bring a painter of tracebacks along: megabytes that stay. With
    # None in its place it cannot be imported, and is done without.
    painted = "pygments" in sys.modules
    if not painted:
        sys.modules["pygments"] = None  # type: ignore[assignment]  # Python documents it.
    try:
        from alembic.script import ScriptDirectory  # noqa: PLC0415  (see above)
    finally:
        if not painted:
            del sys.modules["pygments"]

    found = ScriptDirectory(FOLDER, version_locations=[FOLDER])
    found.get_heads()  # reads the files
    return found


def version_of(connection: Connection) -> str | None:
    """The revision of a database; None: its tables were never made."""
    dialect = connection.dialect.name
    there = {
        "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'",
        "postgresql": "SELECT 1 WHERE to_regclass('alembic_version') IS NOT NULL",
    }
    if connection.exec_driver_sql(there[dialect]).first() is None:
        return None
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    return None if row is None else str(row[0])


def migrate(connection: Connection, to: str = "head") -> tuple[str | None, str | None]:
    """Bring the tables to revision `to`, in the transaction that is open: all of it happens, or nothing.

    Returns the revisions before and after.

    Two that start at the same time do it one after the other: with SQLite the transaction is the only one that
    writes; with PostgreSQL the second waits here for the first, and then finds nothing left to do.
    """
    from alembic.migration import MigrationContext  # noqa: PLC0415  (see above)
    from alembic.operations import Operations  # noqa: PLC0415

    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    before = version_of(connection)

    def steps(current: Any, _: MigrationContext) -> Any:
        return scripts()._upgrade_revs(to, current)  # noqa: SLF001  Alembic's own commands call it just so

    context = MigrationContext.configure(connection, opts={"fn": steps})
    with Operations.context(context):
        context.run_migrations()
    return before, version_of(connection)
