"""What `doctor` looks at in the database of calls: reachable, of this version, writable. It changes nothing."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Final

from bridge.checks.local import Finding
from bridge.errors import SettingsError, StoreError
from bridge.settings import Settings
from bridge.store.sql import migrating
from bridge.store.sql.database import Database

_CHECK: Final = "database"
_MEANWHILE: Final = "calls are taken and recorded all the same, and go in when it is back"
_REMEDIES: Final = {
    "store_unreachable": f"mend it, or store.url (BRIDGE_STORE__URL); {_MEANWHILE}",
    "store_too_new": f"install that version, or name another database; {_MEANWHILE}",
    "store_damaged": "put a backup in its place, or move it away: all but audit and re-transcriptions is made again"
    " from the calls' folders",
}
_TRIALS: Final = {
    False: "CREATE TABLE phone_bridge_doctor (id INTEGER)",
    True: "DELETE FROM calls WHERE id = ''",
}
"""What is tried and taken back, by whether the tables are there."""


async def check_database(settings: Settings) -> list[Finding]:
    """Whether calls can go into the database. Takes five seconds at most, where nothing answers."""
    try:
        database = Database(settings.store.url, settings.store.recordings)
    except SettingsError as error:
        return [Finding(_CHECK, "failed", error.message, "install it, or take store.url out")]
    if database.file is not None and not await asyncio.to_thread(database.file.exists):
        return [await asyncio.to_thread(_to_be_made, database.file)]
    try:
        return [await _look(database)]
    except StoreError as error:
        return [Finding(_CHECK, "failed", error.message, _REMEDIES[error.code])]
    finally:
        await database.close()


async def _look(database: Database) -> Finding:
    version = await database.look()
    async with database.writing() as connection:
        await connection.exec_driver_sql(_TRIALS[version is not None])
        await connection.rollback()
    if version is None:
        return Finding(_CHECK, "ok", f"{database.where} is empty and can be written to")
    newest = migrating.revisions()[-1]
    behind = "" if version == newest else f", and is brought up to {newest} at the next start"
    return Finding(_CHECK, "ok", f"{database.where} can be written to; its tables are at {version}{behind}")


def _to_be_made(file: Path) -> Finding:
    place = next(path for path in file.parents if path.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        remedy = "make the folder writable, or name another file in store.url (BRIDGE_STORE__URL)"
        return Finding(_CHECK, "failed", f"cannot make {file}: {error.strerror or error}", remedy)
    return Finding(_CHECK, "ok", f"{file} is made when the bridge starts")
