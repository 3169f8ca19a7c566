"""Tells what the libraries of a database raise: faults of the database, which pass, from faults of a statement."""

from __future__ import annotations

from typing import Final

from bridge.errors import StoreError, system_reason

_OF_STATEMENTS: Final = ("22", "23", "42")
"""PostgreSQL's classes of errors for what is wrong with the data, with a constraint, and with the statement."""
_NO_RIGHTS: Final = "42501"


def store_error(error: Exception, where: str) -> StoreError | None:
    """What to raise in place of `error` where the database is at fault; None where it is the statement."""
    if isinstance(error, OSError):  # also TimeoutError: no answer in time
        reason = "it did not answer in time" if isinstance(error, TimeoutError) else system_reason(error)
        return unreachable(where, reason)
    from sqlalchemy import exc  # noqa: PLC0415  (slow to import, and there already where it can have raised)

    if isinstance(error, exc.TimeoutError):
        return unreachable(where, "all its connections are in use")
    if isinstance(error, exc.DBAPIError):
        origin = error.orig or error
        if isinstance(error, exc.IntegrityError | exc.DataError | exc.ProgrammingError):
            of_statement = _state(origin) != _NO_RIGHTS
        else:
            of_statement = _state(origin)[:2] in _OF_STATEMENTS or "no such " in str(origin)
        if of_statement:
            return None
        if type(error) is exc.DatabaseError:  # SQLite: not a database, or a damaged one
            return StoreError(f"the database of calls at {where} cannot be read: {origin}", code="store_damaged")
        return unreachable(where, _sentence(origin))
    if type(error).__module__.startswith("asyncpg"):  # it could not connect
        return unreachable(where, _sentence(error))
    return None


def unreachable(where: str, reason: str) -> StoreError:
    """What to raise where the database cannot be used for this reason."""
    return StoreError(f"the database of calls at {where} cannot be used: {reason}", code="storeunreachable")


def _state(origin: BaseException) -> str:
    for error in (origin, origin.__cause__):
        if state := getattr(error, "sqlstate", None):
            return str(state)
    return ""


def _sentence(error: BaseException) -> str:
    said = str(error.__cause__ or error).strip() or type(error).__name__
    return said.splitlines()[0]
