"""Tells what the libraries of a database raise: faults of the database, which pass, from faults of a statement."""

from __future__ import annotations

from typing import Final

from bridge.errors import StoreError, system_reason

_OF_STATEMENTS: Final = ("22", "23", "42")
"""PostgreSQL's classes of errors for what is wrong with the data, with a constraint, and with the statement."""
_OF_DATA: Final = ("22", "23")
_NO_RIGHTS: Final = "42501"
_OF_SQLITE_DATA: Final = ("SQLITE_CONSTRAINT", "SQLITE_MISMATCH", "SQLITE_TOOBIG")
_OF_SQLITE_STATEMENTS: Final = (*_OF_SQLITE_DATA, "SQLITE_ERROR", "SQLITE_MISUSE", "SQLITE_RANGE")


def store_error(error: Exception, where: str) -> StoreError | None:
    """What to raise in place of `error` where the database is at fault; None where it is the statement."""
    if isinstance(error, OSError):  # also TimeoutError: no answer in time
        reason = "it did not answer in time" if isinstance(error, TimeoutError) else system_reason(error)
        return unreachable(where, reason)
    from sqlalchemy import exc  # noqa: PLC0415  (slow to import, and there already where it can have raised)

    if isinstance(error, exc.TimeoutError):
        return unreachable(where, "all its connections are in use")
    if isinstance(error, exc.DBAPIError):
        return _of_driver(error.orig or error, where)
    if type(error).__module__.startswith("asyncpg"):  # it could not connect
        return unreachable(where, _sentence(error))
    return None


def is_of_data(error: Exception) -> bool:
    """Whether a statement failed for what it was to put in, so that others like it may work."""
    from sqlalchemy import exc  # noqa: PLC0415  (as above)

    if isinstance(error, exc.StatementError):
        origin = error.orig or error
        if name := getattr(origin, "sqlite_errorname", ""):
            return str(name).startswith(_OF_SQLITE_DATA)
        if state := _state(origin):
            return state[:2] in _OF_DATA
    return True  # it did not even come to the database


def _of_driver(error: BaseException, where: str) -> StoreError | None:
    if name := getattr(error, "sqlite_errorname", ""):
        if name.startswith(_OF_SQLITE_STATEMENTS):
            return None
        if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            return StoreError(f"the database of calls at {where} cannot be read: {error}", code="store_damaged")
    state = _state(error)
    if state[:2] in _OF_STATEMENTS and state != _NO_RIGHTS:
        return None
    return unreachable(where, _sentence(error))


def unreachable(where: str, reason: str) -> StoreError:
    """What to raise where the database cannot be used for this reason."""
    return StoreError(f"the database of calls at {where} cannot be used: {reason}", code="store_unreachable")


def _state(origin: BaseException) -> str:
    for error in (origin, origin.__cause__):
        if state := getattr(error, "sqlstate", None):
            return str(state)
    return ""


def _sentence(error: BaseException) -> str:
    said = str(error.__cause__ or error).strip() or type(error).__name__
    return said.splitlines()[0]
