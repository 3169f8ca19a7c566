from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bridge.store.sql import database as database_module
from bridge.store.sql import keeper as keeper_module
from tests.postgres import PostgresServer, start_postgres
from tests.store.sql.place import Place, PostgresPlace, SqlitePlace


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    server = start_postgres()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "_BUSY_S", 0.2)
    monkeypatch.setattr(keeper_module, "_RETRY_S", (0.05, 0.2))


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """An empty folder of calls and an empty database, once of each kind."""
    if request.param == "sqlite":
        made: Place = SqlitePlace(tmp_path / "calls")
    else:
        made = PostgresPlace(tmp_path / "calls", request.getfixturevalue("postgres"))
    yield made
    await made.close()
