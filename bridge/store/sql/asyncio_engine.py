"""SQLAlchemy's engine for asyncio, without its object-relational mapper.

Nobody here maps objects, but `sqlalchemy.ext.asyncio` imports all of the mapper for its sessions: 7 MB, and a fifth
of a second on the thread that opens the database.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_PACKAGE: Final = "sqlalchemy.ext.asyncio"
_ENGINE: Final = f"{_PACKAGE}.engine"


def create_async_engine(url: Any, **options: Any) -> AsyncEngine:
    """As SQLAlchemy's function of this name. Blocks while it imports SQLAlchemy."""
    made: AsyncEngine = _engine_module().create_async_engine(url, **options)
    return made


def _engine_module() -> Any:
    if _ENGINE in sys.modules:
        return sys.modules[_ENGINE]
    spec = importlib.util.find_spec(_PACKAGE)  # This imports what is above it.
    if spec is None or _PACKAGE in sys.modules:
        return importlib.import_module(_ENGINE)
    # The package stands there as a mere folder, which was not run, while its one module is imported. Whoever
    # imports it after that gets it as it is, with this very module in it.
    sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module(_ENGINE)
    finally:
        del sys.modules[_PACKAGE]
